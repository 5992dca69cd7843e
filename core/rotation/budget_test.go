package rotation_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/rotation"
)

// TestWhatNobodySawStaysCounted kills a worker at every point of a rotation and sets the old password in the app again, so that
// the next one is let in with a password that had been refused when nobody heard.
func TestWhatNobodySawStaysCounted(t *testing.T) {
	h := build(t)
	stride := 1
	if testing.Short() {
		stride = 3
	}
	points := 1
	for at := 0; at <= points; at += stride { // 0: it lives
		s := h.open(t, 0)
		id := s.plan(rotation.ReasonDeprovision).ID
		first := &life{endsAt: at}
		s.advance(id, first)
		if at == 0 {
			points = first.ticks
			continue
		}
		s.app.lock.Lock()
		s.app.password = s.original
		s.app.lock.Unlock()
		s.advance(id, &life{})
		if end := s.rotation(id); end.State != rotation.StateDone {
			t.Errorf("killed at %d of %d: it rests %s, %s", at, points, end.State, end.Detail)
		}
		if err := s.sound(); err != nil {
			t.Errorf("killed at %d of %d: %v (%v)", at, points, err, s.states(id))
		}
		h.clock.Pass(time.Hour)
	}
}

// TestAFailureCountsFromItsEnd has an app take its time to refuse.
func TestAFailureCountsFromItsEnd(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	reserve := func() (attempt core.ID, free time.Time) {
		s.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
			attempt, free, err = s.engine().Reserve(ctx, tx, s.workspace, s.account)
			return err
		})
		return attempt, free
	}
	settle := func(attempt core.ID, outcome rotation.Outcome) {
		s.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			return s.engine().Settle(ctx, tx, s.workspace, s.account, attempt, outcome)
		})
	}
	for _, outcome := range []rotation.Outcome{rotation.Rejected, rotation.TimedOut} {
		slow, _ := reserve()
		ended := h.clock.Pass(40 * time.Second)
		settle(slow, outcome)
		for _, harmless := range []rotation.Outcome{rotation.Accepted, rotation.Unreachable} {
			attempt, free := reserve()
			if !free.IsZero() {
				t.Fatalf("%s: one failure fills the budget", outcome)
			}
			settle(attempt, harmless)
		}
		quick, _ := reserve()
		settle(quick, outcome)
		if _, free := reserve(); !free.Equal(ended.Add(15 * time.Minute)) {
			t.Errorf("%s: there is room at %v, 15 minutes after %v", outcome, free, ended)
		}
		h.clock.Pass(time.Hour)
	}
}
