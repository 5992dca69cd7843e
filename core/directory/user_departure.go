package directory

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A locked user, as in updateLocked: the version is asked all the same.
const deactivateLocked = `
with changed as (
	update users set active = false, version = version + 1, updated = @now, epoch = @epoch
	where workspace_id = @workspace and id = @id and version = @version and deleted is null and active
	returning connection_id
), counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, active)
	select @workspace::uuid, connection_id, count_slot(), -1 from changed where connection_id is not null
	on conflict (workspace_id, connection_id, slot) do update set active = c.active - 1
)
select from changed`

// QueueDeactivate is QueueUpdate of an active user of whom nothing changes but that they are active no
// more. ended raises the epoch.
func (d *Directory) QueueDeactivate(batch *pgx.Batch, before User, ended time.Time) User {
	after := before
	after.Active, after.Version, after.Updated = false, before.Version+1, d.now()
	// The epoch only rises: see QueueUpdate.
	if before.Epoch == nil || ended.After(*before.Epoch) {
		after.Epoch = &ended
	}
	batch.Queue(deactivateLocked, pgx.StrictNamedArgs{
		"workspace": before.Workspace, "id": before.ID, "version": before.Version, "now": after.Updated, "epoch": after.Epoch,
	}).Exec(func(done pgconn.CommandTag) error {
		if done.RowsAffected() != 1 {
			return stale("user")
		}
		return nil
	})
	return after
}
