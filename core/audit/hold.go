package audit

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Hold is a legal hold: retention takes no record of its workspace, however old, until it is lifted.
type Hold struct {
	Workspace core.ID
	Reason    string
	Placed    time.Time
}

const selectHolds = `select workspace_id, reason, placed from audit_holds where workspace_id = @workspace`

// HoldOf reads a workspace's hold; NotFound when there is none.
func HoldOf(ctx context.Context, q postgres.Querier, workspace core.ID) (Hold, error) {
	rows, err := q.Query(ctx, selectHolds, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return Hold{}, postgres.Classify(err)
	}
	hold, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Hold])
	if err = postgres.Classify(err); core.KindOf(err) == core.KindNotFound {
		err = core.NotFound("legal hold")
	}
	return hold, err
}

const insertHold = `
insert into audit_holds (workspace_id, reason, placed) values (@workspace, @reason, @now)
on conflict (workspace_id) do nothing`

// PlaceHold keeps all records a workspace has now and gets from now on. What retention took before does not come back.
// A second hold is a Conflict: lift the first, so that the log tells of both.
func PlaceHold(ctx context.Context, db *postgres.DB, cause core.Cause, workspace core.ID, reason string, now time.Time) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return core.Invalid("reason", "say why the records are held: who lifts the hold will want to know")
	}
	return db.Tx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, insertHold, pgx.StrictNamedArgs{"workspace": workspace, "reason": reason, "now": now})
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return core.Conflict("", "the records of this workspace are on hold already; lift that hold first")
		}
		return Append(ctx, tx, core.NewEvent(core.AuditHoldPlaced, workspace, cause, now).Because(reason))
	})
}

const deleteHold = `delete from audit_holds where workspace_id = @workspace returning reason`

// LiftHold gives a workspace's records back to retention. NotFound when there is no hold.
func LiftHold(ctx context.Context, db *postgres.DB, cause core.Cause, workspace core.ID, now time.Time) error {
	return db.Tx(ctx, func(tx pgx.Tx) error {
		var reason string
		err := postgres.Classify(tx.QueryRow(ctx, deleteHold, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&reason))
		if core.KindOf(err) == core.KindNotFound {
			return core.NotFound("legal hold")
		}
		if err != nil {
			return err
		}
		return Append(ctx, tx, core.NewEvent(core.AuditHoldLifted, workspace, cause, now).With("held_for", reason))
	})
}
