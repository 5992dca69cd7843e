package health_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// world is a Postern without a network, with two workspaces.
type world struct {
	*coretest.Core
	*health.Health
	clock *coretest.Clock
	apps  *coretest.Apps
	acme  house
	other house
}

// house is a workspace with people, and accounts that Ana owns and Ben may use.
type house struct {
	workspace core.ID
	ana, ben  directory.User
	accounts  []accounts.Account
}

func open(t testing.TB) *world {
	t.Helper()
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	w.apps = coretest.NewApps(w.clock)
	w.Core = coretest.Open(t, w.clock.Now)
	w.Core.Rotations.Connectors = rotation.Connectors{"browser": w.apps}
	queue, err := jobs.NewQueue(w.Core.DB, nil)
	coretest.Must(t, err)
	w.Health = &health.Health{DB: w.Core.DB, Accounts: w.Core.Accounts, Rotations: w.Core.Rotations, Queue: queue, Now: w.clock.Now}
	coretest.Run(t, (&audit.Sequencer{DB: w.Core.DB, Now: w.clock.Now}).Run)
	w.acme, w.other = w.house(t, "acme"), w.house(t, "other")
	w.quiet(t)
	return w
}

func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	workspace, connection := w.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://" + slug + ".okta.example"})
	h := house{workspace: workspace.ID}
	h.ana = w.Person(t, connection, directory.User{UserName: "ana@" + slug, DisplayName: "Ana"})
	h.ben = w.Person(t, connection, directory.User{UserName: "ben@" + slug, DisplayName: "Ben"})
	h.accounts = w.SharedAccounts(t, h.ana)
	for i, one := range h.accounts {
		w.apps.Set(one.ID, "first password "+string(rune('0'+i)), "")
		w.share(t, h, i, h.ben, accounts.Collaborator)
	}
	return h
}

func (w *world) share(t testing.TB, h house, account int, user directory.User, role accounts.Role) accounts.Grant {
	t.Helper()
	var grant accounts.Grant
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		grant, err = w.Core.Accounts.Share(ctx, tx, coretest.System(), h.workspace, h.accounts[account].ID,
			accounts.Sharing{Subject: accounts.Subject{User: user.ID}, Role: role})
		return err
	})
	return grant
}

// follow reads the log to its end.
func (w *world) follow(t testing.TB) {
	t.Helper()
	coretest.Until(t, "the log is read", func() bool {
		_, err := w.Follow(t.Context())
		coretest.Must(t, err)
		var behind bool
		coretest.Must(t, w.Core.DB.QueryRow(t.Context(), `select exists (select from audit_outbox)
			or (select position from cursors where name = 'health') < (select max(position) from audit_log)`).Scan(&behind))
		return !behind
	})
}

// quiet has nothing due but by what happens from now on.
func (w *world) quiet(t testing.TB) {
	t.Helper()
	w.follow(t)
	_, err := w.Core.DB.Exec(t.Context(), `update check_dues set due = null, reason = 'schedule', cause = null`)
	coretest.Must(t, err)
}

// tick begins what is due, and carries every check out as far as it goes now.
func (w *world) tick(t testing.TB) int {
	t.Helper()
	w.follow(t)
	began, err := w.Tick(t.Context())
	coretest.Must(t, err)
	w.carry(t)
	return began
}

// carry carries the open checks out as far as they go now.
func (w *world) carry(t testing.TB) {
	t.Helper()
	rows, err := w.Core.DB.Query(t.Context(), `select workspace_id, id from checks where finished is null order by asked, id`)
	coretest.Must(t, err)
	type key struct{ Workspace, ID core.ID }
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	coretest.Must(t, err)
	for _, one := range waiting {
		if err := w.Carry(t.Context(), one.Workspace, one.ID); err != nil {
			if _, later := jobs.SnoozeOf(err); !later {
				t.Fatal(err)
			}
		}
	}
}

// view is how an account is.
func (w *world) view(t testing.TB, h house, account int) health.View {
	t.Helper()
	view, err := w.View(t.Context(), w.Core.DB, h.workspace, h.accounts[account].ID)
	coretest.Must(t, err)
	return view
}

// is checks an account's state and the finding that put it there.
func (w *world) is(t testing.TB, h house, account int, state accounts.State, finding accounts.Finding) health.View {
	t.Helper()
	view := w.view(t, h, account)
	if view.Account.State != state || view.Account.Finding != finding {
		t.Errorf("account %d is %s because of %s (%s), want %s because of %s", account, view.Account.State, view.Account.Finding,
			view.Account.StateReason, state, finding)
	}
	return view
}

// do runs a command that wants a check, and carries the check out.
func (w *world) do(t testing.TB, command func(ctx context.Context, tx pgx.Tx) (health.Check, error)) (health.Check, error) {
	t.Helper()
	var wanted health.Check
	err := w.Core.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		wanted, err = command(t.Context(), tx)
		return err
	})
	if err == nil {
		w.carry(t)
	}
	return wanted, err
}

func (w *world) by(user directory.User) core.Cause {
	cause := core.NewCause(user.Actor(), w.clock.Now())
	cause.Authenticated = w.clock.Now()
	return cause
}

func (w *world) check(t testing.TB, h house, account int, history bool) error {
	t.Helper()
	_, err := w.do(t, func(ctx context.Context, tx pgx.Tx) (health.Check, error) {
		return w.Check(ctx, tx, w.by(h.ana), h.workspace, h.accounts[account].ID, history)
	})
	return err
}

func (w *world) give(t testing.TB, h house, account int, password string) error {
	t.Helper()
	_, err := w.do(t, func(ctx context.Context, tx pgx.Tx) (health.Check, error) {
		return w.Give(ctx, tx, w.by(h.ana), h.workspace, h.accounts[account].ID, seal.NewSecret(password))
	})
	return err
}

// fill has somebody use an account, and gives the password they got.
func (w *world) fill(t testing.TB, h house, account int, user directory.User) (string, error) {
	t.Helper()
	_, password, err := w.Core.Accounts.Fill(t.Context(), w.by(user), h.workspace, user.ID, h.accounts[account].ID)
	return password.Reveal(), err
}

// rotate carries a workspace's open rotations out as far as they go now.
func (w *world) rotate(t testing.TB, h house) {
	t.Helper()
	for _, account := range h.accounts {
		open, err := w.Core.Rotations.List(t.Context(), w.Core.DB, h.workspace, account.ID, 1)
		coretest.Must(t, err)
		for _, one := range open {
			if err := w.Core.Rotations.Advance(t.Context(), h.workspace, one.ID); err != nil {
				if _, later := jobs.SnoozeOf(err); !later {
					t.Fatal(err)
				}
			}
		}
	}
}

func (w *world) leave(t testing.TB, user directory.User) {
	t.Helper()
	_, err := w.Lifecycle.Deprovision(t.Context(), coretest.System(), user.Workspace, user.ID)
	coretest.Must(t, err)
	_, err = w.Lifecycle.Take(t.Context())
	coretest.Must(t, err)
}
