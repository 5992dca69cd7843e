package services_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/services"
)

func (s *side) add(t coretest.T, wanted services.NewCredential) (services.Credential, seal.Secret) {
	t.Helper()
	made, secret, err := s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, wanted)
	coretest.Must(t, err)
	return made, secret
}

func (s *side) token(t coretest.T) (services.Credential, seal.Secret) {
	t.Helper()
	return s.add(t, services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern})
}

// use has a token let in, and seen.
func (s *side) use(t coretest.T, token seal.Secret, address, agent string) {
	t.Helper()
	account, err := s.Directory().AuthenticateServiceAccount(background, token)
	coretest.Must(t, err)
	coretest.Must(t, s.Observe(background, services.Use{
		Workspace: account.Workspace, Account: account.Actor(), Token: account.Token, Origin: core.Origin{Address: address, UserAgent: agent},
	}))
}

// works reports whether a token opens anything, without using it.
func (s *side) works(token seal.Secret) bool {
	var works bool
	err := s.Core.DB.QueryRow(background, `select exists (select from service_account_tokens where hash = @hash and (expires is null or expires > @now))`,
		pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal()), "now": s.clock.Now()}).Scan(&works)
	return err == nil && works
}

func TestTokensMadeElsewhereAreTheSame(t *testing.T) {
	w := open(t)
	s := w.side(t)
	var first, second seal.Secret
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if first, err = s.Directory().CreateServiceAccountToken(ctx, tx, w.system(), s.workspace, s.account.ID, nil); err != nil {
			return err
		}
		second, err = s.Directory().CreateServiceAccountToken(ctx, tx, w.system(), s.workspace, s.account.ID, nil)
		return err
	})
	s.use(t, second, "192.0.2.7", "curl/8")
	coretest.Must(t, s.Tick(background))
	found, err := s.Credentials(background, s.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	versions, err := s.Versions(background, s.Core.DB, s.workspace, found[0].ID)
	coretest.Must(t, err)
	if len(found) != 1 || len(versions) != 2 || versions[0].Slot == versions[1].Slot || versions[0].LastUsed == nil || versions[1].LastUsed != nil {
		t.Fatal(found, versions)
	}
	_, _, err = s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern})
	refused(t, err, "service_credential_tokens")
	_, _, err = s.Rotate(background, s.as("ana"), s.workspace, found[0].ID, services.Wish{})
	refused(t, err, "too_many_tokens")
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return s.Directory().RevokeServiceAccountToken(ctx, tx, w.system(), s.workspace, s.account.ID, versions[1].Token)
	})
	if s.works(first) {
		t.Fatal("it was revoked")
	}
	if _, _, err = s.Rotate(background, s.as("ana"), s.workspace, found[0].ID, services.Wish{}); err != nil {
		t.Fatal(err)
	}
}

func TestAVaultHeldValueIsReadByWhoseItIs(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	_, err := s.Change(background, s.as("ada"), s.workspace, s.account.ID, 0, func(set *services.Settings) { set.Scopes = []string{"credentials:use"} })
	coretest.Must(t, err)
	for what, wanted := range map[string]services.NewCredential{
		"a key without a value":  {Name: "k", Kind: services.Key, Held: services.ByVault},
		"no such kind":           {Name: "k", Kind: "cookie", Held: services.ByVault, Value: seal.NewSecret("x")},
		"an account's key":       {Name: "k", Kind: services.Key, Held: services.ByAccount, Login: core.NewID()},
		"nobody's account":       {Name: "k", Kind: services.Password, Held: services.ByAccount, Login: core.NewID()},
		"no name":                {Kind: services.Password, Held: services.ByVault},
		"over already":           {Name: "k", Kind: services.Password, Held: services.ByVault, Expires: new(w.clock.Now())},
		"a value for Postern":    {Name: "k", Kind: services.Token, Held: services.ByPostern, Value: seal.NewSecret("x")},
		"a name that is a space": {Name: " ", Kind: services.Password, Held: services.ByVault},
	} {
		if _, _, err := s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, wanted); err == nil || core.KindOf(err) == core.KindInternal {
			t.Errorf("%s: %v", what, err)
		}
	}
	key, made := s.add(t, services.NewCredential{
		Name: "deploy key", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("key one"), Consumers: []string{"builder", "deployer"}, Every: 30,
	})
	if !made.IsZero() {
		t.Fatal("what was given is given back")
	}
	read := func(consumer string) string {
		t.Helper()
		value, err := s.Read(background, s.itself(), s.workspace, key.ID, consumer)
		coretest.Must(t, err)
		return value.Secret.Reveal()
	}
	if read("builder") != "key one" || read("") != "key one" {
		t.Fatal("another value")
	}
	stranger := s.create(t, "stranger", s.people("ana", "ben")...)
	for what, cause := range map[string]core.Cause{
		"a person": s.as("ana"), "an administrator": s.as("ada"), "the system": w.system(),
		"another service account": core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: stranger.ID}, w.clock.Now()),
	} {
		if value, err := s.Read(background, cause, s.workspace, key.ID, ""); core.KindOf(err) != core.KindNotFound || !value.Secret.IsZero() {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := other.Read(background, s.itself(), other.workspace, key.ID, ""); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	if _, err := s.Read(background, s.itself(), s.workspace, key.ID, "nobody"); core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
	// The schedule asks for a rotation; an owner makes the value; each consumer is seen with it.
	w.clock.Pass(31 * 24 * time.Hour)
	coretest.Must(t, s.Tick(background))
	coretest.Must(t, s.Tick(background))
	planned, err := s.RotationsOf(background, s.Core.DB, s.workspace, key.ID)
	coretest.Must(t, err)
	if len(planned) != 1 || planned[0].State != services.Planned || planned[0].Reason != services.BySchedule {
		t.Fatal(planned)
	}
	begun, _, err := s.Rotate(background, s.as("ana"), s.workspace, key.ID, services.Wish{Value: seal.NewSecret("key two")})
	coretest.Must(t, err)
	if begun.ID != planned[0].ID || read("builder") != "key one" {
		t.Fatal("it is given out before it is distributed")
	}
	_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.Distributed, "")
	coretest.Must(t, err)
	if read("builder") != "key two" {
		t.Fatal("it is not given out")
	}
	_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.Verified, "")
	refused(t, err, "not_seen") // the deployer has the old one
	read("deployer")
	verified, err := s.Rotation(background, s.Core.DB, s.workspace, begun.ID)
	coretest.Must(t, err)
	if verified.State != services.Verified {
		t.Fatal(verified)
	}
	w.clock.Pass(60 * 24 * time.Hour)
	coretest.Must(t, s.Tick(background)) // that it is revoked in the other system is for a person to say
	if found, _ := s.Rotation(background, s.Core.DB, s.workspace, begun.ID); found.State != services.Verified {
		t.Fatal(found)
	}
	_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.Done, "")
	coretest.Must(t, err)
	after, err := s.Credential(background, s.Core.DB, s.workspace, key.ID)
	coretest.Must(t, err)
	if after.Next == nil || !after.Next.After(w.clock.Now()) {
		t.Fatal(after.Next)
	}
	coretest.Must(t, s.Remove(background, s.as("ada"), s.workspace, s.account.ID))
	if _, err := s.Read(background, s.itself(), s.workspace, key.ID, ""); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
}
