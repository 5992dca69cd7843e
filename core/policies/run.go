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

const (
	lookEvery = 10 * time.Second // how often a schedule under way looks for what is due
	together  = 200              // accounts of one transaction
	patience  = time.Minute      // of a policy that failed
)

// Run does what is due until ctx ends. It may run in many processes.
func (p *Policies) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		if _, err := p.Tick(ctx); err != nil && ctx.Err() == nil && p.Log != nil {
			p.Log.WarnContext(ctx, "what policies ask for could not be carried on", "error", err)
		}
	}
}

// Tick does what is due now, in all workspaces in turn, and returns how many rotations it began or joined. Killed
// at any point it goes on where it was. What fails keeps nothing else from being done, and is tried again.
func (p *Policies) Tick(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		found, planned, err := p.carryNext(ctx)
		failed, total = errors.Join(failed, err), total+planned
		if !found {
			break
		}
	}
	planned, err := p.rotateDue(ctx)
	return total + planned, errors.Join(failed, err)
}

// Who waited longest is next: a long schedule leaves the others their turn after each of its transactions. Of several
// processes each finds another policy.
const selectNext = `select ` + columns + ` from policies where next <= @now order by next limit 1 for no key update skip locked`

const saveRound = `
update policies set occurrence = @occurrence, starts = @starts, ends = @ends, base = @base, done = @done, planned = @planned, passed = @passed,
	finished = @finished, next = @next
where workspace_id = @workspace and id = @id`

const postponePolicy = `update policies set next = @next where workspace_id = @workspace and id = @id and next <= @now`

// carryNext goes on with the schedule that has waited longest. found is false when none waits, or none could be looked for.
func (p *Policies) carryNext(ctx context.Context) (found bool, planned int, err error) {
	var next row
	err = p.DB.Tx(ctx, func(tx pgx.Tx) error {
		found, planned = false, 0
		rows, err := tx.Query(ctx, selectNext, pgx.StrictNamedArgs{"now": p.now()})
		if err != nil {
			return err
		}
		if next, err = pgx.CollectExactlyOneRow(rows, scan); errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		planned, err = p.carry(ctx, tx, next)
		return err
	})
	if err == nil {
		if planned > 0 {
			p.wake()
		}
		return found, planned, nil
	}
	if !found || ctx.Err() != nil {
		return false, 0, err
	}
	err = fmt.Errorf("policy %s of workspace %s: %w", next.ID, next.Workspace, err)
	now := p.now()
	if _, failed := p.DB.Exec(ctx, postponePolicy, pgx.StrictNamedArgs{
		"workspace": next.Workspace, "id": next.ID, "now": now, "next": now.Add(patience),
	}); failed != nil {
		return false, 0, errors.Join(err, postgres.Classify(failed))
	}
	return true, 0, err
}

// Two accounts of one place are seen to together, or one of them would be left out.
const selectDue = selectCandidates + place + ` > @done and ` + place + ` <= @upto and ` + covered + `
	order by ` + place + ` fetch first @limit rows with ties` + ofCandidates + `
order by a.place`

// carry sees to the next accounts of a locked policy that are due.
func (p *Policies) carry(ctx context.Context, tx pgx.Tx, policy row) (int, error) {
	now := p.now()
	round := policy.Round.resume(policy.Schedule, now)
	if round.Starts.After(now) {
		return 0, policy.save(ctx, tx, round)
	}
	if round.done < 0 {
		round.Planned, round.Passed = 0, 0
	}
	upto := round.upto(now)
	args := policy.Scope.draft(policy.Workspace)
	args["policy"], args["done"], args["upto"], args["limit"] = policy.ID, round.done, upto, together
	due, err := candidates(ctx, tx, selectDue, args)
	if err != nil {
		return 0, err
	}
	cause := core.NewCause(core.System, now)
	var wishes []rotation.Wish
	var told []core.Event
	for _, account := range due {
		round.done = account.Place
		why, text := policy.verdict(account, now)
		if why == "" {
			wishes = append(wishes, rotation.Wish{Account: account.ID, Target: account.target(), Priority: policy.Trigger.priority()})
			continue
		}
		round.Passed++
		if why == WhyState || why == WhyBlocked {
			told = append(told, policy.passedOver(policy.Workspace, cause, now, account, text))
		}
	}
	switch {
	case len(due) >= together:
		round.next = &now
	case upto == places:
		round.Finished = &now
	default:
		round.done, round.next = upto, new(now.Add(lookEvery))
		if last := round.Starts.Add(round.spread()); last.Before(*round.next) {
			round.next = &last
		}
	}
	round.Planned += len(wishes)
	if len(due) < together && upto == places {
		round = round.following(policy.Schedule, now)
	}
	_, planned, err := p.plan(ctx, tx, cause, policy.Workspace, policy.Trigger, wishes)
	if err != nil {
		return 0, err
	}
	for i := range planned {
		planned[i] = planned[i].With("policy", policy.ID.String())
	}
	if err := audit.Append(ctx, tx, append(told, planned...)...); err != nil {
		return 0, err
	}
	return len(wishes), policy.save(ctx, tx, round)
}

func (r row) save(ctx context.Context, tx pgx.Tx, round Round) error {
	_, err := tx.Exec(ctx, saveRound, pgx.StrictNamedArgs{
		"workspace": r.Workspace, "id": r.ID, "occurrence": round.Day.Time, "starts": round.Starts, "ends": round.Ends, "base": round.base,
		"done": round.done, "planned": round.Planned, "passed": round.Passed, "finished": round.Finished, "next": round.next,
	})
	return err
}

// passedOver tells that an account was not rotated though the policy wants it.
func (p Policy) passedOver(workspace core.ID, cause core.Cause, now time.Time, account candidate, why string) core.Event {
	return core.NewEvent(core.RotationPassedOver, workspace, cause, now, account.target(), p.Target()).Failed(why).
		With("policy", p.ID.String()).With("trigger", string(p.Trigger))
}
