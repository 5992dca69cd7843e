package rotation_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
)

// TestNoCrashLosesAReset kills the process before and after every transaction and at every point of its talk with the app,
// while an administrator sets what nobody knows any more, for every way the app can treat that. With -short it kills at every
// sixteenth point.
func TestNoCrashLosesAReset(t *testing.T) {
	var executions atomic.Int64
	stride := 1
	if testing.Short() {
		stride = 16
	}
	t.Cleanup(func() { t.Logf("%d executions", executions.Load()) })
	for _, behaves := range behaviours {
		t.Run(string(behaves), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			points := 1
			for at := 0; at <= points; at += stride { // 0: it lives
				s := h.open(t, at%2, behaves)
				s.administered()
				s.lost()
				// What the app does to the first change it does to the reset: the account itself does not get that far.
				s.app.behaviour = append([]behaviour{obeys}, s.app.behaviour...)
				id := s.plan(rotation.ReasonDeprovision).ID
				first := &life{endsAt: at}
				s.advance(id, first)
				if at == 0 {
					points = first.ticks
				}
				if err := s.sound(); err != nil {
					t.Errorf("killed at %d of %d: %v", at, points, err)
				}
				s.advance(id, &life{})
				if err := s.rotated(id); err != nil {
					t.Errorf("killed at %d of %d, then finished: %v (%v)", at, points, err, s.states(id))
				}
				if end := s.rotation(id); end.Receipt != nil && end.Receipt.Administrator != s.admin {
					t.Errorf("killed at %d of %d: set by %s", at, points, end.Receipt.Administrator)
				}
				if s.app.admins > 0 {
					t.Errorf("killed at %d of %d: the administrator was turned away %d times", at, points, s.app.admins)
				}
				executions.Add(1)
				h.clock.Pass(time.Hour)
			}
		})
	}
}

// What nobody knows any more the app's administrator sets, and both proofs are made as ever.
func TestTheAdministratorResets(t *testing.T) {
	s := build(t).open(t, 0)
	s.administered()
	s.lost()
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	if err := s.rotated(id); err != nil {
		t.Fatalf("%v (%v)", err, s.states(id))
	}
	states := s.states(id)
	from := slices.Index(states, rotation.StateUnknown)
	want := []rotation.State{
		rotation.StateUnknown, rotation.StateReconciling, rotation.StateArmed, rotation.StateSubmitted, rotation.StateProbing,
		rotation.StateNewProven, rotation.StateOldDead, rotation.StateDone,
	}
	if from < 0 || !slices.Equal(slices.Compact(states[from:]), want) {
		t.Errorf("%v", states)
	}
	if !slices.Contains(s.events(), core.RotationReconciling) || s.app.submitted != 1 {
		t.Errorf("%v, sent %d times", s.events(), s.app.submitted)
	}
	if s.rotation(id).Receipt.Administrator != s.admin {
		t.Errorf("%+v", s.rotation(id).Receipt)
	}
}

// What keeps the administrator out blocks the rotation with words about the administrator, costs the account nothing, and is
// gone on with once it is settled.
func TestTheAdministratorsOwnFault(t *testing.T) {
	for name, test := range map[string]struct {
		says rotation.Outcome
		want string
	}{
		"a wrong password": {rotation.AdminRejected, "refused the stored password of its administrator"},
		"no right":         {rotation.AdminDenied, "administrator could not set the password"},
		"no such account":  {rotation.Rejected, "has no account named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t).open(t, 1)
			s.administered()
			s.lost()
			s.app.adminSays = test.says
			id := s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			if at := s.rotation(id); at.State != rotation.StateBlocked || !strings.Contains(at.Detail, test.want) {
				t.Fatalf("%s: %s", at.State, at.Detail)
			}
			if err := s.sound(); err != nil {
				t.Error(err)
			}
			if admin := s.accountOf(s.admin); (admin.State == accounts.Desynced) != (test.says == rotation.AdminRejected) {
				t.Errorf("the administrator is %s", admin.State)
			}
			s.app.adminSays = ""
			s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := s.accounts.Learn(ctx, tx, system, s.workspace, s.admin, accounts.SignInAccepted, "It was set right.")
				return err
			})
			s.clock.Pass(time.Hour)
			s.plan(rotation.ReasonDeprovision)
			s.advance(id, &life{})
			if err := s.rotated(id); err != nil {
				t.Errorf("%v (%v)", err, s.states(id))
			}
		})
	}
}

