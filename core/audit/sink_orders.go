package audit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// SinkOrders are what the operator wants of a sink for all workspaces. Whoever delivers looks at them all the time.
type SinkOrders struct {
	Held     bool
	Revision int64 // raised by each order
	ReplayTo int64 // a position: up to there events are delivered once more; 0: none are
}

const upsertServed = `
insert into sinks (name, kind, served) values (@name, @kind, @now)
on conflict (name) do update set kind = excluded.kind, served = excluded.served
returning held, revision, replay_to`

// ServeSink says that a process delivers to a sink, and reads what it is to do.
func ServeSink(ctx context.Context, q postgres.Querier, name, kind string, now time.Time) (SinkOrders, error) {
	var orders SinkOrders
	err := q.QueryRow(ctx, upsertServed, pgx.StrictNamedArgs{"name": name, "kind": kind, "now": now}).Scan(&orders.Held, &orders.Revision, &orders.ReplayTo)
	return orders, postgres.Classify(err)
}

const selectOrders = `select held, revision, replay_to from sinks where name = @name`

// OrdersOf reads them; NotFound when nobody delivered to a sink of that name yet, or it was forgotten.
func OrdersOf(ctx context.Context, q postgres.Querier, name string) (SinkOrders, error) {
	var orders SinkOrders
	err := q.QueryRow(ctx, selectOrders, pgx.StrictNamedArgs{"name": name}).Scan(&orders.Held, &orders.Revision, &orders.ReplayTo)
	return orders, postgres.Classify(err)
}

// sinkCursors is how the names of all cursors of a sink begin.
func sinkCursors(name string) string { return "sink/" + name + "/" }

// SinkCursor names how far a sink has delivered of a partition, as a position in the log. Kafka keeps the exact offset;
// this is for when Kafka has forgotten, and may lag behind by a second.
func SinkCursor(name string, partition int) string {
	return sinkCursors(name) + strconv.Itoa(partition)
}

// ReplayCursor names how far a sink has delivered once more of a partition. It is there for as long as that goes on.
func ReplayCursor(name string, partition int) string {
	return sinkCursors(name) + "replay/" + strconv.Itoa(partition)
}

// IsReplay reports whether a cursor is that of a replay.
func IsReplay(cursor string) bool {
	return strings.HasPrefix(cursor, "sink/") && strings.Contains(cursor, "/replay/")
}

// SinkCursors reads the cursors of a sink by their names.
func SinkCursors(ctx context.Context, q postgres.Querier, name string) (map[string]int64, error) {
	rows, err := q.Query(ctx, `select name, position from cursors where starts_with(name, @prefix)`, pgx.StrictNamedArgs{"prefix": sinkCursors(name)})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found := map[string]int64{}
	var cursor string
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&cursor, &position}, func() error { found[cursor] = position; return nil })
	return found, postgres.Classify(err)
}

const advanceCursor = `update cursors set position = @position, updated = now() where name = @name and position < @position`

// AdvanceCursor is MoveCursor for a cursor that somebody else may have ended: that one stays away.
func AdvanceCursor(ctx context.Context, q postgres.Querier, name string, position int64) error {
	_, err := q.Exec(ctx, advanceCursor, pgx.StrictNamedArgs{"name": name, "position": position})
	return postgres.Classify(err)
}

// DropCursor ends a cursor: nothing waits for its reader any more.
func DropCursor(ctx context.Context, q postgres.Querier, name string) error {
	_, err := q.Exec(ctx, `delete from cursors where name = @name`, pgx.StrictNamedArgs{"name": name})
	return postgres.Classify(err)
}

const (
	lockOrders = `select held from sinks where name = @name for update`

	updateOrders = `
update sinks set held = @held, state = @state, reason = @reason, workspaces = '{}', revision = revision + 1, updated = @now
where name = @name`
)

// order locks a sink and does what is asked. NotFound: there is no sink of that name.
func order(ctx context.Context, db *postgres.DB, name string, work func(tx pgx.Tx, held bool) error) error {
	return postgres.Classify(db.Tx(ctx, func(tx pgx.Tx) error {
		var held bool
		err := tx.QueryRow(ctx, lockOrders, pgx.StrictNamedArgs{"name": name}).Scan(&held)
		if errors.Is(err, pgx.ErrNoRows) {
			return core.NotFound("sink")
		}
		if err != nil {
			return err
		}
		return work(tx, held)
	}))
}

// HoldSink pauses a sink until ReleaseSink, for a reason in words. Its processes finish what is under way, within seconds.
// Every workspace is told: it is their events that wait. Holding a held sink changes the reason.
func HoldSink(ctx context.Context, db *postgres.DB, cause core.Cause, name, reason string, now time.Time) error {
	if len(reason) > 200 {
		return core.Invalid("reason", "a reason has at most 200 bytes")
	}
	reason = strings.TrimSuffix("paused by "+cause.Actor.Name+": "+reason, ": ")
	return order(ctx, db, name, func(tx pgx.Tx, held bool) error {
		if _, err := tx.Exec(ctx, updateOrders, pgx.StrictNamedArgs{"name": name, "held": true, "state": SinkPaused, "reason": reason, "now": now}); err != nil || held {
			return err
		}
		return tellAll(ctx, tx, core.SinkPaused, cause, name, toldReason(SinkPaused, true, reason), now)
	})
}

// ReleaseSink has a sink go on where it stopped. One that nobody held asks its receiver again now.
func ReleaseSink(ctx context.Context, db *postgres.DB, cause core.Cause, name string, now time.Time) error {
	return order(ctx, db, name, func(tx pgx.Tx, held bool) error {
		if !held {
			_, err := tx.Exec(ctx, `update sinks set revision = revision + 1 where name = @name`, pgx.StrictNamedArgs{"name": name})
			return err
		}
		if _, err := tx.Exec(ctx, updateOrders, pgx.StrictNamedArgs{"name": name, "held": false, "state": SinkRunning, "reason": "", "now": now}); err != nil {
			return err
		}
		return tellAll(ctx, tx, core.SinkResumed, cause, name, "", now)
	})
}

