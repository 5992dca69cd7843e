package ssf

import "slices"

// Profile is whose way of speaking Shared Signals a stream is read with.
type Profile string

// The profiles.
const (
	Standard    Profile = "standard"     // Shared Signals Framework 1.0, CAEP 1.0, RISC 1.0
	Okta        Profile = "okta"         // implementer's drafts 2 and 3
	Google      Profile = "google"       // Cross-Account Protection: RISC before its subject identifiers
	Apple       Profile = "apple"        // SSE and CAEP before 1.0, as Apple's receivers want them of transmitters
	Keycloak    Profile = "keycloak"     // 1.0, one stream per client, subjects to be asked for
	CAEPInterop Profile = "caep_interop" // CAEP Interoperability Profile 1.0
)

// Profiles are all of them, in the order in which a person would look for one.
var Profiles = []Profile{Standard, Okta, Keycloak, Google, Apple, CAEPInterop}

// The quirks: departures from the standard that were understood. core/signals has those of subjects.
const (
	QuirkNoType          = "no_typ"                  // typ absent, or the general JWT
	QuirkSubjectInEvent  = "subject_in_event"        // events.<uri>.subject in place of sub_id
	QuirkMilliseconds    = "event_timestamp_millis"  // event_timestamp in milliseconds
	QuirkCredentialType  = "credential_type_unknown" // credential_type outside CAEP's list
	QuirkSeveralEvents   = "several_events"          // more than one event in a token
	QuirkLegacyEvent     = "legacy_event_type"       // an event type of an earlier draft
	QuirkNoAuthorization = "no_authorization_header" // the transmitter cannot send the header we chose
)

// traits are what a profile lets pass.
type traits struct {
	noType          bool // a token without typ
	subjectInEvent  bool // a token without sub_id
	milliseconds    bool
	severalEvents   bool
	noAuthorization bool // push without an authorization header: the signature alone proves the sender
	onlyRS256       bool
	shortPoll       bool // long polling is not honoured
	events          []string
}

var profiles = map[Profile]traits{
	Standard:    {},
	Okta:        {subjectInEvent: true, milliseconds: true, events: []string{caep + "session-revoked", caep + "credential-change"}},
	Google:      {noType: true, subjectInEvent: true, severalEvents: true, noAuthorization: true},
	Apple:       {subjectInEvent: true, severalEvents: true},
	Keycloak:    {shortPoll: true},
	CAEPInterop: {onlyRS256: true, events: []string{caep + "session-revoked", caep + "credential-change"}},
}

func (p Profile) known() bool { return slices.Contains(Profiles, p) }

// traits of an unknown profile are the standard's.
func (p Profile) traits() traits { return profiles[p] }

// asksFor are the event types that are requested unless an administrator says otherwise.
func (p Profile) asksFor() []string {
	if own := p.traits().events; own != nil {
		return slices.Clone(own)
	}
	return Events()
}
