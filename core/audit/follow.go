package audit

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Followed is a record as the relay meets it. One with a Fault was damaged in the log: its Event is empty, what is beside
// the text of the event still tells what it was.
type Followed struct {
	Record
	Workspace core.ID
	ID        core.ID // of the event
	Fault     error
}

const recordsFollowed = `
select l.position, l.workspace_id, l.event_id, l.sequence, l.event, l.previous, l.hash, l.sequenced
from audit_log l
where l.position > @position
order by l.position
limit @limit`

// Follow is After for the relay: a damaged record is given with its fault instead of ending the reading, and what is given
// is of about size bytes at most, but at least one record.
func Follow(ctx context.Context, q postgres.Querier, position int64, limit, size int) ([]Followed, error) {
	rows, err := q.Query(ctx, recordsFollowed, pgx.StrictNamedArgs{"position": position, "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	defer rows.Close()
	var followed []Followed
	for total := 0; total < size && rows.Next(); {
		one, err := readFollowed(rows)
		if err != nil {
			return nil, postgres.Classify(err)
		}
		total += len(one.Canonical)
		followed = append(followed, one)
	}
	rows.Close() // what is left of the answer is read, and not kept
	return followed, postgres.Classify(rows.Err())
}

func readFollowed(row pgx.CollectableRow) (Followed, error) {
	var one Followed
	if err := row.Scan(&one.Position, (*[16]byte)(&one.Workspace), (*[16]byte)(&one.ID), &one.Sequence, &one.Canonical, &one.Previous, &one.Hash, &one.Sequenced); err != nil {
		return one, err
	}
	var err error
	if one.Event, err = readEvent(one.Canonical); err != nil {
		one.Event, one.Fault = core.Event{}, fmt.Errorf("audit: the event is not what was written: %w", err)
	} else if one.Event.Workspace != one.Workspace || one.Event.ID != one.ID {
		one.Event, one.Fault = core.Event{}, fmt.Errorf("audit: the event is another one, or of another workspace")
	}
	return one, nil
}

// Tombstone is the record that stands for a damaged one: with its id and place, and the hashes the chain goes on from.
// Verify finds that its content is not what was hashed.
func (f Followed) Tombstone() Record {
	event := core.Event{
		ID: f.ID, Workspace: f.Workspace, Type: core.RecordUnreadable, Occurred: f.Sequenced.UTC().Truncate(time.Microsecond), Actor: core.System,
		Outcome: core.Failure, Reason: "the record was damaged in the log; what is left of it is among the dead letters", Correlation: f.ID,
		Data: map[string]string{"sequence": strconv.FormatInt(f.Sequence, 10), "position": strconv.FormatInt(f.Position, 10)},
	}
	record := f.Record
	record.Event = event
	record.Canonical, _ = Canonical(event) // of text of ours alone: it is always plain
	return record
}

// Relayed is the name under which damaged records are kept among the dead letters.
const Relayed = "relay"

const selectKept = `select exists (select from dead_letters where workspace_id = @workspace and sink = @sink and event_id = @event)`

// KeepUnreadable keeps what is left of a damaged record as a dead letter, and tells its workspace, once.
func KeepUnreadable(ctx context.Context, db *postgres.DB, record Followed, fault error, now time.Time) error {
	return db.Tx(ctx, func(tx pgx.Tx) error {
		var kept bool
		if err := tx.QueryRow(ctx, selectKept, pgx.StrictNamedArgs{"workspace": record.Workspace, "sink": Relayed, "event": record.ID}).Scan(&kept); err != nil || kept {
			return err
		}
		return AddDeadLetter(ctx, tx, DeadLetter{
			Sink: Relayed, Workspace: record.Workspace, Event: record.ID, Type: core.RecordUnreadable, Sequence: record.Sequence, Record: string(record.Canonical), Created: now,
			Answer: fmt.Sprintf("position %d, sequence %d: %s", record.Position, record.Sequence, fault),
		})
	})
}
