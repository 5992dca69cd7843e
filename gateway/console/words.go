package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/health"
	"postern/core/importing"
	"postern/core/lifecycle"
	"postern/core/links"
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/services"
	"postern/core/signals"
	"postern/gateway/doctor"
)

// badge is a state as a person reads it: a word, and a tone that also has a sign, for nobody should
// have to tell colours apart.
type badge struct {
	Word string
	Tone string // good, busy, warn, bad, calm
	Hint string
}

var accountStates = map[accounts.State]badge{
	accounts.Unvalidated:     {Word: "Not proven yet", Tone: "calm", Hint: "No sign-in has proved the stored password yet"},
	accounts.Validated:       {Word: "In sync", Tone: "good", Hint: "A sign-in proved the stored password"},
	accounts.DesyncSuspected: {Word: "Perhaps out of sync", Tone: "warn", Hint: "The app may have another password"},
	accounts.Desynced:        {Word: "Out of sync", Tone: "bad", Hint: "The app refuses the stored password"},
	accounts.Unmanaged:       {Word: "Unmanaged", Tone: "warn", Hint: "Nobody keeps the password up to date"},
	accounts.AppDisabled:     {Word: "Locked by the app", Tone: "bad", Hint: "The app has locked or disabled the login"},
	health.Orphaned:          {Word: "Without an owner", Tone: "warn", Hint: "Nobody active owns it"},
	accounts.AtRisk:          {Word: "At risk", Tone: "bad", Hint: "Somebody who left may still know the password"},
}

var rotationStates = map[rotation.State]badge{
	rotation.StatePlanned:     {Word: "Planned", Tone: "busy", Hint: "Waits for a worker"},
	rotation.StateStored:      {Word: "Next password sealed", Tone: "busy", Hint: "It is in the vault before the app sees it"},
	rotation.StateArmed:       {Word: "At the app", Tone: "busy", Hint: "A browser signs in and fills in the form"},
	rotation.StateSubmitted:   {Word: "Sent", Tone: "busy", Hint: "The request left; from here on only sign-ins tell"},
	rotation.StateProbing:     {Word: "Finding out", Tone: "busy", Hint: "What does the app take?"},
	rotation.StateNewProven:   {Word: "New password accepted", Tone: "busy", Hint: "A fresh sign-in with it worked"},
	rotation.StateOldDead:     {Word: "Old password refused", Tone: "busy", Hint: "A fresh sign-in with it was turned away"},
	rotation.StateDone:        {Word: "Done", Tone: "good", Hint: "Proved by fresh sign-ins"},
	rotation.StateNotSent:     {Word: "Nothing was sent", Tone: "warn", Hint: "Certain: no request left"},
	rotation.StateUnchanged:   {Word: "Unchanged", Tone: "warn", Hint: "The old password still works; tried again later"},
	rotation.StateDrifted:     {Word: "Drifted", Tone: "warn", Hint: "A password from history works"},
	rotation.StateUnknown:     {Word: "Unknown", Tone: "bad", Hint: "No stored password works"},
	rotation.StateReconciling: {Word: "Being reset", Tone: "busy", Hint: "The app’s administrator, or the link of its mail, sets the next password"},
	rotation.StateBlocked:     {Word: "Needs a person", Tone: "bad", Hint: "Ask again once what it says is settled"},
}

// reasons say why a rotation began, as the beginning of a sentence.
var reasons = map[rotation.Reason]string{
	rotation.ReasonDeprovision: "Because somebody left", rotation.ReasonRevocation: "Because access was revoked",
	rotation.ReasonLogout: "Because of a universal logout", rotation.ReasonManual: "On request", rotation.ReasonSignIn: "After a sign-in",
	rotation.ReasonSchedule: "On schedule", rotation.ReasonVerify: "To prove the stored password",
	rotation.ReasonLinkEnd: "Because a link ended", rotation.ReasonOwnerChange: "Because an owner came or went", rotation.ReasonAdminChange: "Because an administrator came or went",
	rotation.ReasonEnrol: "To turn on the second factor",
}

