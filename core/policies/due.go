package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/rotation"
)

// A row that is there already stands for the first sign-in with the password of now: the delay counts from that one.
const insertDue = `
insert into policy_dues as d (workspace_id, policy_id, account_id, since, due)
select p.workspace_id, p.id, a.id, @now, @now::timestamptz + p.delay
from policies p join accounts a on a.workspace_id = p.workspace_id and a.id = @account
where p.workspace_id = @workspace and p.trigger = 'sign_in' and p.enabled and ` + covered + ` and not exists (
	select from policy_dues d
	where d.workspace_id = p.workspace_id and d.policy_id = p.id and d.account_id = a.id and (a.rotated is null or d.since > a.rotated))
on conflict (workspace_id, policy_id, account_id) do update set since = excluded.since, due = excluded.due`

// SignedIn notes, in the transaction in which somebody is given an account's password, that it may have to be
// changed after a while.
func (p *Policies) SignedIn(ctx context.Context, tx pgx.Tx, workspace, account core.ID) error {
	_, err := tx.Exec(ctx, insertDue, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": p.now()})
	return postgres.Classify(err)
}

const selectWaiting = `select workspace_id from policy_dues where due <= @now group by workspace_id order by min(due)`

// insertSpaced notes the accounts that a policy of a trigger wants rotated and leaves alone for now.
const insertSpaced = `
insert into policy_dues as d (workspace_id, policy_id, account_id, since, due)
select p.workspace_id, p.id, a.id, @now, a.rotated + p.spacing
from policies p join accounts a on a.workspace_id = p.workspace_id and a.id = any(@accounts::uuid[])
where p.workspace_id = @workspace and p.trigger = @trigger and p.enabled and ` + covered + `
	and a.rotated > @now::timestamptz - p.spacing and a.state not in ` + forbidding + `
on conflict (workspace_id, policy_id, account_id) do update set since = excluded.since, due = excluded.due`

// spaced notes accounts that were rotated too short ago for a trigger's policies, to be rotated as soon as those allow.
func (p *Policies) spaced(ctx context.Context, tx pgx.Tx, workspace core.ID, trigger Trigger, logins []core.ID) error {
	_, err := tx.Exec(ctx, insertSpaced, pgx.StrictNamedArgs{"workspace": workspace, "trigger": string(trigger), "accounts": logins, "now": p.now()})
	return postgres.Classify(err)
}

// rotateDue rotates what has waited long enough, some accounts of each workspace in turn.
func (p *Policies) rotateDue(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		rows, err := p.DB.Query(ctx, selectWaiting, pgx.StrictNamedArgs{"now": p.now()})
		if err != nil {
			return total, errors.Join(failed, postgres.Classify(err))
		}
		waiting, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
		if err != nil {
			return total, errors.Join(failed, postgres.Classify(err))
		}
		more := false
		for _, workspace := range waiting {
			seen, planned := 0, 0
			err := p.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
				seen, planned, err = p.rotateDueOf(ctx, tx, workspace)
				return err
			})
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("what is due of workspace %s: %w", workspace, err))
				continue
			}
			total, more = total+planned, more || seen == together
		}
		if !more {
			break
		}
	}
	if total > 0 {
		p.wake()
	}
	return total, failed
}

const selectDues = `
select d.policy_id, d.account_id, d.since, p.name, p.trigger, p.enabled and ` + covered + `, p.spacing, s.name, a.username, a.state, a.rotated, coalesce(o.state, ''), coalesce(o.reason, '')
from policy_dues d
join policies p on p.workspace_id = d.workspace_id and p.id = d.policy_id
join accounts a on a.workspace_id = d.workspace_id and a.id = d.account_id
join apps s on s.workspace_id = a.workspace_id and s.id = a.app_id
left join rotations o on o.workspace_id = a.workspace_id and o.account_id = a.id and o.finished is null
where d.workspace_id = @workspace and d.due <= @now
order by d.due limit @limit
for update of d skip locked`

const deleteDues = `
delete from policy_dues d using unnest(@policies::uuid[], @accounts::uuid[]) as w (policy, account)
where d.workspace_id = @workspace and d.policy_id = w.policy and d.account_id = w.account`

const deferDue = `
update policy_dues set due = @due where workspace_id = @workspace and policy_id = @policy and account_id = @account`

// rotateDueOf does so for a workspace's first accounts that wait, and returns how many of them it saw to.
func (p *Policies) rotateDueOf(ctx context.Context, tx pgx.Tx, workspace core.ID) (seen, planned int, err error) {
	now := p.now()
	rows, err := tx.Query(ctx, selectDues, pgx.StrictNamedArgs{"workspace": workspace, "now": now, "limit": together})
	if err != nil {
		return 0, 0, err
	}
	cause := core.NewCause(core.System, now)
	var policy Policy
	var account candidate
	var since time.Time
	var stands bool
	wishes := map[Trigger][]rotation.Wish{}
	var told []core.Event
	wished := map[core.ID]core.ID{} // account to the policy that is told to want it
	policies, logins := []core.ID{}, []core.ID{}
	batch := &pgx.Batch{}
	_, err = pgx.ForEachRow(rows, []any{
		&policy.ID, &account.ID, &since, &policy.Name, &policy.Trigger, &stands, &policy.Spacing, &account.AppName, &account.Username, &account.State, &account.Rotated,
		&account.Open, &account.Because,
	}, func() error {
		seen++
		why, text := policy.verdict(account, now)
		if stands = stands && (account.Rotated == nil || !account.Rotated.After(since)); stands && why == WhySpacing {
			batch.Queue(deferDue, pgx.StrictNamedArgs{
				"workspace": workspace, "policy": policy.ID, "account": account.ID, "due": account.Rotated.Add(policy.Spacing),
			})
			return nil
		}
		policies, logins = append(policies, policy.ID), append(logins, account.ID)
		if !stands {
			return nil
		}
		if why != "" {
			told = append(told, policy.passedOver(workspace, cause, now, account, text))
		} else if _, twice := wished[account.ID]; !twice {
			wished[account.ID] = policy.ID
			wishes[policy.Trigger] = append(wishes[policy.Trigger], rotation.Wish{Account: account.ID, Target: account.target(), Priority: policy.Trigger.priority()})
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	batch.Queue(deleteDues, pgx.StrictNamedArgs{"workspace": workspace, "policies": policies, "accounts": logins})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, 0, err
	}
	for trigger, wishes := range wishes {
		_, events, err := p.plan(ctx, tx, cause, workspace, trigger, wishes)
		if err != nil {
			return 0, 0, err
		}
		for i := range events {
			events[i] = events[i].With("policy", wished[events[i].Targets[0].ID].String())
		}
		told = append(told, events...)
	}
	return seen, len(wished), audit.Append(ctx, tx, told...)
}
