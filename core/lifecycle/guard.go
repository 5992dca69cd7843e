package lifecycle

import (
	"cmp"
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
)

// underWay is how many departures may be under way at once and not yet be seen by each other: so many
// before the limit, departures begin to happen one after the other. Far from the limit nobody waits.
const underWay = 64

// window is what the guard knows of a connection.
type window struct {
	departed int     // people it took away within the last hour, since the latest decision
	active   int     // of its users, now
	open     core.ID // the hold that waits for a decision; zero: none
	guarded  bool
	share    int
	floor    int
}

// over reports whether so many departures more are too many.
func (w window) over(more int) bool {
	people := w.departed + more
	return people > w.floor && people*100 > w.share*(w.active+w.departed)
}

const selectWindow = `
select c.provisioning, open.id,
	(select count(*) from departures d
	 where d.workspace_id = c.workspace_id and d.connection_id = c.id and d.state in ('held', 'done') and d.departed > greatest(@since, (
		select max(h.decided) from holds h where h.workspace_id = c.workspace_id and h.connection_id = c.id)))
from connections c
left join holds open on open.workspace_id = c.workspace_id and open.connection_id = c.id and open.decided is null
where c.workspace_id = @workspace and c.id = @connection`

// lockConnection lets one departure at a time near the limit decide what it is, and one decision
// about a hold be made while nobody joins it. It comes after the user's lock and before accounts'.
const lockConnection = `
select id from connections where workspace_id = @workspace and id = @connection for no key update`

// guard decides whether what a locked user loses by leaving has to wait for an administrator, and
// returns the hold it then belongs to; the zero id lets them leave. Only connections are guarded: an
// administrator means what they do.
func (l *Lifecycle) guard(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) (core.ID, error) {
	if cause.Actor.Kind != core.ActorConnection {
		return core.ID{}, nil
	}
	seen, err := l.window(ctx, tx, workspace, cause.Actor.ID)
	if err != nil || !seen.guarded || seen.open.IsZero() && !seen.over(1+underWay) {
		return core.ID{}, err
	}
	if err := l.lockConnection(ctx, tx, workspace, cause.Actor.ID); err != nil {
		return core.ID{}, err
	}
	if seen, err = l.window(ctx, tx, workspace, cause.Actor.ID); err != nil || !seen.guarded {
		return core.ID{}, err
	}
	if seen.open.IsZero() && seen.over(1) {
		return l.openHold(ctx, tx, cause, workspace, seen)
	}
	return seen.open, nil
}

func (l *Lifecycle) window(ctx context.Context, tx pgx.Tx, workspace, connection core.ID) (window, error) {
	var w window
	var settings directory.Provisioning
	err := tx.QueryRow(ctx, selectWindow, pgx.StrictNamedArgs{
		"workspace": workspace, "connection": connection, "since": l.now().Add(-directory.GuardWindow),
	}).Scan(&settings, &w.open, &w.departed)
	if err != nil {
		return w, err
	}
	w.guarded = settings.GuardFloor >= 0
	w.share = cmp.Or(settings.GuardShare, directory.DefaultGuardShare)
	w.floor = cmp.Or(settings.GuardFloor, directory.DefaultGuardFloor)
	if w.guarded && w.open.IsZero() && w.departed+1+underWay > w.floor {
		_, w.active, err = l.Directory.CountUsers(ctx, tx, workspace, connection)
	}
	return w, err
}

func (l *Lifecycle) lockConnection(ctx context.Context, tx pgx.Tx, workspace, connection core.ID) error {
	_, err := tx.Exec(ctx, lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
	return err
}

const insertHold = `
insert into holds (id, workspace_id, connection_id, opened, share, floor, active)
values (@id, @workspace, @connection, @opened, @share, @floor, @active)`

func (l *Lifecycle) openHold(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, seen window) (core.ID, error) {
	hold, now := core.NewID(), l.now()
	_, err := tx.Exec(ctx, insertHold, pgx.StrictNamedArgs{
		"id": hold, "workspace": workspace, "connection": cause.Actor.ID, "opened": now,
		"share": seen.share, "floor": seen.floor, "active": seen.active + seen.departed,
	})
	if err != nil {
		return core.ID{}, err
	}
	event := core.NewEvent(core.DeparturesHeld, workspace, cause, now, connectionTarget(cause.Actor.ID, cause.Actor.Name)).
		With("hold", hold.String()).With("people", strconv.Itoa(seen.departed+1)).With("active", strconv.Itoa(seen.active+seen.departed)).
		With("share", strconv.Itoa(seen.share)).With("floor", strconv.Itoa(seen.floor)).
		Because("more people left within an hour than the connection's guard lets through; an administrator must approve or reject it")
	return hold, audit.Append(ctx, tx, event)
}

func connectionTarget(connection core.ID, name string) core.Target {
	return core.Target{Kind: "connection", ID: connection, Name: name}
}
