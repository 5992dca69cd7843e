package health_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/rotation"
	"postern/core/seal"
)

// What once worked is refused twice before it is taken for wrong, and then nothing is given out until a
// sign-in has proved what somebody gives.
func TestAPasswordChangedOutside(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0]
	coretest.Must(t, w.check(t, h, 0, false))
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	w.apps.Set(account.ID, "changed by somebody", "")

	coretest.Must(t, w.check(t, h, 0, false))
	view := w.is(t, h, 0, accounts.DesyncSuspected, accounts.SignInRefused)
	if _, err := w.fill(t, h, 0, h.ben); err != nil || view.Last == nil || view.Last.Outcome != rotation.Rejected || view.Advice.Words == "" {
		t.Errorf("suspected: %v, %+v", err, view.Last)
	}
	if w.tick(t) != 0 {
		t.Error("it was made sure of at once")
	}
	w.clock.Pass(2 * time.Minute)
	if w.tick(t) != 1 {
		t.Error("it was not made sure of")
	}
	view = w.is(t, h, 0, accounts.Desynced, accounts.SignInRefused)
	if view.Last.Reason != health.Confirmed || view.Closed == nil || !strings.Contains(view.Advice.Words, "store that one here") {
		t.Errorf("desynced: %+v, %q", view.Last, view.Advice.Words)
	}
	_, err := w.fill(t, h, 0, h.ben)
	coretest.Wants(t, err, core.KindDenied, "desynced")
	_, _, err = w.Core.Accounts.Reveal(t.Context(), w.by(h.ana), h.workspace, h.ana.ID, account.ID)
	coretest.Wants(t, err, core.KindDenied, "desynced")
	err = w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.Core.Rotations.Plan(t.Context(), tx, w.by(h.ana), h.workspace, account.ID, rotation.ReasonManual, 0)
		return err
	})
	coretest.Wants(t, err, core.KindDenied, "desynced")

	// Nothing is tried by itself any more: it would lock the account at the app.
	tried := w.apps.SignIns(account.ID)
	for range 5 {
		w.clock.Pass(24 * time.Hour)
		w.tick(t)
	}
	if w.apps.SignIns(account.ID) != tried {
		t.Errorf("%d sign-ins with a password known to be wrong", w.apps.SignIns(account.ID)-tried)
	}

	// A wrong one changes nothing, the right one opens the account.
	coretest.Must(t, w.give(t, h, 0, "a guess"))
	view = w.is(t, h, 0, accounts.Desynced, accounts.SignInRefused)
	if !strings.Contains(view.Last.Detail, "refuses the password that was given") {
		t.Errorf("said: %q", view.Last.Detail)
	}
	if _, err := w.fill(t, h, 0, h.ben); err == nil {
		t.Error("a guess opened it")
	}
	coretest.Must(t, w.give(t, h, 0, "changed by somebody"))
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	if password, err := w.fill(t, h, 0, h.ben); err != nil || password != "changed by somebody" {
		t.Errorf("filled %q, %v", password, err)
	}
	if now := w.view(t, h, 0).Account; now.Rotated != nil {
		t.Error("a password that was given is no rotation")
	}
	if view := w.view(t, w.other, 0); view.Account.State != accounts.Unvalidated || view.Last != nil {
		t.Errorf("another workspace's: %+v", view)
	}
}

func TestEveryOutcome(t *testing.T) {
	w := open(t)
	h := w.acme
	for outcome, wanted := range map[rotation.Outcome]struct {
		state   accounts.State
		finding accounts.Finding
		code    string
	}{
		rotation.Disabled:     {accounts.AppDisabled, accounts.LoginDisabled, "app_disabled"},
		rotation.Locked:       {accounts.AppDisabled, accounts.LoginLocked, "app_disabled"},
		rotation.MustChange:   {accounts.Desynced, accounts.Expired, "desynced"},
		rotation.Unreachable:  {accounts.Validated, accounts.SignInAccepted, ""},
		rotation.TimedOut:     {accounts.Validated, accounts.SignInAccepted, ""},
		rotation.Challenge:    {accounts.Validated, accounts.SignInAccepted, ""},
		rotation.FormNotFound: {accounts.Validated, accounts.SignInAccepted, ""},
		rotation.Unknown:      {accounts.Validated, accounts.SignInAccepted, ""},
	} {
		w.apps.Set(h.accounts[0].ID, "first password 0", "")
		w.clock.Pass(time.Hour)
		coretest.Must(t, w.check(t, h, 0, false))
		w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
		w.apps.Set(h.accounts[0].ID, "first password 0", outcome)
		coretest.Must(t, w.check(t, h, 0, false))
		view := w.is(t, h, 0, wanted.state, wanted.finding)
		if view.Last == nil || view.Last.Outcome != outcome || view.Last.Detail == "" || view.Open != nil || view.Last.State != wanted.state {
			t.Errorf("%s: %+v", outcome, view.Last)
		}
		_, err := w.fill(t, h, 0, h.ben)
		if wanted.code == "" {
			coretest.Must(t, err)
		} else {
			coretest.Wants(t, err, core.KindDenied, wanted.code)
		}
	}
	// Nobody here can talk to the app.
	w.Core.Rotations.Connectors = nil
	coretest.Must(t, w.check(t, h, 1, false))
	if view := w.is(t, h, 1, accounts.Unvalidated, accounts.Unproven); view.Last.Outcome != rotation.NotSent || !strings.Contains(view.Last.Detail, "no connector named browser") {
		t.Errorf("%+v", view.Last)
	}
}

