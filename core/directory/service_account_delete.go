package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

const (
	deleteServiceAccountTokens = `delete from service_account_tokens where workspace_id = @workspace and service_account_id = @account`
	deleteServiceAccount       = `delete from service_accounts where workspace_id = @workspace and id = @account`
)

// DeleteServiceAccount ends a service account and all its tokens; its name is free again. What else refers to
// it goes first. The caller tells the event.
func (d *Directory) DeleteServiceAccount(ctx context.Context, tx pgx.Tx, workspace, account core.ID) error {
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account}
	if _, err := tx.Exec(ctx, deleteServiceAccountTokens, args); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, endServiceAccount, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": d.now()}); err != nil {
		return err
	}
	done, err := tx.Exec(ctx, deleteServiceAccount, args)
	if err == nil && done.RowsAffected() == 0 {
		return core.NotFound("service account")
	}
	return err
}
