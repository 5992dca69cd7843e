package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/webhooks/delivery"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func workspace(t testing.TB, db *postgres.DB, slug string) core.ID {
	t.Helper()
	var made directory.Workspace
	must(t, db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		made, err = (&directory.Directory{DB: db}).CreateWorkspace(t.Context(), tx, core.NewCause(core.System, time.Now()), slug, slug)
		return err
	}))
	return made.ID
}

// shelf is a destination that keeps what it takes.
type shelf struct {
	lock  sync.Mutex
	taken map[core.ID][]string
	inUse map[core.ID]bool
	fault func(n int) delivery.Outcome
	calls int
	twice bool
}

func (s *shelf) carry(_ context.Context, lane delivery.Lane, one delivery.Delivery) delivery.Outcome {
	s.lock.Lock()
	if s.inUse[lane.ID] {
		s.twice = true
	}
	s.inUse[lane.ID] = true
	s.calls++
	outcome := s.fault(s.calls)
	s.lock.Unlock()
	time.Sleep(time.Millisecond)
	s.lock.Lock()
	defer s.lock.Unlock()
	s.inUse[lane.ID] = false
	if outcome.Verdict == delivery.Delivered {
		var text string
		_ = json.Unmarshal(one.Payload, &text)
		s.taken[lane.ID] = append(s.taken[lane.ID], text)
	}
	return outcome
}

// Whatever fails, and however many processes deliver and die: an ordered lane is delivered wholly, in order, one
// message at a time, and never another lane's.
func TestOrderedLanesInAnyWeather(t *testing.T) {
	db := postgrestest.Open(t)
	houses := []core.ID{workspace(t, db, "acme"), workspace(t, db, "globex")}
	rapid.Check(t, func(rt *rapid.T) {
		faults := rapid.SliceOfN(rapid.SampledFrom([]delivery.Verdict{delivery.Delivered, delivery.Again}), 1, 12).Draw(rt, "faults")
		counts := rapid.SliceOfN(rapid.IntRange(0, 6), 3, 3).Draw(rt, "messages")
		shelf := &shelf{taken: map[core.ID][]string{}, inUse: map[core.ID]bool{}, fault: func(n int) delivery.Outcome {
			if n <= len(faults) {
				return delivery.Outcome{Verdict: faults[n-1], Why: "weather"}
			}
			return delivery.Outcome{}
		}}
		kind := "k" + core.NewID().String() // each run has lanes of its own
		schedule := slices.Repeat([]time.Duration{time.Millisecond}, 50)
		process := func() *delivery.Deliveries {
			return &delivery.Deliveries{DB: db, Look: 2 * time.Millisecond, Lease: 3 * time.Second, Carriers: map[string]delivery.Carrier{kind: {Carry: shelf.carry, Schedule: schedule}}}
		}
		first, second := process(), process()
		var lanes []delivery.Lane
		for i := range counts {
			lane := delivery.Lane{ID: core.NewID(), Workspace: houses[i%2], Kind: kind, Name: fmt.Sprint(i), Ordered: true, Carried: true}
			must(t, db.Tx(t.Context(), func(tx pgx.Tx) error { return first.Open(t.Context(), tx, lane) }))
			lanes = append(lanes, lane)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		dying, die := context.WithCancel(ctx)
		defer die()
		running.Go(func() { _ = first.Run(dying) })
		running.Go(func() { _ = second.Run(ctx) })
		defer func() { stop(); running.Wait() }()
		want := map[core.ID][]string{}
		for i, lane := range lanes {
			for n := range counts[i] {
				text := fmt.Sprintf("%d.%d", i, n)
				want[lane.ID] = append(want[lane.ID], text)
				payload, _ := json.Marshal(text)
				one := delivery.Delivery{Workspace: lane.Workspace, Lane: lane.ID, Event: core.NewID(), Type: "t", Payload: payload}
				for range 2 { // heard twice, there once
					must(t, db.Tx(t.Context(), func(tx pgx.Tx) error { return second.Add(t.Context(), tx, one) }))
				}
			}
			if i == 1 {
				die()
			}
		}
		deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, lane := range lanes {
			for {
				left, err := second.Backlog(t.Context(), db, lane.Workspace, lane.ID)
				must(t, err)
				if left.Waiting == 0 {
					break
				}
				select {
				case <-deadline.Done():
					rt.Fatalf("%d messages still wait", left.Waiting)
				case <-time.After(2 * time.Millisecond):
				}
			}
			shelf.lock.Lock()
			if got := shelf.taken[lane.ID]; !slices.Equal(got, want[lane.ID]) {
				rt.Errorf("lane %s took %v, not %v", lane.Name, got, want[lane.ID])
			}
			shelf.lock.Unlock()
		}
		if shelf.twice {
			rt.Error("two processes delivered to one lane at once")
		}
	})
}

// tally counts attempts.
type tally struct {
	lock   sync.Mutex
	counts map[string]int
}

func (c *tally) Attempted(kind, outcome string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[kind+" "+outcome]++
}

func (c *tally) of(what string) int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.counts[what]
}

