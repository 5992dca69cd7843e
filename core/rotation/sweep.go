package rotation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Run prepares the connectors, and then sweeps every now and then until ctx ends. It may run in many
// processes, and is for those that work the jobs.
func (r *Rotations) Run(ctx context.Context) error {
	for name, connector := range r.Connectors {
		if first, ok := connector.(Preparer); ok {
			if err := first.Prepare(ctx); err != nil && ctx.Err() == nil {
				r.log().Warn("a connector could not be prepared", "connector", name, "error", err)
			}
		}
	}
	ticker := time.NewTicker(r.Options.withDefaults().SweepAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if swept, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.log().Warn("looking for overdue rotations failed", "error", err)
		} else if swept > 0 {
			r.log().Warn("rotations were overdue and are queued again", "rotations", swept)
		}
		if swept, err := r.sweepSwitches(ctx); err != nil && ctx.Err() == nil {
			r.log().Warn("looking for overdue switches failed", "error", err)
		} else if swept > 0 {
			r.log().Warn("switches were overdue and are queued again", "switches", swept)
		}
		if err := r.sweepListings(ctx); err != nil && ctx.Err() == nil {
			r.log().Warn("looking for apps to be listed failed", "error", err)
		}
	}
}

const selectOverdue = `
select workspace_id, id from rotations
where finished is null and next_attempt < @before and (lease_until is null or lease_until < @before) and (swept is null or swept < @swept)
	and not (parked and exists (select from rotations l where l.workspace_id = rotations.workspace_id and l.app_id = rotations.app_id and l.leased and l.lease_until > @now))
order by next_attempt limit 100`

const markSwept = `update rotations set swept = @now, wake = wake + 1, parked = false where workspace_id = @workspace and id = @id and finished is null
returning priority, wake`

// Sweep queues again the rotations, of all workspaces, that should have gone on some time ago, and
// returns how many. The queue brings back the jobs of a worker that died by itself; this is for a
// job that got lost in any other way.
func (r *Rotations) Sweep(ctx context.Context) (int, error) {
	now, options := r.now(), r.Options.withDefaults()
	rows, err := r.DB.Query(ctx, selectOverdue, pgx.StrictNamedArgs{
		"before": now.Add(-options.SweepAfter), "swept": now.Add(-10 * options.SweepAfter), "now": now,
	})
	if err != nil {
		return 0, postgres.Classify(err)
	}
	type key struct{ Workspace, ID core.ID }
	overdue, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	if err != nil {
		return 0, postgres.Classify(err)
	}
	for swept, one := range overdue {
		err := r.DB.Tx(ctx, func(tx pgx.Tx) error {
			job := step{Workspace: one.Workspace, Rotation: one.ID}
			var priority int
			args := pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "now": now}
			if err := tx.QueryRow(ctx, markSwept, args).Scan(&priority, &job.Wake); err != nil {
				return err
			}
			return r.Queue.Add(ctx, tx, job, jobOptions(priority))
		})
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return swept, err
		}
	}
	return len(overdue), nil
}
