package lifecycle

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
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

// RotateIn plans the rotation of accounts people were exposed to, those whose password they saw first, as part of
// another command: its rotations in that order, and what is to be told. The caller has asked the policies.
func (l *Lifecycle) RotateIn(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, reason rotation.Reason, exposed ...[]accounts.Exposed) ([]core.ID, []core.Event, error) {
	var all []accounts.Exposed
	for _, one := range exposed {
		all = joined(all, one)
	}
	if len(all) == 0 {
		return nil, nil, nil
	}
	s := &story{}
	rotations, err := l.rotate(ctx, tx, s, cause, workspace, all, reason)
	return rotations, s.events, err
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
