package lifecycle

import (
	"bytes"
	"context"
	"slices"

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

// leave ends the sessions of a locked, active user and takes from them all they have. The caller then
// makes them inactive.
func (l *Lifecycle) leave(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User) (Effect, error) {
	ended, err := l.Directory.EndSessions(ctx, tx, cause, user.Workspace, user.ID, "deprovisioned")
	if err != nil {
		return Effect{}, err
	}
	effect, err := l.take(ctx, tx, cause, user)
	effect.SessionsEnded = ended
	return effect, err
}

// take takes what cannot be given back: the locked user's grants and memberships, and what they know.
func (l *Lifecycle) take(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User) (Effect, error) {
	var effect Effect
	// The grants come before the rotations because a worker too takes an account first and then its
	// rotation: the other way round the two would wait for each other.
	exposed, err := l.Accounts.RevokeAll(ctx, tx, cause, user.Workspace, user.ID)
	if err != nil {
		return Effect{}, err
	}
	if effect.Rotations, err = l.rotate(ctx, tx, cause, user.Workspace, exposed, rotation.ReasonDeprovision); err != nil {
		return Effect{}, err
	}
	for _, account := range exposed {
		if account.Direct {
			effect.GrantsRevoked++
		}
	}
	_, err = l.Directory.SuspendMemberships(ctx, tx, user.Workspace, user.ID)
	return effect, err
}

// rotate plans the rotation of every exposed account and returns the rotations in the order given.
func (l *Lifecycle) rotate(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, exposed []accounts.Exposed, reason rotation.Reason) ([]core.ID, error) {
	// Planned in one order over all commands: two people who share accounts may leave at once, and
	// neither may wait for an account of the other's while holding one the other waits for.
	ordered := slices.SortedFunc(slices.Values(exposed), func(one, other accounts.Exposed) int {
		return bytes.Compare(one.Account[:], other.Account[:])
	})
	planned := make(map[core.ID]core.ID, len(ordered))
	for _, account := range ordered {
		priority := priorityCould
		if account.SawVersionCurrent {
			priority = prioritySaw
		}
		made, err := l.Rotations.Plan(ctx, tx, cause, workspace, account.Account, reason, priority)
		if err != nil {
			return nil, err
		}
		planned[account.Account] = made.ID
	}
	var rotations []core.ID
	for _, account := range exposed {
		rotations = append(rotations, planned[account.Account])
	}
	return rotations, nil
}
