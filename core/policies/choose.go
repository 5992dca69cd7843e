package policies

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Choice is which accounts a workspace has rotated upon a trigger.
type Choice struct {
	policies  *Policies
	workspace core.ID
	trigger   Trigger
	said      bool // there are policies about the trigger
	some      bool // one of them is on
	all       bool // and one covers everything, without asking when the last rotation was
}

const selectChoice = `
select count(*) > 0, count(*) filter (where enabled) > 0,
	count(*) filter (where enabled and covers = 'all' and excluded = '{}' and spacing <= interval '0') > 0
from policies where workspace_id = @workspace and trigger = @trigger`

// QueueChoose reads what a workspace says about a trigger as part of what is sent to the database together. Of and
// All are for when that was sent.
func (p *Policies) QueueChoose(batch *pgx.Batch, workspace core.ID, trigger Trigger) *Choice {
	c := &Choice{policies: p, workspace: workspace, trigger: trigger}
	batch.Queue(selectChoice, pgx.StrictNamedArgs{"workspace": workspace, "trigger": string(trigger)}).QueryRow(func(row pgx.Row) error {
		return row.Scan(&c.said, &c.some, &c.all)
	})
	return c
}

// None reports that nothing is rotated, whatever the account.
func (c *Choice) None() bool {
	if !c.said {
		return !c.trigger.Default()
	}
	return !c.some
}

// within is true of an account a that a policy p names, and covered of those it does not exclude. p may be a row, or
// a draft.
const (
	within = `case p.covers when 'all' then true when 'apps' then a.app_id = any(p.apps)
	when 'tags' then a.tags && p.tags else a.id = any(p.accounts) end`
	covered = `(` + within + ` and not a.id = any(p.excluded))`
)

// draft is a policy p that the parameters say.
const draft = `(select @covers::text as covers, @apps::uuid[] as apps, @tags::text[] as tags, @accounts::uuid[] as accounts, @excluded::uuid[] as excluded) p`

func (s Scope) draft(workspace core.ID) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"workspace": workspace, "covers": string(s.Covers), "apps": s.Apps, "tags": s.Tags, "accounts": s.Accounts, "excluded": s.Excluded,
	}
}

// forbidding are the states in which nothing is rotated but to lock somebody out.
const forbidding = `('desynced', 'unmanaged', 'app_disabled')`

const selectChosen = `
select a.id from accounts a
where a.workspace_id = @workspace and a.id = any(@accounts::uuid[]) and (@always or a.state not in ` + forbidding + `) and exists (
	select from policies p
	where p.workspace_id = @workspace and p.trigger = @trigger and p.enabled and ` + covered + `
		and (a.id = any(@known::uuid[]) or a.rotated is null or a.rotated <= @now::timestamptz - p.spacing))`

// Of gives those of the accounts, in the order given, that are to be rotated. It asks the database only if a
// policy says more than all or nothing.
func (c *Choice) Of(ctx context.Context, q postgres.Querier, exposed []accounts.Exposed) ([]accounts.Exposed, error) {
	grave := c.trigger.Default() // somebody is to be locked out
	switch {
	case len(exposed) == 0 || c.None():
		return nil, nil
	case grave && (!c.said || c.all):
		return exposed, nil
	}
	asked, known := make([]core.ID, len(exposed)), []core.ID{}
	for i, account := range exposed {
		asked[i] = account.Account
		if grave && account.SawVersionCurrent {
			known = append(known, account.Account)
		}
	}
	rows, err := q.Query(ctx, selectChosen, pgx.StrictNamedArgs{
		"workspace": c.workspace, "accounts": asked, "known": known, "trigger": string(c.trigger), "always": grave, "now": c.policies.now(),
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	chosen := map[core.ID]bool{}
	var account core.ID
	if _, err := pgx.ForEachRow(rows, []any{&account}, func() error { chosen[account] = true; return nil }); err != nil {
		return nil, postgres.Classify(err)
	}
	var wanted []accounts.Exposed
	for _, account := range exposed {
		if chosen[account.Account] {
			wanted = append(wanted, account)
		}
	}
	return wanted, nil
}

// Choose gives those of the accounts, in the order given, that the workspace has rotated upon a trigger.
func (p *Policies) Choose(ctx context.Context, tx pgx.Tx, workspace core.ID, trigger Trigger, exposed []accounts.Exposed) ([]accounts.Exposed, error) {
	if len(exposed) == 0 {
		return nil, nil
	}
	batch := &pgx.Batch{}
	choice := p.QueueChoose(batch, workspace, trigger)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, postgres.Classify(err)
	}
	return choice.Of(ctx, tx, exposed)
}

const selectNamed = `
select a.id, p.name, a.username from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = any(@accounts::uuid[]) order by a.id`

// Rotate plans, as part of another command, the rotation of those of the accounts that the workspace has rotated
// upon a trigger, tells of it, and returns the rotations. Upon a trigger that locks somebody out, the accounts
// are taken for those whose password that somebody knows; upon another, those that were rotated too short ago are
// rotated when the policies' spacing is over.
func (p *Policies) Rotate(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, trigger Trigger, logins ...core.ID) ([]core.ID, error) {
	rows, err := tx.Query(ctx, selectNamed, pgx.StrictNamedArgs{"workspace": workspace, "accounts": logins})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var exposed []accounts.Exposed
	found := accounts.Exposed{Saw: true, SawVersionCurrent: trigger.Default()}
	if _, err := pgx.ForEachRow(rows, []any{&found.Account, &found.AppName, &found.Username}, func() error {
		exposed = append(exposed, found)
		return nil
	}); err != nil {
		return nil, postgres.Classify(err)
	}
	if exposed, err = p.Choose(ctx, tx, workspace, trigger, exposed); err != nil {
		return nil, err
	}
	if !trigger.Default() {
		if err := p.spaced(ctx, tx, workspace, trigger, logins); err != nil {
			return nil, err
		}
	}
	if len(exposed) == 0 {
		return nil, nil
	}
	wishes := make([]rotation.Wish, len(exposed))
	for i, account := range exposed {
		wishes[i] = rotation.Wish{Account: account.Account, Target: account.Target(), Priority: trigger.priority()}
	}
	open, events, err := p.plan(ctx, tx, cause, workspace, trigger, wishes)
	if err != nil {
		return nil, err
	}
	rotations := make([]core.ID, len(exposed))
	for i, account := range exposed {
		rotations[i] = open[account.Account]
	}
	return rotations, audit.Append(ctx, tx, events...)
}

// plan is PlanAll, with what is told saying what triggered it.
func (p *Policies) plan(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, trigger Trigger, wishes []rotation.Wish) (map[core.ID]core.ID, []core.Event, error) {
	open, events, err := p.Rotations.PlanAll(ctx, tx, cause, workspace, trigger.reason(), wishes)
	for i := range events {
		events[i] = events[i].With("trigger", string(trigger))
	}
	return open, events, err
}
