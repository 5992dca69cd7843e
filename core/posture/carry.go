package posture

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

const selectCarried = `
select cause, users, teams from reassignments
where workspace_id = @workspace and id = @id and finished is null`

// Whoever sees to an account has its row; others go on to the next.
const lockRow = `
select account_id from reassignment_rows
where workspace_id = @workspace and reassignment_id = @id and outcome = 'waiting'
order by account_id limit 1
for update skip locked`

const finishRow = `
update reassignment_rows set outcome = @outcome, why = @why, at = @now
where workspace_id = @workspace and reassignment_id = @id and account_id = @account`

const finishReassignment = `
update reassignments r set finished = @now
where r.workspace_id = @workspace and r.id = @id and r.finished is null and not exists (
	select from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'waiting')
returning r.total, (select count(*) from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'failed')`

// carried is a reassignment that is under way.
type carried struct {
	workspace, id core.ID
	cause         core.Cause
	owners        []accounts.Subject
}

// Carry goes on with a reassignment until nothing of it waits, and returns how many accounts it saw to. Killed at any point
// it goes on where it was; in many processes at once each account is seen to once.
func (p *Posture) Carry(ctx context.Context, workspace, id core.ID) (int, error) {
	r := carried{workspace: workspace, id: id}
	var cause []byte
	var users, teams []core.ID
	err := p.DB.QueryRow(ctx, selectCarried, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&cause, &users, &teams)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, postgres.Classify(err)
	}
	if err := json.Unmarshal(cause, &r.cause); err != nil {
		return 0, core.Internal(err)
	}
	for _, user := range users {
		r.owners = append(r.owners, accounts.Subject{User: user})
	}
	for _, team := range teams {
		r.owners = append(r.owners, accounts.Subject{Team: team})
	}
	seen := 0
	for ctx.Err() == nil {
		found, err := p.carryRow(ctx, r)
		if err != nil {
			return seen, err
		}
		if !found {
			break
		}
		seen++
		p.wake()
	}
	if ctx.Err() != nil {
		return seen, ctx.Err()
	}
	return seen, p.finish(ctx, r)
}

// carryRow sees to the next account that waits: its owners, their events and what the row says of it are one transaction.
func (p *Posture) carryRow(ctx context.Context, r carried) (found bool, err error) {
	err = p.DB.Tx(ctx, func(tx pgx.Tx) error {
		var account core.ID
		err := tx.QueryRow(ctx, lockRow, pgx.StrictNamedArgs{"workspace": r.workspace, "id": r.id}).Scan(&account)
		if found = !errors.Is(err, pgx.ErrNoRows); !found {
			return nil
		}
		if err != nil {
			return err
		}
		outcome, why, err := p.give(ctx, tx, r, account)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, finishRow, pgx.StrictNamedArgs{
			"workspace": r.workspace, "id": r.id, "account": account, "outcome": outcome, "why": why, "now": p.now(),
		})
		return err
	})
	return found, err
}

// give gives one account its owners, all of them or, if one is refused, none.
func (p *Posture) give(ctx context.Context, tx pgx.Tx, r carried, account core.ID) (Outcome, string, error) {
	part, err := tx.Begin(ctx)
	if err != nil {
		return "", "", err
	}
	outcome, err := p.share(ctx, part, r, account)
	if err == nil {
		return outcome, "", part.Commit(ctx)
	}
	refused := core.AsError(postgres.Classify(err))
	switch refused.Kind {
	case core.KindInvalid, core.KindDenied, core.KindNotFound, core.KindConflict:
		return Failed, core.Cut(refused.Message, 500), part.Rollback(ctx)
	}
	return "", "", err
}

func (p *Posture) share(ctx context.Context, tx pgx.Tx, r carried, account core.ID) (Outcome, error) {
	before, err := p.Accounts.Grants(ctx, tx, r.workspace, account)
	if err != nil {
		return "", err
	}
	owns := map[accounts.Subject]bool{}
	for _, grant := range before {
		owns[grant.Subject()] = grant.Role == accounts.Owner && grant.Expires == nil
	}
	outcome := Unchanged
	for _, owner := range r.owners {
		if owns[owner] {
			continue
		}
		if _, err := p.Lifecycle.Share(ctx, tx, r.cause, r.workspace, account, accounts.Sharing{Subject: owner, Role: accounts.Owner}); err != nil {
			return "", err
		}
		outcome = Done
	}
	after, err := p.Accounts.Account(ctx, tx, r.workspace, account)
	if err == nil && after.Orphaned {
		err = core.Conflict("owners", "nobody active would own it even so")
	}
	return outcome, err
}

// finish notes that nothing waits any more, and tells so once.
func (p *Posture) finish(ctx context.Context, r carried) error {
	told := false
	err := p.DB.Tx(ctx, func(tx pgx.Tx) error {
		now := p.now()
		var total, failed int
		err := tx.QueryRow(ctx, finishReassignment, pgx.StrictNamedArgs{"workspace": r.workspace, "id": r.id, "now": now}).Scan(&total, &failed)
		if told = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil // others are at it still, or have told
		}
		if err != nil {
			return err
		}
		event := core.NewEvent(core.ReassignmentFinished, r.workspace, r.cause, now, core.Target{Kind: "reassignment", ID: r.id}).
			With("accounts", strconv.Itoa(total)).With("failed", strconv.Itoa(failed))
		if failed > 0 {
			event = event.Failed(strconv.Itoa(failed) + " of " + strconv.Itoa(total) + " accounts were not given their owners")
		}
		return audit.Append(ctx, tx, event)
	})
	if told && err == nil {
		p.wake()
	}
	return err
}

// Some at a time: a reassignment has many rows.
const forgetReassignments = `
delete from reassignments where (workspace_id, id) in (
	select o.workspace_id, o.id from workspaces w
	cross join lateral (
		select r.workspace_id, r.id from reassignments r where r.workspace_id = w.id and r.finished <= @before order by r.created, r.id limit 10
	) o)`

// Forget removes the reports of reassignments that ended more than KeptDays ago, and returns how many that were. The log keeps what
// they did.
func (p *Posture) Forget(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		done, err := p.DB.Exec(ctx, forgetReassignments, pgx.StrictNamedArgs{"before": p.now().AddDate(0, 0, -KeptDays)})
		if err != nil || done.RowsAffected() == 0 {
			return total, postgres.Classify(err)
		}
		total += int(done.RowsAffected())
	}
	return total, nil
}
