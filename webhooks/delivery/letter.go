package delivery

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const deliveryColumns = `id, workspace_id, lane_id, event_id, type, payload, urgent, state, attempts, next, last_error, status, created, finished`

const selectDead = `
select ` + deliveryColumns + ` from deliveries
where workspace_id = @workspace and lane_id = @lane and state = @state
order by number limit @limit`

// DeadLetters lists what a destination refused or never took, oldest first.
func (d *Deliveries) DeadLetters(ctx context.Context, q postgres.Querier, workspace, lane core.ID, limit int) ([]Delivery, error) {
	return d.list(ctx, q, selectDead, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "state": "dead", "limit": limit})
}

// Waiting lists what waits in a lane, in order.
func (d *Deliveries) Waiting(ctx context.Context, q postgres.Querier, workspace, lane core.ID, limit int) ([]Delivery, error) {
	return d.list(ctx, q, selectDead, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "state": "waiting", "limit": limit})
}

// Without what was sent, and by the index of each state: a lane may have delivered millions.
const (
	lastColumns = `id, workspace_id, lane_id, event_id, type, urgent, state, attempts, next, last_error, status, created, finished`
	lastOne     = `(select ` + lastColumns + `, number from deliveries where workspace_id = @workspace and lane_id = @lane and @state in ('', state) and state = `
	lastEnd     = ` order by number desc limit @limit)`
	selectLast  = `select ` + lastColumns + ` from (
	` + lastOne + `'waiting'` + lastEnd + ` union all ` + lastOne + `'delivered'` + lastEnd + ` union all ` + lastOne + `'dead'` + lastEnd + `
) last order by number desc limit @limit`
)

// Last lists what was added to a lane last, the latest first: of one state, if it is said. Payloads are left out.
func (d *Deliveries) Last(ctx context.Context, q postgres.Querier, workspace, lane core.ID, state string, limit int) ([]Delivery, error) {
	rows, err := q.Query(ctx, selectLast, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "state": state, "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[Delivery])
	return found, postgres.Classify(err)
}

func (d *Deliveries) list(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) ([]Delivery, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Delivery])
	return found, postgres.Classify(err)
}

const retry = `
update deliveries set state = 'waiting', attempts = 0, next = @now, finished = null
where workspace_id = @workspace and lane_id = @lane and state <> 'waiting' and (id = @id::uuid or @id::uuid is null and state = 'dead')`

// Retry has a finished message of a lane sent again, with its id; with the zero id every dead letter. It
// returns how many. None of that name is NotFound.
func (d *Deliveries) Retry(ctx context.Context, tx pgx.Tx, workspace, lane, id core.ID) (int, error) {
	now := d.now()
	done, err := tx.Exec(ctx, retry, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "id": id, "now": now})
	if err != nil {
		return 0, postgres.Classify(err)
	}
	if done.RowsAffected() == 0 && !id.IsZero() {
		return 0, core.NotFound("message that can be sent again")
	}
	_, err = tx.Exec(ctx, dueNow, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "now": now})
	return int(done.RowsAffected()), postgres.Classify(err)
}

// Fetched are the messages of a lane that is fetched, and whether there are more.
const selectFetched = `
select ` + deliveryColumns + ` from deliveries
where workspace_id = @workspace and lane_id = @lane and state = 'waiting'
  and (urgent or exists (select from delivery_lanes where workspace_id = @workspace and id = @lane and state = 'running'))
order by number limit @limit`

// Fetch is what waits in a lane for who fetches it, in order; more says that there is more. Nothing changes
// until it is acknowledged.
func (d *Deliveries) Fetch(ctx context.Context, q postgres.Querier, workspace, lane core.ID, limit int) (found []Delivery, more bool, err error) {
	found, err = d.list(ctx, q, selectFetched, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "limit": limit + 1})
	if len(found) > limit {
		return found[:limit], true, err
	}
	return found, false, err
}

// News returns a channel that is closed when something may have been added to a lane in this process. Ask for
// it before Fetch.
func (d *Deliveries) News(lane core.ID) <-chan struct{} {
	d.prepare()
	return d.news.listen(lane)
}

const acknowledge = `
update deliveries set state = 'delivered', finished = @now, last_error = '', attempts = attempts + 1
where workspace_id = @workspace and lane_id = @lane and id = any(@ids::uuid[]) and state = 'waiting'`

const noteSuccess = `
update delivery_lanes set succeeded = @now, failures = 0, last_error = '', last_error_at = null
where workspace_id = @workspace and id = @lane`

// Acknowledge ends messages of a lane that is fetched. Unknown ids are passed over.
func (d *Deliveries) Acknowledge(ctx context.Context, tx pgx.Tx, workspace, lane core.ID, ids []core.ID) error {
	now := d.now()
	done, err := tx.Exec(ctx, acknowledge, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "ids": ids, "now": now})
	if err != nil || done.RowsAffected() == 0 {
		return postgres.Classify(err)
	}
	_, err = tx.Exec(ctx, noteSuccess, pgx.StrictNamedArgs{"workspace": workspace, "lane": lane, "now": now})
	return postgres.Classify(err)
}

const selectOne = `select ` + deliveryColumns + ` from deliveries where workspace_id = @workspace and lane_id = @lane and id = @id for update`

// Refuse makes a message of a lane that is fetched a dead letter, for its destination says it cannot take it.
// An unknown id is passed over.
func (d *Deliveries) Refuse(ctx context.Context, tx pgx.Tx, lane Lane, id core.ID, why string) error {
	rows, err := tx.Query(ctx, selectOne, pgx.StrictNamedArgs{"workspace": lane.Workspace, "lane": lane.ID, "id": id})
	if err != nil {
		return postgres.Classify(err)
	}
	one, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Delivery])
	if errors.Is(err, pgx.ErrNoRows) || err == nil && one.State != "waiting" {
		return nil
	}
	if err != nil {
		return postgres.Classify(err)
	}
	return d.bury(ctx, tx, lane, one, Outcome{Verdict: Refused, Why: why})
}
