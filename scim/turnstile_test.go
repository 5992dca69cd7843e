package scim

import (
	"context"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/core"
)

var began = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func retry(err error) time.Duration {
	if fault := core.AsError(err); fault != nil && fault.Kind == core.KindRateLimited {
		return fault.RetryAfter
	}
	return 0
}

// in reports whether a ticket was let in.
func in(one *ticket) bool {
	if one.ready == nil {
		return true
	}
	select {
	case <-one.ready:
		return true
	default:
		return false
	}
}

// Whatever comes and goes in whatever order: no bound is ever passed, no place stands empty while
// somebody may take it, and in the end nothing is left behind.
func TestTurnstileKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &turnstile{places: rapid.IntRange(1, 9).Draw(t, "places"), queue: rapid.IntRange(1, 4).Draw(t, "queue")}
		parties := []core.ID{{}, {1}, {2}, {3}}
		now := began
		var inside, waiting []*ticket
		sort := func() {
			still := waiting[:0]
			for _, one := range waiting {
				if in(one) {
					inside = append(inside, one)
				} else {
					still = append(still, one)
				}
			}
			waiting = still
		}
		pick := func(from *[]*ticket) *ticket {
			at := rapid.IntRange(0, len(*from)-1).Draw(t, "which")
			one := (*from)[at]
			*from = append((*from)[:at], (*from)[at+1:]...)
			return one
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				id := rapid.SampledFrom(parties).Draw(t, "party")
				one, err := s.ask(id, laneKey{rapid.Byte().Draw(t, "lane") % 3}, now)
				if err != nil {
					if wait := retry(err); wait < time.Second || wait > longestRetry {
						t.Fatalf("sent away for %v", err)
					}
					return
				}
				waiting = append(waiting, one)
				sort()
			},
			"leave": func(t *rapid.T) {
				if len(inside) == 0 {
					t.Skip("nobody is inside")
				}
				s.leave(pick(&inside), now)
				sort()
			},
			"give up": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				if s.giveUp(pick(&waiting), now) == nil {
					t.Fatal("who waits was let in")
				}
				sort()
			},
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				holds, waits := map[core.ID]int{}, map[core.ID]int{}
				for _, one := range inside {
					holds[one.party.id]++
				}
				for _, one := range waiting {
					waits[one.party.id]++
					if one.lane.tickets.Len() > s.queue {
						t.Fatalf("%d wait in a lane of %d", one.lane.tickets.Len(), s.queue)
					}
				}
				if s.taken != len(inside) || s.taken > s.places {
					t.Fatalf("%d inside, %d known, of %d", len(inside), s.taken, s.places)
				}
				turns := 0
				for _, id := range parties {
					if holds[id] > s.limit(id) {
						t.Fatalf("%d of %d", holds[id], s.limit(id))
					}
					p := s.parties[id]
					if (p != nil) != (holds[id]+waits[id] > 0) {
						t.Fatal("a party is forgotten too early or too late")
					}
					if p == nil {
						continue
					}
					if p.inside != holds[id] || p.waiting != waits[id] || len(p.lanes) != p.turns.Len() || p.debt > maxDebt {
						t.Fatalf("%+v, not %d and %d", p, holds[id], waits[id])
					}
					if waits[id] > 0 && holds[id] < s.limit(id) {
						turns++
						if s.taken < s.places {
							t.Fatal("a place stands empty while somebody may take it")
						}
					}
				}
				if s.turns.Len() != turns {
					t.Fatalf("%d take turns, want %d", s.turns.Len(), turns)
				}
			},
		})
		for len(inside)+len(waiting) > 0 {
			if len(inside) > 0 {
				one := inside[0]
				inside = inside[1:]
				s.leave(one, now)
			}
			sort()
		}
		if s.taken != 0 || len(s.parties) != 0 || s.turns.Len() != 0 {
			t.Fatalf("left behind: %d, %d, %d", s.taken, len(s.parties), s.turns.Len())
		}
	})
}

// Whoever has nobody inside waits for one turn of everybody else at most.
func TestTheQuietOneIsNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &turnstile{places: rapid.IntRange(2, 8).Draw(t, "places"), queue: 50}
		loud := rapid.IntRange(1, 6).Draw(t, "loud")
		var inside, waiting []*ticket
		for number := range 30 * loud {
			one, err := s.ask(core.ID{byte(1 + number%loud)}, laneKey{}, began)
			if err != nil {
				t.Fatal(err)
			}
			if in(one) {
				inside = append(inside, one)
			} else {
				waiting = append(waiting, one)
			}
		}
		quiet, err := s.ask(core.ID{99}, laneKey{}, began)
		if err != nil {
			t.Fatal(err)
		}
		others := 0
		for !in(quiet) {
			one := inside[0]
			inside = inside[1:]
			s.leave(one, began)
			for at, next := range waiting {
				if in(next) {
					inside, waiting = append(inside, next), append(waiting[:at:at], waiting[at+1:]...)
					others++
					break
				}
			}
			if others > loud {
				t.Fatalf("%d of %d others went before", others, loud)
			}
		}
	})
}

