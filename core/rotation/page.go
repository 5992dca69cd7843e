package rotation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectRotationsBefore = `select ` + columns + ` from rotations
where workspace_id = @workspace and account_id = @account
  and (created, id) < (select created, id from rotations where workspace_id = @workspace and account_id = @account and id = @before)
order by created desc, id desc limit @limit`

// Before goes on with List of an account behind a rotation of it, the last one that was listed. Behind
// one that is not the account's there is nothing.
func (r *Rotations) Before(ctx context.Context, q postgres.Querier, workspace, account, before core.ID, limit int) ([]Rotation, error) {
	rows, err := q.Query(ctx, selectRotationsBefore, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "before": before, "limit": min(max(limit, 1), 500),
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Rotation])
	return found, postgres.Classify(err)
}
