package scim

import (
	"slices"
	"sync"
	"time"

	"postern/core"
	"postern/core/audit"
)

// How many refusals of one connection with one status are told at once, and how often after that: a
// connection that sends the same nonsense without end must not fill the log. The next one that is told
// says how many were left out.
const (
	refusalsAtOnce = 30
	refusalsEvery  = 2 * time.Second
)

// refusals decides which refused requests leave an event.
type refusals struct {
	mutex    sync.Mutex
	statuses map[int]*audit.Throttle
}

// sample reports whether a refusal is told, and how many like it were not since the last one.
func (r *refusals) sample(status int, connection core.ID, now time.Time) (suppressed int, told bool) {
	if !slices.Contains(unusable, status) {
		return 0, false
	}
	r.mutex.Lock()
	throttle := r.statuses[status]
	if throttle == nil {
		if r.statuses == nil {
			r.statuses = map[int]*audit.Throttle{}
		}
		throttle = &audit.Throttle{Burst: refusalsAtOnce, Every: refusalsEvery}
		r.statuses[status] = throttle
	}
	r.mutex.Unlock()
	return throttle.Allow(now, connection)
}
