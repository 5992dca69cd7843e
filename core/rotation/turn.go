package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
)

// Whose turn it is. A rotation's job is a turn, given when a worker has a place for it:
//
//	the app has as many under way as it may     the rotation is parked: its job ends, and the next of its app that
//	                                            comes to rest, wherever, gives it another
//	somebody else has less under way            that one is driven in this place, and the job waits for its own turn
//
// Nobody asks again and again. Who dies before passing a place on has its job run once more, and what is parked without
// anybody under way is overdue (see Sweep).

// turn is a rotation that may begin.
type turn struct {
	Workspace core.ID `db:"workspace_id"`
	ID        core.ID `db:"id"`
}

// turn has the job's own rotation advance, or the one before it.
func (r *Rotations) turn(ctx context.Context, job step) error {
	first, err := r.advance(ctx, job.Workspace, job.Rotation, job.Wake)
	if first == nil {
		return err
	}
	// It has a job of its own for what is to come.
	if _, err = r.advance(ctx, first.Workspace, first.ID, 0); err != nil {
		if _, waits := jobs.SnoozeOf(err); !waits {
			return err
		}
	}
	return jobs.Snooze(0)
}

// room is what stands between a rotation and its turn.
type room struct {
	App         core.ID       `db:"app"`
	Most        int           `db:"most"` // rotations of the app at once
	Spacing     time.Duration `db:"spacing"`
	Next        *time.Time    `db:"next"`         // when the app may be asked again
	OfApp       int           `db:"of_app"`       // under way
	OfWorkspace int           `db:"of_workspace"` // under way
}

func (r room) full(now time.Time) bool {
	return r.OfApp >= r.Most || r.Next != nil && r.Next.After(now)
}

// lockTurns has the turns of an app be given one after the other. Whoever holds it waits for no row.
const lockTurns = `
select pg_advisory_xact_lock(hashtextextended('turns of ' || a.app_id, 0))
from rotations r join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
where r.workspace_id = @workspace and r.id = @id`

const selectRoom = `
select a.app_id as app, coalesce(p.at_once, @most::integer) as most, coalesce(p.spacing, '0') as spacing, p.next, l.of_app, l.of_workspace
from rotations r
join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
left join app_paces p on p.workspace_id = a.workspace_id and p.app_id = a.app_id
cross join lateral (
	select count(*) filter (where app_id = a.app_id) as of_app, count(*) as of_workspace from rotations
	where workspace_id = @workspace and leased and lease_until > @now
) l
where r.workspace_id = @workspace and r.id = @id`

// queueRoom takes lockTurns and reads the room of a rotation's app into found, as part of what a transaction begins with.
func (r *Rotations) queueRoom(batch *pgx.Batch, workspace, id core.ID, found *room) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": id}
	batch.Queue(lockTurns, args)
	batch.Queue(selectRoom, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "most": r.Options.withDefaults().PerApp, "now": r.now()}).
		Query(func(rows pgx.Rows) (err error) {
			if *found, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[room]); noRows(err) {
				err = errFenced
			}
			return err
		})
}

// noPlace parks a locked rotation whose app is full, and returns what its job is to answer.
func (a *attempt) noPlace(p *progress, room room, now time.Time) error {
	switch {
	case room.OfApp == 0: // nobody under way could pass a place on
		return jobs.Snooze(room.Next.Sub(now))
	case a.wake == 0:
		return jobs.Snooze(busy)
	}
	p.Parked, p.Detail = true, "Other accounts of the app come first."
	return nil
}

// waiting are the rotations that have a job.
const waiting = `finished is null and next_attempt is not null and not parked and app_id is not null`

// The apps that have any are found one after the other, in the index, however many rotations wait for each. One that was
// touched since it was due was tried, and is left to its own job: it may fail again.
const selectBefore = `
with recursive open as (
	(select workspace_id, app_id from rotations where ` + waiting + ` order by workspace_id, app_id limit 1)
	union all
	select n.workspace_id, n.app_id from open s cross join lateral (
		select workspace_id, app_id from rotations where ` + waiting + ` and (workspace_id, app_id) > (s.workspace_id, s.app_id)
		order by workspace_id, app_id limit 1
	) n
), busy as (
	select workspace_id, app_id, count(*) as of_app, sum(count(*)) over (partition by workspace_id) as of_workspace
	from rotations where leased and lease_until > @now group by workspace_id, app_id
), idle as (
	select s.workspace_id, s.app_id, coalesce(b.of_app, 0) as of_app,
		coalesce((select max(of_workspace) from busy w where w.workspace_id = s.workspace_id), 0) as of_workspace
	from open s
	left join busy b on b.workspace_id = s.workspace_id and b.app_id = s.app_id
	left join app_paces p on p.workspace_id = s.workspace_id and p.app_id = s.app_id
	where coalesce(b.of_app, 0) < coalesce(p.at_once, @most::integer) and coalesce(p.next, @now) <= @now
)
select i.workspace_id, r.id
from idle i
cross join lateral (
	select id, priority, risk, created from rotations
	where workspace_id = i.workspace_id and app_id = i.app_id and ` + waiting + `
		and next_attempt <= @now and (lease_until is null or lease_until <= @now) and updated < next_attempt + interval '1 second'
	order by priority, risk desc, created limit 1
) r
where (r.priority > 2, i.of_workspace, i.of_app, r.priority, -r.risk) < (@priority::integer > 2, @workspaces::integer, @apps::integer, @priority::integer, -@risk::integer)
order by r.priority > 2, i.of_workspace, i.of_app, r.priority, r.risk desc, r.created limit 1`

