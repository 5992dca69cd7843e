package lifecycle_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/rotation"
	"postern/core/seal"
)

// often is how many rounds a race is run: a quarter of them before a commit.
func often(rounds int) int {
	if testing.Short() {
		return rounds / 4
	}
	return rounds
}

// One person is deprovisioned by everybody at once: one effect, one event, one rotation.
func TestTwoDeprovisionsAreOne(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	for round := range often(25) {
		user := h.join(t, fmt.Sprintf("u%02d@example.com", round))
		h.share(t, 0, accounts.Subject{User: user.ID})
		_, err := h.signIn(t, user.ID, time.Now())
		coretest.Must(t, err)
		events, rotations := h.events(t, core.UserDeprovisioned), h.events(t, core.RotationPlanned)
		var sessions, grants atomic.Int64
		deprovision := func() {
			effect, err := h.Deprovision(ctx, h.cause, h.workspace, user.ID)
			if err != nil {
				t.Error(err)
			}
			sessions.Add(int64(effect.SessionsEnded))
			grants.Add(int64(effect.GrantsRevoked))
		}
		put := func() {
			_, err := h.Change(ctx, h.cause, h.workspace, user.ID, func(u *directory.User) error { u.Active = false; return nil })
			if err != nil {
				t.Error(err)
			}
		}
		if round%2 == 0 {
			together(deprovision, deprovision)
			if sessions.Load() != 1 || grants.Load() != 1 {
				t.Fatalf("%d sessions ended, %d grants revoked", sessions.Load(), grants.Load())
			}
		} else {
			together(deprovision, put, deprovision, put)
		}
		if got := h.events(t, core.UserDeprovisioned); got != events+1 {
			t.Fatalf("%d events", got-events)
		}
		if got := h.events(t, core.RotationPlanned); got != rotations+1 {
			t.Fatalf("%d rotations", got-rotations)
		}
		if got := h.read(t, user.ID); got.Version != 2 {
			t.Fatalf("version %d", got.Version)
		}
	}
}

// Whatever a person does, or is given, while they are deprovisioned: afterwards they have nothing,
// and what they saw is rotated.
func TestNothingSlipsPastADeprovision(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	var signedIn, filled, shared, added atomic.Int64
	tally := func(counter *atomic.Int64, err error) {
		switch kind := core.KindOf(err); {
		case err == nil:
			counter.Add(1)
		case kind != core.KindDenied && kind != core.KindInvalid && kind != core.KindConflict:
			t.Error(err)
		}
	}
	rounds := often(120)
	for round := range rounds {
		user := h.join(t, fmt.Sprintf("u%03d@example.com", round))
		h.share(t, 0, accounts.Subject{User: user.ID})
		authenticated := time.Now()
		var token seal.Secret
		together(
			func() {
				time.Sleep(time.Duration(round%6) * 400 * time.Microsecond)
				if _, err := h.Deprovision(ctx, h.cause, h.workspace, user.ID); err != nil {
					t.Error(err)
				}
			},
			func() {
				var err error
				token, err = h.signIn(t, user.ID, authenticated)
				tally(&signedIn, err)
			},
			func() {
				time.Sleep(time.Duration(round%3) * 300 * time.Microsecond)
				tally(&filled, h.fill(t, user, 0))
			},
			func() {
				tally(&shared, h.DB.Tx(ctx, func(tx pgx.Tx) error {
					_, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[1].ID, accounts.Sharing{Subject: accounts.Subject{User: user.ID}, Role: accounts.Collaborator})
					return err
				}))
			},
			func() {
				_, err := h.ChangeTeam(ctx, h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error { e.Add = []core.ID{user.ID}; return nil })
				tally(&added, err)
			},
		)
		if _, _, err := h.Directory.Authenticate(ctx, token); core.KindOf(err) != core.KindUnauthenticated {
			t.Fatalf("round %d: the session lives: %v", round, err)
		}
		h.mustHaveNothing(t, user.ID)
		if n := h.count(t, `
			select count(*) from exposures e where e.workspace_id = @workspace and e.user_id = @user and not exists (
				select from rotations r where r.workspace_id = e.workspace_id and r.account_id = e.account_id and r.finished is null)`,
			pgx.StrictNamedArgs{"user": user.ID}); n != 0 {
			t.Fatalf("round %d: something seen is not rotated", round)
		}
		// Being back gives nothing back either.
		coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, user.ID))
		h.mustHaveNothing(t, user.ID)
	}
	if n := signedIn.Load(); n == 0 || n == int64(rounds) {
		t.Errorf("of %d rounds the deprovision came second to %d sign-ins: this was no race", rounds, n)
	}
	t.Logf("of %d rounds the deprovision came second to %d sign-ins, %d fills, %d shares; %d were added to a team",
		rounds, signedIn.Load(), filled.Load(), shared.Load(), added.Load())
}

