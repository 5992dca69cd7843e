package policies

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var upon = map[Trigger]string{
	TriggerDeprovision: "as soon as somebody leaves who could use them",
	TriggerLogout:      "as soon as somebody who could use them is logged out, or a signal asks for it",
	TriggerRevocation:  "as soon as somebody who knows their password loses access",
	TriggerLinkEnd:     "as soon as a link to them ends",
	TriggerOwnerChange: "when an owner of theirs comes or goes",
	TriggerAdminChange: "when somebody who can use them becomes an administrator, or is none any more",
}

// sentence says what a policy does, for a person.
func (p Policy) sentence(count int, apps []string, next *time.Time) string {
	text := "Rotates "
	if !p.Enabled {
		text = "Off. Switched on, it rotates "
	}
	text += p.Scope.words(count, apps)
	switch p.Trigger {
	case TriggerSchedule:
		text += " " + p.Schedule.words()
	case TriggerSignIn:
		if p.Delay > 0 {
			text += " " + lasting(p.Delay)
		}
		text += " after a sign-in"
	case TriggerDeprovision, TriggerLogout, TriggerRevocation, TriggerLinkEnd, TriggerOwnerChange, TriggerAdminChange:
		text += " " + upon[p.Trigger]
	}
	if p.Spacing > 0 {
		text += ", each at most once in " + lasting(p.Spacing)
		if p.Trigger.Default() {
			text += " unless somebody knows the password"
		}
	}
	if next != nil && p.Enabled {
		text += ", next: " + next.In(p.Schedule.location()).Format("Monday 2 January 2006 15:04")
	}
	return text + "."
}

func (s Scope) words(count int, apps []string) string {
	some := strconv.Itoa(count) + " accounts"
	if count == 1 {
		some = "1 account"
	}
	switch s.Covers {
	case All:
		some = "all " + some
		if count == 1 {
			some = "the only account"
		}
	case Apps:
		some += " of " + listing(apps)
	case Tags:
		some += " tagged " + strings.ReplaceAll(listing(s.Tags), " and ", " or ")
	case Accounts:
	}
	if len(s.Excluded) > 0 {
		some += fmt.Sprintf(" (%d excluded)", len(s.Excluded))
	}
	return some
}

func (s *Schedule) words() string {
	text := "every day"
	switch {
	case s.Days > 1:
		text = "every " + strconv.Itoa(s.Days) + " days"
	case len(s.Weekdays) > 0 && len(s.Weekdays) < 7:
		var days []string
		for _, day := range s.Weekdays {
			days = append(days, day.String()+"s")
		}
		text = "on " + listing(days)
	case len(s.MonthDays) > 0:
		var days []string
		for _, day := range s.MonthDays {
			days = append(days, strconv.Itoa(day)+".")
		}
		text = "on the " + listing(days) + " of each month"
	}
	if s.From == s.To && s.From == 0 {
		return text + ", all day long " + s.Zone
	}
	return text + ", " + s.From.String() + "–" + s.To.String() + " " + s.Zone
}

// listing is a, b and c; of many, the first.
func listing(words []string) string {
	if len(words) > 4 {
		words = append(words[:3:3], strconv.Itoa(len(words)-3)+" more")
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// lasting is a length of time as a person says it.
func lasting(length time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if length >= unit.of && length%unit.of == 0 {
			if count := int(length / unit.of); count != 1 {
				return fmt.Sprintf("%d %ss", count, unit.name)
			}
			return "1 " + unit.name
		}
	}
	return length.String()
}
