package rotation

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/postgres"
)

// The account's own pages come first: an app may name the account in their addresses.
const selectKnown = `
select s.evidence->'model'
from (
	select id from accounts where workspace_id = @workspace and app_id = @app order by (id = @account) desc, validated desc nulls last limit 20
) a
cross join lateral (
	select id from rotations where workspace_id = @workspace and account_id = a.id order by created desc limit 5
) r
join rotation_steps s on s.workspace_id = @workspace and s.rotation_id = r.id
where s.evidence->>'outcome' in ('applied', 'accepted') and s.evidence ? 'model'
order by s.evidence->>'outcome' = 'applied' desc, a.id = @account desc, s.at desc limit 1`

// known is the Model of when an app's pages were as they should be: the last rehearsal's that passed, or else that of a
// change the app answered, or of a sign-in it let in. Empty if there is none, or none can be had now: it is only for a
// person to compare with.
func (r *Rotations) known(ctx context.Context, account accounts.Account) json.RawMessage {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if r.Rehearsed != nil {
		if model, err := r.Rehearsed(ctx, r.DB, account.Workspace, account.App); err != nil {
			r.log().WarnContext(ctx, "the page an app had could not be read", "account", account.ID, "error", err)
		} else if len(model) > 0 {
			return model
		}
	}
	var model json.RawMessage
	err := r.DB.QueryRow(ctx, selectKnown, pgx.StrictNamedArgs{"workspace": account.Workspace, "app": account.App, "account": account.ID}).Scan(&model)
	if err != nil && !noRows(err) {
		r.log().WarnContext(ctx, "the page an app had could not be read", "account", account.ID, "error", postgres.Classify(err))
	}
	return model
}
