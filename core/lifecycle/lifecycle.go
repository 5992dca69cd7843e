package lifecycle

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Lifecycle carries out what is to happen to people. It is safe for concurrent use.
type Lifecycle struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after each commit, if set: there may be events to sequence
	Log       *slog.Logger     // nil: nothing is logged. Only Run does: commands tell their callers

	record func(batch *pgx.Batch, subject core.ID) error
}

// Recording is a copy whose commands also write what record adds, in the command's own transaction
// and at no round trip of its own. subject is the user or team the command was about. record may run
// more than once, and its error ends the command.
func (l *Lifecycle) Recording(record func(batch *pgx.Batch, subject core.ID) error) *Lifecycle {
	recording := *l
	recording.record = record
	return &recording
}

// Effect is what a command did beside the change itself.
type Effect struct {
	SessionsEnded int       // sessions that were live
	GrantsRevoked int       // accounts the person had a live grant of their own on
	Rotations     []core.ID // of every exposed account, new or joined; those whose password was seen first

	// Replayed says that the signed token had come before with the same request: nothing was done
	// again, and Status is what the first one was answered.
	Replayed bool
	Status   int
}

func (l *Lifecycle) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// commit runs a command about subject in its one transaction. work may run more than once: it sets
// its results anew each time.
func (l *Lifecycle) commit(ctx context.Context, subject core.ID, work func(tx pgx.Tx) error) error {
	err := l.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := work(tx); err != nil || l.record == nil {
			return err
		}
		batch := &pgx.Batch{}
		if err := l.record(batch, subject); err != nil {
			return err
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return err
	}
	l.wake()
	return nil
}

func (l *Lifecycle) wake() {
	if l.Wake != nil {
		l.Wake()
	}
}
