package policies

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Why is why a policy does not rotate an account.
type Why string

// The reasons.
const (
	WhyExcluded Why = "excluded"
	WhyState    Why = "state"     // the account's state forbids it
	WhyBlocked  Why = "blocked"   // a rotation of it waits for a person
	WhyUnderWay Why = "under_way" // it is being rotated
	WhySpacing  Why = "spacing"   // its last rotation is too short ago
)

// candidate is an account a policy looks at.
type candidate struct {
	ID       core.ID         `db:"id"`
	AppName  string          `db:"app_name"`
	Username string          `db:"username"`
	State    accounts.State  `db:"state"`
	Rotated  *time.Time      `db:"rotated"`
	Place    int64           `db:"place"`
	Excluded bool            `db:"excluded"`
	Due      *time.Time      `db:"due"` // after a sign-in
	Open     rotation.State  `db:"open"`
	Because  rotation.Reason `db:"because"`
}

func (c candidate) target() core.Target {
	return accounts.Exposed{Account: c.ID, AppName: c.AppName, Username: c.Username}.Target()
}

const place = `(uuid_hash_extended(a.id, 0) & 9223372036854775807)`

// The few accounts that are asked for are found first, and what else is to be known of them is looked up then. Which
// ones follows on the first part, and what of them on the second.
const (
	selectCandidates = `
with found as materialized (
	select a.id, a.workspace_id, a.app_id, a.username, a.state, a.rotated, ` + place + ` as place, a.id = any(p.excluded) as excluded
	from ` + draft + ` cross join accounts a
	where a.workspace_id = @workspace and `

	ofCandidates = `
)
select a.id, s.name as app_name, a.username, a.state, a.rotated, a.place, a.excluded, coalesce(o.state, '') as open, coalesce(o.reason, '') as because, d.due
from found a
join apps s on s.workspace_id = a.workspace_id and s.id = a.app_id
left join rotations o on o.workspace_id = a.workspace_id and o.account_id = a.id and o.finished is null
left join policy_dues d on d.workspace_id = a.workspace_id and d.policy_id = @policy and d.account_id = a.id`
)

func candidates(ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]candidate, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[candidate])
	return found, postgres.Classify(err)
}

// verdict is why the policy does not rotate an account at a time, and that in words for a person; empty if it does.
func (p Policy) verdict(account candidate, at time.Time) (Why, string) {
	if account.Excluded {
		return WhyExcluded, "the policy excludes it"
	}
	if p.Trigger.Default() {
		if at := account.fresh(p.Spacing, at); at != "" {
			return WhySpacing, at + "; who knows its password is locked out all the same"
		}
		return "", ""
	}
	switch account.State {
	case accounts.Desynced:
		return WhyState, "the app refuses the stored password; an owner must set it right first"
	case accounts.Unmanaged:
		return WhyState, "nobody keeps its password up to date; it must be taken under management again first"
	case accounts.AppDisabled:
		return WhyState, "the app has locked or disabled it"
	case accounts.Unvalidated, accounts.Validated, accounts.DesyncSuspected, accounts.AtRisk:
	}
	if account.Open == rotation.StateBlocked {
		return WhyBlocked, "a rotation of it waits for a person"
	}
	if text := account.fresh(p.Spacing, at); text != "" {
		return WhySpacing, text
	}
	if account.Open != "" && account.Because != rotation.ReasonVerify && p.Trigger == TriggerSchedule {
		return WhyUnderWay, "it is being rotated already"
	}
	return "", ""
}

// fresh says that the last rotation was too short before a time; empty if it was not.
func (c candidate) fresh(spacing time.Duration, at time.Time) string {
	if c.Rotated == nil || !c.Rotated.Add(spacing).After(at) {
		return ""
	}
	return "it was rotated " + c.Rotated.UTC().Format("2006-01-02 15:04 MST") + ", and the policy leaves " + lasting(spacing) + " in between"
}
