package policies

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // machines without time zones know them too

	"postern/core"
)

// Schedule is when a policy rotates by itself: on which days, and in which hours of them. One of Days,
// Weekdays and MonthDays is filled.
type Schedule struct {
	Days      int       `json:"days,omitempty"`       // every so many days, from Start on
	Start     Day       `json:"start,omitzero"`       // with Days: the first; the next window's when it is left out
	Weekdays  []Weekday `json:"weekdays,omitempty"`   // Monday to Sunday
	MonthDays []int     `json:"month_days,omitempty"` // 1 to 31; in a shorter month, its last day
	Zone      string    `json:"zone"`                 // IANA name; UTC when it is left out
	// From and To are a window of each such day, which passes midnight if To is not after From; the whole day
	// if both are 00:00. Rotations begin spread over it.
	From Clock `json:"from"`
	To   Clock `json:"to"`
}

// Day is a day of the calendar, as 2026-11-23.
type Day struct{ time.Time }

// Clock is a time of day in minutes, as 02:30.
type Clock int

// Weekday is a day of the week, as monday.
type Weekday time.Weekday

// dayOf is the day a clock shows somewhere.
func dayOf(at time.Time) Day {
	year, month, day := at.Date()
	return Day{time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}
}

func (d Day) add(days int) Day { return Day{d.AddDate(0, 0, days)} }

// until is how many days later other is.
func (d Day) until(other Day) int { return int(other.Sub(d.Time) / (24 * time.Hour)) }

// String is as in 2026-11-23; empty for none.
func (d Day) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}

// MarshalText implements encoding.TextMarshaler, and with MarshalJSON keeps a day from being a time.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalJSON implements json.Marshaler.
func (d Day) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Day) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Day{}
		return nil
	}
	at, err := time.Parse(time.DateOnly, string(text))
	if err != nil || at.Year() < 2000 || at.Year() > 2200 {
		return core.Invalid("start", "a day is written as 2026-11-23")
	}
	*d = Day{at}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Day) UnmarshalJSON(text []byte) error {
	var day string
	if err := json.Unmarshal(text, &day); err != nil {
		return core.Invalid("start", "a day is written as 2026-11-23")
	}
	return d.UnmarshalText([]byte(day))
}

// String is as in 02:30.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// MarshalText implements encoding.TextMarshaler.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. 24:00 is 00:00.
func (c *Clock) UnmarshalText(text []byte) error {
	if string(text) == "24:00" || len(text) == 0 {
		*c = 0
		return nil
	}
	at, err := time.Parse("15:04", string(text))
	if err != nil {
		return core.Invalid("from", "a time of day is written as 02:30")
	}
	*c = Clock(at.Hour()*60 + at.Minute())
	return nil
}

// String is as in Monday.
func (w Weekday) String() string { return time.Weekday(w).String() }

// MarshalText implements encoding.TextMarshaler.
func (w Weekday) MarshalText() ([]byte, error) { return []byte(strings.ToLower(w.String())), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The first three letters do.
func (w *Weekday) UnmarshalText(text []byte) error {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := day.String(); strings.EqualFold(name, string(text)) || strings.EqualFold(name[:3], string(text)) {
			*w = Weekday(day)
			return nil
		}
	}
	return core.Invalid("weekdays", "a day of the week is monday, tuesday and so on")
}

// ParseSchedule reads a schedule from texts, as people write them: days of the week by name, times of day as 02:30, the
// first day as 2026-11-23. What makes no sense together is told when the policy is kept.
func ParseSchedule(days int, start string, weekdays []string, monthDays []int, zone, from, to string) (*Schedule, error) {
	schedule := &Schedule{Days: days, MonthDays: monthDays, Zone: zone}
	for _, name := range weekdays {
		var day Weekday
		if err := day.UnmarshalText([]byte(name)); err != nil {
			return nil, err
		}
		schedule.Weekdays = append(schedule.Weekdays, day)
	}
	if err := schedule.Start.UnmarshalText([]byte(start)); err != nil {
		return nil, err
	}
	if err := schedule.From.UnmarshalText([]byte(from)); err != nil {
		return nil, err
	}
	if err := schedule.To.UnmarshalText([]byte(to)); err != nil {
		return nil, err
	}
	return schedule, nil
}

// shortest is how long a window is at least: time enough to spread what begins in it.
const shortest = 15 * time.Minute

