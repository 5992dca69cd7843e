package services_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
)

// minted is a side with an account in an app that makes tokens.
func (w *world) minted(t testing.TB) (*side, *coretest.Mint, accounts.Account) {
	t.Helper()
	s, app := w.side(t), &coretest.Mint{Password: "password one"}
	app.Have("foreign", "of somebody")
	w.Core.Rotations.Connectors = rotation.Connectors{"mint": app}
	var made accounts.Account
	coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
		created, err := w.Core.Accounts.CreateApp(background, tx, w.system(), s.workspace, accounts.NewApp{Name: "Forge", Domains: []string{"forge.example.com"}, SignInURL: "https://forge.example.com/", Connector: "mint"})
		if err != nil {
			return err
		}
		made, err = w.Core.Accounts.CreateAccount(background, tx, w.system(), s.workspace, accounts.NewAccount{App: created.ID, Username: "bot", Password: seal.NewSecret("password one"), Owner: s.user("ana")})
		return err
	}))
	return s, app, made
}

func (s *side) forged(t coretest.T, account accounts.Account) services.Credential {
	t.Helper()
	made, secret := s.add(t, services.NewCredential{Name: "forge", Kind: services.Token, Held: services.InApp, Login: account.ID, Consumers: []string{"builder"}})
	if !secret.IsZero() {
		t.Fatal("nothing is made yet")
	}
	return made
}

// carried asks the apps until there is nothing to do, or for a while that makes no difference any more.
func (s *side) carried(t coretest.T) {
	t.Helper()
	for range 12 {
		coretest.Must(t, s.Carry(background))
		coretest.Must(t, s.Tick(background))
		s.clock.Pass(20 * time.Minute)
	}
}

func (s *side) latest(t coretest.T, credential services.Credential) services.Rotation {
	t.Helper()
	all, err := s.RotationsOf(background, s.Core.DB, s.workspace, credential.ID)
	coretest.Must(t, err)
	return all[0]
}

// read is what the service account is given.
func (s *side) read(t coretest.T, credential services.Credential) string {
	t.Helper()
	value, err := s.Read(background, s.itself(), s.workspace, credential.ID, "builder")
	coretest.Must(t, err)
	if value.Username != "bot" {
		t.Fatalf("of %q", value.Username)
	}
	return value.Secret.Reveal()
}

func TestAnAppMakesAndEndsTokens(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	if _, err := s.Read(background, s.itself(), s.workspace, credential.ID, "builder"); core.KindOf(err) != core.KindDenied {
		t.Fatalf("nothing is made yet: %v", err)
	}
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.Done || s.read(t, credential) != "bot-token-1" {
		t.Fatal(one)
	}
	_, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{Value: seal.NewSecret("x")})
	coretest.Wants(t, err, core.KindInvalid, "value")
	open, secret, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
	coretest.Must(t, err)
	if open.State != services.Planned || !secret.IsZero() || s.read(t, credential) != "bot-token-1" {
		t.Fatal(open)
	}
	_, _, err = s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{}) // twice is once
	coretest.Must(t, err)
	coretest.Must(t, s.Carry(background))
	if one := s.latest(t, credential); one.State != services.Distributed || !slices.Equal(app.Living(), []string{"bot-token-1", "bot-token-2", "foreign"}) {
		t.Fatal(one, app.Living())
	}
	// Both are good until the new one is in use, and the old one no more.
	if s.read(t, credential) != "bot-token-2" || s.latest(t, credential).State != services.Verified {
		t.Fatal(s.latest(t, credential))
	}
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.Verified || len(app.Living()) != 3 {
		t.Fatal("before the overlap is over", one)
	}
	w.clock.Pass(25 * time.Hour)
	s.carried(t)
	steps, err := s.StepsOf(background, s.Core.DB, s.workspace, open.ID)
	coretest.Must(t, err)
	if one := s.latest(t, credential); one.State != services.Done || !slices.Equal(app.Living(), []string{"bot-token-2", "foreign"}) || !strings.Contains(steps[len(steps)-1].Detail, "lets nobody in") {
		t.Fatal(one, steps, app.Living())
	}

	err = s.Remove(background, s.as("ada"), s.workspace, s.account.ID)
	refused(t, err, "app_tokens")
	coretest.Must(t, s.RemoveCredential(background, s.as("ana"), s.workspace, credential.ID, false))
	if _, err := s.Read(background, s.itself(), s.workspace, credential.ID, "builder"); core.KindOf(err) != core.KindDenied {
		t.Fatalf("it is removed: %v", err)
	}
	s.carried(t)
	if _, err := s.Credential(background, s.Core.DB, s.workspace, credential.ID); core.KindOf(err) != core.KindNotFound || !slices.Equal(app.Living(), []string{"foreign"}) {
		t.Fatal(err, app.Living())
	}
	coretest.Must(t, s.Remove(background, s.as("ada"), s.workspace, s.account.ID))
}

