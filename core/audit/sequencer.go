package audit

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// How the sequencer works when nothing else is said.
const (
	smallestBatch  = 500
	largestBatch   = 5000
	batchBytes     = 4 << 20 // of events, about: two batches are in memory at once
	patience       = 30 * time.Second
	shortestWait   = 5 * time.Millisecond
	longestWait    = 250 * time.Millisecond
	checkpointIdle = 10 * time.Second
)

// Sequencer moves events from the outbox into the log: it gives each its place, links it into its
// workspace's chain and signs checkpoints. Any number may run; one leads.
//
// It reads only below the snapshot horizon, so an event of a transaction that commits late is never
// passed over: one long transaction delays the stream, and loses nothing. One of another database of the same server
// delays it by half a second.
type Sequencer struct {
	DB  *postgres.DB
	Key ed25519.PrivateKey // signs checkpoints; nil signs none
	Now func() time.Time   // nil is time.Now
	Log *slog.Logger       // nil logs nothing

	// CheckpointEvery is how many events one checkpoint covers at most. Default 1000. A workspace
	// that has been quiet for 10 seconds gets one for what it has. Checkpoints do not count as
	// events here, so a quiet workspace stays quiet.
	CheckpointEvery int

	// Moved, if set, is called after events have reached the log: to nudge who reads it. It must not
	// block.
	Moved func()

	bell core.Bell
}

// Run sequences until ctx ends, then returns nil. It survives restarts of PostgreSQL.
func (s *Sequencer) Run(ctx context.Context) error {
	leader := Leader{DB: s.DB, Lock: LockSequencer, Name: "sequencer", Log: s.Log}
	return leader.Run(ctx, s.lead)
}

// Wake says that events were just committed, so that they need not wait for the next look.
func (s *Sequencer) Wake() { s.bell.Ring() }

func (s *Sequencer) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

const rebaseRestored = `
update audit_outbox set xid = pg_current_xact_id()
where xid >= pg_snapshot_xmax(pg_current_snapshot())`

// lead works until a connection or ctx ends. Everything it remembers is remembered for as long as it holds the lock
// on the connection it writes through, during which nobody else writes it.
func (s *Sequencer) lead(ctx context.Context, connection *pgx.Conn) error {
	// A visible row cannot be of a transaction that has not begun, unless the database was restored
	// into another cluster, whose counter may be lower. Such rows would wait for it to catch up.
	if _, err := connection.Exec(ctx, rebaseRestored); err != nil {
		return err
	}
	position, err := Cursor(ctx, connection, CursorSequencer)
	if err != nil {
		return err
	}
	return Walk(ctx, s.DB, func(reading *pgx.Conn) error {
		session := &session{
			writing: connection, reading: reading, position: position, heads: map[[16]byte]*head{}, months: months{},
			limit: smallestBatch, key: s.Key, every: int64(cmp.Or(max(s.CheckpointEvery, 0), 1000)), now: s.now,
		}
		err := s.run(ctx, session)
		return cmp.Or(session.end(), err)
	})
}

// run moves batches, and rests while there is nothing to do.
func (s *Sequencer) run(ctx context.Context, session *session) error {
	wait, quiet, still := shortestWait, time.Time{}, time.Now()
	end := func() error {
		err := session.end()
		if err == nil && s.Moved != nil {
			s.Moved()
		}
		return err
	}
	for ctx.Err() == nil {
		next, err := session.take(ctx)
		if err != nil {
			return err
		}
		if session.committing != nil {
			if err := end(); err != nil {
				return err
			}
			if next == nil {
				continue // what the commit hid can be seen now
			}
		}
		if next == nil && s.Key != nil && time.Since(quiet) >= time.Second {
			quiet = time.Now()
			if next, err = session.checkpointQuiet(ctx); err != nil {
				return err
			}
		}
		switch {
		case next != nil:
			session.begin(ctx, next)
			if next.full {
				continue // there is more: it is read meanwhile
			}
			if err := end(); err != nil {
				return err
			}
			wait, still = shortestWait, time.Now()
		case time.Since(still) >= longestWait: // whoever wakes it has it read, and does not keep it from looking
			if err := session.look(ctx); err != nil {
				return err
			}
			still = time.Now()
			fallthrough
		default:
			wait = min(wait*2, longestWait)
		}
		if s.bell.Rest(ctx, wait) {
			wait = shortestWait
		}
	}
	return nil
}
