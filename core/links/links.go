package links

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/mail"
	"postern/core/policies"
	"postern/core/postgres"
)

// Links makes, opens and ends links, and invites guests. It is safe for concurrent use, in many processes.
type Links struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Policies  *policies.Policies
	Mail      *mail.Mail
	PublicURL string // address people reach Postern at, without a path
	// Depart sends a user away like any leaver, and Return lets one in again who has nothing: both are lifecycle's.
	Depart func(ctx context.Context, cause core.Cause, workspace, user core.ID) error
	Return func(ctx context.Context, cause core.Cause, workspace, user core.ID) error
	Now    func() time.Time // nil: time.Now
	Wake   func()           // called after a commit with events, if set
	Log    *slog.Logger     // nil: nothing is logged. Only Run does
}

// now is the time as PostgreSQL keeps it.
func (l *Links) now() time.Time { return postgres.Now(l.Now) }

// change runs a command's transaction and wakes the sequencer after it.
func (l *Links) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := l.DB.Tx(ctx, work)
	if err == nil && l.Wake != nil {
		l.Wake()
	}
	return err
}
