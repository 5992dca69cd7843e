package directory

import (
	"context"

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
