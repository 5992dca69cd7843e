package ssf

import (
	"slices"
	"strings"

	"postern/core/signals"
)

const (
	base  = "https://schemas.openid.net/secevent/"
	caep  = base + "caep/event-type/"
	risc  = base + "risc/event-type/"
	oauth = base + "oauth/event-type/"
	okta  = "https://schemas.okta.com/secevent/okta/event-type/"
)

// kinds are what the event types of CAEP 1.0 and RISC 1.0 mean.
var kinds = map[string]signals.Kind{
	caep + "session-revoked":          signals.SessionRevoked,
	caep + "token-claims-change":      signals.ClaimsChanged,
	caep + "credential-change":        signals.CredentialChanged,
	caep + "assurance-level-change":   signals.AssuranceChanged,
	caep + "device-compliance-change": signals.DeviceComplianceChanged,
	caep + "session-established":      signals.SessionEstablished,
	caep + "session-presented":        signals.SessionPresented,
	caep + "risk-level-change":        signals.RiskChanged,

	risc + "account-credential-change-required": signals.CredentialChangeRequired,
	risc + "account-purged":                     signals.AccountPurged,
	risc + "account-disabled":                   signals.AccountDisabled,
	risc + "account-enabled":                    signals.AccountEnabled,
	risc + "identifier-changed":                 signals.IdentifierChanged,
	risc + "identifier-recycled":                signals.IdentifierRecycled,
	risc + "credential-compromise":              signals.CredentialCompromised,
	risc + "opt-in":                             signals.OptedIn,
	risc + "opt-out-initiated":                  signals.OptOutInitiated,
	risc + "opt-out-cancelled":                  signals.OptOutCancelled,
	risc + "opt-out-effective":                  signals.OptedOut,
	risc + "recovery-activated":                 signals.RecoveryActivated,
	risc + "recovery-information-changed":       signals.RecoveryChanged,
	risc + "sessions-revoked":                   signals.SessionRevoked, // deprecated in favour of CAEP's
}

// legacy are event types outside of both that a transmitter sends all the same.
var legacy = map[string]signals.Kind{
	oauth + "tokens-revoked":  signals.SessionRevoked, // Google: all of the user's tokens
	okta + "user-risk-change": signals.RiskChanged,
}

// The events of the framework itself, and their names in earlier drafts.
var (
	verifications = []string{base + "ssf/event-type/verification", base + "sse/event-type/verification", risc + "verification"}
	updates       = []string{base + "ssf/event-type/stream-updated", base + "sse/event-type/stream-updated"}
)

// Events are the types of CAEP 1.0 and RISC 1.0, sorted: what a stream asks for.
func Events() []string {
	var all []string
	for uri := range kinds {
		if uri != risc+"sessions-revoked" {
			all = append(all, uri)
		}
	}
	slices.Sort(all)
	return all
}

// KindOf is what an event type means: Other for one that nobody knows.
func KindOf(uri string) signals.Kind {
	if kind, known := kinds[uri]; known {
		return kind
	}
	if kind, known := legacy[uri]; known {
		return kind
	}
	return signals.Other
}

// ShortEvent is an event type as a person says it: caep/session-revoked.
func ShortEvent(uri string) string {
	short, ours := strings.CutPrefix(uri, base)
	if !ours {
		return uri
	}
	return strings.Replace(short, "/event-type/", "/", 1)
}

// LongEvent is the event type a person means by caep/session-revoked, session-revoked or the URI itself.
func LongEvent(name string) (string, bool) {
	if strings.Contains(name, "://") || strings.HasPrefix(name, "urn:") {
		return name, true
	}
	for _, uri := range Events() {
		if ShortEvent(uri) == name || strings.HasSuffix(uri, "/"+name) {
			return uri, true
		}
	}
	return "", false
}

// credentialTypes are CAEP's (CAEP 1.0 §3.3.1), which parties may agree to add to.
var credentialTypes = []string{
	"password", "pin", "x509", "fido2-platform", "fido2-roaming", "fido-u2f", "verifiable-credential", "phone-voice", "phone-sms", "app",
}

// facts are the members of an event that stay on record, each a short text. Everything else may be about a
// person, and is not ours to keep.
var facts = []string{
	"initiating_entity", "credential_type", "change_type", "change_direction", "namespace", "current_level", "previous_level",
	"current_status", "previous_status", "principal", "risk_reason", "reason", "new-value", "ext_id",
}
