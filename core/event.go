package core

import "time"

// EventType names a fact in the past tense, as noun.what_happened.
type EventType string

// Outcome says whether what the event tells of succeeded.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
)

// Target is what an event happened to.
type Target struct {
	Kind string `json:"kind"` // a word of the glossary: user, team, account, app, grant, session …
	ID   ID     `json:"id,omitzero"`
	Name string `json:"name,omitempty"`
}

// Event is an immutable fact. It is appended in the transaction that made it true, and never holds
// a secret.
type Event struct {
	ID          ID                `json:"id"`
	Workspace   ID                `json:"workspace"`
	Type        EventType         `json:"type"`
	Occurred    time.Time         `json:"occurred"`
	Actor       Actor             `json:"actor"`
	Targets     []Target          `json:"targets,omitempty"`
	Outcome     Outcome           `json:"outcome"`
	Reason      string            `json:"reason,omitempty"` // for a person: why, or what failed
	Correlation ID                `json:"correlation"`
	Origin      Origin            `json:"origin,omitzero"`
	Data        map[string]string `json:"data,omitempty"` // facts particular to the type
}

// NewEvent begins a successful event of a cause at a time. Times are cut to microseconds, what
// PostgreSQL keeps, so that an event reads back as it was written.
func NewEvent(kind EventType, workspace ID, cause Cause, occurred time.Time, targets ...Target) Event {
	return Event{
		ID: NewID(), Workspace: workspace, Type: kind, Occurred: occurred.UTC().Truncate(time.Microsecond), Actor: cause.Actor,
		Targets: targets, Outcome: Success, Correlation: cause.Correlation, Origin: cause.Origin,
	}
}

// Failed returns a copy that tells of a failure and its reason.
func (e Event) Failed(reason string) Event {
	e.Outcome, e.Reason = Failure, reason
	return e
}

// Because returns a copy with a reason.
func (e Event) Because(reason string) Event {
	e.Reason = reason
	return e
}

// With returns a copy with one more fact.
func (e Event) With(key, value string) Event {
	data := make(map[string]string, len(e.Data)+1)
	for k, v := range e.Data {
		data[k] = v
	}
	data[key] = value
	e.Data = data
	return e
}