func TestATokenThatIsRolledBackEnds(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	s.carried(t)
	for _, early := range []bool{true, false} {
		open, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
		coretest.Must(t, err)
		if !early {
			coretest.Must(t, s.Carry(background))
			_, err = s.Advance(background, s.as("ana"), s.workspace, open.ID, services.Done, "")
			refused(t, err, "wrong_state")
			_, err = s.Advance(background, s.as("ana"), s.workspace, open.ID, services.Verified, "")
			refused(t, err, "not_seen")
		} else {
			_, err = s.Advance(background, s.as("ana"), s.workspace, open.ID, services.Distributed, "")
			refused(t, err, "wrong_state")
		}
		_, err = s.Advance(background, s.as("ana"), s.workspace, open.ID, services.RolledBack, "the pipeline cannot take it")
		coretest.Must(t, err)
		s.carried(t)
		if one := s.latest(t, credential); one.State != services.RolledBack || !slices.Equal(app.Living(), []string{"bot-token-1", "foreign"}) || s.read(t, credential) != "bot-token-1" {
			t.Fatal(early, one, app.Living())
		}
	}
}

func TestAppsThatDoNotDoWhatTheyAreAsked(t *testing.T) {
	for name, one := range map[string]struct {
		app  func(*coretest.Mint)
		then func(*coretest.Mint)
		want string // in what is said of it meanwhile
	}{
		"down":           {app: func(m *coretest.Mint) { m.Says = rotation.Unreachable }, want: "says so"},
		"wrong password": {app: func(m *coretest.Mint) { m.Says = rotation.AdminRejected }, want: "says so"},
		"may not":        {app: func(m *coretest.Mint) { m.Says = rotation.AdminDenied }, want: "says so"},
		"answer lost":    {app: func(m *coretest.Mint) { m.Forgets = true }, want: "says so"},
		"strange id":     {app: func(m *coretest.Mint) { m.ID = func(int) string { return strings.Repeat("x", 5000) } }, then: func(m *coretest.Mint) { m.ID = nil }, want: "could not be stored"},
		"no id":          {app: func(m *coretest.Mint) { m.ID = func(int) string { return "" } }, then: func(m *coretest.Mint) { m.ID = nil; m.Lose("bot-token-2") }, want: "could not be stored"},
		"mute":           {app: func(m *coretest.Mint) { m.Mute = true }, then: func(m *coretest.Mint) { m.Mute = false }, want: "cannot be told"},
		"undead":         {app: func(m *coretest.Mint) { m.Undead = true }, then: func(m *coretest.Mint) { m.Undead = false }, want: "still lets in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			s, app, account := w.minted(t)
			credential := s.forged(t, account)
			s.carried(t)
			one.app(app)
			rotated, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
			coretest.Must(t, err)
			coretest.Must(t, s.Carry(background))
			if name == "mute" {
				_, err = s.Advance(background, s.as("ana"), s.workspace, rotated.ID, services.Distributed, "it will do")
				refused(t, err, "by_itself")
				if s.read(t, credential) != "bot-token-1" {
					t.Fatal("what was not tried is given out")
				}
			}
			if name == "undead" {
				s.read(t, credential)
				_, err = s.Advance(background, s.as("ana"), s.workspace, rotated.ID, services.Done, "it is urgent")
				coretest.Must(t, err)
				coretest.Must(t, s.Carry(background))
			}
			found, err := s.Credential(background, s.Core.DB, s.workspace, credential.ID)
			coretest.Must(t, err)
			if !strings.Contains(found.Detail, one.want) || found.Retry == nil || s.latest(t, credential).State == services.Done {
				t.Fatalf("%q, again at %v, %s", found.Detail, found.Retry, s.latest(t, credential).State)
			}
			if one.then != nil {
				one.then(app)
			}
			if name == "wrong password" { // the account waits for a person
				coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
					_, err := w.Core.Accounts.Learn(background, tx, w.system(), s.workspace, account.ID, accounts.SignInAccepted, "by hand")
					return err
				}))
			}
			w.clock.Pass(25 * time.Hour)
			s.carried(t)
			s.read(t, credential)
			w.clock.Pass(25 * time.Hour)
			s.carried(t)
			if last := s.latest(t, credential); last.State != services.Done || len(app.Living()) != 2 || !slices.Contains(app.Living(), s.read(t, credential)) {
				found, _ := s.Credential(background, s.Core.DB, s.workspace, credential.ID)
				t.Fatal(last, app.Living(), found.Detail, found.Retry)
			}
		})
	}
}

