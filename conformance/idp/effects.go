package idp

import (
	"context"
	"fmt"
	"time"

	"postern/core"
)

// Effects are what the events tell of, beside what the plan asks for.
type Effects struct {
	Departures  int // people who left, as planned
	Told        int // user.deprovisioned
	Returned    int // user.reactivated
	Provisioned int // user.provisioned
	Revoked     int // grants that ended with a departure
	Planned     int // rotations planned with a departure
}

// verifyEffects compares what was recorded with what happened: each person provisioned once, each
// departure told once, each account they had been given revoked once and its rotation planned once.
// What follows from a departure is done after its request was answered, so what is missing is waited for.
func (s *simulation) verifyEffects(ctx context.Context) (*Effects, error) {
	if s.Events == nil {
		return nil, nil
	}
	departures := 0
	for _, count := range s.plan.Departures {
		departures += count
	}
	for deadline := time.Now().Add(s.EventsWithin); ; {
		events, err := s.Events(ctx)
		if err != nil {
			return nil, err
		}
		e, found := &Effects{Departures: departures}, &faults{}
		s.compareStories(e, events, found)
		if found.count() == 0 || time.Now().After(deadline) {
			s.faults.addAll(found)
			return e, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(s.Pause):
		}
	}
}

// story is what one cause did: a request one departure, an administrator's approval perhaps many.
type story struct {
	people  int
	revoked map[core.ID]int // account to how often
	planned map[core.ID]int
}

func target(event core.Event, kind string) core.ID {
	for _, one := range event.Targets {
		if one.Kind == kind {
			return one.ID
		}
	}
	return core.ID{}
}

func (s *simulation) compareStories(e *Effects, events []core.Event, faults *faults) {
	counted := map[core.EventType]map[string]int{core.UserProvisioned: {}, core.UserDeprovisioned: {}, core.UserReactivated: {}, core.UserDeleted: {}}
	stories := map[core.ID]*story{}
	for _, event := range events {
		if event.Type == core.UserDeprovisioned {
			if stories[event.Correlation] == nil {
				stories[event.Correlation] = &story{0, map[core.ID]int{}, map[core.ID]int{}}
			}
			stories[event.Correlation].people++
		}
	}
	revoked, planned := map[core.ID]int{}, map[core.ID]int{}
	for _, event := range events {
		if counts := counted[event.Type]; counts != nil {
			counts[target(event, "user").String()]++
		}
		account, told := target(event, "account"), stories[event.Correlation]
		switch event.Type {
		case core.AccountUnshared:
			revoked[account]++
			if told != nil {
				told.revoked[account]++
				e.Revoked++
			}
		case core.RotationPlanned:
			planned[account]++
			if told != nil {
				told.planned[account]++
				e.Planned++
			}
		}
	}
	for _, p := range s.plan.States[len(s.plan.States)-1].People {
		deleted := 0
		if p.Status == Deleted {
			deleted = 1
		}
		for kind, want := range map[core.EventType]int{
			core.UserProvisioned: 1, core.UserDeprovisioned: s.plan.Departures[p.Key], core.UserReactivated: s.plan.Returns[p.Key], core.UserDeleted: deleted,
		} {
			if got := counted[kind][s.id(p.Key)]; got != want {
				faults.add("%s (user %d, id %s): %d events %s, want %d", p.UserName, p.Key, s.id(p.Key), got, kind, want)
			}
			switch kind {
			case core.UserProvisioned:
				e.Provisioned += counted[kind][s.id(p.Key)]
			case core.UserDeprovisioned:
				e.Told += counted[kind][s.id(p.Key)]
			case core.UserReactivated:
				e.Returned += counted[kind][s.id(p.Key)]
			}
		}
	}
	if s.Shared == nil {
		compareEach(stories, faults)
		return
	}
	s.compareShared(revoked, planned, faults)
}

// compareEach asks of every story that it had the password of every account it took changed, and took
// none more often than people left in it.
func compareEach(stories map[core.ID]*story, faults *faults) {
	for correlation, one := range stories {
		for account, count := range one.revoked {
			if count > one.people || one.planned[account] < count {
				faults.add("departure %s of %d: account %s was revoked %d times and its rotation planned %d times",
					correlation, one.people, account, count, one.planned[account])
			}
		}
		for account, count := range one.planned {
			if count > one.people {
				faults.add("departure %s of %d: the rotation of account %s was planned %d times", correlation, one.people, account, count)
			}
		}
	}
}

// compareShared asks of every account that it was revoked and its rotation planned once for each
// person who had it and left. Nobody who returns gets it back, so a second departure takes nothing.
func (s *simulation) compareShared(revoked, planned map[core.ID]int, faults *faults) {
	want := map[core.ID]int{}
	shared := s.Shared()
	for key, p := range s.people {
		id, err := core.ParseID(p.id)
		if err != nil || s.plan.Departures[key] == 0 {
			continue
		}
		for _, account := range shared[id] {
			want[account]++
		}
	}
	for account, count := range want {
		if revoked[account] != count || planned[account] != count {
			faults.add("account %s: %d people who had it left; %s", account, count,
				fmt.Sprintf("it was revoked %d times and its rotation planned %d times", revoked[account], planned[account]))
		}
	}
	for account, count := range planned {
		if want[account] == 0 {
			faults.add("account %s: nobody who had it left, and its rotation was planned %d times", account, count)
		}
	}
}
