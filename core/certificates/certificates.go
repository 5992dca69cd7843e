package certificates

import (
	"log/slog"
	"time"

	"postern/core/postgres"
	"postern/core/signing"
)

// Certificates reads and issues certificates. It is safe for concurrent use, in many processes.
type Certificates struct {
	DB      *postgres.DB
	Signing *signing.Signing
	Now     func() time.Time // nil: time.Now
	Wake    func()           // called after a commit with events, if set
	Log     *slog.Logger     // nil: nothing is logged. Only Run does
}

// now is the time as PostgreSQL keeps it.
func (c *Certificates) now() time.Time { return postgres.Now(c.Now) }
