package lifecycle

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/directory"
	"postern/core/rotation"
)

// DeprovisionIn is Deprovision of a locked user as part of another command, with all that is taken: what nobody has
// to wait for is added to last, and what is to be told is returned.
func (l *Lifecycle) DeprovisionIn(ctx context.Context, tx pgx.Tx, last *pgx.Batch, cause core.Cause, user directory.User) (Effect, []core.Event, error) {
	s := &story{batch: last, whole: true}
	wanted := user
	wanted.Active = false
	_, effect, err := l.change(ctx, tx, s, cause, user, wanted, true)
	return effect, s.events, err
}

// Exposure is what somebody is exposed to whose accounts a signal has rotated.
type Exposure struct {
	User    core.ID
	Exposed []accounts.Exposed // those a policy rotates
	Events  []core.Event       // what was told of them, with their sessions that ended
}

// RotateIn plans the rotation of accounts people are exposed to, those whose password they saw first, as part of
// another command that ends with what is queued into last: its rotations in that order, and what is to be told.
// Everybody who is exposed to anything gets a certificate of it, which tells time from when the signal was
// received. The caller has asked the policies.
func (l *Lifecycle) RotateIn(ctx context.Context, tx pgx.Tx, last *pgx.Batch, cause core.Cause, workspace core.ID, reason rotation.Reason, people ...Exposure) ([]core.ID, []core.Event, error) {
	var all []accounts.Exposed
	for _, one := range people {
		all = joined(all, one.Exposed)
	}
	if len(all) == 0 {
		return nil, nil, nil
	}
	s := &story{}
	rotations, err := l.rotate(ctx, tx, s, cause, workspace, all, reason)
	if err != nil {
		return nil, nil, err
	}
	planned := make(map[core.ID]core.ID, len(all))
	for i, account := range all {
		planned[account.Account] = rotations[i]
	}
	why := certificates.Revocation
	if reason == rotation.ReasonLogout {
		why = certificates.Logout
	}
	for _, one := range people {
		if len(one.Exposed) > 0 {
			certificates.Queue(last, certificates.Opening{
				Workspace: workspace, User: one.User, Reason: why, Cause: cause, Departed: cause.Received, Opened: l.now(),
				Exposed: one.Exposed, Rotations: planned, Events: one.Events,
			})
		}
	}
	return rotations, s.events, nil
}

// joined is what two people were exposed to together: each account once, what either saw first.
func joined(one, other []accounts.Exposed) []accounts.Exposed {
	if len(one) == 0 {
		return other
	}
	for _, account := range other {
		at := slices.IndexFunc(one, func(known accounts.Exposed) bool { return known.Account == account.Account })
		if at < 0 {
			one = append(one, account)
			continue
		}
		one[at].Saw = one[at].Saw || account.Saw
		one[at].Could = one[at].Could || account.Could
		one[at].SawVersionCurrent = one[at].SawVersionCurrent || account.SawVersionCurrent
	}
	slices.SortStableFunc(one, func(a, b accounts.Exposed) int { return weight(b) - weight(a) })
	return one
}

func weight(account accounts.Exposed) int {
	switch {
	case account.SawVersionCurrent:
		return 2
	case account.Saw:
		return 1
	}
	return 0
}