// mustHaveNothing requires that a user has no session, no grant of their own and no team that counts.
func (h house) mustHaveNothing(t testing.TB, user core.ID) {
	t.Helper()
	for name, query := range map[string]string{
		"session":    `select count(*) from sessions where workspace_id = @workspace and user_id = @user and ended is null`,
		"grant":      `select count(*) from grants where workspace_id = @workspace and user_id = @user and revoked is null`,
		"membership": `select count(*) from team_members where workspace_id = @workspace and user_id = @user and suspended is null`,
	} {
		if n := h.count(t, query, pgx.StrictNamedArgs{"user": user}); n != 0 {
			t.Fatalf("a %s is left", name)
		}
	}
}

// A sign-in the IdP vouched for before the logout, racing with it, is dead once the logout has
// returned and stays dead.
func TestALoginRacingALogoutNeverSurvives(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	var started, refused atomic.Int64
	for round := range often(250) {
		authenticated := time.Now()
		tokens := make([]seal.Secret, 2)
		login := func(i int) func() {
			return func() {
				time.Sleep(time.Duration((round*(i+1))%9) * 250 * time.Microsecond)
				token, err := h.signIn(t, h.bob.ID, authenticated)
				switch {
				case err == nil:
					tokens[i] = token
					started.Add(1)
				case core.AsError(err).Code == "signed_out_meanwhile":
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		}
		together(login(0), login(1), func() {
			time.Sleep(time.Duration(round%4) * 250 * time.Microsecond)
			if _, err := h.core.Signals.LogOut(ctx, h.system, h.workspace, h.bob.ID); err != nil {
				t.Error(err)
			}
		})
		for _, token := range tokens {
			if _, _, err := h.Directory.Authenticate(ctx, token); core.KindOf(err) != core.KindUnauthenticated {
				t.Fatalf("round %d: a sign-in survived: %v", round, err)
			}
		}
	}
	if started.Load() == 0 || refused.Load() == 0 {
		t.Fatalf("%d before and %d after the logout: this was no race", started.Load(), refused.Load())
	}
}

// People who share every account leave at once: nobody waits for ever, and each account has one
// rotation that all of them joined.
func TestATeamLeavesAtOnce(t *testing.T) {
	h, _ := pair(t)
	var users []directory.User
	for i := range 12 {
		user := h.join(t, fmt.Sprintf("u%02d@example.com", i))
		users = append(users, user)
		for account := range h.accounts {
			h.share(t, account, accounts.Subject{User: user.ID})
		}
		coretest.Must(t, h.fill(t, user, i%3)) // each has something else to come first
	}
	work := make([]func(), len(users))
	for i, user := range users {
		work[i] = func() {
			effect, err := h.Deprovision(t.Context(), h.cause, h.workspace, user.ID)
			if err != nil || len(effect.Rotations) != 3 || effect.GrantsRevoked != 3 {
				t.Errorf("got %+v, %v", effect, err)
			}
		}
	}
	together(work...)
	if n := h.rotations(t); n != 3 {
		t.Fatalf("%d rotations", n)
	}
	if n := h.events(t, core.UserDeprovisioned); n != len(users) {
		t.Fatalf("%d events", n)
	}
}

// The last two owners are taken away at once: one of them stays.
func TestTwoOwnersLeaveAtOnce(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	for round := range often(20) {
		one, two := h.join(t, fmt.Sprintf("one%02d@example.com", round)), h.join(t, fmt.Sprintf("two%02d@example.com", round))
		h.own(t, one.ID)
		h.own(t, two.ID)
		var denied atomic.Int64
		leave := func(user core.ID) func() {
			return func() {
				_, err := h.Deprovision(ctx, h.cause, h.workspace, user)
				if core.KindOf(err) == core.KindDenied {
					denied.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			}
		}
		together(leave(one.ID), leave(two.ID))
		if denied.Load() != 1 {
			t.Fatalf("round %d: %d of two were refused", round, denied.Load())
		}
		for _, user := range []core.ID{one.ID, two.ID} {
			_, err := h.Deprovision(ctx, h.system, h.workspace, user)
			coretest.Must(t, err)
		}
	}
}

// waiters counts the test's database connections that wait for another's lock.
func (h house) waiters(t testing.TB) int {
	t.Helper()
	return h.count(t, `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and @workspace::uuid is not null`, nil)
}

// waiting returns once so many of them wait.
func (h house) waiting(t testing.TB, many int) {
	t.Helper()
	for h.waiters(t) < many {
		time.Sleep(time.Millisecond)
	}
}

// A worker takes an account and then its rotation. Whoever leaves while it does must not hold the
// rotation while waiting for the account: the database would let both wait for a second and then
// throw one of them out.
func TestADeprovisionAndAWorkerLockInOneOrder(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	var open rotation.Rotation
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		open, err = h.Rotations.Plan(ctx, tx, h.system, h.workspace, h.accounts[0].ID, rotation.ReasonManual, 0)
		return err
	}))
	worker, err := h.DB.Begin(ctx)
	coretest.Must(t, err)
	_, err = worker.Exec(ctx, `select id from accounts where id = $1 for no key update`, h.accounts[0].ID)
	coretest.Must(t, err)
	left := make(chan error, 1)
	go func() {
		_, err := h.Deprovision(ctx, h.cause, h.workspace, h.ana.ID)
		left <- err
	}()
	h.waiting(t, 1)
	if _, err := worker.Exec(ctx, `select id from rotations where id = $1 for update nowait`, open.ID); err != nil {
		t.Errorf("the deprovision holds the rotation while it waits for the account: %v", err)
	}
	coretest.Must(t, worker.Rollback(ctx))
	coretest.Must(t, <-left)
	if got := h.rotations(t); got != 3 {
		t.Errorf("%d rotations, want one for each of the three accounts", got)
	}
}