// An older password the app has again is found among the stored ones, slowly, and adopted.
func TestResync(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0]
	for _, password := range []string{"second", "third", "fourth"} {
		w.apps.Set(account.ID, password, "")
		coretest.Must(t, w.give(t, h, 0, password))
	}
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	w.apps.Set(account.ID, "second", "") // restored from a backup, say
	coretest.Must(t, w.check(t, h, 0, true))
	view := w.view(t, h, 0)
	if view.Open == nil || view.Open.Next == nil || len(view.Open.Tried) != 2 {
		t.Fatalf("it did not stop at the budget: %+v", view.Open)
	}
	w.clock.Pass(20 * time.Minute)
	w.carry(t)
	view = w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	if view.Open != nil || !strings.Contains(view.Account.StateReason, "version 2, not version 4") {
		t.Errorf("%+v, %q", view.Open, view.Account.StateReason)
	}
	if password, err := w.fill(t, h, 0, h.ben); err != nil || password != "second" {
		t.Errorf("filled %q, %v", password, err)
	}
	w.follow(t)
	if drifted := w.Count(t, h.workspace, `select count(*) from audit_log where workspace_id = @workspace and event::json ->> 'type' = 'account.password_drifted'`, nil); drifted != 1 {
		t.Errorf("told %d times", drifted)
	}

	w.apps.Set(account.ID, "nobody knows", "")
	coretest.Must(t, w.check(t, h, 0, true))
	for range 3 {
		w.clock.Pass(20 * time.Minute)
		w.carry(t)
	}
	if view := w.is(t, h, 0, accounts.Desynced, accounts.NoneAccepted); len(view.Last.Tried) != 4 {
		t.Errorf("tried %v", view.Last.Tried)
	}
}

// Access is taken from everybody and the password is left as it is.
func TestRevokedWithoutCleanup(t *testing.T) {
	w := open(t)
	h := w.acme
	// No rotation follows in this world's policies: nothing was planned by hand either.
	_, err := w.Core.DB.Exec(t.Context(), `update grants set revoked = now() where workspace_id = @workspace and account_id = @account`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "account": h.accounts[0].ID})
	coretest.Must(t, err)
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.CheckOwners(ctx, tx, coretest.System(), h.workspace, h.accounts[0].ID)
		return err
	})
	w.tick(t)
	view := w.is(t, h, 0, accounts.Unmanaged, accounts.Abandoned)
	if view.State != accounts.Unmanaged || view.Closed == nil || !strings.Contains(view.Advice.Words, "Share it with an owner") {
		t.Errorf("%+v", view)
	}
	err = w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.TakeBack(t.Context(), tx, coretest.System(), h.workspace, h.accounts[0].ID)
		return err
	})
	coretest.Wants(t, err, core.KindConflict, "orphaned")
	w.share(t, h, 0, h.ana, accounts.Owner)
	w.tick(t)
	w.is(t, h, 0, accounts.Unmanaged, accounts.Abandoned)
	_, err = w.fill(t, h, 0, h.ana)
	coretest.Wants(t, err, core.KindDenied, "unmanaged")
	coretest.Wants(t, w.check(t, h, 0, false), core.KindDenied, "unmanaged")

	w.apps.Set(h.accounts[0].ID, "first password 0", rotation.MustChange) // its own expiry went on
	_, err = w.do(t, func(ctx context.Context, tx pgx.Tx) (health.Check, error) {
		return w.TakeBack(ctx, tx, w.by(h.ana), h.workspace, h.accounts[0].ID)
	})
	coretest.Must(t, err)
	view = w.is(t, h, 0, accounts.Desynced, accounts.Expired)
	if _, err := w.fill(t, h, 0, h.ana); err == nil || view.Last.Reason != health.Managed {
		t.Errorf("%v, %+v", err, view.Last)
	}
	// The owner needs it at the app.
	_, _, err = w.Core.Accounts.Reveal(t.Context(), w.by(h.ana), h.workspace, h.ana.ID, h.accounts[0].ID)
	coretest.Must(t, err)
	w.apps.Set(h.accounts[0].ID, "set by hand", "")
	coretest.Must(t, w.give(t, h, 0, "set by hand"))
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	_, err = w.do(t, func(ctx context.Context, tx pgx.Tx) (health.Check, error) {
		return w.TakeBack(ctx, tx, w.by(h.ana), h.workspace, h.accounts[0].ID) // again
	})
	coretest.Must(t, err)
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
}

