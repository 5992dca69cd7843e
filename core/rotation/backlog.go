package rotation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// Backlog is how many rotations are open, over all workspaces, in one state.
type Backlog struct {
	State State `db:"state"`
	Count int64 `db:"count"`
}

const selectBacklog = `select state, count(*) as count from rotations where finished is null group by state`

// ReadBacklog counts the open rotations of all workspaces by state, for metrics. A state no rotation
// is in is left out.
func ReadBacklog(ctx context.Context, q postgres.Querier) ([]Backlog, error) {
	rows, err := q.Query(ctx, selectBacklog)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Backlog])
	return found, postgres.Classify(err)
}
