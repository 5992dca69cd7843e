package rotation

import (
	"context"
	"reflect"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// ChangeApp is accounts.ChangeApp, after which the rotations of the app's accounts that wait for a person because of how the
// app is reached, or of what its passwords are like, are asked for again: theirs was one cause for all of them. Those whose
// account the app locked, disabled or let in no more go on waiting.
func (r *Rotations) ChangeApp(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID, change func(made *accounts.NewApp) error) (accounts.App, error) {
	app, changed, err := r.Accounts.ChangeApp(ctx, tx, cause, workspace, id, change)
	if err == nil && changed {
		err = rank(ctx, tx, workspace, id, core.ID{})
	}
	if err == nil && changed {
		err = r.askAgain(ctx, tx, cause, workspace, id, core.ID{})
	}
	return app, err
}

// What the app said of the account itself, of its password or its administrator's, is for a person to settle there.
const selectBlockedOf = `
select r.account_id, r.reason, r.priority
from rotations r
join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
join rotation_steps s on s.workspace_id = r.workspace_id and s.rotation_id = r.id and s.number = r.steps
where r.workspace_id = @workspace and a.app_id = @app and (@account::uuid is null or r.account_id = @account)
	and r.finished is null and r.state = 'blocked' and a.state <> 'unmanaged' and coalesce(s.evidence->>'outcome', '') <> all(@settled::text[])
order by r.account_id`

// askAgain plans again what is blocked because of how an app was reached: of one account, or of all if account is zero.
func (r *Rotations) askAgain(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, app, account core.ID) error {
	type blocked struct {
		Account  core.ID `db:"account_id"`
		Reason   Reason  `db:"reason"`
		Priority int     `db:"priority"`
	}
	found, err := postgres.Many[blocked](ctx, tx, selectBlockedOf, pgx.StrictNamedArgs{
		"workspace": workspace, "app": app, "account": account, "settled": []Outcome{Rejected, Locked, Disabled, AdminRejected},
	})
	if err != nil {
		return err
	}
	for _, one := range found {
		// A closed account's rotation that can wait goes on waiting.
		if _, err := r.Plan(ctx, tx, cause, workspace, one.Account, one.Reason, one.Priority); err != nil && core.KindOf(err) != core.KindDenied {
			return err
		}
	}
	return nil
}

const lockMade = `select id from apps where workspace_id = @workspace and id = @app for share`

// overtaken asks again for a rotation just blocked, if the app has been changed since this attempt read it: ChangeApp, which
// goes by what is blocked, came too early for it. The lock waits for one under way; nothing else is held meanwhile, since
// whoever locks an app goes on to its accounts.
func (a *attempt) overtaken(ctx context.Context) error {
	return a.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockMade, pgx.StrictNamedArgs{"workspace": a.app.Workspace, "app": a.app.ID}); err != nil {
			return err
		}
		app, err := a.Accounts.App(ctx, tx, a.app.Workspace, a.app.ID)
		if err != nil || reflect.DeepEqual(app.Made(), a.app.Made()) {
			return err
		}
		return a.askAgain(ctx, tx, a.progress.Cause, a.app.Workspace, a.app.ID, a.account.ID)
	})
}