func TestReleaseAndGive(t *testing.T) {
	w := open(t)
	h := w.acme
	release := func(why string) error {
		return w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := w.Release(t.Context(), tx, w.by(h.ana), h.workspace, h.accounts[0].ID, why)
			return err
		})
	}
	coretest.Must(t, w.check(t, h, 0, false))
	coretest.Wants(t, release(strings.Repeat("x", 501)), core.KindInvalid, "reason")
	coretest.Must(t, release("handed over"))
	coretest.Must(t, release("again"))
	if view := w.is(t, h, 0, accounts.Unmanaged, accounts.Released); view.Account.StateReason != "handed over" {
		t.Errorf("because %q", view.Account.StateReason)
	}
	coretest.Must(t, w.give(t, h, 0, "first password 0"))
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	if knows, err := w.Core.Accounts.Exposures(t.Context(), w.Core.DB, h.workspace, h.accounts[0].ID, 0); err != nil || len(knows) != 1 ||
		knows[0].User != h.ana.ID || knows[0].Level != "entered" || knows[0].Version != 2 {
		t.Errorf("who typed it in is not on record: %+v, %v", knows, err)
	}
	coretest.Wants(t, w.give(t, h, 0, ""), core.KindInvalid, "password")
	coretest.Wants(t, w.give(t, h, 0, "two\nlines"), core.KindInvalid, "password")
}

// Who leaves, comes back, and is given the account again: each time somebody looks.
func TestDeactivatedThenReactivated(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0]
	coretest.Must(t, w.check(t, h, 0, false))
	_, err := w.fill(t, h, 0, h.ben)
	coretest.Must(t, err)
	w.apps.Set(account.ID, "first password 0", rotation.Disabled)
	w.leave(t, h.ben)
	w.rotate(t, h)
	w.is(t, h, 0, accounts.AppDisabled, accounts.LoginDisabled)
	_, err = w.fill(t, h, 0, h.ana)
	coretest.Wants(t, err, core.KindDenied, "app_disabled")

	w.clock.Pass(time.Hour)
	w.tick(t)
	w.is(t, h, 0, accounts.AppDisabled, accounts.LoginDisabled)
	w.apps.Set(account.ID, "first password 0", "")
	coretest.Must(t, w.Lifecycle.Reactivate(t.Context(), coretest.System(), h.workspace, h.ben.ID))
	w.clock.Pass(time.Hour)
	if w.tick(t) == 0 {
		t.Fatal("nobody looked")
	}
	view := w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	if view.Last.Reason != health.Reactivated {
		t.Errorf("because of %s", view.Last.Reason)
	}
	// The rotation that locks the leaver out goes on, to its end.
	w.rotate(t, h)
	if view := w.is(t, h, 0, accounts.Validated, accounts.Replaced); view.Account.Rotated == nil {
		t.Error("it was not rotated")
	}
	_, err = w.fill(t, h, 0, h.ben)
	coretest.Wants(t, err, core.KindDenied, "not_shared")
	w.share(t, h, 1, h.ben, accounts.Collaborator)
	w.tick(t)
	if view := w.view(t, h, 1); view.Last == nil || view.Last.Reason != health.GivenBack && view.Last.Reason != health.Reactivated {
		t.Errorf("what was given back was not looked at: %+v", view.Last)
	}
}

