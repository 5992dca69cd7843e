package rotation_test

import (
	"sync/atomic"
	"testing"
	"time"

	"postern/core/rotation"
)

// TestNoCrashLosesAPassword kills the process before and after every transaction and at every point
// of its talk with the app, for every way the app can treat the change, and lets another process go
// on. With -short it kills at every eighth point.
func TestNoCrashLosesAPassword(t *testing.T) {
	var executions atomic.Int64
	stride := 1
	if testing.Short() {
		stride = 8
	}
	t.Cleanup(func() { t.Logf("%d executions", executions.Load()) })
	for _, behaves := range behaviours {
		t.Run(string(behaves), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			points := 1
			for at := 0; at <= points; at += stride { // 0: it lives
				s := h.open(t, at%2, behaves)
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
				executions.Add(1)
				h.clock.Pass(time.Hour)
			}
		})
	}
}