func TestATokenTheAppDoesNotLetInIsNotGivenOut(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	s.carried(t)
	app.Stillborn = true
	_, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
	coretest.Must(t, err)
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.RolledBack || s.read(t, credential) != "bot-token-1" {
		t.Fatal(one)
	}
}

// What ends and what stays is decided once: neither two clicks nor the clock take both values.
func TestOneValueStays(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	s.carried(t)
	advance := func(rotation core.ID, to services.State, reason string) error {
		_, err := s.Advance(background, s.as("ana"), s.workspace, rotation, to, reason)
		return err
	}
	verified := func() services.Rotation {
		t.Helper()
		open, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
		coretest.Must(t, err)
		coretest.Must(t, s.Carry(background))
		s.read(t, credential)
		app.Says = rotation.Unreachable
		return open
	}
	first := verified()
	coretest.Must(t, advance(first.ID, services.Done, "it is urgent"))
	coretest.Must(t, s.Carry(background))
	refused(t, advance(first.ID, services.RolledBack, ""), "old_gone")
	coretest.Must(t, advance(first.ID, services.Done, "still"))
	w.clock.Pass(time.Hour)
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.Done || s.read(t, credential) != "bot-token-2" {
		t.Fatal(one, app.Living())
	}
	steps, err := s.StepsOf(background, s.Core.DB, s.workspace, first.ID)
	coretest.Must(t, err)
	if !slices.ContainsFunc(steps, func(one services.Step) bool {
		return one.Actor.ID == s.user("ana") && strings.Contains(one.Detail, "asked to end version 1: it is urgent")
	}) {
		t.Fatalf("nobody did it: %+v", steps)
	}
	second := verified()
	coretest.Must(t, advance(second.ID, services.RolledBack, "it broke"))
	coretest.Must(t, s.Carry(background))
	refused(t, advance(second.ID, services.Done, "or not"), "old_stays")
	w.clock.Pass(25 * time.Hour)
	coretest.Must(t, s.Tick(background)) // the old one is quiet, and is to stay
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.RolledBack || s.read(t, credential) != "bot-token-2" || !slices.Equal(app.Living(), []string{"bot-token-2", "foreign"}) {
		t.Fatal(one, app.Living())
	}
}

func TestACredentialWhoseAppIsGoneIsAbandoned(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	s.carried(t)
	w.Core.Rotations.Connectors = rotation.Connectors{"mint": bare{}}
	coretest.Must(t, s.RemoveCredential(background, s.as("ana"), s.workspace, credential.ID, false))
	s.carried(t)
	found, err := s.Credential(background, s.Core.DB, s.workspace, credential.ID)
	coretest.Must(t, err)
	if !strings.Contains(found.Detail, "Nobody makes tokens") || found.Retry == nil {
		t.Fatalf("%+v", found)
	}
	if err := s.RemoveCredential(background, s.as("ana"), s.workspace, credential.ID, true); core.KindOf(err) != core.KindDenied {
		t.Fatalf("an owner: %v", err)
	}
	coretest.Must(t, s.RemoveCredential(background, s.as("ada"), s.workspace, credential.ID, true))
	if _, err := s.Credential(background, s.Core.DB, s.workspace, credential.ID); core.KindOf(err) != core.KindNotFound || len(app.Living()) != 2 {
		t.Fatal(err, app.Living())
	}
}

// TestNoKillLosesAToken kills the process before each commit of a whole rotation, while the app makes the new value and while it
// ends the old one, and lets another go on.
func TestNoKillLosesAToken(t *testing.T) {
	for _, phase := range []string{"made", "ended", "removed"} {
		t.Run(phase, func(t *testing.T) { killedWhile(t, phase) })
	}
}

