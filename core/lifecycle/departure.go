package lifecycle

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// State is what became of a departure that was held.
type State string

// The states of a held departure.
const (
	Held      State = "held"       // nothing was taken: the hold is undecided, or about to be carried out
	Done      State = "done"       // everything was taken
	Withdrawn State = "withdrawn"  // nothing was taken, and the user is active again
	Kept      State = "kept"       // nothing was taken and the user is inactive: the hold was rejected
	Restored  State = "restored"   // as Kept, and the user had been deleted and is there again
	NameTaken State = "name_taken" // the user stays deleted: somebody else has their userName or externalId by now
)

// departure is a departure of which nothing was taken yet.
type departure struct {
	id    core.ID
	state State
}

const selectStanding = `
select id, state from departures
where workspace_id = @workspace and user_id = @user and state in ('held', 'kept', 'restored', 'name_taken')
for update`

// standing finds the departure of a locked, inactive user from whom nothing was taken yet; nil if
// they left as usual.
func (l *Lifecycle) standing(ctx context.Context, tx pgx.Tx, workspace, user core.ID) (*departure, error) {
	var found departure
	err := tx.QueryRow(ctx, selectStanding, pgx.StrictNamedArgs{"workspace": workspace, "user": user}).Scan(&found.id, &found.state)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &found, err
}

const insertDeparture = `
insert into departures (id, workspace_id, connection_id, user_id, departed, deleted, hold_id, state)
values (@id, @workspace, @connection, @user, @now, @deleted, @hold, @state)`

const updateDeparture = `
update departures set departed = coalesce(@now, departed), deleted = @deleted, hold_id = coalesce(@hold, hold_id), state = @state
where workspace_id = @workspace and user_id = @user and id = @id`

// keepPlans has the transaction go by the plans it has. What a departure asks is always the same, and to
// plan it anew each time for the values at hand costs more than all that is asked.
const keepPlans = `set local plan_cache_mode = force_generic_plan`

// depart takes from a locked user what they have, or holds that back. standing is their departure if
// they are inactive already.
func (l *Lifecycle) depart(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, deleted bool, standing *departure) (Effect, error) {
	var seen *window
	var ended []core.Event
	batch := &pgx.Batch{}
	batch.Queue(keepPlans)
	if cause.Actor.Kind == core.ActorConnection {
		seen = l.queueWindow(batch, user.Workspace, cause.Actor.ID)
	}
	s.ended = new(l.Directory.QueueEndSessions(batch, cause, user, "deprovisioned", &ended))
	leaver := l.Accounts.QueueLeaver(batch, user.Workspace, user.ID)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Effect{}, err
	}
	hold, err := l.guard(ctx, tx, s, cause, user.Workspace, seen)
	if err != nil {
		return Effect{}, err
	}
	effect, state := Effect{}, Held
	if !hold.IsZero() {
		s.tell(core.NewEvent(core.UserDepartureHeld, user.Workspace, cause, l.now(), user.Target()).With("hold", hold.String()))
		s.tell(ended...)
	} else {
		state = Done
		s.tell(core.NewEvent(core.UserDeprovisioned, user.Workspace, cause, l.now(), user.Target()))
		s.tell(ended...)
		if effect, err = l.take(ctx, tx, s, cause, user, leaver); err != nil {
			return Effect{}, err
		}
	}
	effect.SessionsEnded = len(ended)
	l.keep(s, cause, user, deleted, hold, state, standing)
	return effect, nil
}

// keep writes the departure down. Nobody counts what others than connections cause. A user belongs to one
// connection, so whoever repeats a departure is whoever caused it first.
func (l *Lifecycle) keep(s *story, cause core.Cause, user directory.User, deleted bool, hold core.ID, state State, standing *departure) {
	counted := cause.Actor.Kind == core.ActorConnection
	switch {
	case standing != nil:
		args := pgx.StrictNamedArgs{
			"id": standing.id, "workspace": user.Workspace, "user": user.ID, "now": nil, "deleted": deleted, "hold": hold, "state": state,
		}
		if counted {
			args["now"] = l.now()
		}
		s.batch.Queue(updateDeparture, args)
	case counted:
		s.batch.Queue(insertDeparture, pgx.StrictNamedArgs{
			"id": core.NewID(), "workspace": user.Workspace, "connection": cause.Actor.ID, "user": user.ID, "now": l.now(), "deleted": deleted,
			"hold": hold, "state": state,
		})
	}
}

const updateDeletedDeparture = `update departures set deleted = true where workspace_id = @workspace and user_id = @user and id = @id`

// departAgain is for an inactive user who is told to leave once more. Of most nothing is left to
// take. What a connection repeats of a departure that waits, waits on; whoever else asks means it.
func (l *Lifecycle) departAgain(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, deleted bool) (Effect, error) {
	standing, err := l.standing(ctx, tx, user.Workspace, user.ID)
	if err != nil || standing == nil {
		return Effect{}, err
	}
	if standing.state != Held || cause.Actor.Kind != core.ActorConnection {
		return l.depart(ctx, tx, s, cause, user, deleted, standing)
	}
	if deleted {
		s.batch.Queue(updateDeletedDeparture, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "id": standing.id})
	}
	return Effect{}, nil
}

const withdrawDeparture = `
update departures set state = 'withdrawn'
where workspace_id = @workspace and user_id = @user and state in ('held', 'kept', 'restored', 'name_taken')`

// comeBack tells that a locked, inactive user is active again: after a departure of which nothing was
// taken they have what they had, after any other nothing. It reports which it was.
func (l *Lifecycle) comeBack(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User) (kept bool, err error) {
	done, err := tx.Exec(ctx, withdrawDeparture, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID})
	if err != nil {
		return false, err
	}
	kept = done.RowsAffected() > 0
	kind := core.UserReactivated
	if kept {
		kind = core.UserDepartureWithdrawn
	}
	s.tell(core.NewEvent(kind, user.Workspace, cause, l.now(), user.Target()))
	return kept, nil
}
