package rotation

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Pace is how fast an app may be asked, for one that turns away who comes too often.
type Pace struct {
	AtOnce  int           `db:"at_once"` // rotations under way; 0: as many as of any app (Options.PerApp)
	Spacing time.Duration `db:"spacing"` // at least, between the beginnings of two; 0: none
}

const (
	mostAtOnce  = 64
	mostSpacing = time.Hour
)

const upsertPace = `
insert into app_paces (workspace_id, app_id, at_once, spacing) values (@workspace, @app, nullif(@most, 0), @spacing)
on conflict (workspace_id, app_id) do update set at_once = excluded.at_once, spacing = excluded.spacing, next = null`

// SetPace says how fast an app may be asked; the zero Pace is the default again. It holds from the next turn on. Only
// administrators, service accounts and the system may. A field out of bounds is Invalid: at_once, spacing.
func (r *Rotations) SetPace(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, app core.ID, pace Pace) (Pace, error) {
	switch {
	case pace.AtOnce < 0 || pace.AtOnce > mostAtOnce:
		return Pace{}, core.Invalid("at_once", "0, for the default, to %d rotations at once", mostAtOnce)
	case pace.Spacing < 0 || pace.Spacing > mostSpacing:
		return Pace{}, core.Invalid("spacing", "0 to %s between two rotations", mostSpacing)
	}
	if err := r.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return Pace{}, err
	}
	found, err := r.Accounts.App(ctx, tx, workspace, app)
	if err != nil {
		return Pace{}, err
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "app": app, "most": pace.AtOnce, "spacing": pace.Spacing}
	if _, err := tx.Exec(ctx, upsertPace, args); err != nil {
		return Pace{}, postgres.Classify(err)
	}
	// Who is parked may have a place now; whoever has none is parked again.
	batch := &pgx.Batch{}
	if err := r.unpark(ctx, tx, batch, workspace, app, mostAtOnce, r.now()); err != nil {
		return Pace{}, err
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return Pace{}, postgres.Classify(err)
		}
	}
	return pace, audit.Append(ctx, tx, core.NewEvent(core.AppUpdated, workspace, cause, r.now(), found.Target()).
		With("at_once", strconv.Itoa(pace.AtOnce)).With("spacing", pace.Spacing.String()))
}

const selectPace = `
select coalesce(p.at_once, 0) as at_once, coalesce(p.spacing, '0') as spacing
from apps a left join app_paces p on p.workspace_id = a.workspace_id and p.app_id = a.id
where a.workspace_id = @workspace and a.id = @app`

// Pace says how fast an app may be asked, as SetPace was told.
func (r *Rotations) Pace(ctx context.Context, q postgres.Querier, workspace, app core.ID) (Pace, error) {
	return postgres.One[Pace](ctx, q, "app", selectPace, pgx.StrictNamedArgs{"workspace": workspace, "app": app})
}
