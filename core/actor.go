package core

import "time"

// ActorKind says what sort of party acts.
type ActorKind string

// The parties that can act.
const (
	ActorUser           ActorKind = "user"
	ActorServiceAccount ActorKind = "service_account"
	ActorConnection     ActorKind = "connection"
	ActorSystem         ActorKind = "system"
	ActorRecipient      ActorKind = "recipient" // of a link: somebody without a user, named by their e-mail address
)

// Actor is who did something. Name is what a person would call it at that moment.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   ID        `json:"id,omitzero"`
	Name string    `json:"name,omitempty"`
}

// System is Postern acting by itself: a schedule, a repair, a retry.
var System = Actor{Kind: ActorSystem, Name: "Postern"}

// Origin is where a request came from. Both fields may be empty for work Postern started.
type Origin struct {
	Address   string `json:"address,omitempty"`    // IP address, without port
	UserAgent string `json:"user_agent,omitempty"` // cut to 200 bytes by the gateway
}

// Cause is why a command runs: who asked, from where, when, and under which correlation id. It
// travels from the IdP's request through every job to the last proof, so that one query shows the
// whole story and time to lockout has a beginning.
type Cause struct {
	Actor       Actor     `json:"actor"`
	Correlation ID        `json:"correlation"`
	Origin      Origin    `json:"origin,omitzero"`
	Received    time.Time `json:"received"`
	// Authenticated is when the identity provider last saw whoever acts, in the session they act in; zero: no
	// session does. It does not travel on with jobs.
	Authenticated time.Time `json:"-"`
}

// NewCause begins a story: a fresh correlation id.
func NewCause(actor Actor, received time.Time) Cause {
	return Cause{Actor: actor, Correlation: NewID(), Received: received}
}
