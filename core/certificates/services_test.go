package certificates_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/services"
)

// services are service accounts over the same database.
func (w *world) services() *services.Services {
	return &services.Services{DB: w.DB, Directory: w.people, Accounts: w.logins, Rotations: w.rotations, Now: w.clock.Now}
}

// Who was shown a token of a service account, or typed a key in, takes that along, though they own nothing. The account whose password
// it has besides is rotated like any other that somebody saw.
func TestServiceAccountsOfALeaver(t *testing.T) {
	h := open(t).house(t)
	keep, ctx := h.services(), context.Background()
	eve := h.administrator(t, "eve")
	as := func(actor core.Actor) core.Cause { return core.NewCause(actor, h.clock.Now()) }
	robot, err := keep.Create(ctx, as(eve.Actor()), h.workspace, services.Settings{Name: "ci", Purpose: "deploys", Unit: "it", Risk: 1, Sensitivity: 1},
		[]accounts.Subject{{User: h.ana.ID}, {User: h.join(t, "dora").ID}})
	coretest.Must(t, err)
	add := func(by core.Actor, wanted services.NewCredential) services.Credential {
		t.Helper()
		made, _, err := keep.AddCredential(ctx, as(by), h.workspace, robot.ID, wanted)
		coretest.Must(t, err)
		return made
	}
	token := add(eve.Actor(), services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern})
	old := add(eve.Actor(), services.NewCredential{Name: "old", Kind: services.Password, Held: services.ByVault})
	coretest.Must(t, keep.RemoveCredential(ctx, as(eve.Actor()), h.workspace, old.ID, false)) // before she leaves
	key := add(eve.Actor(), services.NewCredential{Name: "deploy", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("key one")})
	add(h.ana.Actor(), services.NewCredential{Name: "ana's", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("key two")})
	bound := h.account(t, h.app)
	login := add(core.System, services.NewCredential{Name: "login", Kind: services.Password, Held: services.ByAccount, Login: bound.ID})
	h.share(t, bound.ID, accounts.Subject{User: eve.ID}, accounts.Collaborator)
	coretest.Must(t, h.fill(t, eve, bound.ID))

	if effect := h.leave(t, eve); len(effect.Rotations) != 1 {
		t.Fatalf("%d passwords are changed", len(effect.Rotations))
	}
	h.work(t)
	coretest.Must(t, keep.Tick(ctx))
	if versions, err := keep.Versions(ctx, h.DB, h.workspace, login.ID); err != nil || len(versions) != 2 || versions[1].Revoked == nil {
		t.Fatalf("the service account's password: %+v, %v", versions, err)
	}
	if issued := h.settle(t); issued != 0 {
		t.Fatal("signed though her token opens Postern")
	}
	h.clock.Pass(certificates.DefaultDeadline)
	h.settle(t)
	said := h.verified(t, h.only(t, eve))
	if said.State != certificates.Incomplete || said.Count(certificates.Open) != 0 || secrets(said) != "service_token 1 open, service_key 1 open" {
		t.Fatalf("%s: %s, %d passwords open", said.State, secrets(said), said.Count(certificates.Open))
	}
	for i, name := range []string{"API", "deploy"} {
		one := said.Secrets[i]
		if one.Of != robot.Target() || one.Credential != name || one.Why == "" || one.NextStep == "" || !one.Known.Before(said.Departed.Add(1)) {
			t.Errorf("got %+v", one)
		}
	}

	// Each end is told by an issue that supersedes the one before.
	tokens, err := h.people.ServiceAccountTokens(ctx, h.DB, h.workspace, robot.ID)
	coretest.Must(t, err)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return h.people.RevokeServiceAccountToken(ctx, tx, h.system(), h.workspace, robot.ID, tokens[0].ID)
	})
	h.settle(t)
	if next := h.verified(t, h.only(t, eve)); next.Number != 2 || next.State != certificates.Incomplete || secrets(next) != "service_token 1 ended, service_key 1 open" {
		t.Fatalf("%s, issue %d: %s", next.State, next.Number, secrets(next))
	}
	begun, _, err := keep.Rotate(ctx, as(h.ana.Actor()), h.workspace, key.ID, services.Wish{Value: seal.NewSecret("key three")})
	coretest.Must(t, err)
	for _, to := range []services.State{services.Distributed, services.Verified, services.Done} {
		if issued := h.settle(t); issued != 0 {
			t.Fatal("the new key is no end of the old one")
		}
		_, err = keep.Advance(ctx, as(h.ana.Actor()), h.workspace, begun.ID, to, "it is there")
		coretest.Must(t, err)
	}
	h.settle(t)
	last := h.verified(t, h.only(t, eve))
	if last.State != certificates.Complete || last.Number != 3 || last.Supersedes == "" || secrets(last) != "service_token 1 ended, service_key 1 ended" || !last.Safe.Equal(h.clock.Now()) {
		t.Fatalf("%s, issue %d: %s, safe since %v", last.State, last.Number, secrets(last), last.Safe)
	}
	// What is gone since is in it all the same.
	coretest.Must(t, keep.Remove(ctx, as(core.System), h.workspace, robot.ID))
	if now := h.only(t, eve).Now; secrets(now) != secrets(last) || now.Secrets[0].Of.Name != "ci" || token.Name != now.Secrets[0].Credential {
		t.Fatalf("got %+v", now.Secrets)
	}
}
