package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const insertLane = `
insert into delivery_lanes (id, workspace_id, kind, name, ordered, carried, state, created)
values (@id, @workspace, @kind, @name, @ordered, @carried, 'running', @now)`

// Open adds a lane, running.
func (d *Deliveries) Open(ctx context.Context, tx pgx.Tx, lane Lane) error {
	_, err := tx.Exec(ctx, insertLane, pgx.StrictNamedArgs{
		"id": lane.ID, "workspace": lane.Workspace, "kind": lane.Kind, "name": lane.Name, "ordered": lane.Ordered, "carried": lane.Carried, "now": d.now(),
	})
	return postgres.Classify(err)
}

const deleteLane = `delete from delivery_lanes where workspace_id = @workspace and id = @id`

// Close removes a lane with all that is in it.
func (d *Deliveries) Close(ctx context.Context, tx pgx.Tx, workspace, id core.ID) error {
	done, err := tx.Exec(ctx, deleteLane, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && done.RowsAffected() == 0 {
		return core.NotFound("lane")
	}
	return postgres.Classify(err)
}

const laneColumns = `id, workspace_id, kind, name, ordered, carried, state, reason, succeeded, failures, last_error, last_error_at`

const selectLane = `select ` + laneColumns + ` from delivery_lanes where workspace_id = @workspace and id = @id`

// Lane reads a lane.
func (d *Deliveries) Lane(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Lane, error) {
	rows, err := q.Query(ctx, selectLane, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Lane{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Lane])
	if errors.Is(err, pgx.ErrNoRows) {
		return Lane{}, core.NotFound("lane")
	}
	return found, postgres.Classify(err)
}

const selectLanes = `select ` + laneColumns + ` from delivery_lanes where workspace_id = @workspace and kind = @kind order by created, id`

// Lanes lists the lanes of a kind, oldest first.
func (d *Deliveries) Lanes(ctx context.Context, q postgres.Querier, workspace core.ID, kind string) ([]Lane, error) {
	rows, err := q.Query(ctx, selectLanes, pgx.StrictNamedArgs{"workspace": workspace, "kind": kind})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Lane])
	return found, postgres.Classify(err)
}

// A lane that runs again is due at once, and nothing that went wrong before counts. Failures of one that is
// disabled say that it was given up, not turned off: see Add.
const updateState = `
update delivery_lanes set state = @state, reason = @reason,
	due = case when carried then @now::timestamptz end,
	failures = case when @given_up::boolean then failures else 0 end
where workspace_id = @workspace and id = @id`

const hurry = `
update deliveries set next = @now
where workspace_id = @workspace and lane_id = @id and state = 'waiting' and next > @now`

// SetState pauses, disables or lets run. What waits goes on waiting; see Drop.
func (d *Deliveries) SetState(ctx context.Context, tx pgx.Tx, workspace, id core.ID, state State, reason string) error {
	return d.setState(ctx, tx, workspace, id, state, reason, false)
}

func (d *Deliveries) setState(ctx context.Context, tx pgx.Tx, workspace, id core.ID, state State, reason string, givenUp bool) error {
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": d.now()}
	if state == Running {
		if _, err := tx.Exec(ctx, hurry, args); err != nil {
			return postgres.Classify(err)
		}
	}
	args["state"], args["reason"], args["given_up"] = state, core.Cut(reason, 500), givenUp
	done, err := tx.Exec(ctx, updateState, args)
	if err == nil && done.RowsAffected() == 0 {
		return core.NotFound("lane")
	}
	return postgres.Classify(err)
}

const updateCarried = `
update delivery_lanes set carried = @carried, name = @name, due = case when @carried::boolean then @now::timestamptz end
where workspace_id = @workspace and id = @id`

// Change renames a lane, and says who brings what is in it.
func (d *Deliveries) Change(ctx context.Context, tx pgx.Tx, workspace, id core.ID, name string, carried bool) error {
	_, err := tx.Exec(ctx, updateCarried, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "name": name, "carried": carried, "now": d.now()})
	return postgres.Classify(err)
}

const dropWaiting = `delete from deliveries where workspace_id = @workspace and lane_id = @id and state = 'waiting' and not urgent`

// Drop forgets what waits in a lane.
func (d *Deliveries) Drop(ctx context.Context, tx pgx.Tx, workspace, id core.ID) error {
	_, err := tx.Exec(ctx, dropWaiting, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	return postgres.Classify(err)
}

const insertDelivery = `
insert into deliveries (id, workspace_id, lane_id, event_id, type, payload, urgent, next, created)
select @id, @workspace, @lane, @event, @type, @payload, @urgent, @now, @now
from delivery_lanes l
where l.workspace_id = @workspace and l.id = @lane and (l.state <> 'disabled' or l.failures > 0 or @urgent::boolean)
on conflict on constraint delivery_once do nothing`

const dueNow = `
update delivery_lanes set due = least(coalesce(due, @now::timestamptz), @now::timestamptz)
where workspace_id = @workspace and id = @lane and carried`

// Add puts a message into its lane. One of the same event and type that is there already stays as it is, and a
// lane that was turned off takes none; one that was given up does, for when it is let run again. Only
// Workspace, Lane, Event, Type, Payload, Urgent and ID, if the payload needs one, are read.
func (d *Deliveries) Add(ctx context.Context, tx pgx.Tx, one Delivery) error {
	if one.ID.IsZero() {
		one.ID = core.NewID()
	}
	if one.Event.IsZero() {
		one.Event = one.ID
	}
	now := d.now()
	if _, err := tx.Exec(ctx, insertDelivery, pgx.StrictNamedArgs{
		"id": one.ID, "workspace": one.Workspace, "lane": one.Lane, "event": one.Event, "type": one.Type, "payload": one.Payload, "urgent": one.Urgent, "now": now,
	}); err != nil {
		return postgres.Classify(err)
	}
	_, err := tx.Exec(ctx, dueNow, pgx.StrictNamedArgs{"workspace": one.Workspace, "lane": one.Lane, "now": now})
	return postgres.Classify(err)
}

// Backlog is what waits in a lane and what was given up.
type Backlog struct {
	Waiting int        `db:"waiting"`
	Dead    int        `db:"dead"`
	Oldest  *time.Time `db:"oldest"` // of what waits
}

const selectBacklog = `
select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'dead') as dead,
	min(created) filter (where state = 'waiting') as oldest
from deliveries where workspace_id = @workspace and lane_id = @id and state <> 'delivered'`

// Backlog measures a lane.
func (d *Deliveries) Backlog(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Backlog, error) {
	rows, err := q.Query(ctx, selectBacklog, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Backlog{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Backlog])
	return found, postgres.Classify(err)
}

// tell records an event about a lane.
func (d *Deliveries) tell(ctx context.Context, tx pgx.Tx, kind core.EventType, lane Lane, reason string, facts ...string) error {
	event := core.NewEvent(kind, lane.Workspace, core.NewCause(core.System, d.now()), d.now(), lane.Target()).Failed(reason)
	for i := 0; i+1 < len(facts); i += 2 {
		event = event.With(facts[i], facts[i+1])
	}
	return audit.Append(ctx, tx, event)
}
