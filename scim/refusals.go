package scim

import (
	"slices"
	"sync"
	"time"

	"postern/core"
	"postern/core/audit"
)

// How many refusals of one connection with one status are kept at once, and how often after that: a
// connection that sends the same nonsense without end must fill neither the log nor the journal. The
// next one that is kept says how many were left out, in the event as "suppressed" and in the entry.
const (
	refusalsAtOnce = 30
	refusalsEvery  = 2 * time.Second
)

// refusals decides which refused requests leave an event or a journal entry.
type refusals struct {
	mutex    sync.Mutex
	statuses map[int]*audit.Throttle
}

// sample reports whether a refusal is kept, and how many like it were not since the last one.
func (r *refusals) sample(status int, connection core.ID, now time.Time) (suppressed int, kept bool) {
	if !slices.Contains(memorable, status) {
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
