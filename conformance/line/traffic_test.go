package line

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/oidc/devidp/push"
)

// traffic is an identity provider that hires people and lets them go, and does what every one does
// with a request that was not accepted: it sends it again later.
type traffic struct {
	idp *push.Client

	end  context.CancelFunc
	done chan struct{}

	mutex   sync.Mutex
	people  []string       // who was hired and let go, both accepted
	answers map[string]int // by status
	slowest time.Duration  // of the accepted
	fault   error
}

// traffic begins, so many people at once.
func (s *stage) traffic(t *testing.T, lanes int) *traffic {
	ctx, end := context.WithCancel(t.Context())
	f := &traffic{idp: s.scim("okta", push.Okta), end: end, done: make(chan struct{}), answers: map[string]int{}}
	var all sync.WaitGroup
	for lane := range lanes {
		all.Go(func() {
			for number := 1; ctx.Err() == nil && f.faulty() == nil; number++ {
				f.hireAndFire(t.Context(), fmt.Sprintf("hand-%d-%d", lane+1, number))
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(f.done)
	}()
	return f
}

// faulty is the first refusal that no retry helps against.
func (f *traffic) faulty() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.fault
}

func (f *traffic) hireAndFire(ctx context.Context, name string) {
	hired := newcomer(name)
	id := ""
	f.insist(ctx, func() (push.Result, error) {
		result, err := f.idp.PushUser(ctx, hired)
		id = result.ID
		return result, err
	})
	f.insist(ctx, func() (push.Result, error) { return f.idp.Deactivate(ctx, id) })
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.people = append(f.people, id)
}

// insist sends until it is accepted.
func (f *traffic) insist(ctx context.Context, send func() (push.Result, error)) {
	for f.faulty() == nil {
		result, err := send()
		f.mutex.Lock()
		for _, one := range result.Exchanges {
			f.answers[answerOf(one)]++
			if one.Status/100 == 2 {
				f.slowest = max(f.slowest, one.Duration)
			}
		}
		if err != nil && core.KindOf(err) != core.KindUnavailable {
			f.fault = err
		}
		f.mutex.Unlock()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// What a request can meet beside a status.
const (
	nobodyListens = "nobody listens"
	cutOff        = "cut off" // it may have been sent
)

// answerOf is the status of an answer, or why none came.
func answerOf(one push.Exchange) string {
	switch {
	case one.Status != 0:
		return fmt.Sprint(one.Status)
	case strings.Contains(one.Failure, "connection refused"):
		return nobodyListens
	}
	return cutOff
}

// count is how often a status was answered so far.
func (f *traffic) count(status string) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.answers[status]
}

// stop waits for the last person's requests to be accepted, and fails the test if a status other
// than the allowed was answered.
func (f *traffic) stop(t *testing.T, allowed ...string) {
	t.Helper()
	f.end()
	select {
	case <-f.done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the last requests of the traffic were not accepted")
	}
	if err := f.faulty(); err != nil {
		t.Fatalf("a request of the traffic was refused: %v", err)
	}
	for _, status := range slices.Sorted(maps.Keys(f.answers)) {
		if !strings.HasPrefix(status, "2") && !slices.Contains(allowed, status) {
			t.Errorf("%d requests were answered %s", f.answers[status], status)
		}
	}
	t.Logf("traffic: %d people hired and let go; answers by status: %v; the slowest accepted one took %s", len(f.people), f.answers, f.slowest)
}

// kept checks that everything accepted is so, and is told once.
func (f *traffic) kept(t *testing.T, s *stage) {
	t.Helper()
	hired, fired := map[string]int{}, map[string]int{}
	for _, one := range events(t, s.API, nil) {
		switch {
		case len(one.Event.Targets) == 0:
		case one.Event.Type == core.UserProvisioned:
			hired[one.Event.Targets[0].ID.String()]++
		case one.Event.Type == core.UserDeprovisioned:
			fired[one.Event.Targets[0].ID.String()]++
		}
	}
	for _, id := range f.people {
		if hired[id] != 1 || fired[id] != 1 {
			t.Errorf("user %s: the log tells %d times that they came and %d times that they left", id, hired[id], fired[id])
		}
		if ask[person](t, s.API, "/users/"+id).Active {
			t.Errorf("user %s is active, though the IdP was told otherwise", id)
		}
	}
}

// delivered waits until the receiver holds the whole log, checks it, and returns how many deliveries
// there were beyond one of each event.
func (s *stage) delivered(t *testing.T) (records held, twice int) {
	t.Helper()
	workspace := s.workspace(t)
	// A broker may take a minute to find out which members of a group are dead, and a sink as long
	// to look again at a receiver that was down.
	s.eventually(5*time.Minute, "the receiver holds as many events as the log", func() bool {
		return len(s.told(t)[workspace]) >= len(events(t, s.API, nil))
	})
	records = s.proven(t, workspace, s.API)
	twice = len(s.Receiver.Events()) - len(records)
	t.Logf("%d events: the receiver holds the log, gap-free, in order, the chain verifies; %d deliveries were repetitions", len(records), twice)
	return records, twice
}
