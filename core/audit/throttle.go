package audit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"postern/core"
)

// Throttle decides which refusals leave an event: a stranger who knocks at a door without end must not
// be able to fill the log. What was left out is counted, and told by the next event. A Throttle with
// its two rates set is ready, and safe for concurrent use.
type Throttle struct {
	Burst int           // events at once
	Every time.Duration // and then one in this time

	mutex sync.Mutex
	doors map[core.ID]*door
}

// door is one thing strangers knock at: a connection.
type door struct {
	limiter    *rate.Limiter
	suppressed int
}

// Allow reports whether an event about a connection may be written now, and how many were not since
// the last one. The connection is one that exists: each is remembered.
func (t *Throttle) Allow(now time.Time, connection core.ID) (suppressed int, ok bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	one, known := t.doors[connection]
	if !known {
		one = &door{limiter: rate.NewLimiter(rate.Every(t.Every), t.Burst)}
		if t.doors == nil {
			t.doors = map[core.ID]*door{}
		}
		t.doors[connection] = one
	}
	if !one.limiter.AllowN(now, 1) {
		one.suppressed++
		return 0, false
	}
	suppressed, one.suppressed = one.suppressed, 0
	return suppressed, true
}
