package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

const endUnnamedSessions = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.user_id = @user and s.sid = '' and s.ended is null and u.workspace_id = s.workspace_id and u.id = s.user_id
returning s.id, u.id, u.user_name, u.display_name, ` + sessionLived

// EndUnnamedSessions ends the sessions of a locked user of which the IdP never said how it calls them: any of
// them may be the one it ended.
func (d *Directory) EndUnnamedSessions(ctx context.Context, tx pgx.Tx, cause core.Cause, user User, reason string) ([]Ended, error) {
	return d.end(ctx, tx, cause, user.Workspace, reason, endUnnamedSessions, pgx.StrictNamedArgs{"user": user.ID})
}

// Each by its keys, whatever the statistics say.
const endMeantSessions = `
update sessions s set ended = @now, end_reason = @reason
where s.workspace_id = @workspace and s.ended is null and s.id = any(array(
	select one.id from ` + MeantUsers + ` meant cross join lateral (
		select id from sessions where workspace_id = @workspace and user_id = meant.id and ended is null offset 0) one))
returning s.user_id, s.id, ` + sessionLived

// QueueEndMeant ends every session of whom QueueLockMeant locked before it in the same transaction, and lists them.
// Their epochs are to be raised by QueueRaiseEpochNow.
func (d *Directory) QueueEndMeant(batch *pgx.Batch, workspace core.ID, reason string, ended *[]Ended) {
	d.queueEnd(batch, endMeantSessions, workspace, d.now(), reason, ended)
}

func (d *Directory) queueEnd(batch *pgx.Batch, statement string, workspace core.ID, at time.Time, reason string, ended *[]Ended) {
	batch.Queue(statement, d.limits(pgx.StrictNamedArgs{"workspace": workspace, "now": at, "reason": reason})).Query(func(rows pgx.Rows) error {
		*ended = nil
		var one Ended
		_, err := pgx.ForEachRow(rows, []any{&one.User.ID, &one.ID, &one.Live}, func() error {
			*ended = append(*ended, one)
			return nil
		})
		return err
	})
}

// QueueRaiseEpochNow raises a locked user's epoch to this moment: a sign-in that was proven before it is over. The
// moment has to be one at which they are locked.
func (d *Directory) QueueRaiseEpochNow(batch *pgx.Batch, workspace, user core.ID) {
	d.QueueRaiseEpoch(batch, workspace, user, d.now())
}
