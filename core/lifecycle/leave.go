package lifecycle

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/rotation"
)

// The order in which workers take the rotations of one person: what they know before what they could
// have looked at.
const (
	prioritySaw   = 1
	priorityCould = 2
)

// keepPlans has the transaction go by the plans it has. What a departure asks is always the same, and to
// plan it anew each time for the values at hand costs more than all that is asked.
const keepPlans = `set local plan_cache_mode = force_generic_plan`

// take takes from a locked user who leaves what cannot be given back: sessions, grants and
// memberships, and what they know.
func (l *Lifecycle) take(ctx context.Context, tx pgx.Tx, s *story, one leaver) (Effect, error) {
	var ended, revoked []core.Event
	user, cause := one.user, one.cause
	batch := &pgx.Batch{}
	batch.Queue(keepPlans)
	l.Directory.QueueEndSessions(batch, cause, user, "deprovisioned", &ended)
	leaver := l.Accounts.QueueLeaver(batch, user.Workspace, user.ID, one.departed)
	choice := l.policies().QueueChoose(batch, user.Workspace, policies.TriggerDeprovision)
	asOwner := l.policies().QueueChoose(batch, user.Workspace, policies.TriggerOwnerChange)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Effect{}, err
	}
	rotated, err := choice.Of(ctx, tx, leaver.Exposed)
	if err != nil {
		return Effect{}, err
	}
	// The grants come before the rotations because a worker too takes an account first and then its
	// rotation: the other way round the two would wait for each other.
	batch = &pgx.Batch{}
	l.Accounts.QueueRevoke(batch, cause, user.Workspace, user.Target(), leaver, &revoked)
	plans := l.Rotations.QueuePlans(batch, cause, user.Workspace, rotation.ReasonDeprovision, wishes(rotated))
	if _, err := l.Directory.SuspendMemberships(ctx, postgres.Queueing(batch), user.Workspace, user.ID); err != nil {
		return Effect{}, err
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Effect{}, err
	}
	orphaned, err := l.Accounts.Orphans(ctx, tx, cause, user.Workspace, user.ID, leaver)
	if err != nil {
		return Effect{}, err
	}
	open, planned, err := plans.Finish(ctx, tx, s.batch)
	if err != nil {
		return Effect{}, err
	}
	if !asOwner.None() {
		rotating := func(account core.ID) bool { return !open[account].IsZero() }
		if err := l.passed(ctx, tx, cause, user.Workspace, slices.DeleteFunc(leaver.Owned, rotating)...); err != nil {
			return Effect{}, err
		}
	}
	if err := l.shut(ctx, tx, cause, user.Workspace, orphaned); err != nil {
		return Effect{}, err
	}
	taken := slices.Concat(ended, revoked, orphaned)
	certificates.Queue(s.batch, certificates.Opening{
		Workspace: user.Workspace, User: user.ID, Reason: certificates.Deprovision, Cause: cause, Departed: one.departed,
		Opened: l.now(), Exposed: leaver.Exposed, Rotations: open, Events: taken,
	})
	s.tell(taken...)
	s.tell(planned...)
	effect := Effect{SessionsEnded: len(ended), Rotations: inPlace(rotated, open)}
	for _, account := range leaver.Exposed {
		if account.Direct {
			effect.GrantsRevoked++
		}
	}
	return effect, nil
}

// shut has those apps that want it disable the accounts that were the leaver's alone: nobody has them any more.
func (l *Lifecycle) shut(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, orphaned []core.Event) error {
	var alone []core.ID
	for _, event := range orphaned {
		if event.Type == core.AccountOrphaned {
			alone = append(alone, event.Targets[0].ID)
		}
	}
	personal, err := l.Accounts.Personal(ctx, tx, workspace, alone)
	if err != nil {
		return err
	}
	for _, account := range personal {
		// The account that disables the others is disabled by nobody.
		if _, err := l.Rotations.SetEnabled(ctx, tx, cause, workspace, account, false); err != nil && core.KindOf(err) != core.KindConflict {
			return err
		}
	}
	return nil
}

// rotate plans the rotation of accounts that a policy has chosen, and returns the rotations in the order given.
func (l *Lifecycle) rotate(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, workspace core.ID, exposed []accounts.Exposed, reason rotation.Reason) ([]core.ID, error) {
	open, planned, err := l.Rotations.PlanAll(ctx, tx, cause, workspace, reason, wishes(exposed))
	s.tell(planned...)
	return inPlace(exposed, open), err
}

func wishes(exposed []accounts.Exposed) []rotation.Wish {
	wished := make([]rotation.Wish, len(exposed))
	for i, account := range exposed {
		wished[i] = rotation.Wish{Account: account.Account, Target: account.Target(), Priority: priorityCould}
		if account.SawVersionCurrent {
			wished[i].Priority = prioritySaw
		}
	}
	return wished
}

func inPlace(exposed []accounts.Exposed, open map[core.ID]core.ID) []core.ID {
	var rotations []core.ID
	for _, account := range exposed {
		rotations = append(rotations, open[account.Account])
	}
	return rotations
}

// checkOwned looks whether what a subject owns still has, or has again, a living owner.
func (l *Lifecycle) checkOwned(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, workspace core.ID, subject accounts.Subject) error {
	events, err := l.Accounts.CheckOwned(ctx, tx, cause, workspace, subject)
	s.tell(events...)
	return err
}
