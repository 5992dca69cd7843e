package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const recordsFollowing = `
select l.position, l.workspace_id, l.event_id, l.sequence, l.event, l.previous, l.hash, l.sequenced
from audit_log l
where l.workspace_id = @workspace and l.sequence > @sequence
order by l.sequence
limit @limit`

// Following reads the records of one workspace that follow a sequence, in order. For a damaged one its Tombstone
// stands, as the relay publishes it.
func Following(ctx context.Context, q postgres.Querier, workspace core.ID, sequence int64, limit int) ([]Record, error) {
	rows, err := q.Query(ctx, recordsFollowing, pgx.StrictNamedArgs{"workspace": workspace, "sequence": sequence, "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Record, error) {
		one, err := readFollowed(row)
		if err != nil || one.Fault == nil {
			return one.Record, err
		}
		return one.Tombstone(), nil
	})
	return records, postgres.Classify(err)
}

// Since is the sequence of the first record of a workspace that was written at a time or later; one more than the
// newest when there is none.
func Since(ctx context.Context, q postgres.Querier, workspace core.ID, moment time.Time) (int64, error) {
	head, err := Head(ctx, q, workspace)
	if err != nil {
		return 0, err
	}
	before, err := recorded(ctx, q, workspace, head, moment)
	return before + 1, err
}
