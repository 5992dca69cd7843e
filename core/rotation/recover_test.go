package rotation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// postbox is where the links come to that an app mails to its account.
type postbox struct{ s *subject }

func (p postbox) Codes(context.Context, postgres.Querier, core.ID, core.ID) (func(context.Context) (seal.Secret, error), error) {
	return nil, nil
}

func (p postbox) Links(_ context.Context, _ postgres.Querier, workspace, account core.ID) (string, func(context.Context) (seal.Secret, error), error) {
	if workspace != p.s.workspace || account != p.s.account {
		return "", nil, nil // the others have no address
	}
	return "acct@in.example.com", func(context.Context) (seal.Secret, error) {
		p.s.app.lock.Lock()
		defer p.s.app.lock.Unlock()
		if !p.s.app.mails {
			return seal.Secret{}, core.Unavailable(0, "no message with a link came").WithCode("no_message")
		}
		return seal.NewSecret(fmt.Sprint(p.s.app.links)), nil
	}, nil
}

// addressed gives the account an address that the app mails to.
func (s *subject) addressed() {
	s.inbox, s.app.mails = postbox{s}, true
}

// TestNoCrashLosesARecovery kills the process before and after every transaction and at every point of its talk with the
// app, while a mailed link sets what nobody knows any more, for every way the app can treat that. With -short it kills at
// every sixteenth point.
func TestNoCrashLosesARecovery(t *testing.T) {
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
				s.addressed()
				s.lost()
				// As with a reset: the account itself does not get that far.
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
				if end := s.rotation(id); end.Receipt != nil && !end.Receipt.Mailed {
					t.Errorf("killed at %d of %d: the receipt does not say how it was set", at, points)
				}
				executions.Add(1)
				h.clock.Pass(time.Hour)
			}
		})
	}
}

// What nobody knows any more is set behind a mailed link, and both proofs are made as ever.
func TestAMailedLinkRecovers(t *testing.T) {
	s := build(t).open(t, 1)
	s.addressed()
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
	if s.app.submitted != 1 || s.app.links != 1 || !slices.Contains(s.events(), core.RotationReconciling) {
		t.Errorf("sent %d times, %d mails, %v", s.app.submitted, s.app.links, s.events())
	}
}

// An administrator comes before a mail; one that is kept out is followed by it.
func TestAMailComesAfterTheAdministrator(t *testing.T) {
	for name, test := range map[string]struct {
		says  rotation.Outcome
		links int
	}{"let in": {"", 0}, "without the right": {rotation.AdminDenied, 1}, "with a wrong password": {rotation.AdminRejected, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t).open(t, 0)
			s.administered()
			s.addressed()
			s.lost()
			s.app.adminSays = test.says
			id := s.plan(rotation.ReasonDeprovision).ID
			s.advance(id, &life{})
			if err := s.rotated(id); err != nil {
				t.Fatalf("%v (%v)", err, s.states(id))
			}
			if receipt := s.rotation(id).Receipt; s.app.links != test.links || receipt.Mailed != (test.links > 0) || receipt.Mailed == (receipt.Administrator == s.admin) {
				t.Errorf("%d mails, %+v", s.app.links, receipt)
			}
		})
	}
}

// Where no mail comes a person is asked, with words about what to do, before the app has mailed much; asked again it is tried again.
func TestNoMailComes(t *testing.T) {
	s := build(t).open(t, 1)
	s.addressed()
	s.app.mails = false
	s.lost()
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	at := s.rotation(id)
	if at.State != rotation.StateBlocked || !strings.Contains(at.Detail, "address at Postern") || s.app.links > 2 || s.app.submitted != 0 {
		t.Fatalf("%s: %s; %d mails", at.State, at.Detail, s.app.links)
	}
	if s.state() != accounts.Desynced {
		t.Errorf("the account is %s", s.state())
	}
	s.app.mails = true
	s.clock.Pass(time.Hour)
	s.plan(rotation.ReasonDeprovision)
	s.advance(id, &life{})
	if err := s.rotated(id); err != nil {
		t.Errorf("%v (%v)", err, s.states(id))
	}
}

// Whoever asks for a reset of an account with an address has one without any administrator, and is told what is missing
// where it has none.
func TestAMailThatIsAskedFor(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	s.lost()
	if err := s.planReset(s.account); core.AsError(err) == nil || core.AsError(err).Code != "no_reconcile_account" {
		t.Fatal(err)
	}
	s.addressed()
	failed := len(s.app.failures)
	var planned rotation.Rotation
	s.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = s.engine().PlanReset(ctx, tx, core.NewCause(core.System, s.clock.Now()), s.workspace, s.account)
		return err
	})
	s.advance(planned.ID, &life{})
	if err := s.rotated(planned.ID); err != nil {
		t.Fatalf("%v (%v)", err, s.states(planned.ID))
	}
	if more := len(s.app.failures) - failed; more != 1 || s.app.links != 1 {
		t.Errorf("%d failed sign-ins, %d mails", more, s.app.links)
	}
}
