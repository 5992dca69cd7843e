package directory

import (
	"time"

	"postern/core/postgres"
)

// The defaults of a Directory's limits.
const (
	DefaultSessionIdle = 30 * time.Minute
	DefaultSessionLife = 12 * time.Hour
	DefaultFlowLife    = 10 * time.Minute
)

// touchEvery is how often last_used and last_seen are written at most: a busy token must not turn
// every read of the directory into a write.
const touchEvery = time.Minute

// liveTokens is how many live tokens one connection or service account may have: the one in use and
// the one that replaces it.
const liveTokens = 2

// Directory reads and writes who there is. The zero values of its limits mean the defaults. It is
// safe for concurrent use.
type Directory struct {
	DB  *postgres.DB
	Now func() time.Time // nil: time.Now

	// SessionIdle ends a session nobody used for so long. Default 30 minutes.
	SessionIdle time.Duration
	// SessionLife ends a session so long after it began, used or not. Default 12 hours.
	SessionLife time.Duration
	// FlowLife is how long a person may take at the IdP during a sign-in. Default 10 minutes.
	FlowLife time.Duration

	touches    touches
	remembered remembered
	claims     claims
}

// now is the time as PostgreSQL keeps it, so that what is returned equals what will be read.
func (d *Directory) now() time.Time { return postgres.Now(d.Now) }
