package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// Deleted users stay listed until they are forgotten: nobody sees them, so nobody means to remove them.
const selectMemberDifference = `
select coalesce(w.id, m.user_id), w.id is not null
from unnest(@wanted::uuid[]) w (id)
full join (
	select user_id, suspended from team_members where workspace_id = @workspace and team_id = @team
) m on m.user_id = w.id
where m.user_id is null or m.suspended is not null and w.id is not null or w.id is null and exists (
	select from users u where u.workspace_id = @workspace and u.id = m.user_id and u.deleted is null)`

// MemberDifference compares who is in a team with who is to be in it: adds are not in it, or only
// suspended, removes are and should not be. It costs one statement, and answers with what differs
// alone. Call it with the team locked.
func (d *Directory) MemberDifference(ctx context.Context, tx pgx.Tx, workspace, team core.ID, wanted []core.ID) (adds, removes []core.ID, err error) {
	rows, err := tx.Query(ctx, selectMemberDifference, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "wanted": wanted})
	if err != nil {
		return nil, nil, err
	}
	var user core.ID
	var missing bool
	_, err = pgx.ForEachRow(rows, []any{&user, &missing}, func() error {
		if missing {
			adds = append(adds, user)
		} else {
			removes = append(removes, user)
		}
		return nil
	})
	return adds, removes, err
}
