package splunk

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// How long an endpoint rests after its first failure, and at most.
const (
	shortestRest = time.Second
	longestRest  = time.Minute
)

// endpoint is one collector. One that fails rests, for twice as long each time.
type endpoint struct {
	base     string // without the collector's path
	path     string
	failures int
	rests    time.Time // until
}

// endpoints are used in turn.
type endpoints struct {
	mutex sync.Mutex
	list  []*endpoint
	next  int
}

func newEndpoints(urls []string) *endpoints {
	all := &endpoints{}
	for _, url := range urls {
		url = strings.TrimRight(url, "/")
		one := &endpoint{base: url, path: "/services/collector/event"}
		if base, rest, has := strings.Cut(url, "/services/collector"); has {
			one.base, one.path = base, "/services/collector"+rest
		}
		all.list = append(all.list, one)
	}
	return all
}

// order lists the endpoints to ask, another one first each time. Those that rest are left out; if all do, it is the
// one whose rest ends first.
func (e *endpoints) order(now time.Time) []*endpoint {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	var ready []*endpoint
	for place := range e.list {
		if one := e.list[(e.next+place)%len(e.list)]; !one.rests.After(now) {
			ready = append(ready, one)
		}
	}
	e.next = (e.next + 1) % len(e.list)
	if len(ready) == 0 {
		ready = append(ready, slices.MinFunc(e.list, func(a, b *endpoint) int { return a.rests.Compare(b.rests) }))
	}
	return ready
}

func (e *endpoints) failed(one *endpoint, now time.Time, asked time.Duration) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	rest := min(shortestRest<<min(one.failures, 16), longestRest)
	one.failures++
	one.rests = now.Add(max(rest, asked))
}

func (e *endpoints) worked(one *endpoint) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	one.failures, one.rests = 0, time.Time{}
}