func killedWhile(t *testing.T, phase string) {
	w := open(t)
	for commit := 1; ; commit++ {
		s, app, account := w.minted(t)
		credential := s.forged(t, account)
		s.carried(t)
		_, _, err := s.Rotate(background, s.as("ana"), s.workspace, credential.ID, services.Wish{})
		coretest.Must(t, err)
		if phase != "made" {
			coretest.Must(t, s.Carry(background))
			s.read(t, credential)
			_, err := s.Advance(background, s.as("ana"), s.workspace, s.latest(t, credential).ID, services.Done, "now")
			coretest.Must(t, err)
		}
		if phase == "removed" {
			coretest.Must(t, s.RemoveCredential(background, s.as("ana"), s.workspace, credential.ID, false))
		}
		commits, died := 0, false
		dying := postgres.BeforeCommit(context.Background(), func(context.Context, pgx.Tx) error {
			if commits++; commits >= commit {
				died = true
				return errKilled
			}
			return nil
		})
		_ = s.Carry(dying)
		if died {
			w.restart()
		}
		w.clock.Pass(time.Hour)
		s.carried(t)
		if phase == "removed" {
			if _, err := s.Credential(background, s.Core.DB, s.workspace, credential.ID); core.KindOf(err) != core.KindNotFound || !slices.Equal(app.Living(), []string{"foreign"}) {
				t.Fatalf("killed before commit %d: %v, and the app lets in %v", commit, err, app.Living())
			}
			if !died {
				return
			}
			continue
		}
		s.read(t, credential)
		w.clock.Pass(25 * time.Hour)
		s.carried(t)
		value := s.read(t, credential)
		if one := s.latest(t, credential); one.State != services.Done || !slices.Equal(app.Living(), []string{value, "foreign"}) {
			t.Fatalf("killed before commit %d: %+v, the app lets in %v, and %s is given out", commit, one, app.Living(), value)
		}
		if !died {
			if commit < 5 {
				t.Fatalf("only %d commits", commit)
			}
			return
		}
	}
}

// TestTokensOfTwoProcessesAtOnce has many ask the same app for one credential.
func TestTokensOfTwoProcessesAtOnce(t *testing.T) {
	w := open(t)
	s, app, account := w.minted(t)
	credential := s.forged(t, account)
	var wait sync.WaitGroup
	for range 8 {
		process := &services.Services{DB: w.Core.DB, Directory: w.Core.Directory, Accounts: w.Core.Accounts, Rotations: w.Core.Rotations, Now: w.clock.Now}
		wait.Go(func() {
			for range 3 {
				coretest.Must(t, process.Carry(background))
			}
		})
	}
	wait.Wait()
	s.carried(t)
	if one := s.latest(t, credential); one.State != services.Done || app.Made() != 1 || s.read(t, credential) != "bot-token-1" {
		t.Fatal(one, app.Made(), app.Living())
	}
}

func TestAppsThatMakeNoTokens(t *testing.T) {
	w := open(t)
	s, _, account := w.minted(t)
	_, _, theirs := w.minted(t)
	wanted := services.NewCredential{Name: "forge", Kind: services.Token, Held: services.InApp, Login: account.ID}
	for field, bad := range map[string]func(*services.NewCredential){
		"kind":    func(n *services.NewCredential) { n.Kind = services.Password },
		"account": func(n *services.NewCredential) { n.Login = core.ID{} },
		"value":   func(n *services.NewCredential) { n.Value = seal.NewSecret("x") },
		"expires": func(n *services.NewCredential) { n.Expires = new(w.clock.Now().Add(time.Hour)) },
	} {
		wrong := wanted
		bad(&wrong)
		_, _, err := s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, wrong)
		coretest.Wants(t, err, core.KindInvalid, field)
	}
	wrong := wanted
	wrong.Login = theirs.ID
	if _, _, err := s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, wrong); err == nil {
		t.Fatal("an account of another workspace")
	}
	w.Core.Rotations.Connectors = rotation.Connectors{"mint": bare{}}
	_, _, err := s.AddCredential(background, s.as("ana"), s.workspace, s.account.ID, wanted)
	coretest.Wants(t, err, core.KindInvalid, "account")
}

// bare is a connector that only signs in.
type bare struct{}

func (bare) Verify(context.Context, rotation.Target, rotation.Credential) rotation.Report {
	return rotation.Report{Outcome: rotation.Accepted}
}
