package signals

import (
	"time"

	"postern/core"
)

// Outcome is what became of a signal.
type Outcome string

// The outcomes.
const (
	Done      Outcome = "done"      // its commands were carried out
	Duplicate Outcome = "duplicate" // another telling of an incident: sessions ended again, nothing else done twice
	Late      Outcome = "late"      // it happened long before an effect already taken: as duplicate
	Held      Outcome = "held"      // sessions ended; what cannot be taken back waits for an administrator
	Nobody    Outcome = "nobody"    // it means no user of the connection
	Ignored   Outcome = "ignored"   // the policy wants it recorded and no more
	Rejected  Outcome = "rejected"  // held, and an administrator said no
	Failed    Outcome = "failed"    // a command was refused: the receipt says why
)

// Receipt is what a signal did, durable before anybody is answered.
type Receipt struct {
	ID        core.ID
	Signal    Signal
	Outcome   Outcome
	Users     []core.ID // whom it meant
	Sessions  int       // live ones it ended
	Rotations []core.ID // begun or joined because of it
	Commands  []Command // that were carried out
	Waiting   []Command // that wait for an administrator's decision about Hold
	Note      string    // for a person: why it is a duplicate, late, held
	Duplicate core.ID   // the signal it repeats
	Hold      core.ID
	Committed time.Time // when its effect was written, just before it became durable
	// Replayed says that the same request had come before: nothing was done again, and Status is what the
	// first one was answered.
	Replayed bool
	Status   int
}
