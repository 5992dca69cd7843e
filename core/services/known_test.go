package services_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/services"
)

// leavers are the findings about what leavers know: details of those that are open, and how many were resolved.
func (s *side) leavers(t coretest.T) (open []string, resolved int) {
	t.Helper()
	found, err := s.Findings(background, s.Core.DB, s.workspace, services.FindingQuery{Kind: services.KnownByLeaver})
	coretest.Must(t, err)
	for _, one := range found {
		if one.State == services.Resolved {
			resolved++
		} else {
			open = append(open, one.Detail)
		}
	}
	return open, resolved
}

func (s *side) leave(t coretest.T, name string) {
	t.Helper()
	_, err := s.Lifecycle.Deprovision(background, s.system(), s.workspace, s.user(name))
	coretest.Must(t, err)
}

// Whoever was shown a secret of a service account, or typed it in, takes it along, by whatever right they were: an administrator who owns
// nothing, a member of a team that owns.
func TestWhatALeaverKnowsIsAFindingUntilItIsRevoked(t *testing.T) {
	w := open(t)
	w.sequence(t)
	s, other := w.side(t), w.side(t)
	_, err := s.AddOwner(background, s.as("ana"), s.workspace, s.account.ID, accounts.Subject{Team: s.team.ID})
	coretest.Must(t, err)
	add := func(by string, wanted services.NewCredential) services.Credential {
		t.Helper()
		made, _, err := s.AddCredential(background, s.as(by), s.workspace, s.account.ID, wanted)
		coretest.Must(t, err)
		return made
	}
	token := add("ada", services.NewCredential{Name: "API", Kind: services.Token, Held: services.ByPostern})
	key := add("dan", services.NewCredential{Name: "deploy", Kind: services.Key, Held: services.ByVault, Value: seal.NewSecret("key one")})
	password := add("dan", services.NewCredential{Name: "legacy", Kind: services.Password, Held: services.ByVault, Expires: new(w.clock.Now().AddDate(0, 0, 3))})
	add("ana", services.NewCredential{Name: "ana's", Kind: services.Password, Held: services.ByVault})
	for id, who := range map[core.ID]string{token.ID: "ada", key.ID: "dan", password.ID: "dan"} {
		versions, err := s.Versions(background, s.Core.DB, s.workspace, id)
		coretest.Must(t, err)
		if len(versions) != 1 || versions[0].Knower != s.user(who) || versions[0].KnowerName != who || versions[0].Known == nil {
			t.Fatal(versions)
		}
	}

	s.leave(t, "cleo") // who knows nothing
	s.leave(t, "ada")
	w.followed(t, "the administrator's token", func() bool { open, _ := s.leavers(t); return len(open) == 1 })
	if open, _ := s.leavers(t); !strings.Contains(open[0], `ada has left and knows its token "API", since 4 May 2026`) || !strings.Contains(open[0], "rotate it") {
		t.Fatal(open)
	}
	s.leave(t, "dan")
	w.followed(t, "what a member of the team knows", func() bool { open, _ := s.leavers(t); return len(open) == 3 })

	// The new value alone changes nothing: what ends the finding is the end of the old one.
	begun, _, err := s.Rotate(background, s.as("ana"), s.workspace, token.ID, services.Wish{})
	coretest.Must(t, err)
	for _, to := range []services.State{services.Distributed, services.Verified} {
		if open, _ := s.leavers(t); len(open) != 3 {
			t.Fatal(open)
		}
		_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, to, "it is there")
		coretest.Must(t, err)
	}
	_, err = s.Advance(background, s.as("ana"), s.workspace, begun.ID, services.Done, "")
	coretest.Must(t, err)
	if open, resolved := s.leavers(t); len(open) != 2 || resolved != 1 {
		t.Fatal(open, resolved)
	}
	coretest.Must(t, s.RemoveCredential(background, s.as("ana"), s.workspace, key.ID, false))
	if open, resolved := s.leavers(t); len(open) != 1 || resolved != 2 {
		t.Fatal(open, resolved)
	}
	w.clock.Pass(4 * 24 * time.Hour)
	coretest.Must(t, s.Tick(background))
	if open, resolved := s.leavers(t); len(open) != 0 || resolved != 3 {
		t.Fatal(open, resolved)
	}
	if open, resolved := other.leavers(t); len(open)+resolved != 0 {
		t.Fatal(open, resolved)
	}
}

// A token that was made, and revoked, past its credential counts too; the service account itself knows without being a leaver ever.
func TestATokenMadeElsewhereIsKnownToo(t *testing.T) {
	w := open(t)
	w.sequence(t)
	s := w.side(t)
	made := func(cause core.Cause) {
		t.Helper()
		coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
			_, err := w.Directory().CreateServiceAccountToken(background, tx, cause, s.workspace, s.account.ID, nil)
			return err
		}))
	}
	made(s.as("cleo"))
	made(s.itself())
	s.leave(t, "cleo")
	w.followed(t, "the token she was shown", func() bool { open, _ := s.leavers(t); return len(open) == 1 })
	tokens, err := w.Directory().ServiceAccountTokens(background, w.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
		return w.Directory().RevokeServiceAccountToken(background, tx, w.system(), s.workspace, s.account.ID, tokens[0].ID)
	}))
	coretest.Must(t, s.Tick(background))
	if open, resolved := s.leavers(t); len(open) != 0 || resolved != 1 {
		t.Fatal(open, resolved)
	}
}
