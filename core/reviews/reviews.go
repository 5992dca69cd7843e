package reviews

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/services"
	"postern/core/signing"
)

// Reviews keeps campaigns and reviews and carries them on. It is safe for concurrent use, in many processes.
type Reviews struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Lifecycle *lifecycle.Lifecycle
	Services  *services.Services
	Signing   *signing.Signing
	Mail      *mail.Mail       // nil: nobody is reminded
	PublicURL string           // where reviewers decide, for mails
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after each commit with events, if set
	Log       *slog.Logger     // nil: nothing is logged. Only Run does: commands tell their callers
}

// now is the time as PostgreSQL keeps it.
func (r *Reviews) now() time.Time { return postgres.Now(r.Now) }

// tx runs a command's transaction and wakes the sequencer after it.
func (r *Reviews) tx(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := r.DB.Tx(ctx, work)
	if err == nil && r.Wake != nil {
		r.Wake()
	}
	return err
}

// administer runs an administrator's command and tells its event, if there is one.
func (r *Reviews) administer(ctx context.Context, cause core.Cause, workspace core.ID, work func(tx pgx.Tx) (core.Event, error)) error {
	return r.tx(ctx, func(tx pgx.Tx) error {
		if err := r.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		event, err := work(tx)
		if err != nil || event.ID.IsZero() {
			return err
		}
		return audit.Append(ctx, tx, event)
	})
}
