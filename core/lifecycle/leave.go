package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/rotation"
)

// The order in which workers take the rotations of one person: what they know before what they could
// have looked at.
const (
	prioritySaw   = 1
	priorityCould = 2
)

// take takes what cannot be given back: the locked user's grants and memberships, and what they know.
func (l *Lifecycle) take(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, leaver *accounts.Leaver) (Effect, error) {
	// The grants come before the rotations because a worker too takes an account first and then its
	// rotation: the other way round the two would wait for each other.
	batch := &pgx.Batch{}
	var revoked []core.Event
	l.Accounts.QueueRevoke(batch, cause, user.Workspace, user.Target(), leaver, &revoked)
	plans := l.Rotations.QueuePlans(batch, cause, user.Workspace, rotation.ReasonDeprovision, wishes(leaver.Exposed))
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
	s.tell(revoked...)
	s.tell(orphaned...)
	s.tell(planned...)
	effect := Effect{Rotations: inPlace(leaver.Exposed, open)}
	for _, account := range leaver.Exposed {
		if account.Direct {
			effect.GrantsRevoked++
		}
	}
	_, err = l.Directory.SuspendMemberships(ctx, s.later(), user.Workspace, user.ID)
	return effect, err
}

// rotate plans the rotation of every exposed account and returns the rotations in the order given.
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
