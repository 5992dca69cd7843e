package certificates

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/rotation"
)

// What was wanted of an account last counts: who is enabled again is not disabled.
const selectDisabled = `
select s.account_id, p.name as app_name, a.username, s.cause, s.state, s.detail, s.outcome, s.administrator, s.recorded, s.proven
from (
	select distinct on (account_id) * from switches
	where workspace_id = @workspace and account_id = any(@accounts) and (finished is null or finished >= @opened)
	order by account_id, created desc, id desc
) s
join accounts a on a.workspace_id = @workspace and a.id = s.account_id
join apps p on p.workspace_id = @workspace and p.id = a.app_id
where not s.enabled
order by p.name, a.username, s.account_id`

// switched is what the database knows of an account that is to be disabled.
type switched struct {
	Account       core.ID              `db:"account_id"`
	App           string               `db:"app_name"`
	Username      string               `db:"username"`
	Cause         core.Cause           `db:"cause"`
	State         rotation.SwitchState `db:"state"`
	Detail        string               `db:"detail"`
	Outcome       rotation.Outcome     `db:"outcome"`
	Administrator core.ID              `db:"administrator"`
	Recorded      *time.Time           `db:"recorded"`
	Proven        *time.Time           `db:"proven"`
}

// disabled are the accounts a leaver left without an owner that their apps are to let in no more; waits reports whether something comes
// of one by itself yet.
func (c *Certificates) disabled(ctx context.Context, q postgres.Querier, of opened) (told []Disabled, waits bool, err error) {
	if of.Reason != Deprovision || len(of.Taken.Orphaned) == 0 {
		return nil, false, nil
	}
	alone := make([]core.ID, len(of.Taken.Orphaned))
	for i, one := range of.Taken.Orphaned {
		alone[i] = one.Account
	}
	found, err := postgres.Many[switched](ctx, q, selectDisabled, pgx.StrictNamedArgs{"workspace": of.Workspace, "accounts": alone, "opened": of.Opened})
	for _, one := range found {
		told = append(told, one.tell())
		waits = waits || one.State == rotation.SwitchWanted || one.State == rotation.SwitchApplied
	}
	return told, waits, err
}

func (s switched) tell() Disabled {
	told := Disabled{Account: s.Account, App: s.App, Username: s.Username, Asked: s.Cause.Received.UTC(), Administrator: s.Administrator}
	switch {
	case s.State == rotation.SwitchBlocked:
		told.Why, told.NextStep = s.Detail, "Settle this, then disable the account again."
	case s.State != rotation.SwitchDone:
		told.Why, told.NextStep = s.Detail, "Postern goes on by itself."
		if told.Why == "" {
			told.Why = "The app is to be asked."
		}
	case s.Recorded == nil && s.Outcome != rotation.Disabled:
		told.Refused = utc(s.Proven)
		told.Why, told.NextStep = s.Detail, "Look in the app whether the account is disabled."
	default:
		told.Recorded, told.Refused, told.Proved = utc(s.Recorded), utc(s.Proven), utc(s.Proven)
	}
	return told
}