// In a lane without order one message that fails holds up no other, and one nobody takes ends the lane alone.
func TestUnorderedLanes(t *testing.T) {
	db := postgrestest.Open(t)
	house, other := workspace(t, db, "acme"), workspace(t, db, "globex")
	var lock sync.Mutex
	taken, counted := map[string]int{}, &tally{}
	d := &delivery.Deliveries{DB: db, Look: 5 * time.Millisecond, Meter: counted, Carriers: map[string]delivery.Carrier{"hook": {
		Schedule: []time.Duration{time.Hour},
		Carry: func(_ context.Context, _ delivery.Lane, one delivery.Delivery) delivery.Outcome {
			lock.Lock()
			defer lock.Unlock()
			taken[one.Type]++
			switch one.Type {
			case "busy":
				return delivery.Outcome{Verdict: delivery.Again, Status: 503, Why: "busy"}
			case "refused":
				return delivery.Outcome{Verdict: delivery.Refused, Status: 400, Why: "no"}
			case "gone":
				return delivery.Outcome{Verdict: delivery.Gone, Status: 410, Why: "gone"}
			}
			return delivery.Outcome{Status: 204}
		},
	}}}
	lane := delivery.Lane{ID: core.NewID(), Workspace: house, Kind: "hook", Name: "Hook", Carried: true}
	add := func(types ...string) {
		t.Helper()
		must(t, db.Tx(t.Context(), func(tx pgx.Tx) error {
			for _, kind := range types {
				if err := d.Add(t.Context(), tx, delivery.Delivery{Workspace: house, Lane: lane.ID, Type: kind, Payload: []byte(`{}`)}); err != nil {
					return err
				}
			}
			return nil
		}))
		d.Nudge()
	}
	must(t, db.Tx(t.Context(), func(tx pgx.Tx) error { return d.Open(t.Context(), tx, lane) }))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	defer func() { stop(); <-done }()
	until := func(what string, holds func(delivery.Backlog) bool) {
		t.Helper()
		deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for {
			left, err := d.Backlog(t.Context(), db, house, lane.ID)
			must(t, err)
			if holds(left) {
				return
			}
			select {
			case <-deadline.Done():
				t.Fatalf("never: %s: %+v", what, left)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	add("busy", "well", "refused", "well")
	until("only the busy one waits", func(left delivery.Backlog) bool { return left.Waiting == 1 && left.Dead == 1 })
	if letters, err := d.DeadLetters(t.Context(), db, other, lane.ID, 10); err != nil || len(letters) != 0 {
		t.Errorf("another workspace sees %v %v", letters, err)
	}
	add("gone")
	until("it is gone", func(left delivery.Backlog) bool { return left.Dead == 2 })
	found, err := d.Lane(t.Context(), db, house, lane.ID)
	must(t, err)
	if found.State != delivery.Disabled || found.Reason != "given up: gone" {
		t.Errorf("%+v", found)
	}
	// Given up, it keeps what comes; turned off, it does not.
	add("later")
	until("it waits", func(left delivery.Backlog) bool { return left.Waiting == 2 })
	must(t, db.Tx(t.Context(), func(tx pgx.Tx) error {
		return d.SetState(t.Context(), tx, house, lane.ID, delivery.Disabled, "an administrator")
	}))
	add("never")
	until("it is not kept", func(left delivery.Backlog) bool { return left.Waiting == 2 })
	must(t, db.Tx(t.Context(), func(tx pgx.Tx) error { return d.SetState(t.Context(), tx, house, lane.ID, delivery.Running, "") }))
	d.Nudge()
	until("it goes on", func(left delivery.Backlog) bool { return left.Waiting <= 1 })
	stop()
	<-done
	lock.Lock()
	defer lock.Unlock()
	// The busy one may have had its second and last attempt by now, or not.
	if counted.of("hook delivered") != taken["well"]+taken["later"] || counted.of("hook again") != 1 || counted.of("hook refused") != 1 ||
		counted.of("hook given_up") != taken["busy"]-1+taken["gone"] {
		t.Errorf("%v were counted of %v", counted.counts, taken)
	}
	if taken["well"] != 2 || taken["refused"] != 1 || taken["never"] != 0 || taken["later"] != 1 {
		t.Errorf("%v", taken)
	}
}

// What an installation measures is of all its workspaces; what a page lists is of one lane, the latest first.
func TestLoadsAndTheLast(t *testing.T) {
	db := postgrestest.Open(t)
	house, other := workspace(t, db, "acme"), workspace(t, db, "globex")
	d := &delivery.Deliveries{DB: db}
	if found, err := delivery.ReadLoads(t.Context(), db); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	lanes := map[string]delivery.Lane{}
	for i, name := range []string{"one", "two", "quiet", "off"} {
		lane := delivery.Lane{ID: core.NewID(), Workspace: []core.ID{house, other}[i%2], Kind: "hook", Name: name, Carried: true}
		lanes[name] = lane
		must(t, db.Tx(t.Context(), func(tx pgx.Tx) error {
			if err := d.Open(t.Context(), tx, lane); err != nil || name == "quiet" {
				return err
			}
			for n := range 3 {
				if err := d.Add(t.Context(), tx, delivery.Delivery{Workspace: lane.Workspace, Lane: lane.ID, Type: fmt.Sprint("t", n), Payload: []byte(`{}`)}); err != nil {
					return err
				}
			}
			if name == "off" {
				return d.SetState(t.Context(), tx, lane.Workspace, lane.ID, delivery.Paused, "")
			}
			found, err := d.Waiting(t.Context(), tx, lane.Workspace, lane.ID, 10)
			if err != nil {
				return err
			}
			return d.Refuse(t.Context(), tx, lane, found[1].ID, "no")
		}))
	}
	found, err := delivery.ReadLoads(t.Context(), db)
	must(t, err)
	loads := map[delivery.State]delivery.Load{}
	for _, one := range found {
		if one.Kind != "hook" || one.Waiting > 0 && one.Oldest == nil {
			t.Errorf("%+v", one)
		}
		one.Oldest = nil
		loads[one.State] = one
	}
	want := map[delivery.State]delivery.Load{
		delivery.Running: {Kind: "hook", State: delivery.Running, Lanes: 3, Failing: 2, Waiting: 4, Dead: 2},
		delivery.Paused:  {Kind: "hook", State: delivery.Paused, Lanes: 1, Waiting: 3},
	}
	if !maps.Equal(loads, want) {
		t.Errorf("%+v", loads)
	}
	one := lanes["one"]
	for state, want := range map[string][]string{"": {"t2", "t1", "t0"}, "waiting": {"t2", "t0"}, "dead": {"t1"}, "delivered": nil} {
		last, err := d.Last(t.Context(), db, house, one.ID, state, 10)
		must(t, err)
		var types []string
		for _, message := range last {
			types = append(types, message.Type)
		}
		if !slices.Equal(types, want) {
			t.Errorf("%q: %v, not %v", state, types, want)
		}
	}
	if last, err := d.Last(t.Context(), db, house, one.ID, "", 1); err != nil || len(last) != 1 || last[0].Type != "t2" {
		t.Error(last, err)
	}
	if last, err := d.Last(t.Context(), db, other, one.ID, "", 10); err != nil || len(last) != 0 {
		t.Error("another workspace sees", last, err)
	}
}
