package signals

import (
	"log/slog"
	"sync"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Signals carries out what identity providers say. It is safe for concurrent use.
type Signals struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations
	Lifecycle *lifecycle.Lifecycle
	// PublicURL is Postern's own address: Okta names a user of a provisioned application by it.
	PublicURL string
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after each commit, if set: there may be events to sequence
	Log       *slog.Logger     // nil: nothing is logged
	// Meter is told of every signal, if set.
	Meter Meter

	// Later leaves to KeepSettled what nobody has to wait for. Without it all is done before anybody is answered.
	Later bool

	once      sync.Once
	gathering gathering
	left      core.Bell      // there is something left to do
	strangers audit.Throttle // of refusals before anybody was proven
	proven    audit.Throttle // and after
}

// Meter counts signals as they come and go.
type Meter interface {
	// Ended is told how long it took from a signal's receipt to the end of the last session.
	Ended(door Door, took time.Duration)
	// Refused is told of a signal that was not believed, and at what stage.
	Refused(door Door, stage string)
}

// now is the time as PostgreSQL keeps it, so that what is returned equals what will be read.
func (s *Signals) now() time.Time { return postgres.Now(s.Now) }

// settleSoon has KeepSettled do what is left of a signal.
func (s *Signals) settleSoon() { s.left.Ring() }

func (s *Signals) wake() {
	if s.Wake != nil {
		s.Wake()
	}
}