// checked is a schedule as it is kept, or refused with what is wrong.
func (s Schedule) checked(now time.Time) (Schedule, error) {
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		return s, core.Invalid("zone", "there is no time zone %q; name one such as Europe/Berlin", cut(s.Zone))
	}
	given := 0
	for _, filled := range []bool{s.Days != 0, len(s.Weekdays) > 0, len(s.MonthDays) > 0} {
		if filled {
			given++
		}
	}
	s.MonthDays = slices.Compact(slices.Sorted(slices.Values(s.MonthDays)))
	mondayFirst := func(a, b Weekday) int { return (int(a)+6)%7 - (int(b)+6)%7 }
	s.Weekdays = slices.Compact(slices.SortedFunc(slices.Values(s.Weekdays), mondayFirst))
	switch {
	case given != 1:
		return s, core.Invalid("schedule", "say one: every so many days, on days of the week, or on days of the month")
	case s.Days < 0 || s.Days > 366:
		return s, core.Invalid("days", "every 1 to 366 days")
	case len(s.MonthDays) > 0 && (s.MonthDays[0] < 1 || s.MonthDays[len(s.MonthDays)-1] > 31):
		return s, core.Invalid("month_days", "a day of the month is 1 to 31")
	case !s.Start.IsZero() && s.Days == 0:
		return s, core.Invalid("start", "only an interval in days has a first day")
	case !s.Start.IsZero() && dayOf(now).until(s.Start) > 366:
		return s, core.Invalid("start", "the first day is within a year")
	case s.length() < shortest:
		return s, core.Invalid("to", "a window is at least %d minutes long: what begins in it is spread", int(shortest/time.Minute))
	}
	for _, clock := range []Clock{s.From, s.To} {
		if clock < 0 || clock >= 24*60 {
			return s, core.Invalid("from", "a time of day is 00:00 to 23:59")
		}
	}
	if s.Days > 0 && s.Start.IsZero() {
		daily := s
		daily.Days, daily.Start = 1, dayOf(now).add(-2)
		s.Start = daily.after(now).day
	}
	return s, nil
}

// length is the window's on a day on which no clock is changed.
func (s Schedule) length() time.Duration {
	length := time.Duration(s.To-s.From) * time.Minute
	if length <= 0 {
		length += 24 * time.Hour
	}
	return length
}

func (s Schedule) location() *time.Location {
	location, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.UTC
	}
	return location
}

// opening is a window of one day.
type opening struct {
	day        Day
	start, end time.Time
}

// window is a day's. Where clocks are changed it goes by what they show; a window that they leave out lasts as
// long as it would have.
func (s Schedule) window(day Day) opening {
	at := func(day Day, clock Clock) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), int(clock)/60, int(clock)%60, 0, 0, s.location()).UTC()
	}
	last := day
	if s.To <= s.From {
		last = day.add(1)
	}
	found := opening{day, at(day, s.From), at(last, s.To)}
	if found.end.Sub(found.start) < shortest {
		found.end = found.start.Add(s.length())
	}
	return found
}

// on reports whether a day is one of the schedule's.
func (s Schedule) on(day Day) bool {
	switch {
	case s.Days > 0:
		return s.Start.until(day) >= 0 && s.Start.until(day)%s.Days == 0
	case len(s.Weekdays) > 0:
		return slices.Contains(s.Weekdays, Weekday(day.Weekday()))
	}
	last := day.AddDate(0, 1, -day.Day()).Day()
	return slices.ContainsFunc(s.MonthDays, func(wanted int) bool { return min(wanted, last) == day.Day() })
}

// after is the first occurrence whose window begins later.
func (s Schedule) after(moment time.Time) opening {
	day := dayOf(moment.In(s.location())).add(-1)
	if s.Days > 0 && day.until(s.Start) > 0 {
		day = s.Start
	}
	for ; ; day = day.add(1) {
		if found := s.window(day); s.on(day) && found.start.After(moment) {
			return found
		}
	}
}

// latest is the last occurrence whose window began by a moment, if it is later than the one of the day given.
func (s Schedule) latest(than Day, moment time.Time) (opening, bool) {
	for day := dayOf(moment.In(s.location())).add(1); than.until(day) > 0; day = day.add(-1) {
		if found := s.window(day); s.on(day) && !found.start.After(moment) {
			return found, true
		}
	}
	return opening{}, false
}

// open is what is left of the window, of whatever day, that is open now, if that is worth while; or the next.
func (s Schedule) open(now time.Time) opening {
	for day := dayOf(now.In(s.location())).add(-1); ; day = day.add(1) {
		found := s.window(day)
		if found.end.Sub(now) < shortest/3 {
			continue
		}
		if found.start.Before(now) {
			found.start = now
		}
		return found
	}
}
