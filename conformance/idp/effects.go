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
func (s *simulation) verifyEffects(ctx context.Context) (*Effects, error) {
	if s.Events == nil {
		return nil, nil
	}
	departures := 0
	for _, count := range s.plan.Departures {
		departures += count
	}
	var events []core.Event
	for deadline := time.Now().Add(s.EventsWithin); ; {
		var err error
		if events, err = s.Events(ctx); err != nil {
			return nil, err
		}
		told := 0
		for _, event := range events {
			if event.Type == core.UserDeprovisioned {
				told++
			}
		}
		if told >= departures || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(s.Pause):
		}
	}
	e := &Effects{Departures: departures}
	s.compareStories(e, events)
	return e, nil
}

// departure is what one story (one correlation) did.
type departure struct {
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

func (s *simulation) compareStories(e *Effects, events []core.Event) {
	told := map[core.EventType]map[string]int{core.UserProvisioned: {}, core.UserDeprovisioned: {}, core.UserReactivated: {}, core.UserDeleted: {}}
	stories := map[core.ID]*departure{}
	for _, event := range events {
		if event.Type == core.UserDeprovisioned {
			stories[event.Correlation] = &departure{map[core.ID]int{}, map[core.ID]int{}}
		}
	}
	revoked, planned := map[core.ID]int{}, map[core.ID]int{}
	for _, event := range events {
		if counts, counted := told[event.Type]; counted {
			counts[target(event, "user").String()]++
		}
		account, story := target(event, "account"), stories[event.Correlation]
		switch event.Type {
		case core.AccountUnshared:
			revoked[account]++
			if story != nil {
				story.revoked[account]++
				e.Revoked++
			}
		case core.RotationPlanned:
			planned[account]++
			if story != nil {
				story.planned[account]++
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
			if got := told[kind][s.id(p.Key)]; got != want {
				s.faults.add("%s (user %d, id %s): %d events %s, want %d", p.UserName, p.Key, s.id(p.Key), got, kind, want)
			}
			switch kind {
			case core.UserProvisioned:
				e.Provisioned += told[kind][s.id(p.Key)]
			case core.UserDeprovisioned:
				e.Told += told[kind][s.id(p.Key)]
			case core.UserReactivated:
				e.Returned += told[kind][s.id(p.Key)]
			}
		}
	}
	if s.Shared == nil {
		s.compareEach(stories)
		return
	}
	s.compareShared(revoked, planned)
}

// compareEach asks of every story that it took no account twice, and had what it took rotated.
func (s *simulation) compareEach(stories map[core.ID]*departure) {
	for correlation, story := range stories {
		for account, count := range story.revoked {
			if count != 1 || story.planned[account] != 1 {
				s.faults.add("departure %s: account %s was revoked %d times and its rotation planned %d times", correlation, account, count, story.planned[account])
			}
		}
		for account, count := range story.planned {
			if count != 1 {
				s.faults.add("departure %s: the rotation of account %s was planned %d times", correlation, account, count)
			}
		}
	}
}

// compareShared asks of every account that it was revoked and its rotation planned once for each
// person who had it and left. Nobody who returns gets it back, so a second departure takes nothing.
func (s *simulation) compareShared(revoked, planned map[core.ID]int) {
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
			s.faults.add("account %s: %d people who had it left; %s", account, count,
				fmt.Sprintf("it was revoked %d times and its rotation planned %d times", revoked[account], planned[account]))
		}
	}
	for account, count := range planned {
		if want[account] == 0 {
			s.faults.add("account %s: nobody who had it left, and its rotation was planned %d times", account, count)
		}
	}
}
