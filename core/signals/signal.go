package signals

import (
	"time"

	"postern/core"
)

// Door is the way a signal came in.
type Door string

// The doors.
const (
	UniversalLogout    Door = "universal_logout"     // Global Token Revocation in Okta's profile
	BackChannelLogout  Door = "back_channel_logout"  // OpenID Connect Back-Channel Logout 1.0
	FrontChannelLogout Door = "front_channel_logout" // OpenID Connect Front-Channel Logout 1.0: nobody signed it, so it ends sessions and no more
	SSFPush            Door = "ssf_push"             // Shared Signals, RFC 8935
	SSFPoll            Door = "ssf_poll"             // Shared Signals, RFC 8936
	OktaEventHook      Door = "okta_event_hook"
	Graph              Door = "graph" // Microsoft Graph change notifications
	StandardWebhook    Door = "standard_webhook"
	SignedWebhook      Door = "signed_webhook"
	Console            Door = "console" // an administrator, by page, API or command line
)

// Doors are all of them, in the order in which a person would look for one.
var Doors = []Door{
	UniversalLogout, BackChannelLogout, FrontChannelLogout, SSFPush, SSFPoll, OktaEventHook, Graph, StandardWebhook, SignedWebhook, Console,
}

// Signal is a verified statement of an identity provider about a subject. The door has checked whatever there
// is to check about who said it.
type Signal struct {
	Workspace      core.ID
	Connection     core.ID
	ConnectionName string
	Door           Door
	Kind           Kind
	Subject        Subject
	// SID narrows the sessions to those the identity provider calls so.
	SID      string
	Evidence Evidence
	// Judged is the version of the connection's row by which its token was judged, if the door remembered it: when
	// it is another one by now, nothing happens, and the error has the code JudgedByOld. Zero: the door read it.
	Judged uint32
	// Occurred is when it happened at the identity provider; zero: when it was received.
	Occurred time.Time
	// Received is when the door got it; zero: now.
	Received time.Time
	// Transaction is what ties tellings of one incident together: txn of a security event token, or the
	// identity provider's trace id. May be empty.
	Transaction string
}

// JudgedByOld is the code of the Conflict of a signal whose connection has changed since its token was judged.
const JudgedByOld = "connection_changed"

// Evidence is what stays on record of how a signal was proven. It never holds a secret.
type Evidence struct {
	Issuer  string            `json:"issuer,omitempty"`
	TokenID string            `json:"token_id,omitempty"` // jti, or the sender's id of the message
	Type    string            `json:"type,omitempty"`     // event URI or the hook's event type
	Digest  []byte            `json:"-"`                  // SHA-256 of the verified claims, or of the verified body
	Quirks  []string          `json:"quirks,omitempty"`   // departures from the standard that were understood
	Facts   map[string]string `json:"facts,omitempty"`    // what else was said, such as reason_admin or a new e-mail address
}

// The facts that commands read.
const (
	FactNewValue = "new_value" // of identifier_changed: the new identifier
	FactScope    = "scope"     // of logout: session, when it is about one session and not about the person
	FactReason   = "reason"    // of account_disabled: hijacking or bulk-account
)

// Once is the single use of what carried a signal: coming again with the same body it is answered as the first
// time, with another it is refused.
type Once struct {
	TokenID  string    // jti
	BodyHash []byte    // SHA-256 of the request it came with
	Status   int       // what the request is answered when it succeeds
	Nobody   int       // and when the signal means nobody; zero: Status
	Expires  time.Time // until when it would be accepted
}

// Command is something a signal sets in motion.
type Command string

// The commands, in the order in which they are carried out.
const (
	EndSessions        Command = "end_sessions"        // every session, or those of the signal's sid; sign-ins under way die too
	StepUp             Command = "step_up"             // revealing needs a sign-in newer than the signal
	Restrict           Command = "restrict"            // no password is revealed or filled until it is lifted
	Lift               Command = "lift"                // ends restrict
	RotateSeen         Command = "rotate_seen"         // the passwords they were given
	Rotate             Command = "rotate"              // those, and the ones they could have asked for
	Deprovision        Command = "deprovision"         // as if the identity provider had deactivated them
	Unlink             Command = "unlink"              // what identified them does so no longer: the link, or the e-mail address
	Relink             Command = "relink"              // the identifier they are known by was changed
	ReactivateProposal Command = "reactivate_proposal" // an event for administrators; nothing comes back by itself
	Record             Command = "record"              // the receipt alone
)

// Commands are all of them, in the order in which they are carried out.
var Commands = []Command{EndSessions, StepUp, Restrict, Lift, RotateSeen, Rotate, Deprovision, Unlink, Relink, ReactivateProposal, Record}

// destructive are the commands that cannot be taken back: of a crowd they wait for an administrator.
func (c Command) destructive() bool {
	switch c {
	case RotateSeen, Rotate, Deprovision, Unlink, Relink:
		return true
	}
	return false
}
