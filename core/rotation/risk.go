package rotation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// SetRisk is accounts.SetRisk, by which the account's open rotation is ranked from then on.
func (r *Rotations) SetRisk(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, risk int) (accounts.Account, error) {
	changed, err := r.Accounts.SetRisk(ctx, tx, cause, workspace, account, risk)
	if err == nil {
		err = rank(ctx, tx, workspace, changed.App, account)
	}
	return changed, err
}

// In the order in which every command locks the rotations of many accounts.
const updateRanks = `
with ranked as materialized (
	select r.id, coalesce(a.risk, p.risk) as risk
	from accounts a
	join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
	join rotations r on r.workspace_id = a.workspace_id and r.account_id = a.id and r.finished is null
	where a.workspace_id = @workspace and a.app_id = @app and (@account::uuid is null or a.id = @account) and r.risk <> coalesce(a.risk, p.risk)
	order by a.id for no key update of r
)
update rotations r set risk = ranked.risk from ranked where r.workspace_id = @workspace and r.id = ranked.id`

// rank gives the open rotations of an app's accounts, or of one, the risk their accounts have now.
func rank(ctx context.Context, tx pgx.Tx, workspace, app, account core.ID) error {
	_, err := tx.Exec(ctx, updateRanks, pgx.StrictNamedArgs{"workspace": workspace, "app": app, "account": account})
	return postgres.Classify(err)
}
