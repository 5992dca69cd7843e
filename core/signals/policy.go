package signals

import (
	"slices"
	"strings"

	"postern/core"
)

// Case is what a policy is about: a kind of signal, or a kind and what it says, such as risk_changed.high. The
// narrower one wins.
type Case string

// saying are the facts that make a kind two cases or more.
var saying = map[Kind]string{
	AccountDisabled:         FactReason,
	DeviceComplianceChanged: "current_status",
	RiskChanged:             "current_level",
	AssuranceChanged:        "change_direction",
	CredentialChanged:       "change_type",
	Logout:                  FactScope,
}

// Rule is what Postern does about a case.
type Rule struct {
	Case     Case
	Commands []Command
	Why      string // for a person: what the case means, and why this is done
}

// Defaults is the table of what is done as long as nobody says otherwise.
var Defaults = []Rule{
	{"account_purged", []Command{EndSessions, Deprovision},
		"The account was deleted for good: the person left, and what they knew is changed."},
	{"account_disabled", []Command{EndSessions, Restrict, Rotate},
		"Nobody may use the account for now: sessions end, passwords stay shut, and what they could have used is changed."},
	{"account_disabled.hijacking", []Command{EndSessions, Restrict, Rotate},
		"Somebody else has the account: what that somebody could have used is changed."},
	{"credential_compromised", []Command{EndSessions, StepUp, Rotate},
		"A password or key of the person is known to somebody else: everything they could see is changed."},
	{"session_revoked", []Command{EndSessions, Rotate},
		"The provider took a session back, by hand or by a policy of its own."},
	{"logout", []Command{EndSessions, Rotate},
		"The person was logged out, or is to be logged out everywhere."},
	{"logout.session", []Command{EndSessions},
		"The person signed out of one session at the provider, as people do at the end of their work."},
	{"credential_changed", []Command{StepUp},
		"A credential was added, replaced or removed: before seeing a password the person signs in with what they have now."},
	{"credential_change_required", []Command{StepUp},
		"The provider wants the credential replaced: until then no password is revealed."},
	{"identifier_recycled", []Command{EndSessions, Unlink},
		"The e-mail address is somebody else's now: it must not lead to this person any more."},
	{"identifier_changed", []Command{Relink},
		"The person is known by another address or number. Nobody is created by it."},
	{"device_compliance_changed", []Command{Record},
		"A device is, or is no longer, as the organisation wants it."},
	{"device_compliance_changed.not-compliant", []Command{Restrict},
		"No password is shown on a device that is not in order."},
	{"device_compliance_changed.compliant", []Command{Lift},
		"The device is in order again: what device compliance restricted is lifted, and nothing else."},
	{"risk_changed", []Command{Record},
		"The provider judges the person's risk anew."},
	{"risk_changed.high", []Command{StepUp},
		"High risk: before seeing a password the person signs in once more."},
	{"assurance_changed", []Command{Record},
		"The person proved themselves more or less strongly than before."},
	{"assurance_changed.decrease", []Command{StepUp},
		"A weaker proof than before: it does not do for seeing passwords."},
	{"claims_changed", []Command{Record},
		"A claim about the person changed. What follows comes by provisioning."},
	{"recovery_activated", []Command{StepUp},
		"Somebody began to recover the account: until a sign-in succeeds, no password is revealed."},
	{"recovery_changed", []Command{Record},
		"How the account could be recovered was changed."},
	{"account_enabled", []Command{ReactivateProposal},
		"The account may be used again. Postern gives nothing back by itself: an administrator is asked."},
	{"session_established", []Command{Record}, "The person signed in at the provider."},
	{"session_presented", []Command{Record}, "The provider saw a session it knows."},
	{"opted_in", []Command{Record}, "The person takes part in these signals."},
	{"opt_out_initiated", []Command{Record}, "The person asked not to take part any more."},
	{"opt_out_cancelled", []Command{Record}, "The person takes part after all."},
	{"opted_out", []Command{Record}, "The person does not take part any more; nothing more is heard of them."},
	{"other", []Command{Record}, "Something Postern has no word for. It is on record, with what was said."},
}

// cases are those a signal falls under, the narrowest first.
func (s Signal) cases() []Case {
	plain := Case(s.Kind)
	said := strings.ToLower(s.Evidence.Facts[saying[s.Kind]])
	if said == "" || saying[s.Kind] == "" {
		return []Case{plain}
	}
	return []Case{plain + "." + Case(core.Cut(said, 60)), plain}
}

// Known reports whether there is such a case: a kind, or a kind that says something with any word behind it.
func (c Case) Known() bool {
	kind, said, narrow := strings.Cut(string(c), ".")
	if !slices.Contains(Kinds, Kind(kind)) {
		return false
	}
	return !narrow || (saying[Kind(kind)] != "" && said != "" && len(said) <= 60 && said == strings.ToLower(said) && !strings.ContainsAny(said, " ./\\\x00"))
}

// checkCommands refuses what cannot be carried out together, and returns the commands in their order.
func checkCommands(wanted []Command) ([]Command, error) {
	var ordered []Command
	for _, command := range Commands {
		if slices.Contains(wanted, command) {
			ordered = append(ordered, command)
		}
	}
	for _, command := range wanted {
		if !slices.Contains(Commands, command) {
			return nil, core.Invalid("commands", "there is no command %q", core.Cut(string(command), 40))
		}
	}
	has := func(command Command) bool { return slices.Contains(ordered, command) }
	switch {
	case len(ordered) == 0:
		return nil, core.Invalid("commands", "say at least record")
	case has(Record) && len(ordered) > 1:
		return nil, core.Invalid("commands", "record stands alone: every signal is on record")
	case has(Restrict) && has(Lift):
		return nil, core.Invalid("commands", "restrict and lift exclude each other")
	case has(Unlink) && has(Relink):
		return nil, core.Invalid("commands", "unlink and relink exclude each other")
	case has(RotateSeen) && has(Rotate):
		return nil, core.Invalid("commands", "rotate includes rotate_seen")
	}
	return ordered, nil
}

// mustEnd are the kinds whose whole meaning is that sessions end: no policy takes that away.
func (c Case) mustEnd() bool {
	kind, _, _ := strings.Cut(string(c), ".")
	return kind == string(Logout) || kind == string(SessionRevoked)
}
