package idp

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what was sent and how long answers took.
type meter struct {
	lost, twice, overtaken, broken, refusedOnTheWay atomic.Int64
	total, inside                                   atomic.Int64

	lock     sync.Mutex
	kinds    map[string][]time.Duration
	statuses map[int]int
	seconds  map[int64]int
	atOnce   int64
}

// enter counts a request that is on its way, until leave is called.
func (m *meter) enter() (leave func()) {
	inside := m.inside.Add(1)
	m.lock.Lock()
	m.atOnce = max(m.atOnce, inside)
	m.lock.Unlock()
	return func() { m.inside.Add(-1) }
}

func (m *meter) count(kind string, status int, began time.Time, took time.Duration) {
	m.total.Add(1)
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.kinds == nil {
		m.kinds, m.statuses, m.seconds = map[string][]time.Duration{}, map[int]int{}, map[int64]int{}
	}
	m.kinds[kind] = append(m.kinds[kind], took)
	m.statuses[status]++
	m.seconds[began.Unix()]++
}

// Latency is how long one kind of request took.
type Latency struct {
	Kind          string // "PATCH /Users/{id}"
	Requests      int
	P50, P95, P99 time.Duration
	Most          time.Duration
}

// latencies are those of every kind, by name.
func (m *meter) latencies() []Latency {
	m.lock.Lock()
	defer m.lock.Unlock()
	all := make([]Latency, 0, len(m.kinds))
	for kind, times := range maps.All(m.kinds) {
		slices.Sort(times)
		at := func(share float64) time.Duration { return times[min(len(times)-1, int(share*float64(len(times))))] }
		all = append(all, Latency{Kind: kind, Requests: len(times), P50: at(0.5), P95: at(0.95), P99: at(0.99), Most: times[len(times)-1]})
	}
	slices.SortFunc(all, func(one, other Latency) int { return cmp.Compare(one.Kind, other.Kind) })
	return all
}

// answered is how often each status came, the most requests within one second of the clock, and at once.
func (m *meter) answered() (statuses map[int]int, burst int, atOnce int64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, count := range m.seconds {
		burst = max(burst, count)
	}
	return maps.Clone(m.statuses), burst, m.atOnce
}
