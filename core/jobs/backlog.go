package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// Backlog is the work that is queued, over all workspaces, in one state.
type Backlog struct {
	State  string // available, running, retryable, scheduled
	Count  int64
	Oldest time.Duration // since when the longest due of them is due; 0 when none is
}

const selectBacklog = `
select state::text, count(*), greatest(0, extract(epoch from max(now() - scheduled_at)))::float8
from river_job where state in ('available', 'running', 'retryable', 'scheduled') group by state`

// ReadBacklog counts the jobs that are not done yet, for metrics. A state no job is in is left out.
func ReadBacklog(ctx context.Context, q postgres.Querier) ([]Backlog, error) {
	rows, err := q.Query(ctx, selectBacklog)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Backlog, error) {
		var one Backlog
		var seconds float64
		err := row.Scan(&one.State, &one.Count, &seconds)
		one.Oldest = time.Duration(seconds * float64(time.Second))
		return one, err
	})
	return found, postgres.Classify(err)
}
