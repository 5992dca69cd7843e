package audit_test

import (
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
)

func TestThrottle(t *testing.T) {
	throttle := &audit.Throttle{Burst: 2, Every: time.Second}
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	door, other := core.NewID(), core.NewID()
	for i, step := range []struct {
		after      time.Duration
		door       core.ID
		allowed    bool
		suppressed int
	}{
		{0, door, true, 0}, {0, door, true, 0}, {0, door, false, 0}, {0, door, false, 0}, {0, other, true, 0},
		{time.Second, door, true, 2}, {0, door, false, 0}, {time.Minute, door, true, 1}, {0, door, true, 0}, {0, door, false, 0},
	} {
		now = now.Add(step.after)
		if suppressed, ok := throttle.Allow(now, step.door); ok != step.allowed || suppressed != step.suppressed {
			t.Errorf("step %d: %d suppressed, allowed %t", i, suppressed, ok)
		}
	}
}
