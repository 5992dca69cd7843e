package scim

import (
	"net/http"
	"sync"
	"time"

	"postern/core"
	"postern/core/audit"
)

// How many requests of one connection, answered with one status, are kept at once of those of which a
// sample is kept, and how often after that: a connection that sends the same nonsense without end must
// fill neither the log nor the journal, nor one that asks for people in the same odd way all day. The
// next one that is kept says how many were left out, in the event as "suppressed" and in the entry.
const (
	samplesAtOnce = 30
	refusalsEvery = 2 * time.Second
	readingsEvery = time.Minute
)

// samples decides which requests that were refused, or that only read, leave an event or an entry.
type samples struct {
	mutex    sync.Mutex
	statuses map[int]*audit.Throttle
}

// take reports whether a request is kept, and how many like it were not since the last one.
func (s *samples) take(status int, connection core.ID, now time.Time) (suppressed int, kept bool) {
	s.mutex.Lock()
	throttle := s.statuses[status]
	if throttle == nil {
		if s.statuses == nil {
			s.statuses = map[int]*audit.Throttle{}
		}
		throttle = &audit.Throttle{Burst: samplesAtOnce, Every: refusalsEvery}
		if status < http.StatusBadRequest {
			throttle.Every = readingsEvery
		}
		s.statuses[status] = throttle
	}
	s.mutex.Unlock()
	return throttle.Allow(now, connection)
}
