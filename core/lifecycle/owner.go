package lifecycle

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
)

// owners are the people who own accounts before a change, if a policy wants to know.
type owners struct {
	*Lifecycle
	workspace core.ID
	accounts  []core.ID // none: nobody wants to know
	before    map[accounts.Ownership]bool
}

// watchOwners notes who owns accounts, directly or through teams, before a command that may change it. Which accounts is
// asked only if a policy wants to know.
func (l *Lifecycle) watchOwners(ctx context.Context, tx pgx.Tx, workspace core.ID, which func() ([]core.ID, error)) (owners, error) {
	watched := owners{Lifecycle: l, workspace: workspace}
	batch := &pgx.Batch{}
	choice := l.policies().QueueChoose(batch, workspace, policies.TriggerOwnerChange)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil || choice.None() {
		return watched, err
	}
	var err error
	if watched.accounts, err = which(); err != nil || len(watched.accounts) == 0 {
		return watched, err
	}
	watched.before, err = watched.now(ctx, tx)
	return watched, err
}

// watchOwned is watchOwners of what a subject owns, a user's teams included.
func (l *Lifecycle) watchOwned(ctx context.Context, tx pgx.Tx, workspace core.ID, subject accounts.Subject) (owners, error) {
	return l.watchOwners(ctx, tx, workspace, func() ([]core.ID, error) { return l.Accounts.Owned(ctx, tx, workspace, subject) })
}

func (o owners) now(ctx context.Context, tx pgx.Tx) (map[accounts.Ownership]bool, error) {
	found, err := o.Accounts.Owners(ctx, tx, o.workspace, o.accounts...)
	all := make(map[accounts.Ownership]bool, len(found))
	for _, one := range found {
		all[one] = true
	}
	return all, err
}

// changed rotates, as the policies say, the accounts that have other owners now.
func (o owners) changed(ctx context.Context, tx pgx.Tx, cause core.Cause) error {
	if len(o.accounts) == 0 {
		return nil
	}
	after, err := o.now(ctx, tx)
	if err != nil {
		return err
	}
	other := map[core.ID]bool{}
	for _, one := range []struct{ these, those map[accounts.Ownership]bool }{{o.before, after}, {after, o.before}} {
		for owner := range one.these {
			if !one.those[owner] {
				other[owner.Account] = true
			}
		}
	}
	return o.passed(ctx, tx, cause, o.workspace, slices.Collect(maps.Keys(other))...)
}

// passed rotates, as the policies say, accounts that have other owners now.
func (l *Lifecycle) passed(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, logins ...core.ID) error {
	if len(logins) == 0 {
		return nil
	}
	_, err := l.policies().Rotate(ctx, tx, cause, workspace, policies.TriggerOwnerChange, logins...)
	return err
}
