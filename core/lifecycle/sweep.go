package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// sweepEvery is how long it may take until ownership that ended by itself is noticed.
const sweepEvery = time.Minute

// Run looks every minute, until ctx ends, for what time alone has changed. It may run in many
// processes.
func (l *Lifecycle) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := l.Sweep(ctx); err != nil && ctx.Err() == nil && l.Log != nil {
			l.Log.WarnContext(ctx, "looking for ownership that has expired failed", "error", err)
		}
	}
}

// Sweep reports the accounts, of all workspaces, whose last living owner's grant has expired, and
// returns how many there were.
func (l *Lifecycle) Sweep(ctx context.Context) (int, error) {
	expired, err := l.Accounts.Expired(ctx, l.DB)
	if err != nil {
		return 0, err
	}
	total := 0
	for workspace, accounts := range expired {
		var orphaned []core.ID
		err := l.commit(ctx, core.ID{}, func(tx pgx.Tx) (err error) {
			orphaned, err = l.Accounts.CheckOwners(ctx, tx, core.NewCause(core.System, l.now()), workspace, accounts...)
			return err
		})
		if err != nil {
			return total, err
		}
		total += len(orphaned)
	}
	return total, nil
}
