package signals

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// The decisions about a hold.
const (
	Approve = "approved"
	Reject  = "rejected"
)

// Hold is what waits because signals of a connection meant more people within an hour than its guard lets
// through. Their sessions are dead; nothing that cannot be taken back was done.
type Hold struct {
	ID             core.ID    `db:"id"`
	Workspace      core.ID    `db:"workspace_id"`
	Connection     core.ID    `db:"connection_id"`
	ConnectionName string     `db:"connection_name"`
	Opened         time.Time  `db:"opened"`
	Share          int        `db:"share"`   // percent of the active users that may be meant unasked
	Floor          int        `db:"floor"`   // people that may be meant unasked
	Active         int        `db:"active"`  // users the share was taken of
	LetGo          int        `db:"let_go"`  // people meant within the hour before, unasked
	Signals        int        `db:"signals"` // that belong to it
	Waiting        int        `db:"waiting"` // of which something still waits
	Decided        *time.Time `db:"decided"` // nil: open
	Decision       string     `db:"decision"`
	DecidedBy      string     `db:"decided_by"`
}

const selectHolds = `
select h.id, h.workspace_id, h.connection_id, c.name as connection_name, h.opened, h.share, h.floor, h.active, h.let_go,
	(select count(*) from signals s where s.workspace_id = h.workspace_id and s.hold_id = h.id) as signals,
	(select count(*) from signals s where s.workspace_id = h.workspace_id and s.hold_id = h.id and s.outcome = 'held') as waiting,
	h.decided, coalesce(h.decision, '') as decision, coalesce(h.cause #>> '{actor,name}', '') as decided_by
from signal_holds h join connections c on c.workspace_id = h.workspace_id and c.id = h.connection_id
where h.workspace_id = @workspace and (not @open or h.decided is null) and (@hold::uuid is null or h.id = @hold)
order by h.opened desc, h.id desc limit 100`

// Holds lists the holds of a workspace, latest first and at most 100: the open ones, or all.
func (s *Signals) Holds(ctx context.Context, q postgres.Querier, workspace core.ID, open bool) ([]Hold, error) {
	return s.holds(ctx, q, workspace, core.ID{}, open)
}

// Hold reads one hold.
func (s *Signals) Hold(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Hold, error) {
	found, err := s.holds(ctx, q, workspace, id, false)
	if err == nil && (len(found) == 0 || id.IsZero()) {
		err = core.NotFound("hold")
	}
	if err != nil {
		return Hold{}, err
	}
	return found[0], nil
}

func (s *Signals) holds(ctx context.Context, q postgres.Querier, workspace, id core.ID, open bool) ([]Hold, error) {
	rows, err := q.Query(ctx, selectHolds, pgx.StrictNamedArgs{"workspace": workspace, "open": open, "hold": id})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Hold])
	return found, postgres.Classify(err)
}

// ApproveHold lets what waits go on: Run does it. Administrators may, service accounts and the system. A hold
// that is decided already is a Conflict, an unknown one NotFound. People are counted anew from here.
func (s *Signals) ApproveHold(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
	return s.decide(ctx, cause, workspace, hold, Approve, core.SignalsApproved)
}

// RejectHold says that the signals were a mistake: what waits is never done. Sessions that ended stay ended. Who
// may, and what is refused, is as with ApproveHold.
func (s *Signals) RejectHold(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
	return s.decide(ctx, cause, workspace, hold, Reject, core.SignalsRejected)
}

const selectHeldConnection = `
select h.connection_id, c.name from signal_holds h join connections c on c.workspace_id = h.workspace_id and c.id = h.connection_id
where h.workspace_id = @workspace and h.id = @hold`

const decideHold = `
update signal_holds set decided = @now, decision = @decision, cause = @cause
where workspace_id = @workspace and id = @hold and decided is null`

const countHeld = `select count(*) from signals where workspace_id = @workspace and hold_id = @hold and outcome = 'held'`

const deleteCounts = `delete from signal_counts where workspace_id = @workspace and connection_id = @connection`

func (s *Signals) decide(ctx context.Context, cause core.Cause, workspace, hold core.ID, decision string, kind core.EventType) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
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
		if _, err := tx.Exec(ctx, lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}); err != nil {
			return err
		}
		now := s.now()
		done, err := tx.Exec(ctx, decideHold, pgx.StrictNamedArgs{"workspace": workspace, "hold": hold, "now": now, "decision": decision, "cause": cause})
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return core.Conflict("", "this was decided already").WithCode("already_decided")
		}
		if _, err := tx.Exec(ctx, deleteCounts, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}); err != nil {
			return err
		}
		var waiting int
		if err := tx.QueryRow(ctx, countHeld, args).Scan(&waiting); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(kind, workspace, cause, now, core.Target{Kind: "connection", ID: connection, Name: name}).
			With("hold", hold.String()).With("signals", strconv.Itoa(waiting)))
	})
	if err == nil {
		s.wake()
	}
	return err
}
