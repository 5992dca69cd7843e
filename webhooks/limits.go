package webhooks

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"postern/core"
)

// limits decides which refusals leave an event: a stranger who sends forged tokens, or someone who
// replays a captured one, must not be able to fill the log. What was left out is counted and told
// by the next event.
type limits struct {
	mu  sync.Mutex
	all map[limitKey]*limit
}

type limitKey struct {
	connection    core.ID
	authenticated bool
}

type limit struct {
	limiter    *rate.Limiter
	suppressed int
}

// allow reports whether an event may be written now and how many were not since the last one.
func (l *limits) allow(now time.Time, connection core.ID, authenticated bool) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := limitKey{connection, authenticated}
	one, known := l.all[key]
	if !known {
		one = &limit{limiter: rate.NewLimiter(rate.Every(10*time.Second), 5)}
		if authenticated {
			one.limiter = rate.NewLimiter(rate.Every(time.Second), 60)
		}
		if l.all == nil {
			l.all = map[limitKey]*limit{}
		}
		l.all[key] = one
	}
	if !one.limiter.AllowN(now, 1) {
		one.suppressed++
		return 0, false
	}
	suppressed, one.suppressed = one.suppressed, 0
	return suppressed, true
}
