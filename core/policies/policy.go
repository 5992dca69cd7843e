package policies

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
)

// Trigger is what makes a policy act.
type Trigger string

// The triggers. A person may always have an account rotated; that is no policy's business.
const (
	TriggerSchedule    Trigger = "schedule"
	TriggerSignIn      Trigger = "sign_in"      // somebody was given the password
	TriggerDeprovision Trigger = "deprovision"  // somebody left
	TriggerLogout      Trigger = "logout"       // somebody was logged out, or a signal says so
	TriggerRevocation  Trigger = "revocation"   // access ended or was taken back from somebody who knows the password
	TriggerOwnerChange Trigger = "owner_change" // an owner came or went
	TriggerAdminChange Trigger = "admin_change" // somebody became an administrator, or is none any more
	TriggerLinkEnd     Trigger = "link_end"     // a public link ended
)

// Triggers lists them all, in the order in which people read them.
var Triggers = []Trigger{
	TriggerSchedule, TriggerSignIn, TriggerDeprovision, TriggerLogout, TriggerRevocation, TriggerLinkEnd, TriggerOwnerChange, TriggerAdminChange,
}

// Default reports whether a trigger rotates everything in a workspace that says nothing about it.
func (t Trigger) Default() bool {
	switch t {
	case TriggerDeprovision, TriggerLogout, TriggerRevocation, TriggerLinkEnd:
		return true
	case TriggerSchedule, TriggerSignIn, TriggerOwnerChange, TriggerAdminChange:
	}
	return false
}

// Spacing is what a policy of the trigger leaves between two rotations of an account if it does not say.
func (t Trigger) Spacing() time.Duration {
	if t.Default() {
		return 0
	}
	return 24 * time.Hour
}

// reason is what a rotation's reader is told: there is one of the same name for each trigger.
func (t Trigger) reason() rotation.Reason { return rotation.Reason(t) }

// priority is 1 (first) to 4, of a rotation's jobs: leavers come before schedules.
func (t Trigger) priority() int {
	switch t {
	case TriggerSchedule:
		return 4
	case TriggerSignIn, TriggerOwnerChange, TriggerAdminChange:
		return 3
	case TriggerDeprovision, TriggerLogout, TriggerRevocation, TriggerLinkEnd:
	}
	return 1
}

// Covers says what the accounts of a scope are named by.
type Covers string

// The scopes.
const (
	All      Covers = "all"
	Apps     Covers = "apps"
	Tags     Covers = "tags"
	Accounts Covers = "accounts"
)

// Scope is which accounts a policy is about. Only the list that Covers names is filled.
type Scope struct {
	Covers   Covers    `json:"covers"`
	Apps     []core.ID `json:"apps,omitempty"`
	Tags     []string  `json:"tags,omitempty"` // any of them
	Accounts []core.ID `json:"accounts,omitempty"`
	Excluded []core.ID `json:"excluded,omitempty"` // never these accounts
}

// Policy is what starts rotations.
type Policy struct {
	ID      core.ID // zero: the default of its trigger, which nobody changed
	Name    string
	Trigger Trigger
	Enabled bool
	Scope   Scope
	// Spacing is how long ago an account's last rotation must have finished. Whoever knows the current
	// password and leaves, is logged out or loses access is locked out whatever it says.
	Spacing  time.Duration
	Delay    time.Duration // of sign_in: how long after
	Schedule *Schedule     // of schedule
	Version  int
	Created  time.Time
	Updated  time.Time

	Round Round // how far the schedule has come
}

// Target is the policy as what something happened to.
func (p Policy) Target() core.Target { return core.Target{Kind: "policy", ID: p.ID, Name: p.Name} }

// DefaultOf is what holds about a trigger as long as nobody says otherwise.
func DefaultOf(trigger Trigger) Policy {
	return Policy{Trigger: trigger, Name: defaultNames[trigger], Enabled: trigger.Default(), Scope: Scope{Covers: All}, Spacing: trigger.Spacing()}
}

var defaultNames = map[Trigger]string{
	TriggerDeprovision: "Whoever leaves", TriggerLogout: "Whoever is logged out", TriggerRevocation: "Whoever loses access", TriggerLinkEnd: "A link ends",
}

// The limits of a policy.
const (
	MaxName    = 100
	maxListed  = 1000
	maxSpacing = 366 * 24 * time.Hour
	maxDelay   = 30 * 24 * time.Hour
)

// checked is a policy as it is kept: complete, in order, or refused with what is wrong.
func (p Policy) checked(now time.Time) (Policy, error) {
	p.Name = strings.TrimSpace(p.Name)
	switch {
	case p.Name == "" || utf8.RuneCountInString(p.Name) > MaxName || !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, control):
		return p, core.Invalid("name", "give the policy a name of at most %d characters", MaxName)
	case p.Trigger == "manual":
		return p, core.Invalid("trigger", "a person may always rotate an account; there is no policy for it")
	case !slices.Contains(Triggers, p.Trigger):
		return p, core.Invalid("trigger", "there is no trigger %q", cut(string(p.Trigger)))
	case p.Spacing < 0 || p.Spacing > maxSpacing:
		return p, core.Invalid("spacing", "at least no time, and at most a year, lies between two rotations")
	case p.Delay < 0 || p.Delay > maxDelay:
		return p, core.Invalid("delay", "a delay is at most 30 days")
	case p.Delay > 0 && p.Trigger != TriggerSignIn:
		return p, core.Invalid("delay", "only a rotation after a sign-in can be delayed")
	case p.Trigger == TriggerSchedule && p.Schedule == nil:
		return p, core.Invalid("schedule", "say when: every so many days, on days of the week, or on days of the month")
	case p.Trigger != TriggerSchedule && p.Schedule != nil:
		return p, core.Invalid("schedule", "only a policy of the trigger schedule has one")
	}
	p.Spacing, p.Delay = p.Spacing.Truncate(time.Microsecond), p.Delay.Truncate(time.Microsecond)
	var err error
	if p.Scope, err = p.Scope.checked(); err != nil || p.Schedule == nil {
		return p, err
	}
	schedule, err := p.Schedule.checked(now)
	p.Schedule = &schedule
	return p, err
}

func (s Scope) checked() (Scope, error) {
	s.Covers = cmp.Or(s.Covers, All)
	s.Apps, s.Accounts, s.Excluded = core.Each(s.Apps), core.Each(s.Accounts), core.Each(s.Excluded)
	tags, err := accounts.CheckTags(s.Tags)
	if err != nil {
		return s, err
	}
	s.Tags = tags
	named := map[Covers]int{Apps: len(s.Apps), Tags: len(s.Tags), Accounts: len(s.Accounts)}
	if _, known := named[s.Covers]; !known && s.Covers != All {
		return s, core.Invalid("covers", "a policy covers all accounts, or those of apps, with tags, or in a list of accounts")
	}
	for covers, count := range named {
		switch {
		case covers == s.Covers && count == 0:
			return s, core.Invalid(string(covers), "name at least one, or let the policy cover all accounts")
		case covers != s.Covers && count > 0:
			return s, core.Invalid(string(covers), "the policy covers %s: name nothing else", s.Covers)
		case count > maxListed:
			return s, core.Invalid(string(covers), "name at most %d", maxListed)
		}
	}
	if len(s.Excluded) > maxListed {
		return s, core.Invalid("excluded", "exclude at most %d accounts", maxListed)
	}
	return s, nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func cut(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "…"
	}
	return text
}