func (s *subject) accountOf(id core.ID) accounts.Account {
	s.t.Helper()
	found, err := s.accounts.Account(context.Background(), s.db, s.workspace, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// Without an administrator nothing is different, and the administrator's own password nobody resets.
func TestNobodyToReset(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	s.lost()
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	if at := s.rotation(id); at.State != rotation.StateBlocked || s.app.submitted != 0 {
		t.Errorf("%s: %s", at.State, at.Detail)
	}
	if err := s.planReset(s.account); core.KindOf(err) != core.KindConflict || core.AsError(err).Code != "no_reconcile_account" {
		t.Error(err)
	}
	s.administered()
	if err := s.planReset(s.admin); core.KindOf(err) != core.KindConflict || core.AsError(err).Code != "reconcile_account" {
		t.Error(err)
	}
	other := h.open(t, 1)
	if err := s.planReset(other.account); core.KindOf(err) != core.KindNotFound {
		t.Error(err)
	}
	s.administer(s.account)
	h.clock.Pass(time.Hour)
	s.plan(rotation.ReasonDeprovision)
	s.advance(id, &life{})
	if at := s.rotation(id); at.State != rotation.StateBlocked || s.app.submitted != 0 {
		t.Errorf("it reset itself: %s: %s", at.State, at.Detail)
	}
}

func (s *subject) planReset(account core.ID) error {
	ctx := context.Background()
	return s.db.Tx(ctx, func(tx pgx.Tx) error {
		_, err := s.engine().PlanReset(ctx, tx, core.NewCause(core.System, s.clock.Now()), s.workspace, account)
		return err
	})
}

// Whoever asks for a reset has one, be the rotation blocked, waiting or not there yet, and without more failed sign-ins than
// the two proofs take.
func TestAResetThatIsAskedFor(t *testing.T) {
	for name, before := range map[string]func(s *subject){
		"at once": func(*subject) {},
		"when a rotation waits for a person": func(s *subject) {
			id := s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			s.clock.Pass(time.Hour)
		},
		"while one finds out": func(s *subject) {
			s.advance(s.plan(rotation.ReasonDeprovision).ID, &life{endsAt: 12})
			s.clock.Pass(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t).open(t, 0)
			s.lost()
			before(s)
			s.administered()
			failed := len(s.app.failures)
			if err := s.planReset(s.account); err != nil {
				t.Fatal(err)
			}
			open, err := s.engine().List(t.Context(), s.db, s.workspace, s.account, 1)
			if err != nil || len(open) != 1 {
				t.Fatal(open, err)
			}
			s.advance(open[0].ID, &life{})
			if err := s.rotated(open[0].ID); err != nil {
				t.Errorf("%v (%v)", err, s.states(open[0].ID))
			}
			if more := len(s.app.failures) - failed; more != 1 {
				t.Errorf("%d failed sign-ins", more)
			}
		})
	}
}

// Many resets at a time go through one administrator's account without locking it.
func TestOneAdministratorForMany(t *testing.T) {
	h := build(t)
	var all []*subject
	for range 6 {
		s := h.open(t, 0)
		if s.administered(); len(all) > 0 {
			s.app.admin = all[0].app.admin
		}
		s.lost()
		all = append(all, s)
	}
	all[0].administer(all[0].admin)
	done := make(chan error)
	for _, s := range all {
		if err := s.planReset(s.account); err != nil {
			t.Fatal(err)
		}
		open, err := s.engine().List(t.Context(), s.db, s.workspace, s.account, 1)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			s.advance(open[0].ID, &life{})
			done <- s.rotated(open[0].ID)
		}()
	}
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// An app that refuses what its administrator sets is set plainer ones, as with a change, and not the same kind for ever.
func TestTheAdministratorSetsPlainerOnes(t *testing.T) {
	for name, refusal := range map[string]behaviour{"on the page": refusesPage, "by the app": refuses} {
		t.Run(name, func(t *testing.T) {
			s := build(t).open(t, 0, obeys, refusal, refusal) // the first is the account's own try
			s.administered()
			s.lost()
			id := s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			if err := s.rotated(id); err != nil {
				t.Fatalf("%v (%v)", err, s.states(id))
			}
			if stored := s.stored(); len(s.current()) >= len(stored[len(stored)-2]) || len(stored[len(stored)-2]) >= len(stored[1]) {
				t.Errorf("the candidates have %d, %d and %d characters", len(stored[1]), len(stored[len(stored)-2]), len(s.current()))
			}
		})
	}
}
