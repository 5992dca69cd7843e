package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// How many lanes a process serves at a time, and for how long one before the others have their turn.
const (
	lanesAtOnce = 16
	turn        = 20 * time.Second
	sweepEvery  = 10 * time.Minute
)

// Run delivers until ctx ends, then returns nil. It may run in many processes.
func (d *Deliveries) Run(ctx context.Context) error {
	d.prepare()
	var busy sync.WaitGroup
	defer busy.Wait()
	owner, places, swept := core.NewID(), make(chan struct{}, lanesAtOnce), time.Time{}
	for {
		if since := d.now().Sub(swept); since > sweepEvery || since < 0 {
			swept = d.now()
			if err := d.sweep(ctx); err != nil && ctx.Err() == nil {
				d.log().WarnContext(ctx, "old deliveries cannot be forgotten", "error", err)
			}
		}
		// What is claimed is served or given back: a process that is asked to stop leaves no lane to its lease.
		claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		taken, err := d.claim(claiming, owner, cap(places)-len(places))
		cancel()
		if err != nil && ctx.Err() == nil {
			d.log().WarnContext(ctx, "it cannot be seen what is to be delivered", "error", err)
		}
		for _, lane := range taken {
			places <- struct{}{}
			busy.Go(func() {
				defer func() { <-places; d.work.Ring() }() // without a pause: a place is free
				d.serve(ctx, owner, lane)
			})
		}
		d.work.Rest(ctx, d.Look)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Over all workspaces: the one who delivers serves them all.
const claimLanes = `
with due as (
	select workspace_id, id from delivery_lanes
	where due <= @now and (lease_until is null or lease_until <= @now)
	order by due limit @limit for update skip locked)
update delivery_lanes l set lease_owner = @owner, lease_until = @until
from due d where l.workspace_id = d.workspace_id and l.id = d.id
returning l.id, l.workspace_id, l.kind, l.name, l.ordered, l.carried, l.state, l.reason, l.succeeded, l.failures, l.last_error, l.last_error_at`

func (d *Deliveries) claim(ctx context.Context, owner core.ID, limit int) ([]Lane, error) {
	if limit == 0 {
		return nil, nil
	}
	now := d.now()
	rows, err := d.DB.Query(ctx, claimLanes, pgx.StrictNamedArgs{"owner": owner, "now": now, "until": now.Add(d.Lease), "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByName[Lane])
	return taken, postgres.Classify(err)
}

// serve delivers what is due in a lane, and gives the lane back.
func (d *Deliveries) serve(ctx context.Context, owner core.ID, lane Lane) {
	began := time.Now()
	carrier, known := d.Carriers[lane.Kind]
	for known && ctx.Err() == nil && time.Since(began) < turn {
		one, err := d.next(ctx, owner, lane)
		if err != nil {
			if core.KindOf(err) != core.KindNotFound && ctx.Err() == nil {
				d.log().WarnContext(ctx, "the next delivery cannot be read", "lane", lane.ID.String(), "error", err)
			}
			break
		}
		outcome := carrier.Carry(ctx, lane, one)
		if ctx.Err() != nil && outcome.Verdict == Again {
			break // we go, it is not the destination's fault
		}
		// What the destination has must be known to be there, though the process is asked to stop.
		settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err = d.settle(settling, lane, one, outcome, carrier.Schedule)
		cancel()
		if err != nil {
			d.log().WarnContext(ctx, "what became of a delivery cannot be kept", "lane", lane.ID.String(), "error", err)
			break
		}
		if d.Meter != nil {
			d.Meter.Attempted(lane.Kind, outcome.outcome(one.Attempts >= len(carrier.Schedule)))
		}
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.release(settling, owner, lane); err != nil {
		d.log().WarnContext(ctx, "a lane cannot be given back", "lane", lane.ID.String(), "error", err)
	}
}

const renewLease = `
update delivery_lanes set lease_until = @until
where workspace_id = @workspace and id = @lane and lease_owner = @owner
returning state, ordered`

const selectNext = `
select ` + deliveryColumns + ` from deliveries
where workspace_id = @workspace and lane_id = @lane and state = 'waiting' and (@running::boolean or urgent)
order by number limit 1`

const selectNextDue = `
select ` + deliveryColumns + ` from deliveries
where workspace_id = @workspace and lane_id = @lane and state = 'waiting' and (@running::boolean or urgent) and next <= @now
order by next, number limit 1`

// next is what to deliver now: NotFound when nothing is due, or the lane is another's by now.
func (d *Deliveries) next(ctx context.Context, owner core.ID, lane Lane) (Delivery, error) {
	now := d.now()
	var state State
	var ordered bool
	err := d.DB.QueryRow(ctx, renewLease, pgx.StrictNamedArgs{
		"workspace": lane.Workspace, "lane": lane.ID, "owner": owner, "until": now.Add(d.Lease),
	}).Scan(&state, &ordered)
	if errors.Is(err, pgx.ErrNoRows) {
		return Delivery{}, core.NotFound("lane")
	}
	if err != nil {
		return Delivery{}, postgres.Classify(err)
	}
	args := pgx.StrictNamedArgs{"workspace": lane.Workspace, "lane": lane.ID, "running": state == Running}
	statement := selectNext
	if !ordered {
		statement, args["now"] = selectNextDue, now
	}
	found, err := d.list(ctx, d.DB, statement, args)
	if err != nil {
		return Delivery{}, err
	}
	if len(found) == 0 || found[0].Next.After(now) {
		return Delivery{}, core.NotFound("delivery")
	}
	return found[0], nil
}

const markDelivered = `
update deliveries set state = 'delivered', finished = @now, attempts = attempts + 1, status = @status, last_error = @why
where workspace_id = @workspace and id = @id and state = 'waiting'`

const markFailed = `
update deliveries set attempts = attempts + 1, next = @next, status = @status, last_error = @why
where workspace_id = @workspace and id = @id and state = 'waiting'`

const noteFailure = `
update delivery_lanes set failures = failures + 1, last_error = @why, last_error_at = @now
where workspace_id = @workspace and id = @lane`

// settle keeps what came of an attempt.
func (d *Deliveries) settle(ctx context.Context, lane Lane, one Delivery, outcome Outcome, schedule []time.Duration) error {
	err := d.DB.Tx(ctx, func(tx pgx.Tx) error {
		now := d.now()
		about := pgx.StrictNamedArgs{"workspace": lane.Workspace, "lane": lane.ID, "now": now}
		switch {
		case outcome.Verdict == Delivered:
			if _, err := tx.Exec(ctx, markDelivered, pgx.StrictNamedArgs{
				"workspace": lane.Workspace, "id": one.ID, "now": now, "status": outcome.Status, "why": core.Cut(outcome.Why, 500),
			}); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, noteSuccess, about)
			return err
		case outcome.Verdict == Refused:
			return d.bury(ctx, tx, lane, one, outcome)
		case outcome.Verdict == Gone || one.Attempts >= len(schedule):
			if err := d.bury(ctx, tx, lane, one, outcome); err != nil {
				return err
			}
			return d.giveUp(ctx, tx, lane, outcome)
		}
		wait := max(outcome.After, schedule[one.Attempts])
		wait += time.Duration(rand.Int64N(int64(wait)/10 + 1))
		if _, err := tx.Exec(ctx, markFailed, pgx.StrictNamedArgs{
			"workspace": lane.Workspace, "id": one.ID, "next": now.Add(wait), "status": outcome.Status, "why": core.Cut(outcome.Why, 500),
		}); err != nil {
			return err
		}
		about["why"] = core.Cut(outcome.Why, 500)
		_, err := tx.Exec(ctx, noteFailure, about)
		return err
	})
	if err == nil && outcome.Verdict != Delivered {
		d.wake()
	}
	return postgres.Classify(err)
}

const markDead = `
update deliveries set state = 'dead', finished = @now, attempts = attempts + 1, status = @status, last_error = @why
where workspace_id = @workspace and id = @id and state = 'waiting'`

// bury makes a message a dead letter.
func (d *Deliveries) bury(ctx context.Context, tx pgx.Tx, lane Lane, one Delivery, outcome Outcome) error {
	why, now := core.Cut(outcome.Why, 500), d.now()
	done, err := tx.Exec(ctx, markDead, pgx.StrictNamedArgs{"workspace": lane.Workspace, "id": one.ID, "now": now, "status": outcome.Status, "why": why})
	if err != nil || done.RowsAffected() == 0 {
		return postgres.Classify(err)
	}
	if _, err := tx.Exec(ctx, noteFailure, pgx.StrictNamedArgs{"workspace": lane.Workspace, "lane": lane.ID, "now": now, "why": why}); err != nil {
		return postgres.Classify(err)
	}
	return d.tell(ctx, tx, core.DeliveryDeadLettered, lane, why, "delivery", one.ID.String(), "type", one.Type, "event", one.Event.String())
}

// giveUp disables a lane nobody answers at.
func (d *Deliveries) giveUp(ctx context.Context, tx pgx.Tx, lane Lane, outcome Outcome) error {
	why := core.Cut("given up: "+outcome.Why, 500)
	if err := d.setState(ctx, tx, lane.Workspace, lane.ID, Disabled, why, true); err != nil {
		return err
	}
	return d.tell(ctx, tx, core.DeliveryDisabled, lane, why)
}

const lockLane = `select id from delivery_lanes where workspace_id = @workspace and id = @lane and lease_owner = @owner for no key update`

// Who adds a message waits for the lock, so what is added is seen here, or raises due after it.
const releaseLane = `
update delivery_lanes l set lease_owner = null, lease_until = null, due = case
	when not l.carried then null
	when l.ordered then (
		select d.next from deliveries d where d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'waiting' and (l.state = 'running' or d.urgent)
		order by d.number limit 1)
	else (
		select min(d.next) from deliveries d where d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'waiting' and (l.state = 'running' or d.urgent))
	end
where l.workspace_id = @workspace and l.id = @lane and l.lease_owner = @owner`

func (d *Deliveries) release(ctx context.Context, owner core.ID, lane Lane) error {
	err := d.DB.Tx(ctx, func(tx pgx.Tx) error {
		args := pgx.StrictNamedArgs{"workspace": lane.Workspace, "lane": lane.ID, "owner": owner}
		if _, err := tx.Exec(ctx, lockLane, args); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, releaseLane, args)
		return err
	})
	return postgres.Classify(err)
}

// Over all workspaces, a thousand at a time.
const sweepFinished = `
delete from deliveries where (workspace_id, id) in (
	select workspace_id, id from deliveries
	where state <> 'waiting' and finished < case when state = 'dead' then @dead::timestamptz else @delivered::timestamptz end
	order by finished limit 1000)`

// MostWait is how long messages wait for a destination that is paused or disabled, or does not fetch them.
const MostWait = 30 * 24 * time.Hour

const sweepWaiting = `
delete from deliveries where (workspace_id, id) in (
	select d.workspace_id, d.id from delivery_lanes l
	join deliveries d on d.workspace_id = l.workspace_id and d.lane_id = l.id and d.state = 'waiting' and d.created < @old
	where l.state <> 'running' or not l.carried
	limit 1000)`

// sweep forgets what was finished long ago, and what nobody wants.
func (d *Deliveries) sweep(ctx context.Context) error {
	now := d.now()
	if _, err := d.DB.Exec(ctx, sweepWaiting, pgx.StrictNamedArgs{"old": now.Add(-MostWait)}); err != nil {
		return postgres.Classify(err)
	}
	_, err := d.DB.Exec(ctx, sweepFinished, pgx.StrictNamedArgs{"delivered": now.Add(-d.Keep), "dead": now.Add(-90 * 24 * time.Hour)})
	return postgres.Classify(err)
}
