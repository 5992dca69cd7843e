package lifecycle

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// underWay is how many departures may be under way at once and not yet be seen by each other: so many
// before the limit, departures begin to look each by itself and to happen one after the other. Far from
// the limit nobody waits.
const underWay = 128

// window is what the guard knows of a connection.
type window struct {
	departed int     // people it took away within the last hour, since the latest decision; those held are not among them
	active   int     // of its users, now
	open     core.ID // the hold that waits for a decision; zero: none
	found    bool
	guarded  bool
	share    int
	floor    int
}

// over reports whether so many departures more are too many.
func (w window) over(more int) bool {
	people := w.departed + more
	return people > w.floor && people*100 > w.share*(w.active+w.departed)
}

// bucket is the time whose departures are counted together: the hour the guard looks at is told as
// precisely as that.
const bucket = 5 * time.Minute

// What comes before the statement that writes the departure down, so that neither is without the other.
const countDeparture = `
with counted as (
	insert into departure_counts as k (workspace_id, connection_id, since, slot, people)
	values (@workspace, @connection, @since, 1 + count_slot(), 1)
	on conflict (workspace_id, connection_id, since, slot) do update set people = k.people + 1
)`

// Nothing is counted for a connection whose guard is off.
const selectWindow = `
select c.provisioning, open.id,
	(select coalesce(sum(n.active), 0)::bigint from directory_counts n
	 where n.workspace_id = c.workspace_id and n.connection_id = c.id and guarded),
	(select coalesce(sum(k.people), 0)::bigint from departure_counts k
	 where k.workspace_id = c.workspace_id and k.connection_id = c.id and k.since > @since and guarded)
from connections c
cross join lateral (select coalesce((c.provisioning ->> 'guard_floor')::integer, 0) >= 0 as guarded) guard
left join holds open on open.workspace_id = c.workspace_id and open.connection_id = c.id and open.decided is null
where c.workspace_id = @workspace and c.id = @connection`

const deleteDepartureCounts = `delete from departure_counts where workspace_id = @workspace and connection_id = @connection`

// lockConnection lets one departure at a time near the limit decide what it is, and one decision
// about a hold be made while nobody joins it. It comes after the user's lock and before accounts'.
const lockConnection = `
select id from connections where workspace_id = @workspace and id = @connection for no key update`

// guard decides whether what a locked user loses by leaving has to wait for an administrator, and
// returns the hold it then belongs to; the zero id lets them leave, and counted tells whether that is
// to be counted. Who is no connection is not guarded: an administrator means what they do.
func (l *Lifecycle) guard(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, workspace core.ID) (hold core.ID, counted bool, err error) {
	if cause.Actor.Kind != core.ActorConnection {
		return core.ID{}, false, nil
	}
	guarded, passes, made := l.shared().watch.passes(cause.Actor.ID, l.now())
	if passes {
		return core.ID{}, guarded, nil
	}
	if s.look != nil {
		made = *s.look
	} else {
		batch := &pgx.Batch{}
		made.seen = l.queueWindow(batch, workspace, cause.Actor.ID)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return core.ID{}, false, err
		}
	}
	seen := made.seen
	if !seen.found {
		return core.ID{}, false, core.NotFound("connection")
	}
	if near := seen.near(underWay); !near {
		l.shared().watch.note(cause.Actor.ID, made)
		return core.ID{}, seen.guarded, nil
	}
	batch := &pgx.Batch{}
	batch.Queue(lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": cause.Actor.ID})
	seen = l.queueWindow(batch, workspace, cause.Actor.ID)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return core.ID{}, false, err
	}
	if over := seen.near(0); !over || !seen.open.IsZero() {
		return seen.open, seen.guarded, nil
	}
	return l.openHold(s, cause, workspace, *seen), true, nil
}

// near reports whether a connection's hold is open or one more departure, and others that nobody sees
// yet, are too many.
func (w window) near(others int) bool {
	return w.guarded && (!w.open.IsZero() || w.over(1+others))
}

// queueWindow reads what the guard goes by, as part of what is sent to the database together.
func (l *Lifecycle) queueWindow(batch *pgx.Batch, workspace, connection core.ID) *window {
	w := &window{}
	batch.Queue(selectWindow, pgx.StrictNamedArgs{
		"workspace": workspace, "connection": connection, "since": l.now().Add(-directory.GuardWindow - bucket),
	}).Query(func(rows pgx.Rows) error {
		var settings directory.Provisioning
		_, err := pgx.ForEachRow(rows, []any{&settings, &w.open, &w.active, &w.departed}, func() error {
			w.found, w.guarded = true, settings.GuardFloor >= 0
			w.share = cmp.Or(settings.GuardShare, directory.DefaultGuardShare)
			w.floor = cmp.Or(settings.GuardFloor, directory.DefaultGuardFloor)
			return nil
		})
		return err
	})
	return w
}

func (l *Lifecycle) lockConnection(ctx context.Context, tx pgx.Tx, workspace, connection core.ID) error {
	_, err := tx.Exec(ctx, lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
	return err
}

const insertHold = `
insert into holds (id, workspace_id, connection_id, opened, share, floor, active, let_go)
values (@id, @workspace, @connection, @opened, @share, @floor, @active, @let_go)`

// openHold begins a hold. The lock of the connection lets nobody else do so.
func (l *Lifecycle) openHold(s *story, cause core.Cause, workspace core.ID, seen window) core.ID {
	hold, now := core.NewID(), l.now()
	s.batch.Queue(insertHold, pgx.StrictNamedArgs{
		"id": hold, "workspace": workspace, "connection": cause.Actor.ID, "opened": now,
		"share": seen.share, "floor": seen.floor, "active": seen.active + seen.departed, "let_go": seen.departed,
	})
	s.tell(core.NewEvent(core.DeparturesHeld, workspace, cause, now, connectionTarget(cause.Actor.ID, cause.Actor.Name)).
		With("hold", hold.String()).With("people", strconv.Itoa(seen.departed+1)).With("active", strconv.Itoa(seen.active+seen.departed)).
		With("share", strconv.Itoa(seen.share)).With("floor", strconv.Itoa(seen.floor)).
		Because("more people left within an hour than the connection's guard lets through; an administrator must approve or reject it"))
	return hold
}

func connectionTarget(connection core.ID, name string) core.Target {
	return core.Target{Kind: "connection", ID: connection, Name: name}
}
