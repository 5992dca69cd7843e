package health_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/health"
	"postern/core/jobs"
	"postern/core/seal"
)

// Several processes begin one check for each due time, and a check is carried out once.
func TestManyProcessesCheckOnce(t *testing.T) {
	w := open(t)
	h := w.acme
	_, err := w.Core.DB.Exec(t.Context(), `update check_dues set due = @now`, pgx.StrictNamedArgs{"now": w.clock.Now()})
	coretest.Must(t, err)
	var began atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 5 {
				number, err := w.Tick(t.Context())
				if err != nil {
					t.Error(err)
				}
				began.Add(int64(number))
			}
		})
	}
	running.Wait()
	if began.Load() != 6 {
		t.Errorf("%d checks of 6 accounts", began.Load())
	}
	for range 3 {
		running.Go(func() {
			found, err := w.Checks(t.Context(), w.Core.DB, h.workspace, h.accounts[0].ID, core.ID{}, 10)
			if err != nil || len(found) != 1 {
				t.Errorf("%d checks, %v", len(found), err)
				return
			}
			for {
				err := w.Carry(t.Context(), h.workspace, found[0].ID)
				if _, later := jobs.SnoozeOf(err); later && t.Context().Err() == nil {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	running.Wait()
	if w.apps.SignIns(h.accounts[0].ID) != 1 {
		t.Errorf("%d sign-ins", w.apps.SignIns(h.accounts[0].ID))
	}
}

// A worker that dies in the middle of a sign-in loses nothing: the next one makes it again, out of the same budget.
func TestKilledInTheMiddle(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0]
	ctx, kill := context.WithCancel(t.Context())
	w.apps.Within = kill
	var check health.Check
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		check, err = w.Check(ctx, tx, w.by(h.ana), h.workspace, account.ID, false)
		return err
	})
	if err := w.Carry(ctx, h.workspace, check.ID); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w.apps.Within = nil
	// As if it had not even given the check back.
	_, err := w.Core.DB.Exec(t.Context(), `update checks set lease_until = @until where id = @id`,
		pgx.StrictNamedArgs{"until": w.clock.Now().Add(time.Minute), "id": check.ID})
	coretest.Must(t, err)
	if _, later := jobs.SnoozeOf(w.Carry(t.Context(), h.workspace, check.ID)); !later {
		t.Error("two workers at once")
	}
	w.clock.Pass(2 * time.Minute)
	coretest.Must(t, w.Carry(t.Context(), h.workspace, check.ID))
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	coretest.Must(t, w.Carry(t.Context(), h.workspace, check.ID)) // once more, late
	coretest.Must(t, w.Carry(t.Context(), w.other.workspace, check.ID))
	if w.apps.SignIns(account.ID) != 2 {
		t.Errorf("%d sign-ins", w.apps.SignIns(account.ID))
	}
}

// What a sign-in says of a password that is no longer the account's counts for nothing.
func TestThePasswordChangesMeanwhile(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0]
	coretest.Must(t, w.check(t, h, 0, false))
	w.apps.Within = func() {
		w.apps.Within = nil
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			version, err := w.Core.Accounts.AddCandidate(ctx, tx, h.workspace, account.ID, seal.NewSecret("newer"))
			if err != nil {
				return err
			}
			w.apps.Set(account.ID, "newer", "")
			return w.Core.Accounts.Promote(ctx, tx, h.workspace, account.ID, version)
		})
	}
	coretest.Must(t, w.check(t, h, 0, false))
	if view := w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted); view.Last.Outcome != health.Superseded {
		t.Errorf("%+v", view.Last)
	}
	// And one that somebody gives while the old one is tried is tried after it.
	w.apps.Set(account.ID, "given", "")
	w.apps.Within = func() {
		w.apps.Within = nil
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, err := w.Give(ctx, tx, w.by(h.ana), h.workspace, account.ID, seal.NewSecret("given"))
			return err
		})
	}
	coretest.Must(t, w.check(t, h, 0, false))
	w.clock.Pass(20 * time.Minute) // two sign-ins have failed by now
	w.carry(t)
	w.is(t, h, 0, accounts.Validated, accounts.SignInAccepted)
	if password, err := w.fill(t, h, 0, h.ben); err != nil || password != "given" {
		t.Errorf("filled %q, %v", password, err)
	}
}

