package rotation

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
)

// Wish is an account whose password is to be rotated.
type Wish struct {
	Account  core.ID
	Target   core.Target // the account as what something happens to
	Priority int         // 1 (first) to 4
}

// Plans is Plan of many accounts in a few statements: QueuePlans, send, then Finish.
type Plans struct {
	rotations *Rotations
	cause     core.Cause
	workspace core.ID
	reason    Reason
	wishes    []Wish              // in the order in which every command locks
	open      map[core.ID]core.ID // account to rotation
	made      map[core.ID]int     // accounts whose rotation is new, with their risk
	events    map[core.ID]core.ID // account to the event that tells of it
}

// The first step is written with its rotation: nobody else sees the one without the other.
const insertPlans = `
with made as (
	insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, steps, events, next_attempt, created, updated, app_id, risk)
	select w.id, @workspace::uuid, w.account, @reason, @cause, w.priority, 'planned', 1, array[w.event], @now, @now, @now, a.app_id, coalesce(a.risk, p.risk)
	from unnest(@ids::uuid[], @accounts::uuid[], @priorities::integer[], @events::uuid[]) with ordinality as w (id, account, priority, event, place)
	join accounts a on a.workspace_id = @workspace::uuid and a.id = w.account
	join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
	order by w.place
	on conflict (workspace_id, account_id) where finished is null do nothing
	returning account_id, id, risk
), stepped as (
	insert into rotation_steps (workspace_id, rotation_id, number, state, at)
	select @workspace::uuid, id, 1, 'planned', @now from made
)
select account_id, id, risk from made`

// An open rotation that fulfils a wish as it is: it is about to begin, for a reason as weighty and with
// a priority as good. Joining it changes nothing of it, so many can do so at once.
const selectFulfilling = `
select r.account_id, r.id, r.risk
from rotations r join unnest(@accounts::uuid[], @priorities::integer[]) as w (account, priority) on w.account = r.account_id
where r.workspace_id = @workspace and r.finished is null and r.new_accepted is null and r.state = 'planned' and r.attempts = 0
	and r.next_attempt <= @now and r.reason = any(@reasons) and r.priority <= w.priority
order by r.account_id`

// It must not begin to end before this transaction does: what is taken from somebody here has to be
// gone when the new password comes.
const lockFulfilling = selectFulfilling + `
for share of r`

// QueuePlans begins the planning of many rotations as part of what is sent to the database together.
// The accounts are locked in one order over all commands: two people who share accounts may leave at
// once, and neither may wait for an account of the other's while holding one the other waits for.
func (r *Rotations) QueuePlans(batch *pgx.Batch, cause core.Cause, workspace core.ID, reason Reason, wishes []Wish) *Plans {
	p := &Plans{
		rotations: r, cause: cause, workspace: workspace, reason: reason,
		open: map[core.ID]core.ID{}, made: map[core.ID]int{}, events: map[core.ID]core.ID{},
	}
	p.wishes = slices.SortedFunc(slices.Values(wishes), func(one, other Wish) int { return bytes.Compare(one.Account[:], other.Account[:]) })
	if len(wishes) == 0 {
		return p
	}
	args := p.args()
	ids, events := make([]core.ID, len(wishes)), make([]core.ID, len(wishes))
	for i, wish := range p.wishes {
		ids[i], events[i] = core.NewID(), core.NewID()
		p.events[wish.Account] = events[i]
	}
	batch.Queue(insertPlans, pgx.StrictNamedArgs{
		"workspace": workspace, "reason": reason, "cause": cause, "now": args["now"], "ids": ids, "events": events,
		"accounts": args["accounts"], "priorities": args["priorities"],
	}).Query(func(rows pgx.Rows) error {
		return p.collect(rows, func(account core.ID, risk int) { p.made[account] = risk })
	})
	return p
}

