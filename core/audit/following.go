package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const recordsFollowing = `
select l.position, l.workspace_id, l.sequence, l.event, l.previous, l.hash, l.sequenced
from audit_log l
where l.workspace_id = @workspace and l.sequence > @sequence
order by l.sequence
limit @limit`

// Following reads the records of one workspace that follow a sequence, in order.
func Following(ctx context.Context, q postgres.Querier, workspace core.ID, sequence int64, limit int) ([]Record, error) {
	return collect(ctx, q, recordsFollowing, pgx.StrictNamedArgs{"workspace": workspace, "sequence": sequence, "limit": limit})
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
