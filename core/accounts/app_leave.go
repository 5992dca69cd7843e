package accounts

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const updateDisableOnLeave = `update apps set disable_on_leave = @wanted where workspace_id = @workspace and id = @id`

// SetDisableOnLeave says whether an account of an app is disabled there when the one person who has it leaves. Only
// administrators, service accounts and the system may. It is Invalid for an app whose connector disables nobody.
func (a *Accounts) SetDisableOnLeave(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID, wanted bool) (App, error) {
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return App{}, err
	}
	app, err := postgres.One[App](ctx, tx, "app", lockApp, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	switch {
	case err != nil || app.DisableOnLeave == wanted:
		return app, err
	case wanted && a.Disables != nil && !a.Disables(app.Connector, app.Settings):
		return App{}, core.Invalid("disable", "the connector %s disables nobody in this app", app.Connector).WithCode("cannot_disable")
	}
	app.DisableOnLeave = wanted
	if _, err := tx.Exec(ctx, updateDisableOnLeave, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "wanted": wanted}); err != nil {
		return App{}, postgres.Classify(err)
	}
	return app, audit.Append(ctx, tx, core.NewEvent(core.AppUpdated, workspace, cause, a.now(), app.Target()).
		With("disable_on_leave", strconv.FormatBool(wanted)))
}

const selectPersonal = `
select a.id from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = any(@accounts) and p.disable_on_leave and not exists (
	select 1 from grants g where g.workspace_id = a.workspace_id and g.account_id = a.id and g.revoked is null and (g.expires is null or g.expires > @now))
order by a.id`

// Personal gives those of these accounts that nobody has any more and that their app is to disable then.
func (a *Accounts) Personal(ctx context.Context, q postgres.Querier, workspace core.ID, accounts []core.ID) ([]core.ID, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	return postgres.Column[core.ID](ctx, q, selectPersonal, pgx.StrictNamedArgs{"workspace": workspace, "accounts": accounts, "now": a.now()})
}
