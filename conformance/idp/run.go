package idp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/core"
)

// Options say what is played against which server. URL, Token and Shape are needed.
type Options struct {
	URL   string // of the SCIM endpoint: https://postern.example.com/scim/v2
	Token string
	Shape Shape
	Size  Size
	Seed  uint64
	Chaos Chaos

	Concurrency int           // requests at once; 0: 8, or as many as a Burst has
	Burst       int           // requests that come together, with a Pause before the next of them; 0: they come as they come
	Pause       time.Duration // what five minutes of Okta's and forty of Entra ID's are cut down to; 0: 100 ms
	HTTP        *http.Client  // nil: one that waits as long as Okta does

	// After runs after each cycle, the initial one being 0, if set. What it does meanwhile is not
	// disturbed by requests.
	After func(ctx context.Context, cycle int, people []Known) error
	// Events, if set, gives what the server recorded, from the beginning. It is asked until it tells all
	// that is expected, or for EventsWithin (0: 30 s).
	Events       func(ctx context.Context) ([]core.Event, error)
	EventsWithin time.Duration
	// Shared, if set, says which accounts each person (by the server's id) had been given of their own
	// before they left. Without it, what the events say is only compared with itself.
	Shared func() map[core.ID][]core.ID

	Progress func(Progress) // called now and then, from one goroutine at a time, if set
}

// Known is one person as both sides know them.
type Known struct {
	Person
	ID     string // the server's
	Leaves bool   // in a cycle to come
}

// Progress is how far a run has come.
type Progress struct {
	Stage    string // "cycle 1: people"
	Done     int
	Total    int
	Requests int64
	Faults   int
	Elapsed  time.Duration
}

// Run plays all cycles and compares the end with what was intended. What differs is in the report; an
// error means that there is none.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.URL == "" || o.Token == "" {
		return nil, core.Invalid("url", "an address and a token are needed")
	}
	if _, err := ParseShape(string(o.Shape)); err != nil {
		return nil, err
	}
	if o.Concurrency == 0 {
		o.Concurrency = max(8, o.Burst)
	}
	if o.Pause == 0 {
		o.Pause = 100 * time.Millisecond
	}
	if o.EventsWithin == 0 {
		o.EventsWithin = 30 * time.Second
	}
	if o.HTTP == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 2 * o.Concurrency
		defer transport.CloseIdleConnections()
		o.HTTP = &http.Client{Transport: transport, Timeout: patience}
	}
	s := &simulation{
		Options: o, plan: NewPlan(o.Seed, o.Shape, o.Size), began: time.Now(),
		client: &client{http: o.HTTP, url: strings.TrimSuffix(o.URL, "/"), token: o.Token, shape: o.Shape, seed: o.Seed, chaos: o.Chaos, burst: burst{size: o.Burst, quiet: o.Pause}},
	}
	return s.run(ctx)
}

// simulation is one run.
type simulation struct {
	Options
	plan   *Plan
	client *client
	began  time.Time
	people []*object // at their keys
	groups []*object
	faults faults

	sent   int64         // requests before the verification
	paused time.Duration // in After

	telling sync.Mutex
	longest atomic.Int64 // Retry-After in nanoseconds that Entra ID has met in the cycle
}

func (s *simulation) run(ctx context.Context) (*Report, error) {
	last := s.plan.States[len(s.plan.States)-1]
	for key := range last.People {
		s.people = append(s.people, &object{kind: "user", key: key, known: map[string]string{}})
	}
	for key := range last.Groups {
		s.groups = append(s.groups, &object{kind: "group", key: key, known: map[string]string{}, members: map[int]bool{}})
	}
	if err := s.testConnection(ctx); err != nil {
		return nil, err
	}
	before := State{People: make([]Person, len(last.People)), Groups: make([]Group, len(last.Groups))}
	for number, state := range s.plan.States {
		if s.Shape.entra() {
			s.entraCycle(ctx, number, state)
		} else {
			s.oktaCycle(ctx, number, before, state)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.After != nil {
			began := time.Now()
			if err := s.After(ctx, number, s.known(number)); err != nil {
				return nil, err
			}
			s.paused += time.Since(began)
		}
		copy(before.People, state.People)
		copy(before.Groups, state.Groups)
	}
	for _, all := range [][]*object{s.people, s.groups} {
		for _, o := range all {
			s.client.arriveAll(ctx, o)
		}
	}
	traffic := time.Since(s.began) - s.paused
	s.sent = s.client.meter.total.Load()
	if err := s.verify(ctx, last); err != nil {
		return nil, err
	}
	effects, err := s.verifyEffects(ctx)
	if err != nil {
		return nil, err
	}
	return s.report(traffic, effects), nil
}

// testConnection is what an administrator's click sends before anything else.
func (s *simulation) testConnection(ctx context.Context) error {
	path := "/Users?startIndex=1&count=2"
	if s.Shape.entra() {
		path = "/Users?filter=" + escape(`userName eq "`+fmt.Sprintf("%016x-nobody", s.Seed)+`"`)
	}
	a, err := s.client.deliver(ctx, http.MethodGet, path, nil)
	if err != nil {
		return core.Unavailable(time.Second, "%s does not answer", s.URL).Because(err)
	}
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return core.Unauthenticated("the server refuses the token: %s", a)
	case a.status != http.StatusOK || s.Shape.entra() && len(a.resources()) != 0:
		return core.Invalid("url", "the connection test is answered %s; is %s the address of a SCIM endpoint?", a, s.URL)
	}
	return nil
}

// each works on keys with as many workers as there may be requests at once, and returns when every
// request and every late copy has been handled.
func (s *simulation) each(ctx context.Context, stage string, keys []int, work func(ctx context.Context, key int)) {
	var workers sync.WaitGroup
	next, done := make(chan int), atomic.Int64{}
	for range s.Concurrency {
		workers.Go(func() {
			for key := range next {
				if ctx.Err() == nil {
					work(ctx, key)
				}
				if number := done.Add(1); number%100 == 0 || int(number) == len(keys) {
					s.tell(stage, int(number), len(keys))
				}
			}
		})
	}
	for _, key := range keys {
		next <- key
	}
	close(next)
	workers.Wait()
	for _, all := range [][]*object{s.people, s.groups} {
		for _, o := range all {
			o.flying.Wait()
		}
	}
}

func (s *simulation) tell(stage string, done, total int) {
	if s.Progress == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.Progress(Progress{stage, done, total, s.client.meter.total.Load(), s.faults.count(), time.Since(s.began)})
}

// id is what the server knows a person by; empty before it does.
func (s *simulation) id(key int) string { return s.people[key].id }

func (s *simulation) known(cycle int) []Known {
	var all []Known
	for key, p := range s.plan.States[cycle].People {
		leaves := false
		for number := cycle + 1; number < len(s.plan.States); number++ {
			leaves = leaves || s.plan.States[number-1].People[key].Status == Active && s.plan.States[number].People[key].Status != Active
		}
		all = append(all, Known{p, s.id(key), leaves})
	}
	return all
}

// faults are what went otherwise than intended. The first are kept.
type faults struct {
	lock  sync.Mutex
	texts []string
	more  int
}

const keptFaults = 100

func (f *faults) add(format string, args ...any) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if len(f.texts) == keptFaults {
		f.more++
		return
	}
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

// addAll adds what was found by itself.
func (f *faults) addAll(found *faults) {
	for _, text := range found.texts {
		f.add("%s", text)
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.more += found.more
}

func (f *faults) count() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return len(f.texts) + f.more
}