// words are what the templates say things with.
func (s *Service) words() template.FuncMap {
	return template.FuncMap{
		"asset":         func(name string) string { return s.assets[name].address },
		"account":       func(state accounts.State) badge { return known(accountStates, state) },
		"outcome":       func(outcome rotation.Outcome) badge { return known(checkOutcomes, outcome) },
		"ability":       func(can rotation.Capability) string { return abilities[can] },
		"checked":       func(reason health.Reason) string { return checkReasons[reason] },
		"offers":        offers,
		"rotation":      func(state rotation.State) badge { return known(rotationStates, state) },
		"step":          step,
		"sentence":      sentence,
		"capital":       capital,
		"tail":          tailOf,
		"held":          func(state lifecycle.State) badge { return known(heldStates, state) },
		"whereabouts":   whereabouts,
		"signalled":     func(outcome signals.Outcome) badge { return known(signalOutcomes, outcome) },
		"commands":      commandWords,
		"reviewing":     func(state reviews.State) badge { return known(reviewStates, state) },
		"verdict":       func(verdict reviews.Verdict) badge { return known(verdicts, verdict) },
		"date":          func(at time.Time) string { return at.UTC().Format("2 January 2006") },
		"certified":     func(state certificates.State) badge { return known(certificateStates, state) },
		"fate":          func(fate certificates.Fate) badge { return known(fates, fate) },
		"severity":      func(severity posture.Severity) badge { return known(gradings, severity) },
		"reassigned":    func(outcome posture.Outcome) badge { return known(outcomes, outcome) },
		"share":         func(part, of int) int { return 1000 * part / max(of, 1) },
		"imported":      func(state importing.State) badge { return known(importStates, state) },
		"rowed":         func(outcome importing.Outcome) badge { return known(importOutcomes, outcome) },
		"format":        nameOfFormat,
		"finding_words": func(kind services.FindingKind) string { return findingWords[kind] },
		"found_state":   func(state services.FindingState) badge { return known(findingStates, state) },
		"service_state": func(state services.State) badge { return known(serviceStates, state) },
		"levels":        func(all ...string) []string { return all },
		"millis":        func(millis int64) string { return span(time.Duration(millis) * time.Millisecond) },
		"does":          slices.Contains[[]signals.Command],
		"found":         func(level doctor.Level) badge { return known(doctorLevels, level) },
		"door":          doctor.DoorName,
		"seconds":       doctor.Span,
		"reason":        func(reason rotation.Reason) string { return reasons[reason] },
		"ago":           s.ago,
		"stamp":         func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") },
		"clock":         func(at time.Time) string { return at.UTC().Format("15:04:05.000") },
		"machine":       func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) },
		"span":          span,
		"initial":       initial,
		"tint":          tint,
		"join":          strings.Join,
		"plural":        core.Count,
		"linked":        func(state links.State) badge { return known(linkStates, state) },
		"guested":       func(state links.GuestState) badge { return known(guestStates, state) },
		"overlaps":      func() any { return overlaps },
		"letters": func(all []sent, at string) any {
			return struct {
				Sent []sent
				At   string
			}{all, at}
		},
		"level": func(level string) string {
			return map[string]string{"entered": "entered it", "injected": "signed in for them", "filled": "used it", "revealed": "saw it", "code": "was given a one-time code", "message": "read a message",
				"totp_entered": "entered its TOTP secret", "backup_entered": "entered its backup codes", "backup_code": "was given a backup code"}[level]
		},
		"secret": func(kind certificates.SecretKind) string {
			return map[certificates.SecretKind]string{certificates.TOTPSecret: "TOTP secret", certificates.BackupCodes: "backup codes", certificates.BackupCode: "a backup code",
				certificates.ServiceToken: "token", certificates.ServiceKey: "key", certificates.ServicePassword: "password"}[kind]
		},
		"role": func(role any) string { return strings.ReplaceAll(fmt.Sprint(role), "_", " ") },
	}
}

// step is a state as an entry of the history: a proof is good for ever, though the rotation goes on.
func step(state rotation.State) badge {
	told := known(rotationStates, state)
	if state == rotation.StateNewProven || state == rotation.StateOldDead {
		told.Tone = "good"
	}
	return told
}

// sentence begins a text with a capital letter and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = capital(text)
	if last, _ := utf8.DecodeLastRuneInString(text); !unicode.IsPunct(last) {
		text += "."
	}
	return text
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func known[State ~string](words map[State]badge, state State) badge {
	if word, ok := words[state]; ok {
		return word
	}
	return badge{Word: string(state), Tone: "calm"}
}

// ago is a time as one would say it. Pages refine it in the reader's own time zone.
func (s *Service) ago(at time.Time) string {
	passed := s.now().Sub(at)
	if passed < 0 {
		return "in " + about(-passed)
	}
	if passed < 5*time.Second {
		return "just now"
	}
	return about(passed) + " ago"
}

func about(passed time.Duration) string {
	switch {
	case passed < time.Minute:
		return fmt.Sprintf("%d s", int(passed.Seconds()))
	case passed < time.Hour:
		return fmt.Sprintf("%d min", int(passed.Minutes()))
	case passed < 48*time.Hour:
		return fmt.Sprintf("%d h", int(passed.Hours()))
	}
	return fmt.Sprintf("%d days", int(passed.Hours()/24))
}

// span is a duration with the precision one cares for.
func span(passed time.Duration) string {
	switch {
	case passed < 0:
		return "–"
	case passed < time.Second:
		return fmt.Sprintf("%d ms", passed.Milliseconds())
	case passed < time.Minute:
		return fmt.Sprintf("%.1f s", passed.Seconds())
	case passed < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(passed.Minutes()), int(passed.Seconds())%60)
	}
	return about(passed)
}

func initial(name string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimSpace(name))
	if first == utf8.RuneError {
		return "·"
	}
	return string(unicode.ToUpper(first))
}

// tint gives a name one of a few colours, always the same.
func tint(name string) string {
	sum := 0
	for _, r := range name {
		sum = sum*31 + int(r)
	}
	if sum < 0 {
		sum = -sum
	}
	return fmt.Sprintf("tint-%d", sum%6)
}

// targetOf finds what an event tells of, by kind.
func targetOf(event core.Event, kind string) (core.Target, bool) {
	for _, target := range event.Targets {
		if target.Kind == kind {
			return target, true
		}
	}
	return core.Target{}, false
}
