package policies

import (
	"math"
	"time"
)

// Round is how far a schedule has come with an occurrence: the one under way, or the next. An account's place
// is a number that is as good as random and always the same; a round goes through the accounts in its order.
type Round struct {
	Day      Day // of the schedule; zero: there is none
	Starts   time.Time
	Ends     time.Time
	Planned  int        // rotations begun in it, or in the one before as long as it waits
	Passed   int        // accounts passed over, likewise
	Finished *time.Time // when an occurrence was last carried out to its end

	base int64      // the place that is due at Starts
	done int64      // the last place seen to; -1: none
	next *time.Time // when somebody has to look again
}

const places = math.MaxInt64

// begin is the round of an occurrence of which nothing is done yet.
func begin(found opening) Round {
	return Round{Day: found.day, Starts: found.start, Ends: found.end, done: -1, next: &found.start}
}

// following is the round after one that is carried out.
func (r Round) following(schedule *Schedule, now time.Time) Round {
	next := begin(schedule.after(later(now, r.Starts)))
	next.Planned, next.Passed, next.Finished = r.Planned, r.Passed, r.Finished
	return next
}

// first is the round a policy begins with when it is made or changed.
func (p Policy) first(now time.Time) Round {
	if p.Schedule == nil || !p.Enabled {
		return Round{done: -1}
	}
	return begin(p.Schedule.after(now))
}

// spread is the part of the window in which rotations are due: what is due last is still found before its end.
func (r Round) spread() time.Duration {
	length := r.Ends.Sub(r.Starts)
	return length - min(time.Minute, length/10)
}

// upto is the last place that is due.
func (r Round) upto(now time.Time) int64 {
	share := float64(now.Sub(r.Starts)) / float64(r.spread())
	if share >= 1 {
		return places
	}
	return r.base + int64(share*float64(places-r.base))
}

// Slot is when the account of a place is due.
func (r Round) Slot(place int64) time.Time {
	share := float64(place-r.base) / float64(places-r.base)
	return r.Starts.Add(time.Duration(share * float64(r.spread()))).Truncate(time.Microsecond)
}

// resume is how a round goes on that somebody looks at now. What its window was over for, because nobody ran,
// has the rest of the window of that day or the next; if another occurrence has come by then, that one is for all.
func (r Round) resume(schedule *Schedule, now time.Time) Round {
	late := r.next != nil && now.Sub(*r.next) > shortest/3
	if now.Before(r.Ends) && !late {
		return r
	}
	open := schedule.open(now)
	if newer, found := schedule.latest(r.Day, open.start); found {
		r.Day, r.done = newer.day, -1
	}
	r.base, r.Starts, r.Ends, r.next = r.done+1, open.start, open.end, &open.start
	return r
}

func later(one, other time.Time) time.Time {
	if one.Before(other) {
		return other
	}
	return one
}
