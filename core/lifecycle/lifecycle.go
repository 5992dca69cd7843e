package lifecycle

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
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
	Left      func()           // called after a commit that made somebody leave, if set: Takers.Wake
	Log       *slog.Logger     // nil: nothing is logged. Only Run does: commands tell their callers

	record func(batch *pgx.Batch, subject core.ID) error
	origin *Lifecycle // of a copy: where what is shared is
	watch  watch
}

// shared is where what all copies share is.
func (l *Lifecycle) shared() *Lifecycle {
	if l.origin != nil {
		return l.origin
	}
	return l
}

// Recording is a copy whose commands also write what record adds, in the command's own transaction
// and at no round trip of its own. subject is the user or team the command was about. record may run
// more than once, and its error ends the command; nil adds nothing.
func (l *Lifecycle) Recording(record func(batch *pgx.Batch, subject core.ID) error) *Lifecycle {
	return &Lifecycle{
		DB: l.DB, Directory: l.Directory, Accounts: l.Accounts, Rotations: l.Rotations, Now: l.Now, Wake: l.Wake, Left: l.Left, Log: l.Log,
		record: record, origin: l.shared(),
	}
}

// Effect is what a command did beside the change itself.
type Effect struct {
	SessionsEnded int       // sessions that were live
	GrantsRevoked int       // accounts the person had a live grant of their own on
	Rotations     []core.ID // of the exposed accounts that the policies have rotated, new or joined; those whose password was seen first
}

func (l *Lifecycle) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// story is what a command writes at its end: statements whose answer nobody needs, and its events in
// the order in which they are told.
type story struct {
	batch  *pgx.Batch
	events []core.Event
	look   *look      // what the guard goes by, if it was read on the way
	ended  *time.Time // when the user's sessions were ended: their epoch is to be raised to it
	left   bool       // somebody leaves, or was about to
	waits  bool       // whoever asked waits for the effect of that
	whole  bool       // everything is taken in the command itself
}

func (s *story) tell(events ...core.Event) { s.events = append(s.events, events...) }

// later is a transaction whose statements are sent at the command's end.
func (s *story) later() pgx.Tx { return postgres.Queueing(s.batch) }

// commit runs a command about subject in its one transaction. work may run more than once: it sets
// its results anew each time. What it left in the story is written last, in one round trip with what
// is recorded of the command and with the commit.
func (l *Lifecycle) commit(ctx context.Context, subject core.ID, work func(tx pgx.Tx, s *story) error) error {
	return l.commitAfter(ctx, subject, nil, work)
}

// commitAfter is commit of a command that begins with what first queues: that is sent with the
// transaction's begin.
func (l *Lifecycle) commitAfter(ctx context.Context, subject core.ID, first func(batch *pgx.Batch), work func(tx pgx.Tx, s *story) error) error {
	var s *story
	err := l.DB.Command(ctx, directory.Collision, first, func(tx pgx.Tx, last *pgx.Batch) error {
		s = &story{batch: last}
		if err := work(tx, s); err != nil {
			return err
		}
		if err := audit.Queue(last, s.events...); err != nil || l.record == nil {
			return err
		}
		return l.record(last, subject)
	})
	if err != nil {
		return err
	}
	l.wake()
	if s.left && !s.waits && l.Left != nil {
		l.Left()
	}
	return nil
}

func (l *Lifecycle) wake() {
	if l.Wake != nil {
		l.Wake()
	}
}