// What somebody does while they are shut out happens before that, or not at all: an owner who has left
// cannot share their account with somebody else a moment later.
func TestWhoHasLeftGivesNothing(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	eve := h.join(t, "eve@example.com")
	app, err := h.Accounts.Apps(ctx, h.DB, h.workspace)
	coretest.Must(t, err)
	for name, act := range map[string]func(tx pgx.Tx, cause core.Cause) error{
		"share": func(tx pgx.Tx, cause core.Cause) error {
			_, err := h.Accounts.Share(ctx, tx, cause, h.workspace, h.accounts[0].ID, accounts.Sharing{Subject: accounts.Subject{User: eve.ID}, Role: accounts.Owner})
			return err
		},
		"create": func(tx pgx.Tx, cause core.Cause) error {
			_, err := h.Accounts.CreateAccount(ctx, tx, cause, h.workspace, accounts.NewAccount{
				App: app[0].ID, Username: "backdoor", Password: h.newPassword(), Owner: eve.ID,
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaver := h.join(t, name+"@example.com")
			_, err := h.Change(ctx, h.system, h.workspace, leaver.ID, func(u *directory.User) error { u.Role = directory.RoleAdmin; return nil })
			coretest.Must(t, err)
			// The command is authorized, and then has to wait for something else.
			blocker, err := h.DB.Begin(ctx)
			coretest.Must(t, err)
			_, err = h.Directory.LockUser(ctx, blocker, h.workspace, eve.ID)
			coretest.Must(t, err)
			acted, left := make(chan error, 1), make(chan error, 1)
			go func() {
				acted <- h.DB.Tx(ctx, func(tx pgx.Tx) error { return act(tx, core.NewCause(leaver.Actor(), time.Now())) })
			}()
			h.waiting(t, 1)
			go func() {
				_, err := h.Deprovision(ctx, h.cause, h.workspace, leaver.ID)
				left <- err
			}()
			gone := false
			for !gone && h.waiters(t) < 2 {
				gone = len(left) == 1
			}
			coretest.Must(t, blocker.Rollback(ctx))
			if err := <-acted; gone && err == nil {
				t.Error("somebody who had left gave somebody access")
			}
			coretest.Must(t, <-left)
			h.mustHaveNothing(t, leaver.ID)
		})
	}
}
