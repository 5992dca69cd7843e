package signals

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// How long it may take until somebody notices that an administrator decided about a hold, and that receipts are
// old enough to go.
const (
	carryEvery  = 5 * time.Second
	forgetEvery = 10 * time.Minute
)

// Run carries out what was decided about holds and forgets what is old, until ctx ends. It may run in many
// processes.
func (s *Signals) Run(ctx context.Context) error {
	carry, forget := time.NewTicker(carryEvery), time.NewTicker(forgetEvery)
	defer carry.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-carry.C:
			_, err := s.Carry(ctx)
			s.warn(ctx, "carry out what was decided about held signals", err)
		case <-forget.C:
			_, err := s.Forget(ctx)
			s.warn(ctx, "forget old receipts", err)
		}
	}
}

func (s *Signals) warn(ctx context.Context, work string, err error) {
	if err != nil && ctx.Err() == nil && s.Log != nil {
		s.Log.WarnContext(ctx, "signals could not be carried on", "work", work, "error", err)
	}
}

// Some at a time: what a receipt's removal locks and logs stays small. An id begins with its time, so the oldest
// are found along the key. What waits is kept.
const forgetReceipts = `
delete from signals where (workspace_id, id) in (
	select s.workspace_id, s.id from workspaces w
	left join signal_settings t on t.workspace_id = w.id
	cross join lateral (
		select workspace_id, id from signals
		where workspace_id = w.id and committed < @now::timestamptz - coalesce(t.retention, @retention::interval) and outcome <> 'held'
		order by id limit 1000
	) s)`

// Forget removes the receipts kept long enough, and what the guard counts no more. It returns how many receipts
// went.
func (s *Signals) Forget(ctx context.Context) (int, error) {
	if err := s.forgetCounts(ctx); err != nil {
		return 0, postgres.Classify(err)
	}
	done, err := s.DB.Exec(ctx, forgetReceipts, pgx.StrictNamedArgs{"now": s.now(), "retention": DefaultRetention})
	return int(done.RowsAffected()), postgres.Classify(err)
}
