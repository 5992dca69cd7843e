package policies

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo", "America/Havana"}

func schedules(t *rapid.T, now time.Time) Schedule {
	s := Schedule{
		Zone: rapid.SampledFrom(zones).Draw(t, "zone"),
		From: Clock(rapid.IntRange(0, 24*60-1).Draw(t, "from")), To: Clock(rapid.IntRange(0, 24*60-1).Draw(t, "to")),
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		s.Days = rapid.IntRange(1, 120).Draw(t, "days")
	case 1:
		for _, day := range rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 1, 7, rapid.ID).Draw(t, "weekdays") {
			s.Weekdays = append(s.Weekdays, Weekday(day))
		}
	default:
		s.MonthDays = rapid.SliceOfNDistinct(rapid.IntRange(1, 31), 1, 4, rapid.ID).Draw(t, "month days")
	}
	checked, err := s.checked(now)
	if err != nil {
		t.Skip(err)
	}
	return checked
}

func moment(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(1_600_000_000, 2_000_000_000).Draw(t, "moment"), 0).UTC()
}

// Occurrences come one after the other, each on a day of the schedule, none left out.
func TestOccurrencesComeOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := moment(t)
		s := schedules(t, now)
		found := s.after(now)
		for range 20 {
			next := s.after(found.start)
			if !s.on(next.day) || found.day.until(next.day) < 1 {
				t.Fatalf("%v follows %v", next, found)
			}
			for day := found.day.add(1); day.until(next.day) > 0; day = day.add(1) {
				if s.on(day) {
					t.Fatalf("%v is left out between %v and %v", day, found, next)
				}
			}
			if length := next.end.Sub(next.start); length < shortest || length > 26*time.Hour {
				t.Fatalf("the window of %v lasts %v", next, length)
			}
			if latest, ok := s.latest(found.day, next.start); !ok || latest.day != next.day {
				t.Fatalf("the latest is %v, want %v", latest, next)
			}
			if latest, ok := s.latest(found.day, next.start.Add(-time.Microsecond)); ok {
				t.Fatalf("%v is later than %v before %v", latest, found, next)
			}
			found = next
		}
	})
}

// A month has as many occurrences as days are named that fall on different ones.
func TestShortMonthsEndWithTheirLastDay(t *testing.T) {
	s := Schedule{MonthDays: []int{31}, Zone: "UTC"}
	at := time.Date(2027, 12, 31, 12, 0, 0, 0, time.UTC)
	for _, want := range []string{"2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"} {
		found := s.after(at)
		if found.day.String() != want {
			t.Fatalf("got %v, want %s", found.day, want)
		}
		at = found.start
	}
}

func TestWindowsWhereClocksAreChanged(t *testing.T) {
	for _, one := range []struct{ name, zone, day, from, to, start, end string }{
		{"a usual night", "Europe/Berlin", "2026-03-28", "02:00", "04:00", "2026-03-28T01:00:00Z", "2026-03-28T03:00:00Z"},
		{"an hour is left out", "Europe/Berlin", "2026-03-29", "02:00", "04:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"the whole window is left out", "Europe/Berlin", "2026-03-29", "02:00", "03:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"an hour comes twice", "Europe/Berlin", "2026-10-25", "02:00", "04:00", "2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"},
		{"past midnight", "Europe/Berlin", "2026-10-24", "22:00", "03:00", "2026-10-24T20:00:00Z", "2026-10-25T02:00:00Z"},
		{"a day of 23 hours", "Europe/Berlin", "2026-03-29", "00:00", "00:00", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a day of 25 hours", "Europe/Berlin", "2026-10-25", "00:00", "00:00", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"half an hour is left out", "Australia/Lord_Howe", "2026-10-04", "02:00", "03:00", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"},
	} {
		t.Run(one.name, func(t *testing.T) {
			s, err := ParseSchedule(1, "2026-01-01", nil, nil, one.zone, one.from, one.to)
			if err != nil {
				t.Fatal(err)
			}
			var day Day
			if err := day.UnmarshalText([]byte(one.day)); err != nil {
				t.Fatal(err)
			}
			found := s.window(day)
			if start, end := found.start.Format(time.RFC3339), found.end.Format(time.RFC3339); start != one.start || end != one.end {
				t.Errorf("got %s to %s, want %s to %s", start, end, one.start, one.end)
			}
		})
	}
}

// Whatever the processes do, each place is seen to once for an occurrence, within its window, spread over it; what was
// missed is made up for in the next window, unless the next occurrence has come.
func TestEveryPlaceOnceWithinTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := moment(t)
		s := schedules(t, now)
		count := rapid.IntRange(1, 300).Draw(t, "accounts")
		pending := map[int64]string{} // the occurrence a place was last seen to in
		var all []int64
		for i := range count {
			all = append(all, places/int64(count)*int64(i)+rapid.Int64Range(0, places/int64(count)-1).Draw(t, "place"))
		}
		round := begin(s.after(now))
		seen := map[string]int{}
		for range rapid.IntRange(20, 200).Draw(t, "looks") {
			now = *round.next
			switch rapid.IntRange(0, 9).Draw(t, "pause") {
			case 0: // nobody ran for a long time
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(t, "away")))
			default:
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(lookEvery)).Draw(t, "late")))
			}
			before := round
			round = round.resume(&s, now)
			if round.Day != before.Day && before.Day.until(round.Day) < 0 {
				t.Fatalf("back from %v to %v", before.Day, round.Day)
			}
			if round.Starts.After(now) {
				continue
			}
			day := dayOf(round.Starts.In(s.location()))
			inside := false
			for _, near := range []Day{day.add(-1), day, day.add(1)} {
				window := s.window(near)
				inside = inside || !now.Before(window.start) && now.Before(window.end)
			}
			if !inside {
				t.Fatalf("looks for work at %v, outside every window (%+v)", now, round)
			}
			upto := round.upto(now)
			if upto < round.done {
				t.Fatalf("went back: %d after %d", upto, round.done)
			}
			for _, place := range all {
				if place <= round.done || place > upto {
					continue
				}
				if pending[place] == round.Day.String() {
					t.Fatalf("%d twice in %v", place, round.Day)
				}
				pending[place] = round.Day.String()
				seen[round.Day.String()]++
				if slot := round.Slot(place); slot.After(now.Add(time.Millisecond)) || now.Sub(slot) > shortest {
					t.Fatalf("%d is due %v, and seen to %v", place, slot, now)
				}
			}
			if upto == places {
				if seen[round.Day.String()] != count {
					t.Fatalf("%d of %d in %v", seen[round.Day.String()], count, round.Day)
				}
				round = round.following(&s, now)
				continue
			}
			round.done, round.next = upto, new(now.Add(lookEvery))
			if last := round.Starts.Add(round.spread()); last.Before(*round.next) {
				round.next = &last
			}
		}
	})
}

func TestSchedulesThatMakeNoSense(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for field, s := range map[string]Schedule{
		"zone": {Days: 1, Zone: "Mars/Olympus"}, "schedule": {}, "days": {Days: 400}, "month_days": {MonthDays: []int{32}}, "to": {Days: 1, From: 60, To: 65},
		"start": {Weekdays: []Weekday{1}, Start: dayOf(now)},
	} {
		if _, err := s.checked(now); err == nil {
			t.Errorf("%s: %+v was taken", field, s)
		}
	}
	s, err := Schedule{Days: 90, Zone: "Europe/Berlin", From: 120, To: 240}.checked(now)
	if err != nil || s.Start.String() != "2026-11-22" {
		t.Errorf("the first day is %v (%v), want the next window's", s.Start, err)
	}
}