// Who holds places for long gets fewer turns: what is shared is the time places are held.
func TestHeavyRequestsCountByTheirWeight(t *testing.T) {
	s := &turnstile{places: 1, queue: 2000}
	heavy, light := core.ID{1}, core.ID{2}
	tickets := map[core.ID][]*ticket{}
	var current *ticket
	for range 1000 {
		for _, id := range []core.ID{heavy, light} {
			one, err := s.ask(id, laneKey{}, began)
			if err != nil {
				t.Fatal(err)
			}
			if one.ready == nil {
				current = one
			} else {
				tickets[id] = append(tickets[id], one)
			}
		}
	}
	now, done := began, map[core.ID]int{}
	for range 550 {
		id := current.party.id
		done[id]++
		if id == heavy {
			now = now.Add(100 * time.Millisecond)
		} else {
			now = now.Add(10 * time.Millisecond)
		}
		s.leave(current, now)
		for next, waiting := range tickets {
			if in(waiting[0]) {
				current, tickets[next] = waiting[0], waiting[1:]
				break
			}
		}
	}
	if ratio := float64(done[light]) / float64(done[heavy]); ratio < 9 || ratio > 11 {
		t.Errorf("%d light and %d heavy ones: each had its turn, not its time", done[light], done[heavy])
	}
}

// A crowd of one workspace, each coming back when it was told to, gets through before an identity
// provider gives up, which Okta does at the tenth refusal; also while another workspace comes back at
// once, always.
func TestWhoComesBackWhenToldGetsThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const step, patience = 10 * time.Millisecond, 5 * time.Second
		s := &turnstile{places: rapid.IntRange(2, 16).Draw(t, "places"), queue: DefaultQueue}
		crowd := rapid.IntRange(1, 600).Draw(t, "crowd")
		service := time.Duration(rapid.IntRange(1, 5).Draw(t, "service")) * step
		flood := rapid.Bool().Draw(t, "flood")
		type client struct {
			next    time.Time
			ticket  *ticket
			asked   time.Time
			refused int
			done    bool
		}
		type work struct {
			ticket *ticket
			owner  *client
			until  time.Time
		}
		clients := make([]client, crowd)
		for i := range clients {
			clients[i].next = began
		}
		var inside []work
		floods := make([]client, 300)
		left, now := crowd, began
		move := func(one *client, id core.ID, honest bool) {
			if one.ticket != nil && in(one.ticket) {
				inside, one.ticket = append(inside, work{one.ticket, one, now.Add(service)}), nil
				one.next = now.Add(time.Hour)
				return
			}
			var err error
			switch {
			case one.ticket != nil && now.Sub(one.asked) >= patience:
				err = s.giveUp(one.ticket, now)
				one.ticket = nil
			case one.ticket == nil && !now.Before(one.next):
				one.ticket, err = s.ask(id, laneKey{}, now)
				one.asked = now
			}
			if err != nil && honest {
				if one.refused++; one.refused >= 10 {
					t.Fatalf("refused %d times in a row at %v", one.refused, now.Sub(began))
				}
				one.next = now.Add((retry(err) + time.Second - 1).Truncate(time.Second))
			}
		}
		for left > 0 {
			still := inside[:0]
			for _, one := range inside {
				if now.Before(one.until) {
					still = append(still, one)
					continue
				}
				s.leave(one.ticket, now)
				if one.owner.done = true; one.owner.refused >= 0 && one.owner.next.After(now) {
					one.owner.next = now
				}
			}
			inside = still
			left = 0
			for i := range clients {
				if one := &clients[i]; !one.done {
					left++
					move(one, core.ID{1}, true)
				}
			}
			if flood {
				for i := range floods {
					move(&floods[i], core.ID{2}, false)
				}
			}
			now = now.Add(step)
			if now.Sub(began) > 10*time.Minute {
				t.Fatalf("%d are left after ten minutes", left)
			}
		}
	})
}

func TestTurnstileLeavesNoGhosts(t *testing.T) {
	s := &turnstile{places: 2, queue: 100, wait: 5 * time.Millisecond}
	var all sync.WaitGroup
	for number := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(number%7)*time.Millisecond)
			defer cancel()
			one, err := s.enter(ctx, core.ID{byte(number % 3)}, laneKey{byte(number % 5)}, time.Now)
			if err != nil {
				return
			}
			time.Sleep(time.Duration(number%3) * time.Millisecond)
			s.leave(one, time.Now())
		})
	}
	all.Wait()
	if s.taken != 0 || len(s.parties) != 0 || s.turns.Len() != 0 {
		t.Errorf("left behind: %d, %d, %d", s.taken, len(s.parties), s.turns.Len())
	}
}

func TestRecentForgetsWhatWasLeastRecentlyAskedFor(t *testing.T) {
	r := recent[string, int]{most: 2}
	r.put("a", 1)
	r.put("b", 2)
	r.put("a", 3)
	r.put("c", 4)
	r.drop("nobody")
	if _, found := r.get("b"); found {
		t.Error("b is still known")
	}
	if a, found := r.get("a"); !found || a != 3 {
		t.Errorf("a is %d", a)
	}
	r.drop("a")
	if _, found := r.get("a"); found || r.order.Len() != 1 {
		t.Error("a is still known")
	}
}

func TestAddressesOfOneNetworkShareALane(t *testing.T) {
	for _, same := range [][2]string{{"2001:db8::1", "2001:db8::ffff:1"}, {"192.0.2.1", "::ffff:192.0.2.1"}, {"fe80::1%eth0", "fe80::2"}, {"", "nonsense"}} {
		if addressLane(same[0]) != addressLane(same[1]) {
			t.Errorf("%v have two lanes", same)
		}
	}
	for _, different := range [][2]string{{"2001:db8::1", "2001:db8:0:1::1"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", ""}} {
		if addressLane(different[0]) == addressLane(different[1]) {
			t.Errorf("%v have one lane", different)
		}
	}
}
