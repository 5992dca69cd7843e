package rotation

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
)

// step is the job: go on with one rotation.
type step struct {
	Workspace core.ID `json:"workspace"`
	Rotation  core.ID `json:"rotation"`
	// Wake is the row's number for the latest job: an older one ends instead of waiting beside it.
	Wake int `json:"wake"`
}

// Kind implements jobs.Job.
func (step) Kind() string { return "rotation.step" }

func jobOptions(priority int) jobs.Options { return jobs.Options{Priority: priority} }

// Plan wants an account's password rotated, or verified, and returns the rotation that will do it:
// a new one, or the open one of the account, which the wish joins. A joined rotation takes the
// weightier reason with its cause and the better priority, and goes on at once, even if it was
// blocked. If the new password may already be in somebody's hands, another rotation follows it.
//
// What can wait, a manual rotation or less, is Denied while the account is closed (see accounts.Account.Closed), until a
// sign-in has proved a password; one that the app wants changed may be. Whoever is to be locked out is
// tried to be locked out all the same.
//
// priority is 1 (first) to 4; 0 takes the reason's own. Row, event and job are part of tx.
func (r *Rotations) Plan(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, reason Reason, priority int) (Rotation, error) {
	if reason.weight() == 0 {
		return Rotation{}, core.Invalid("reason", "there is no reason %q to rotate", reason)
	}
	if priority < 0 || priority > 4 {
		return Rotation{}, core.Invalid("priority", "a priority is 1 to 4")
	}
	if priority == 0 {
		priority = reason.priority()
	}
	found, err := r.Accounts.Account(ctx, tx, workspace, account)
	if err != nil {
		return Rotation{}, err
	}
	if reason != ReasonVerify && reason.weight() <= ReasonManual.weight() && found.Finding != accounts.Expired {
		if closed := found.Closed(); closed != nil {
			return Rotation{}, closed
		}
	}
	return r.want(ctx, tx, found, wish{Reason: reason, Cause: cause, Priority: priority})
}

// want fulfils a wish by a new rotation, or by the open one.
func (r *Rotations) want(ctx context.Context, tx pgx.Tx, found accounts.Account, wanted wish) (Rotation, error) {
	id := core.NewID()
	inserted, err := tx.Exec(ctx, insertProgress, pgx.StrictNamedArgs{
		"id": id, "workspace": found.Workspace, "account": found.ID, "reason": wanted.Reason, "cause": wanted.Cause, "priority": wanted.Priority, "now": r.now(),
	})
	if err != nil {
		return Rotation{}, err
	}
	open, err := lock(ctx, tx, lockOpen, found.Workspace, found.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		// It finished after the insert saw it and before the lock: there is none now.
		return r.want(ctx, tx, found, wanted)
	} else if err != nil {
		return Rotation{}, err
	}
	if inserted.RowsAffected() == 1 {
		return r.begin(ctx, tx, &open, wanted, found)
	}
	return r.join(ctx, tx, &open, wanted, found)
}

// begin finishes the planning of a row just inserted.
func (r *Rotations) begin(ctx context.Context, tx pgx.Tx, p *progress, wanted wish, account accounts.Account) (Rotation, error) {
	now := r.now()
	p.Administrator, p.Mailed = wanted.Administrator, wanted.Mailed
	if err := p.step(ctx, tx, now, StatePlanned, "", nil); err != nil {
		return Rotation{}, err
	}
	planned := core.NewEvent(core.RotationPlanned, p.Workspace, wanted.Cause, now, p.targets(account)...)
	if err := p.tell(ctx, tx, planned); err != nil {
		return Rotation{}, err
	}
	return p.Rotation, r.queue(ctx, tx, p)
}

// join adds a wish to an open rotation.
func (r *Rotations) join(ctx context.Context, tx pgx.Tx, p *progress, wanted wish, account accounts.Account) (Rotation, error) {
	now := r.now()
	event := core.NewEvent(core.RotationPlanned, p.Workspace, wanted.Cause, now, p.targets(account)...).With("joined", "true")
	switch {
	case p.NewAccepted != nil && wanted.Reason != ReasonVerify:
		// The candidate is the current password by now, and who is to be locked out may have seen it.
		p.Follow = heavier(p.Follow, wanted)
		event = event.Because("another rotation follows the one under way")
	default:
		joined := heavier(&wish{Reason: p.Reason, Cause: p.Cause, Priority: p.Priority}, wanted)
		p.Reason, p.Cause, p.Priority = joined.Reason, joined.Cause, joined.Priority
		if (!wanted.Administrator.IsZero() || wanted.Mailed) && (p.LeaseUntil == nil || !p.LeaseUntil.After(now)) {
			// Which password the app has does not matter any more. A worker that is there comes to a reset by itself.
			p.Administrator, p.Mailed, p.Pass = wanted.Administrator, wanted.Mailed, passNone
		}
	}
	p.Priority = min(p.Priority, wanted.Priority)
	if p.State == StateBlocked {
		p.Attempts, p.Refusals, p.Rung, p.Probed, p.Delay = 0, 0, 0, &now, ""
		if err := p.step(ctx, tx, now, p.resting(), "asked for again", nil); err != nil {
			return Rotation{}, err
		}
	}
	if err := p.tell(ctx, tx, event); err != nil {
		return Rotation{}, err
	}
	p.NextAttempt, p.Parked = &now, false
	p.Wake++
	return p.Rotation, r.queue(ctx, tx, p)
}

// queue saves a row and adds its job.
func (r *Rotations) queue(ctx context.Context, tx pgx.Tx, p *progress) error {
	if err := p.save(ctx, tx, r.now()); err != nil {
		return err
	}
	return r.Queue.Add(ctx, tx, step{Workspace: p.Workspace, Rotation: p.ID, Wake: p.Wake}, jobOptions(p.Priority))
}

// heavier is the wish that stands for both: the weightier reason, the earlier at equal weight, and
// the better priority.
func heavier(first *wish, second wish) *wish {
	chosen := second
	if first != nil {
		if first.Reason.weight() >= second.Reason.weight() {
			chosen = *first
		}
		chosen.Priority = min(first.Priority, second.Priority)
	}
	return &chosen
}
