package journal

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// DefaultDays is how long an entry is kept of a connection that says nothing else.
const DefaultDays = 30

const (
	sweepEvery = time.Hour
	// sweepBatch bounds the entries one statement removes, so that none holds the table for long.
	sweepBatch = 5000
)

// From connection to connection by the index, not through every entry. A connection that is gone
// keeps its entries for the default time.
const selectRetention = `
with recursive kept as (
	(select workspace_id, connection_id from provisioning_requests order by workspace_id, connection_id limit 1)
	union all
	select next.workspace_id, next.connection_id
	from kept cross join lateral (
		select workspace_id, connection_id from provisioning_requests
		where (workspace_id, connection_id) > (kept.workspace_id, kept.connection_id)
		order by workspace_id, connection_id limit 1) as next
)
select kept.workspace_id, kept.connection_id, coalesce((connections.provisioning ->> 'journal_days')::integer, 0) as days
from kept left join connections on connections.workspace_id = kept.workspace_id and connections.id = kept.connection_id`

const deleteEntries = `
delete from provisioning_requests where workspace_id = @workspace and connection_id = @connection and id in (
	select id from provisioning_requests
	where workspace_id = @workspace and connection_id = @connection and received < @before
	limit @limit)`

type retention struct {
	Workspace  core.ID `db:"workspace_id"`
	Connection core.ID `db:"connection_id"`
	Days       int     `db:"days"`
}

// Sweep removes the entries, of all workspaces, that are older than their connection keeps them, and
// returns how many there were.
func Sweep(ctx context.Context, db *postgres.DB, now time.Time) (int64, error) {
	rows, err := db.Query(ctx, selectRetention)
	if err != nil {
		return 0, postgres.Classify(err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowToStructByName[retention])
	if err != nil {
		return 0, postgres.Classify(err)
	}
	var removed int64
	for _, one := range kept {
		if one.Days <= 0 {
			one.Days = DefaultDays
		}
		for {
			tag, err := db.Exec(ctx, deleteEntries, pgx.StrictNamedArgs{
				"workspace": one.Workspace, "connection": one.Connection, "before": now.AddDate(0, 0, -one.Days), "limit": sweepBatch,
			})
			if err != nil {
				return removed, postgres.Classify(err)
			}
			removed += tag.RowsAffected()
			if tag.RowsAffected() < sweepBatch {
				break
			}
		}
	}
	return removed, nil
}

// Run sweeps at once and then every hour, until ctx ends. It may run in many processes.
func Run(ctx context.Context, db *postgres.DB, now func() time.Time, log *slog.Logger) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if removed, err := Sweep(ctx, db, now()); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "provisioning requests that are old enough could not be removed", "error", err)
		} else if removed > 0 {
			log.InfoContext(ctx, "provisioning requests removed after their retention", "count", removed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
