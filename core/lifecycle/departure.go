package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// State is what became of a departure that was held.
type State string

// The states of a held departure.
const (
	Held      State = "held"       // nothing was taken: the hold is undecided, or about to be carried out
	Done      State = "done"       // everything was taken, or is by the next taker
	Withdrawn State = "withdrawn"  // nothing was taken, and the user is active again
	Kept      State = "kept"       // nothing was taken and the user is inactive: the hold was rejected
	Restored  State = "restored"   // as Kept, and the user had been deleted and is there again
	NameTaken State = "name_taken" // the user stays deleted: somebody else has their userName or externalId by now
)

// departure is a held departure of which nothing was taken yet.
type departure struct {
	id       core.ID
	state    State
	departed time.Time
}

const selectStanding = `
select id, state, departed from departures
where workspace_id = @workspace and user_id = @user and state in ('held', 'kept', 'restored', 'name_taken')
for update`

// standing finds the departure of a locked, inactive user from whom nothing was taken and nothing is
// about to be; nil if they left as usual.
func (l *Lifecycle) standing(ctx context.Context, tx pgx.Tx, workspace, user core.ID) (*departure, error) {
	var found departure
	err := tx.QueryRow(ctx, selectStanding, pgx.StrictNamedArgs{"workspace": workspace, "user": user}).Scan(&found.id, &found.state, &found.departed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &found, err
}

// depart shuts a locked user out, and has what they have taken or held back. standing is their
// departure if they are inactive already. What it returns is what was done at once: the rest follows
// when this has committed, see Take.
func (l *Lifecycle) depart(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, deleted bool, standing *departure) (Effect, error) {
	hold, counted, err := l.guard(ctx, tx, s, cause, user.Workspace)
	if err != nil {
		return Effect{}, err
	}
	if !hold.IsZero() {
		return l.hold(ctx, tx, s, cause, user, deleted, hold, standing)
	}
	now := l.now().UTC().Truncate(time.Microsecond)
	s.ended = &now
	s.tell(core.NewEvent(core.UserDeprovisioned, user.Workspace, cause, now, user.Target()))
	departed := now
	if standing != nil {
		departed = standing.departed
		s.batch.Queue(finishDeparture, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "id": standing.id, "state": Done})
	}
	if !s.whole {
		l.leave(s, cause, user, departed, counted)
		return Effect{}, nil
	}
	if counted {
		s.batch.Queue(countDeparture+` select`, pgx.StrictNamedArgs{"workspace": user.Workspace, "connection": cause.Actor.ID, "since": now.Truncate(bucket)})
	}
	return l.take(ctx, tx, s, leaver{user: user, departed: departed, cause: cause})
}

const insertHeldDeparture = `
insert into departures (id, workspace_id, connection_id, user_id, departed, deleted, hold_id, state)
values (@id, @workspace, @connection, @user, @now, @deleted, @hold, 'held')`

const holdDeparture = `
update departures set departed = @now, deleted = @deleted, hold_id = @hold, state = 'held'
where workspace_id = @workspace and user_id = @user and id = @id`

// hold ends the sessions of somebody who leaves into a hold, and takes nothing else.
func (l *Lifecycle) hold(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, deleted bool, hold core.ID, standing *departure) (Effect, error) {
	var ended []core.Event
	batch := &pgx.Batch{}
	s.ended = new(l.Directory.QueueEndSessions(batch, cause, user, "deprovisioned", &ended))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Effect{}, err
	}
	s.tell(core.NewEvent(core.UserDepartureHeld, user.Workspace, cause, l.now(), user.Target()).With("hold", hold.String()))
	s.tell(ended...)
	args := pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "now": l.now(), "deleted": deleted, "hold": hold}
	if standing != nil {
		args["id"] = standing.id
		s.batch.Queue(holdDeparture, args)
	} else {
		args["id"], args["connection"] = core.NewID(), cause.Actor.ID
		s.batch.Queue(insertHeldDeparture, args)
	}
	return Effect{SessionsEnded: len(ended)}, nil
}

const updateDeletedDeparture = `update departures set deleted = true where workspace_id = @workspace and user_id = @user and id = @id`

// departAgain is for an inactive user who is told to leave once more. Of most nothing is left to
// take. What a connection repeats of a departure that waits, waits on; whoever else asks means it.
func (l *Lifecycle) departAgain(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, deleted bool) (Effect, error) {
	if s.whole {
		if effect, leaving, err := l.takeLeaver(ctx, tx, s, user); leaving || err != nil {
			return effect, err
		}
	}
	s.left = true // and it may not have been taken yet
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

// comeBack tells that a locked, inactive user is active again. Who is still leaving loses everything
// first: being back gives nothing back. After a departure of which nothing was taken they have what
// they had. It reports which it was.
func (l *Lifecycle) comeBack(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User) (kept bool, err error) {
	if _, _, err := l.takeLeaver(ctx, tx, s, user); err != nil {
		return false, err
	}
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
