package delivery

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// Meter counts attempts as they end. Of a lane that is fetched there are none.
type Meter interface {
	// Attempted is told what became of an attempt: one of Outcomes.
	Attempted(kind, outcome string)
}

// Outcomes are what an attempt can come to, as a Meter is told.
var Outcomes = []string{"delivered", "again", "refused", "given_up"}

// outcome is what a Meter is told of an attempt.
func (o Outcome) outcome(last bool) string {
	switch {
	case o.Verdict == Delivered:
		return Outcomes[0]
	case o.Verdict == Refused:
		return Outcomes[2]
	case o.Verdict == Gone || last:
		return Outcomes[3]
	}
	return Outcomes[1]
}

// Load is how the lanes of one kind and state go, over all workspaces.
type Load struct {
	Kind    string     `db:"kind"`
	State   State      `db:"state"`
	Lanes   int        `db:"lanes"`
	Failing int        `db:"failing"` // of them: the last attempt failed
	Waiting int        `db:"waiting"`
	Dead    int        `db:"dead"`
	Oldest  *time.Time `db:"oldest"` // of what waits
}

// Over all workspaces, and by the partial indexes: what was delivered is not looked at.
const selectLoads = `
select l.kind, l.state, count(*) as lanes, count(*) filter (where l.failures > 0) as failing,
	coalesce(sum(w.waiting), 0)::bigint as waiting, coalesce(sum(g.dead), 0)::bigint as dead, min(o.created) as oldest
from delivery_lanes l
cross join lateral (select count(*) as waiting from deliveries d where d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'waiting') w
cross join lateral (select count(*) as dead from deliveries d where d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'dead') g
left join lateral (
	select d.created from deliveries d where d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'waiting' order by d.number limit 1) o on true
group by l.kind, l.state`

// ReadLoads measures all lanes.
func ReadLoads(ctx context.Context, q postgres.Querier) ([]Load, error) {
	rows, err := q.Query(ctx, selectLoads)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Load])
	return found, postgres.Classify(err)
}
