package lifecycle

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// The decisions about a hold.
const (
	Approved = "approved"
	Rejected = "rejected"
)

// Hold is the departures from one connection that wait because more people left within an hour than
// its guard lets through. They are shut out, but nothing that cannot be undone was done to them.
type Hold struct {
	ID             core.ID    `db:"id"`
	Workspace      core.ID    `db:"workspace_id"`
	Connection     core.ID    `db:"connection_id"`
	ConnectionName string     `db:"connection_name"`
	Opened         time.Time  `db:"opened"`
	Share          int        `db:"share"`   // percent of the active users that may leave unasked
	Floor          int        `db:"floor"`   // people that may leave unasked
	Active         int        `db:"active"`  // users the share was taken of
	LetGo          int        `db:"let_go"`  // people who left within the hour before, from whom everything was taken
	People         int        `db:"people"`  // who left into it, those who are back by now among them
	Waiting        int        `db:"waiting"` // who still wait: nothing was taken, and they are not back
	Deleted        int        `db:"deleted"` // how many of them the connection deleted
	Decided        *time.Time `db:"decided"` // nil: open
	Decision       string     `db:"decision"`
	DecidedBy      string     `db:"decided_by"`
}

// Left is how many people left in all: those let go before anybody counted, and those held.
func (h Hold) Left() int { return h.LetGo + h.People }

// HeldUser is one departure of a hold.
type HeldUser struct {
	User        core.ID   `db:"user_id"`
	UserName    string    `db:"user_name"`
	DisplayName string    `db:"display_name"`
	At          time.Time `db:"departed"`
	Deleted     bool      `db:"deleted"` // by the connection
	State       State     `db:"state"`
}

const selectHolds = `
select h.id, h.workspace_id, h.connection_id, c.name as connection_name, h.opened, h.share, h.floor, h.active, h.let_go,
	(select count(*) from departures d where d.workspace_id = h.workspace_id and d.hold_id = h.id) as people,
	(select count(*) from departures d where d.workspace_id = h.workspace_id and d.hold_id = h.id and d.state = 'held') as waiting,
	(select count(*) from departures d where d.workspace_id = h.workspace_id and d.hold_id = h.id and d.deleted) as deleted,
	h.decided, coalesce(h.decision, '') as decision, coalesce(h.cause #>> '{actor,name}', '') as decided_by
from holds h join connections c on c.workspace_id = h.workspace_id and c.id = h.connection_id
where h.workspace_id = @workspace and (not @open or h.decided is null)
order by h.opened desc, h.id desc limit 100`

// Holds lists the holds of a workspace, latest first and at most 100: the open ones, or all.
func (l *Lifecycle) Holds(ctx context.Context, q postgres.Querier, workspace core.ID, open bool) ([]Hold, error) {
	rows, err := q.Query(ctx, selectHolds, pgx.StrictNamedArgs{"workspace": workspace, "open": open})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Hold])
	return found, postgres.Classify(err)
}

const selectHeldUsers = `
select d.user_id, u.user_name, u.display_name, d.departed, d.deleted, d.state
from departures d join users u on u.workspace_id = d.workspace_id and u.id = d.user_id
where d.workspace_id = @workspace and d.hold_id = @hold
order by d.id limit @limit`

// HeldUsers lists who left into a hold, in the order they did; 0 is the first 100.
func (l *Lifecycle) HeldUsers(ctx context.Context, q postgres.Querier, workspace, hold core.ID, limit int) ([]HeldUser, error) {
	if limit <= 0 {
		limit = 100
	}
	rows, err := q.Query(ctx, selectHeldUsers, pgx.StrictNamedArgs{"workspace": workspace, "hold": hold, "limit": min(limit, 10_000)})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[HeldUser])
	return found, postgres.Classify(err)
}

// ApproveHold lets the departures of a hold go on: Run takes from everybody who is still inactive all
// they have. Administrators may, service accounts and the system. A hold that is decided already is a
// Conflict, an unknown one NotFound. The connection's departures are counted anew from here.
func (l *Lifecycle) ApproveHold(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
	return l.decide(ctx, cause, workspace, hold, Approved, core.DeparturesApproved)
}

// RejectHold says that the departures of a hold were a mistake: nothing is taken from anybody. Whom
// the connection deactivated stays inactive until it reactivates them, with all they had; whom it
// deleted is restored by Run, inactive, unless somebody else has the name by now. Who may, and what
// is refused, is as with ApproveHold.
func (l *Lifecycle) RejectHold(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
	return l.decide(ctx, cause, workspace, hold, Rejected, core.DeparturesRejected)
}

const selectHeldConnection = `
select h.connection_id, c.name from holds h join connections c on c.workspace_id = h.workspace_id and c.id = h.connection_id
where h.workspace_id = @workspace and h.id = @hold`

const decideHold = `
update holds set decided = @now, decision = @decision, cause = @cause
where workspace_id = @workspace and id = @hold and decided is null`

const countHeld = `
select count(*), count(*) filter (where deleted) from departures
where workspace_id = @workspace and hold_id = @hold and state = 'held'`

const keepDeactivated = `
update departures set state = 'kept'
where workspace_id = @workspace and hold_id = @hold and state = 'held' and not deleted`

func (l *Lifecycle) decide(ctx context.Context, cause core.Cause, workspace, hold core.ID, decision string, kind core.EventType) error {
	return l.commit(ctx, hold, func(tx pgx.Tx, s *story) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{"workspace": workspace, "hold": hold}
		var connection core.ID
		var name string
		err := tx.QueryRow(ctx, selectHeldConnection, args).Scan(&connection, &name)
		if errors.Is(err, pgx.ErrNoRows) {
			return core.NotFound("hold")
		}
		if err != nil {
			return err
		}
		if err := l.lockConnection(ctx, tx, workspace, connection); err != nil {
			return err
		}
		now := l.now()
		done, err := tx.Exec(ctx, decideHold, pgx.StrictNamedArgs{
			"workspace": workspace, "hold": hold, "now": now, "decision": decision, "cause": cause,
		})
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return core.Conflict("", "this was decided already").WithCode("already_decided")
		}
		var people, deleted int
		if err := tx.QueryRow(ctx, countHeld, args).Scan(&people, &deleted); err != nil {
			return err
		}
		if decision == Rejected {
			if _, err := tx.Exec(ctx, keepDeactivated, args); err != nil {
				return err
			}
		}
		s.batch.Queue(deleteDepartureCounts, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
		s.tell(core.NewEvent(kind, workspace, cause, now, connectionTarget(connection, name)).
			With("hold", hold.String()).With("people", strconv.Itoa(people)).With("deleted", strconv.Itoa(deleted)))
		return nil
	})
}