// before finds a rotation whose turn comes before a locked one's: of what is urgent, or of what is not, whose workspace
// has less under way, then whose app has, then the better priority, then the riskier account. Nil: there is none.
func (r *Rotations) before(ctx context.Context, tx pgx.Tx, p progress, room room, now time.Time) (*turn, error) {
	rows, err := tx.Query(ctx, selectBefore, pgx.StrictNamedArgs{
		"now": now, "most": r.Options.withDefaults().PerApp, "priority": p.Priority, "risk": p.Risk, "workspaces": room.OfWorkspace, "apps": room.OfApp,
	})
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[turn])
	if noRows(err) {
		return nil, nil
	}
	return found, err
}

const updateNext = `update app_paces set next = @next where workspace_id = @workspace and app_id = @app`

const selectParked = `
select exists (select from rotations where workspace_id = @workspace and parked and app_id = (
	select a.app_id from rotations r join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
	where r.workspace_id = @workspace and r.id = @id))`

// Materialized: a subquery may be run more than once, and then finds more than its limit.
const updateParked = `
with chosen as materialized (
	select id from rotations where workspace_id = @workspace and app_id = @app and parked order by priority, risk desc, created limit @free for update skip locked
), given as (
	update rotations r set parked = false, wake = r.wake + 1, next_attempt = @at, updated = @now
	from chosen where r.workspace_id = @workspace and r.id = chosen.id
	returning r.id, r.priority, r.risk, r.created, r.wake
)
select id, priority, wake from given order by priority, risk desc, created`

// passOn gives the free places of a rotation's app to those that are parked. It fails silently: Sweep finds them too.
func (a *attempt) passOn(ctx context.Context, workspace, id core.ID) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	// Mostly nobody is. Who parks meanwhile holds the turns until that can be seen.
	anybody := false
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": id}
	err := a.DB.Batch(ctx, nil, func(batch *pgx.Batch) error {
		batch.Queue(lockTurns, args)
		batch.Queue(selectParked, args).QueryRow(func(row pgx.Row) error { return row.Scan(&anybody) })
		return nil
	})
	if err == nil && anybody {
		err = a.givePlaces(ctx, workspace, id)
	}
	if err != nil && !errors.Is(err, errFenced) {
		a.log().Warn("a place at an app was not passed on", "error", postgres.Classify(err))
	}
}

func (a *attempt) givePlaces(ctx context.Context, workspace, id core.ID) error {
	var room room
	return a.DB.Command(ctx, nil, func(batch *pgx.Batch) { a.queueRoom(batch, workspace, id, &room) }, func(tx pgx.Tx, last *pgx.Batch) error {
		now := a.now()
		at, free := now, room.Most-room.OfApp
		if room.Spacing > 0 {
			free = min(free, 1)
		}
		if room.Next != nil && room.Next.After(now) {
			at = *room.Next
		}
		if free <= 0 {
			return nil
		}
		return a.unpark(ctx, tx, last, workspace, room.App, free, at)
	})
}

// unpark gives parked rotations of an app, as many as there are places, a job each at a time.
func (r *Rotations) unpark(ctx context.Context, tx pgx.Tx, last *pgx.Batch, workspace, app core.ID, places int, at time.Time) error {
	now := r.now()
	rows, err := tx.Query(ctx, updateParked, pgx.StrictNamedArgs{"workspace": workspace, "app": app, "free": places, "at": at, "now": now})
	if err != nil {
		return err
	}
	var entries []jobs.Entry
	var priority int
	next := step{Workspace: workspace}
	if _, err := pgx.ForEachRow(rows, []any{&next.Rotation, &priority, &next.Wake}, func() error {
		options := jobOptions(priority)
		if early := at.Add(-jobs.Lateness); early.After(now) {
			options.RunAt = early // it then waits for its time to the instant
		}
		entries = append(entries, jobs.Entry{Job: next, Options: options})
		return nil
	}); err != nil {
		return err
	}
	return r.Queue.QueueMany(ctx, last, entries)
}
