package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// The names of the cursors Postern keeps.
const (
	CursorSequencer = "sequencer" // the last position given
	CursorRelay     = "relay"     // the last position published
)

const selectCursor = `select coalesce((select position from cursors where name = @name), 0)`

// Cursor is how far a reader of the log has come: a position, 0 before its first move.
func Cursor(ctx context.Context, q postgres.Querier, name string) (int64, error) {
	var position int64
	err := q.QueryRow(ctx, selectCursor, pgx.StrictNamedArgs{"name": name}).Scan(&position)
	return position, postgres.Classify(err)
}

const upsertCursor = `
insert into cursors (name, position) values (@name, @position)
on conflict (name) do update set position = excluded.position, updated = now()
where cursors.position < excluded.position`

// MoveCursor moves a cursor forward. One that is already further stays where it is.
func MoveCursor(ctx context.Context, q postgres.Querier, name string, position int64) error {
	_, err := q.Exec(ctx, upsertCursor, pgx.StrictNamedArgs{"name": name, "position": position})
	return postgres.Classify(err)
}

// Backlog is what still has to be done with events: how many, and how old the oldest is.
type Backlog struct {
	Unsequenced int64         // committed, not yet in the log
	Unpublished int64         // in the log, not yet in the stream
	Oldest      time.Duration // the age of the oldest of both; 0 when there is none
	Sequencer   time.Duration // the age of the oldest that is not in the log
	Relay       time.Duration // since when the oldest that is not in the stream is in the log
	Unreadable  int64         // published as tombstones, because the log's copy could not be read
}

const selectBacklog = `
select
	(select count(*) from audit_outbox),
	greatest(0, coalesce((select position from cursors where name = 'sequencer'), 0) - coalesce((select position from cursors where name = 'relay'), 0)),
	(select min(occurred) from audit_outbox),
	(select l.sequenced from audit_log l where l.position > coalesce((select position from cursors where name = 'relay'), 0) order by l.position limit 1),
	(select count(*) from dead_letters where sink = 'relay')`

// ReadBacklog measures over all workspaces how far the sequencer and the relay are behind, for
// metrics and health. It sees what is committed: a long transaction's own events are not in it.
func ReadBacklog(ctx context.Context, q postgres.Querier, now time.Time) (Backlog, error) {
	var backlog Backlog
	var written, logged *time.Time
	if err := q.QueryRow(ctx, selectBacklog).Scan(&backlog.Unsequenced, &backlog.Unpublished, &written, &logged, &backlog.Unreadable); err != nil {
		return backlog, postgres.Classify(err)
	}
	if written != nil {
		backlog.Sequencer = max(0, now.Sub(*written))
	}
	if logged != nil {
		backlog.Relay = max(0, now.Sub(*logged))
	}
	backlog.Oldest = max(backlog.Sequencer, backlog.Relay)
	return backlog, nil
}
