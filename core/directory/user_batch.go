package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// QueueUser is InsertUser as part of what is sent to the database together: the user is returned as it
// will be stored. What the batch then fails with is told by Collision.
func (d *Directory) QueueUser(ctx context.Context, batch *pgx.Batch, user User) (User, error) {
	return d.InsertUser(ctx, postgres.Queueing(batch), user)
}

// Collision turns a violated unique constraint into a Conflict that names the field. Every other error
// passes unchanged.
func Collision(err error) error { return collision(err) }

// QueueEndSessions is EndSessions of a locked user as part of what is sent to the database together,
// but for their epoch: it is to be raised to the time returned, by QueueRaiseEpoch or QueueUpdate.
// events is set to what is to be told of it, one for each session that was live.
func (d *Directory) QueueEndSessions(batch *pgx.Batch, cause core.Cause, user User, reason string, events *[]core.Event) time.Time {
	now := d.now()
	batch.Queue(endSessions, d.limits(pgx.StrictNamedArgs{
		"workspace": user.Workspace, "user": user.ID, "now": now, "reason": reason,
	})).Query(func(rows pgx.Rows) error {
		*events = nil
		var session core.ID
		var live bool
		_, err := pgx.ForEachRow(rows, []any{&session, &live}, func() error {
			if live {
				*events = append(*events, core.NewEvent(core.SessionEnded, user.Workspace, cause, now,
					user.Target(), core.Target{Kind: "session", ID: session}).Because(reason))
			}
			return nil
		})
		return err
	})
	return now
}

const restoreUser = `
with restored as (
	update users set deleted = null, version = version + 1, updated = @now
	where workspace_id = @workspace and id = @user and deleted is not null
	returning workspace_id, connection_id, active, user_name, display_name
), counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, users, active)
	select workspace_id, connection_id, count_slot(), 1, active::int from restored where connection_id is not null
	on conflict (workspace_id, connection_id, slot) do update set users = c.users + excluded.users, active = c.active + excluded.active
)
select user_name, display_name from restored`

// RestoreUser lets a deleted user be found again, as they were. Somebody else who has the name by now
// is a Conflict, a user who is not deleted NotFound.
func (d *Directory) RestoreUser(ctx context.Context, tx pgx.Tx, workspace, user core.ID) (core.Target, error) {
	restored := User{ID: user}
	err := tx.QueryRow(ctx, restoreUser, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": d.now()}).
		Scan(&restored.UserName, &restored.DisplayName)
	return restored.Target(), collision(err)
}
