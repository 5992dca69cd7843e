package rotation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// router is one connector for many accounts.
type router struct{ subjects []*subject }

func (r router) to(target rotation.Target) *simulated {
	for _, s := range r.subjects {
		if s.account == target.Account && s.workspace == target.Workspace {
			return &simulated{app: s.app}
		}
	}
	return nil
}

func (r router) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	report := r.to(target).Verify(ctx, target, credential)
	report.Finished = time.Time{}
	return report
}

func (r router) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	report := r.to(target).Change(ctx, target, current, next, release)
	report.Finished = time.Time{}
	return report
}

func TestManyWorkersAreOne(t *testing.T) {
	s := build(t).open(t, 0)
	id := s.plan(rotation.ReasonDeprovision).ID
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := s.engine().Advance(t.Context(), s.workspace, id); err != nil {
				if _, snoozed := jobs.SnoozeOf(err); !snoozed {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	s.mustBeRotated(id)
	if s.app.submitted != 1 || len(s.app.failures) != 1 || s.rotation(id).Receipt.Fence != 1 {
		t.Errorf("%d requests, %d failures, fence %d", s.app.submitted, len(s.app.failures), s.rotation(id).Receipt.Fence)
	}
}

// TestAWorkerThatStoodStillCannotSubmit has a worker stop (a paused machine) while it holds the
// change request at the gate, until another one has taken over.
func TestAWorkerThatStoodStillCannotSubmit(t *testing.T) {
	for _, takeover := range []string{"finished", "half way"} {
		t.Run(takeover, func(t *testing.T) {
			s := build(t).open(t, 0)
			id := s.plan(rotation.ReasonDeprovision).ID
			atGate, goOn := make(chan struct{}), make(chan struct{})
			still := &life{}
			slow := *s
			slow.connector = &simulated{app: s.app, beforeRelease: func(context.Context) { close(atGate); <-goOn }}
			ended := make(chan error, 1)
			go func() {
				ended <- slow.engine().Advance(context.WithValue(context.Background(), lifeKey{}, still), s.workspace, id)
			}()
			<-atGate
			thaw := still.freeze()
			s.clock.Pass(time.Minute) // its lease ends
			other := &life{}
			if takeover == "half way" {
				other.endsAt = 12
			}
			s.advance(id, other)
			fence, submitted := s.fence(id), s.app.submitted
			close(goOn)
			thaw()
			if after, snoozed := jobs.SnoozeOf(<-ended); !snoozed || after <= 0 {
				t.Error("the slow worker did not notice")
			}
			if s.app.submitted != submitted || s.fence(id) != fence {
				t.Errorf("the slow worker sent its request: %d, %d", s.app.submitted, submitted)
			}
			s.advance(id, &life{})
			s.mustBeRotated(id)
		})
	}
}

func (s *subject) fence(id core.ID) (fence int64) {
	s.t.Helper()
	if err := s.db.QueryRow(context.Background(), `select fence from rotations where workspace_id = $1 and id = $2`, s.workspace, id).Scan(&fence); err != nil {
		s.t.Fatal(err)
	}
	return fence
}

// TestALeaseIsExtendedWhileItsWorkerLives lets a sign-in take many times the lease. Time passes as fast as the worker
// extends it, however busy the machine is.
func TestALeaseIsExtendedWhileItsWorkerLives(t *testing.T) {
	s := build(t).open(t, 0)
	s.options.Lease = 400 * time.Millisecond
	first := s.engine()
	id := s.plan(rotation.ReasonVerify).ID
	begun, goOn := make(chan struct{}), make(chan struct{})
	s.connector.beforeVerify = func() { close(begun); <-goOn }
	ended := make(chan error, 1)
	go func() { ended <- first.Advance(t.Context(), s.workspace, id) }()
	<-begun
	for range 20 {
		until := s.clock.Pass(s.options.Lease * 3 / 4).Add(s.options.Lease)
		coretest.Until(t, "the lease is extended", func() bool { return s.leased(id).Equal(until) })
		if _, snoozed := jobs.SnoozeOf(first.Advance(t.Context(), s.workspace, id)); !snoozed {
			t.Fatal("the lease was taken from a worker that lives")
		}
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s.rotation(id).State != rotation.StateDone || s.fence(id) != 1 {
		t.Errorf("%s, fence %d", s.rotation(id).State, s.fence(id))
	}
}

func (s *subject) leased(id core.ID) (until time.Time) {
	s.t.Helper()
	if err := s.db.QueryRow(context.Background(), `select lease_until from rotations where workspace_id = $1 and id = $2`, s.workspace, id).Scan(&until); err != nil {
		s.t.Fatal(err)
	}
	return until
}

// TestAStoppedWorkerLeavesNoLease breaks a sign-in off, as a stop of the process does.
func TestAStoppedWorkerLeavesNoLease(t *testing.T) {
	s := build(t).open(t, 0)
	id := s.plan(rotation.ReasonDeprovision).ID
	ctx, stop := context.WithCancel(t.Context())
	s.app.behaviour = []behaviour{hangs}
	s.connector.beforeVerify = nil
	engine := s.engine()
	engine.Connectors = rotation.Connectors{"simulated": interrupted{s.connector, stop}}
	if err := engine.Advance(ctx, s.workspace, id); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := s.engine().Advance(t.Context(), s.workspace, id); err != nil {
		t.Fatalf("the next worker cannot go on at once: %v", err)
	}
	s.mustBeRotated(id)
}

// interrupted is stopped during its first change.
type interrupted struct {
	*simulated
	stop func()
}

func (i interrupted) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	i.stop()
	return i.simulated.Change(ctx, target, current, next, release)
}
