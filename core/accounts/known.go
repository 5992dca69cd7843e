package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectUnknown = `
select (select count(*) from unnest(@apps::uuid[]) as w (id) where not exists (select from apps a where a.workspace_id = @workspace and a.id = w.id)),
	(select count(*) from unnest(@accounts::uuid[]) as w (id) where not exists (select from accounts a where a.workspace_id = @workspace and a.id = w.id))`

// Known refuses apps and accounts that the workspace does not have: what others keep about accounts names only its own.
func Known(ctx context.Context, q postgres.Querier, workspace core.ID, apps, accounts []core.ID) error {
	var strangeApps, strangeAccounts int
	if err := q.QueryRow(ctx, selectUnknown, pgx.StrictNamedArgs{
		"workspace": workspace, "apps": apps, "accounts": accounts,
	}).Scan(&strangeApps, &strangeAccounts); err != nil {
		return postgres.Classify(err)
	}
	switch {
	case strangeApps > 0:
		return core.Invalid("apps", "there is no such app in this workspace")
	case strangeAccounts > 0:
		return core.Invalid("accounts", "there is no such account in this workspace")
	}
	return nil
}