// Whoever joins or leaves a team that owns an account has its password looked at.
func TestTheTeamThatOwnsHasOtherPeople(t *testing.T) {
	w := open(t)
	h := w.acme
	team, err := w.Lifecycle.CreateTeam(t.Context(), coretest.System(), directory.Team{Workspace: h.workspace, DisplayName: "Sales"}, []core.ID{h.ana.ID})
	coretest.Must(t, err)
	coretest.Must(t, w.Lifecycle.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		for account, role := range map[int]accounts.Role{0: accounts.Owner, 1: accounts.Collaborator} {
			if _, err := w.Lifecycle.Accounts.Share(t.Context(), tx, coretest.System(), h.workspace, h.accounts[account].ID, accounts.Sharing{Subject: accounts.Subject{Team: team.ID}, Role: role}); err != nil {
				return err
			}
		}
		return nil
	}))
	w.tick(t)
	for name, edit := range map[string]func(*lifecycle.TeamEdit){
		"joins":  func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.ben.ID} },
		"leaves": func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{h.ana.ID} },
	} {
		w.clock.Pass(time.Hour)
		w.tick(t)
		_, err := w.Lifecycle.ChangeTeam(t.Context(), coretest.System(), h.workspace, team.ID, func(e *lifecycle.TeamEdit) error { edit(e); return nil })
		coretest.Must(t, err)
		if looked := w.tick(t); looked != 1 || w.view(t, h, 0).Last.Reason != health.OwnerChanged {
			t.Errorf("somebody %s: %d accounts are looked at, the first because of %v", name, looked, w.view(t, h, 0).Last)
		}
	}
}

func TestTwoPeopleSayThatItDoesNotWork(t *testing.T) {
	w := open(t)
	h := w.acme
	report := func(cause core.Cause, house house, user core.ID) error {
		return w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			return w.Report(t.Context(), tx, cause, house.workspace, user, h.accounts[0].ID)
		})
	}
	coretest.Must(t, w.check(t, h, 0, false))
	for range 3 {
		coretest.Must(t, report(w.by(h.ben), h, h.ben.ID))
	}
	if view := w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted); len(view.Reported) != 1 || w.tick(t) != 0 {
		t.Errorf("one person: %v", view.Reported)
	}
	coretest.Wants(t, report(w.by(h.ben), h, h.ana.ID), core.KindDenied, "not_you")
	coretest.Wants(t, report(w.by(w.other.ana), w.other, w.other.ana.ID), core.KindDenied, "not_shared")
	coretest.Wants(t, report(coretest.System(), w.other, w.other.ana.ID), core.KindNotFound, "")
	coretest.Must(t, report(w.by(h.ana), h, h.ana.ID))
	w.is(t, h, 0, accounts.DesyncSuspected, accounts.FillsReported)
	w.tick(t)
	if view := w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted); len(view.Reported) != 0 || view.Last.Reason != health.ReportedFaulty {
		t.Errorf("two people: %v, %+v", view.Reported, view.Last)
	}
}

func TestWhoMay(t *testing.T) {
	w := open(t)
	h := w.acme
	for name, command := range map[string]func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error{
		"check": func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
			_, err := w.Check(ctx, tx, cause, workspace, account, false)
			return err
		},
		"give": func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
			_, err := w.Give(ctx, tx, cause, workspace, account, seal.NewSecret("x"))
			return err
		},
		"release": func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
			_, err := w.Release(ctx, tx, cause, workspace, account, "")
			return err
		},
		"take back": func(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
			_, err := w.TakeBack(ctx, tx, cause, workspace, account)
			return err
		},
	} {
		do := func(cause core.Cause, workspace core.ID) error {
			return w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error { return command(t.Context(), tx, cause, workspace, h.accounts[0].ID) })
		}
		t.Log(name)
		coretest.Wants(t, do(w.by(h.ben), h.workspace), core.KindDenied, "not_owner")
		coretest.Wants(t, do(w.by(w.other.ana), h.workspace), core.KindDenied, "not_a_member")
		coretest.Wants(t, do(coretest.System(), w.other.workspace), core.KindNotFound, "")
		coretest.Wants(t, do(core.NewCause(core.Actor{Kind: core.ActorConnection, ID: core.NewID()}, w.clock.Now()), h.workspace), core.KindDenied, "not_a_user")
	}
	if _, err := w.View(t.Context(), w.Core.DB, w.other.workspace, h.accounts[0].ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the neighbour's view: %v", err)
	}
	// Somebody who left, in a session that is still open.
	w.leave(t, h.ana)
	coretest.Wants(t, w.check(t, h, 0, false), core.KindDenied, "inactive")
	coretest.Wants(t, w.give(t, h, 0, "x"), core.KindDenied, "inactive")
}