const (
	dropReplay = `delete from cursors where starts_with(name, @prefix)`

	insertReplay = `insert into cursors (name, position) values (@name, @position)`

	updateReplay = `
update sinks set replay_to = @to, revision = revision + 1
where name = @name`
)

// ReplaySink has a sink deliver everything after a position once more, up to the newest there is now, of each of its
// partitions; what is new waits until then. With 0 partitions what is being replayed ends. A replay that is running is
// replaced. It returns the last position.
func ReplaySink(ctx context.Context, db *postgres.DB, cause core.Cause, name string, after int64, partitions int, now time.Time) (int64, error) {
	var last int64
	err := order(ctx, db, name, func(tx pgx.Tx, _ bool) (err error) {
		last = 0
		if _, err := tx.Exec(ctx, dropReplay, pgx.StrictNamedArgs{"prefix": sinkCursors(name) + "replay/"}); err != nil {
			return err
		}
		if partitions > 0 {
			if last, err = Cursor(ctx, tx, CursorSequencer); err != nil {
				return err
			}
		}
		for partition := range partitions {
			if _, err := tx.Exec(ctx, insertReplay, pgx.StrictNamedArgs{"name": ReplayCursor(name, partition), "position": after}); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, updateReplay, pgx.StrictNamedArgs{"name": name, "to": last}); err != nil || partitions == 0 {
			return err
		}
		return tellAll(ctx, tx, core.SinkReplayed, cause, name, "", now)
	})
	return last, err
}

const (
	selectServed = `select coalesce(served > @since, false) from sinks where name = @name for update`

	deleteSink = `delete from sinks where name = @name`
)

// ServedWithin is after how long a sink that no process speaks of is taken to have none.
const ServedWithin = time.Minute

// ForgetSink removes a sink that is not there any more: its state and its cursors, which retention waits for. Its dead
// letters stay. One that a process delivers to is a Conflict; one that was never there is NotFound. If it comes back, it
// is a new sink.
func ForgetSink(ctx context.Context, db *postgres.DB, cause core.Cause, name string, now time.Time) error {
	return postgres.Classify(db.Tx(ctx, func(tx pgx.Tx) error {
		var served bool
		err := tx.QueryRow(ctx, selectServed, pgx.StrictNamedArgs{"name": name, "since": now.Add(-ServedWithin)}).Scan(&served)
		known := err == nil
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if served {
			return core.Conflict("", "a process delivers to the sink %s, or did within the last minute: take it out of the flags of 'postern serve' first", name)
		}
		gone, err := tx.Exec(ctx, dropReplay, pgx.StrictNamedArgs{"prefix": sinkCursors(name)})
		if err != nil {
			return err
		}
		if !known && gone.RowsAffected() == 0 {
			return core.NotFound("sink")
		}
		if _, err := tx.Exec(ctx, deleteSink, pgx.StrictNamedArgs{"name": name}); err != nil {
			return err
		}
		return tellAll(ctx, tx, core.SinkDeleted, cause, name, "", now)
	}))
}

// tellAll appends an event to every workspace.
func tellAll(ctx context.Context, tx pgx.Tx, kind core.EventType, cause core.Cause, name, reason string, now time.Time) error {
	workspaces, err := Heads(ctx, tx)
	if err != nil {
		return err
	}
	events := make([]core.Event, len(workspaces))
	for i, workspace := range workspaces {
		events[i] = core.NewEvent(kind, workspace, cause, now, core.Target{Kind: "sink", Name: name}).Because(reason)
	}
	return Append(ctx, tx, events...)
}

const selectWaiting = `
select g.workspace_id, greatest(0, h.sequence - coalesce(
	(select l.sequence from audit_log l where l.workspace_id = g.workspace_id and l.position <= g.position order by l.sequence desc limit 1),
	(select min(l.sequence) - 1 from audit_log l where l.workspace_id = g.workspace_id),
	h.sequence))
from unnest(@workspaces::uuid[], @positions::bigint[]) g (workspace_id, position)
join audit_heads h on h.workspace_id = g.workspace_id`

// Waiting counts the records of workspaces that come after a position: what a reader that came so far has still to read.
func Waiting(ctx context.Context, q postgres.Querier, after map[core.ID]int64) (map[core.ID]int64, error) {
	var workspaces []core.ID
	var positions []int64
	for workspace, position := range after {
		workspaces, positions = append(workspaces, workspace), append(positions, position)
	}
	rows, err := q.Query(ctx, selectWaiting, pgx.StrictNamedArgs{"workspaces": workspaces, "positions": positions})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	waiting := map[core.ID]int64{}
	var workspace core.ID
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&workspace, &count}, func() error { waiting[workspace] = count; return nil })
	return waiting, postgres.Classify(err)
}

// PositionBefore is the last position that was given before a time; 0 if all of the log came later.
func PositionBefore(ctx context.Context, q postgres.Querier, moment time.Time) (int64, error) {
	var position int64
	err := q.QueryRow(ctx, `select coalesce(max(position), 0) from audit_log where sequenced < @moment`, pgx.StrictNamedArgs{"moment": moment}).Scan(&position)
	return position, postgres.Classify(err)
}

// Heads lists the workspaces that have records.
func Heads(ctx context.Context, q postgres.Querier) ([]core.ID, error) {
	rows, err := q.Query(ctx, `select workspace_id from audit_heads order by workspace_id`)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	return found, postgres.Classify(err)
}
