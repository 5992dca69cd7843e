package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Record is an event with its place in the order of things.
type Record struct {
	Position  int64      // over all workspaces, gap-free, from 1: what the relay follows
	Sequence  int64      // within the workspace, gap-free, from 1
	Event     core.Event // read from Canonical
	Canonical []byte     // the bytes that were hashed
	Previous  []byte     // the hash of the record before; 32 zero bytes for the first
	Hash      []byte     // Hash(Previous, Sequence, Canonical)
	Sequenced time.Time  // when it was written here; never before that of the record before
}

// Hash links a record to the one before it: SHA-256 over the previous hash, the sequence as eight
// bytes big-endian, and the canonical event.
func Hash(previous []byte, sequence int64, canonical []byte) []byte {
	hash := sha256.New()
	hash.Write(previous)
	hash.Write(binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(sequence)))
	hash.Write(canonical)
	return hash.Sum(nil)
}

// Genesis is what the first record of a workspace has as its previous hash.
func Genesis() []byte { return make([]byte, sha256.Size) }

const recordsAfter = `
select l.position, l.workspace_id, l.sequence, l.event, l.previous, l.hash, l.sequenced
from audit_log l
where l.position > @position
order by l.position
limit @limit`

// After reads the records of all workspaces that follow a position, in order. It is for the relay,
// the one reader that serves every workspace.
func After(ctx context.Context, q postgres.Querier, position int64, limit int) ([]Record, error) {
	return collect(ctx, q, recordsAfter, pgx.StrictNamedArgs{"position": position, "limit": limit})
}

// All walks the whole log of a workspace in order, a page at a time, ready for Verify. Once the walk
// is over, the second function tells why it ended early, if it did.
func All(ctx context.Context, q postgres.Querier, workspace core.ID) (iter.Seq[Record], func() error) {
	var failure error
	walk := func(yield func(Record) bool) {
		for after := int64(0); ; {
			page, err := List(ctx, q, workspace, Query{AfterSequence: after, Limit: 1000})
			if err != nil {
				failure = err
				return
			}
			for _, record := range page {
				if !yield(record) {
					return
				}
				after = record.Sequence
			}
			if len(page) < 1000 {
				return
			}
		}
	}
	return walk, func() error { return failure }
}

func collect(ctx context.Context, q postgres.Querier, sql string, arguments pgx.StrictNamedArgs) ([]Record, error) {
	rows, err := q.Query(ctx, sql, arguments)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Record, error) {
		var record Record
		var workspace core.ID
		if err := row.Scan(&record.Position, (*[16]byte)(&workspace), &record.Sequence, &record.Canonical, &record.Previous, &record.Hash, &record.Sequenced); err != nil {
			return record, err
		}
		var err error
		if record.Event, err = readEvent(record.Canonical); err != nil {
			return record, fmt.Errorf("audit: record %d of workspace %s cannot be read: %w", record.Sequence, workspace, err)
		}
		if record.Event.Workspace != workspace {
			return record, fmt.Errorf("audit: record %d of workspace %s tells of another workspace", record.Sequence, workspace)
		}
		return record, nil
	})
	return records, postgres.Classify(err)
}