// What nobody knows any more is offered to be reset where the app has somebody who can, to whom it keeps.
func TestResetByTheAdministrator(t *testing.T) {
	w := open(t)
	h := w.acme
	lost, admin := h.accounts[0], h.accounts[1]
	w.apps.Set(lost.ID, "nobody knows", "")
	for range 2 {
		coretest.Must(t, w.check(t, h, 0, false))
		w.clock.Pass(20 * time.Minute)
	}
	if view := w.is(t, h, 0, accounts.Desynced, accounts.SignInRefused); slices.Contains(view.Advice.Steps, accounts.StepReset) {
		t.Errorf("offered by nobody: %+v", view.Advice)
	}
	reset := func(by directory.User) (planned rotation.Rotation, err error) {
		err = w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			planned, err = w.Reset(t.Context(), tx, w.by(by), h.workspace, lost.ID)
			return err
		})
		return planned, err
	}
	if _, err := reset(h.ana); core.KindOf(err) != core.KindConflict {
		t.Error(err)
	}
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.SetReconcileAccount(ctx, tx, coretest.System(), h.workspace, lost.App, admin.ID)
		return err
	})
	if view := w.view(t, h, 0); !slices.Contains(view.Advice.Steps, accounts.StepReset) || !strings.Contains(view.Advice.Words, "administrator") {
		t.Errorf("not offered: %+v", view.Advice)
	}
	if _, err := reset(h.ben); core.KindOf(err) != core.KindDenied {
		t.Error(err)
	}
	planned, err := reset(h.ana)
	coretest.Must(t, err)
	for range 10 {
		if _, waits := jobs.SnoozeOf(w.Core.Rotations.Advance(t.Context(), h.workspace, planned.ID)); !waits {
			break
		}
		w.clock.Pass(20 * time.Minute)
	}
	w.is(t, h, 0, accounts.Validated, accounts.Replaced)
	if done, err := w.Core.Rotations.Rotation(t.Context(), w.Core.DB, h.workspace, planned.ID); err != nil || done.Receipt == nil || done.Receipt.Administrator != admin.ID {
		t.Errorf("%+v, %v", done, err)
	}
}

// Where the workspace wants it, what the app refuses is reset by itself, once, and otherwise waits for a person.
func TestADesyncIsReset(t *testing.T) {
	w := open(t)
	h := w.acme
	lost, admin := h.accounts[0], h.accounts[1]
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.SetReconcileAccount(ctx, tx, coretest.System(), h.workspace, lost.App, admin.ID)
		return err
	})
	want := func(wanted bool) {
		t.Helper()
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			return w.SetSettings(ctx, tx, coretest.System(), h.workspace, health.Settings{Interval: health.DefaultInterval, Retention: health.DefaultRetention, ResetDesynced: wanted})
		})
	}
	refused := func() []rotation.Rotation {
		t.Helper()
		w.apps.Set(lost.ID, "nobody knows", "")
		for range 2 {
			coretest.Must(t, w.check(t, h, 0, false))
			w.clock.Pass(20 * time.Minute)
		}
		w.is(t, h, 0, accounts.Desynced, accounts.SignInRefused)
		found, err := w.Core.Rotations.List(t.Context(), w.Core.DB, h.workspace, lost.ID, 10)
		coretest.Must(t, err)
		return found
	}
	if found := refused(); len(found) > 0 {
		t.Fatalf("it begins by itself: %+v", found)
	}
	w.apps.Set(lost.ID, "", "")
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace, lost.ID, accounts.SignInAccepted, "It was set right.")
		return err
	})
	want(true)
	found := refused()
	if len(found) != 1 || found[0].Finished != nil {
		t.Fatalf("%+v", found)
	}
	for range 10 {
		if _, waits := jobs.SnoozeOf(w.Core.Rotations.Advance(t.Context(), h.workspace, found[0].ID)); !waits {
			break
		}
		w.clock.Pass(20 * time.Minute)
	}
	w.is(t, h, 0, accounts.Validated, accounts.Replaced)
	if done, err := w.Core.Rotations.Rotation(t.Context(), w.Core.DB, h.workspace, found[0].ID); err != nil || done.Receipt == nil || done.Receipt.Administrator != admin.ID {
		t.Errorf("%+v, %v", done, err)
	}
	// Where nobody can, a person is needed as before.
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.SetReconcileAccount(ctx, tx, coretest.System(), h.workspace, lost.App, core.ID{})
		return err
	})
	w.clock.Pass(24 * time.Hour)
	if found := refused(); len(found) != 1 {
		t.Errorf("%+v", found)
	}
}