// args is what both statements about fulfilling rotations take.
func (p *Plans) args() pgx.StrictNamedArgs {
	var reasons []string
	for _, reason := range byWeight {
		if reason != ReasonEnrol && reason.weight() >= p.reason.weight() {
			reasons = append(reasons, string(reason))
		}
	}
	ids, priorities := make([]core.ID, len(p.wishes)), make([]int, len(p.wishes))
	for i, wish := range p.wishes {
		ids[i], priorities[i] = wish.Account, wish.Priority
	}
	return pgx.StrictNamedArgs{
		"workspace": p.workspace, "accounts": ids, "priorities": priorities, "reasons": reasons, "now": p.rotations.now(),
	}
}

func (p *Plans) collect(rows pgx.Rows, each func(account core.ID, risk int)) error {
	var account, rotation core.ID
	var risk int
	_, err := pgx.ForEachRow(rows, []any{&account, &rotation, &risk}, func() error {
		p.open[account] = rotation
		each(account, risk)
		return nil
	})
	return err
}

// Finish joins the rotations that were open, adds the jobs, and queues into batch what else is to be
// written. It returns each account's rotation and what is to be told; what Plan tells of those that
// take more than joining is told already.
func (p *Plans) Finish(ctx context.Context, tx pgx.Tx, batch *pgx.Batch) (map[core.ID]core.ID, []core.Event, error) {
	if err := p.join(ctx, tx); err != nil {
		return nil, nil, err
	}
	now := p.rotations.now()
	var events []core.Event
	var entries []jobs.Entry
	// Jobs of one priority are worked in the order in which they were added.
	slices.SortStableFunc(p.wishes, func(one, other Wish) int { return p.made[other.Account] - p.made[one.Account] })
	for _, wish := range p.wishes {
		id, told := p.events[wish.Account]
		if !told {
			continue
		}
		rotation := p.open[wish.Account]
		event := core.NewEvent(core.RotationPlanned, p.workspace, p.cause, now, wish.Target, core.Target{Kind: "rotation", ID: rotation})
		event.ID = id
		if p.made[wish.Account] > 0 {
			entries = append(entries, jobs.Entry{Job: step{Workspace: p.workspace, Rotation: rotation, Wake: 1}, Options: jobOptions(wish.Priority)})
		} else {
			event = event.With("joined", "true")
		}
		events = append(events, event.With("rotation", rotation.String()).With("reason", string(p.reason)))
	}
	return p.open, events, p.rotations.Queue.QueueMany(ctx, batch, entries)
}

// join locks the open rotations that fulfil the wishes as they are. As soon as one does not, each is
// joined by itself, in order.
func (p *Plans) join(ctx context.Context, tx pgx.Tx) error {
	if len(p.made) == len(p.wishes) {
		return nil
	}
	rows, err := tx.Query(ctx, selectFulfilling, p.args())
	if err != nil {
		return err
	}
	if err := p.collect(rows, func(core.ID, int) {}); err != nil {
		return err
	}
	known := len(p.open) == len(p.wishes)
	if known {
		rows, err := tx.Query(ctx, lockFulfilling, p.args())
		if err != nil {
			return err
		}
		locked := map[core.ID]bool{}
		if err := p.collect(rows, func(account core.ID, _ int) { locked[account] = true }); err != nil {
			return err
		}
		known = len(locked) == len(p.wishes)
	}
	if known {
		return nil
	}
	for _, wish := range p.wishes {
		if p.made[wish.Account] > 0 {
			continue
		}
		joined, err := p.rotations.Plan(ctx, tx, p.cause, p.workspace, wish.Account, p.reason, wish.Priority)
		if err != nil {
			return err
		}
		p.open[wish.Account] = joined.ID
		delete(p.events, wish.Account)
	}
	return nil
}

// PlanAll is Plan of many accounts. It returns each account's rotation and what is to be told.
func (r *Rotations) PlanAll(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, reason Reason, wishes []Wish) (map[core.ID]core.ID, []core.Event, error) {
	if len(wishes) == 0 {
		return nil, nil, nil
	}
	batch := &pgx.Batch{}
	plans := r.QueuePlans(batch, cause, workspace, reason, wishes)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, postgres.Classify(err)
	}
	batch = &pgx.Batch{}
	open, events, err := plans.Finish(ctx, tx, batch)
	if err != nil || batch.Len() == 0 {
		return open, events, err
	}
	return open, events, postgres.Classify(tx.SendBatch(ctx, batch).Close())
}
