package signals

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
)

// queueExposed reads what those a signal means were exposed to, and what the workspace's policies say about
// rotations upon a signal.
func (t *telling) queueExposed(batch *pgx.Batch) {
	t.Accounts.QueueMeantExposed(batch, t.signal.Workspace, &t.seen)
	t.choice = (&policies.Policies{Now: t.Now}).QueueChoose(batch, t.signal.Workspace, policies.TriggerLogout)
}

// chosen leaves of it what those policies have rotated. The table of signals says which of them ask for rotations; which
// accounts are rotated when one asks is said by the policies alone.
func (t *telling) chosen(ctx context.Context, tx pgx.Tx) error {
	if t.choice == nil {
		return nil
	}
	var all []accounts.Exposed
	for _, seen := range t.seen {
		all = append(all, seen...)
	}
	wanted, err := t.choice.Of(ctx, tx, all)
	if err != nil || len(wanted) == len(all) {
		return err
	}
	keep := map[core.ID]bool{}
	for _, account := range wanted {
		keep[account.Account] = true
	}
	for person, seen := range t.seen {
		t.seen[person] = slices.DeleteFunc(seen, func(account accounts.Exposed) bool { return !keep[account.Account] })
	}
	t.spared = true
	return nil
}