func TestSchedule(t *testing.T) {
	w := open(t)
	h := w.acme
	set := func(cause core.Cause, workspace core.ID, wanted health.Settings) error {
		return w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) error { return w.SetSettings(t.Context(), tx, cause, workspace, wanted) })
	}
	day := 24 * time.Hour
	coretest.Wants(t, set(w.by(h.ana), h.workspace, health.Settings{Interval: day, Retention: day}), core.KindDenied, "not_administrator")
	coretest.Wants(t, set(coretest.System(), h.workspace, health.Settings{Interval: time.Minute, Retention: day}), core.KindInvalid, "interval")
	coretest.Wants(t, set(coretest.System(), h.workspace, health.Settings{Interval: day}), core.KindInvalid, "retention")
	coretest.Must(t, set(coretest.System(), h.workspace, health.Settings{Interval: 2 * day, Retention: day}))
	if now, err := w.Settings(t.Context(), w.Core.DB, h.workspace); err != nil || now.Interval != 2*day || now.Retention != day {
		t.Errorf("%+v, %v", now, err)
	}
	if theirs, err := w.Settings(t.Context(), w.Core.DB, w.other.workspace); err != nil || theirs.Interval != health.DefaultInterval {
		t.Errorf("the neighbour's: %+v, %v", theirs, err)
	}
	number := 0
	for range 20 {
		w.clock.Pass(day / 2)
		number += w.tick(t)
	}
	// Three accounts in ten days, each about every two.
	if number < 12 || number > 21 {
		t.Errorf("%d checks", number)
	}
	coretest.Must(t, set(coretest.System(), h.workspace, health.Settings{Retention: day}))
	w.clock.Pass(30 * day)
	if began := w.tick(t); began != 0 {
		t.Errorf("%d checks though there are to be none", began)
	}
	forgotten, err := w.Forget(t.Context())
	coretest.Must(t, err)
	if left := w.Count(t, h.workspace, `select count(*) from checks where workspace_id = @workspace`, nil); forgotten != number || left != 0 {
		t.Errorf("%d of %d forgotten, %d left", forgotten, number, left)
	}
	// A password that is proved anew is not tried a moment later.
	coretest.Must(t, set(coretest.System(), h.workspace, health.Settings{Interval: day, Retention: day}))
	coretest.Must(t, w.check(t, h, 0, false))
	_, err = w.Core.DB.Exec(t.Context(), `update check_dues set due = @now where account_id = @account`,
		pgx.StrictNamedArgs{"now": w.clock.Now(), "account": h.accounts[0].ID})
	coretest.Must(t, err)
	if began := w.tick(t); began != 0 {
		t.Errorf("%d checks of what was just proved", began)
	}
}

// At most so many sign-ins at a time in one app, of checks.
func TestPace(t *testing.T) {
	w := open(t)
	h := w.acme
	_, err := w.Core.DB.Exec(t.Context(), `update check_dues set due = @now where workspace_id = @workspace`,
		pgx.StrictNamedArgs{"now": w.clock.Now(), "workspace": h.workspace})
	coretest.Must(t, err)
	began, err := w.Tick(t.Context())
	coretest.Must(t, err)
	if began != 3 {
		t.Fatalf("%d began", began)
	}
	_, err = w.Core.DB.Exec(t.Context(), `update checks set lease_until = @until where workspace_id = @workspace and account_id <> @account`,
		pgx.StrictNamedArgs{"until": w.clock.Now().Add(time.Minute), "workspace": h.workspace, "account": h.accounts[2].ID})
	coretest.Must(t, err)
	w.carry(t)
	if view := w.view(t, h, 2); w.apps.SignIns(h.accounts[2].ID) != 0 || view.Open == nil || view.Open.Next == nil {
		t.Errorf("a third one at once: %+v", view.Open)
	}
	w.clock.Pass(2 * time.Minute)
	w.carry(t)
	w.is(t, h, 2, accounts.Validated, accounts.SignInAccepted)
}

// A refusal is made sure of after its pause, and as such, though the account was to be looked at sooner for another reason.
func TestARefusalIsMadeSureOfAfterItsPause(t *testing.T) {
	w := open(t)
	h, account := w.acme, w.acme.accounts[0].ID
	w.follow(t)
	soon := w.clock.Now().Add(time.Second)
	_, err := w.Core.DB.Exec(t.Context(), `update check_dues set due = @due, reason = 'created' where account_id = @account`, pgx.StrictNamedArgs{"due": soon, "account": account})
	coretest.Must(t, err)
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace, account, accounts.SignInAccepted, "It is right.")
		if err == nil {
			_, err = w.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace, account, accounts.SignInDoubted, "It was refused once.")
		}
		return err
	})
	w.follow(t)
	var reason string
	var due time.Time
	coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select reason, due from check_dues where account_id = $1`, account).Scan(&reason, &due))
	if reason != "confirm" || !due.After(soon) {
		t.Errorf("%s at %v, want it confirmed after %v", reason, due, soon)
	}
}
