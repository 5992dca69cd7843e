package accounts

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// middleRisk is that of an app of which nothing is said.
const middleRisk = 3

const updateRisk = `update accounts set risk = nullif(@risk::integer, 0) where workspace_id = @workspace and id = @account`

// SetRisk says how bad an account were in wrong hands, from 1 (least) to 5 (most), or with 0 that it is as its app. Only
// administrators, service accounts and the system may. With nothing to change nothing happens.
func (a *Accounts) SetRisk(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, risk int) (Account, error) {
	if risk < 0 || risk > 5 {
		return Account{}, core.Invalid("risk", "1 (least) to 5 (most), or 0: as of its app")
	}
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return Account{}, err
	}
	found, err := a.lock(ctx, tx, workspace, account)
	if err != nil || found.Risk == risk {
		return found, err
	}
	if _, err := tx.Exec(ctx, updateRisk, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "risk": risk}); err != nil {
		return Account{}, postgres.Classify(err)
	}
	event := core.NewEvent(core.AccountRiskChanged, workspace, cause, a.now(), found.Target()).
		With("before", strconv.Itoa(found.Risk)).With("after", strconv.Itoa(risk))
	found.Risk = risk
	return found, audit.Append(ctx, tx, event)
}
