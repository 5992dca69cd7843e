package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
	"postern/core/postgres"
)

// How long it may take until somebody is told that access ended by itself, and until an
// administrator decided about a hold.
const (
	sweepEvery = time.Minute
	carryEvery = 5 * time.Second
)

// Run looks, until ctx ends, for what time alone has changed and for decided holds, and carries both
// on. It may run in many processes.
func (l *Lifecycle) Run(ctx context.Context) error {
	sweep, carry := time.NewTicker(sweepEvery), time.NewTicker(carryEvery)
	defer sweep.Stop()
	defer carry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			l.warn(ctx, "tell of access that has expired, and do what follows", second(l.Ended(ctx)))
			l.warn(ctx, "forget departures nobody counts any more", l.forget(ctx))
		case <-carry.C:
			l.warn(ctx, "carry out what was decided about held departures", second(l.Carry(ctx)))
		}
	}
}

func second(_ int, err error) error { return err }

func (l *Lifecycle) warn(ctx context.Context, work string, err error) {
	if err != nil && ctx.Err() == nil && l.Log != nil {
		l.Log.WarnContext(ctx, "what time alone has changed could not be carried on", "work", work, "error", err)
	}
}

const forgetDepartures = `delete from departure_counts where since < @before`

// What is counted in the slots of times past is put together in one, or each look would go through all.
const foldDepartures = `
with gone as (
	delete from departure_counts where since < @current and slot > 0
	returning workspace_id, connection_id, since, people
)
insert into departure_counts as k (workspace_id, connection_id, since, slot, people)
select workspace_id, connection_id, since, 0, sum(people) from gone group by workspace_id, connection_id, since
on conflict (workspace_id, connection_id, since, slot) do update set people = k.people + excluded.people`

// forget removes what the guard counts no more, and puts together what it does.
func (l *Lifecycle) forget(ctx context.Context) error {
	_, err := l.DB.Exec(ctx, forgetDepartures, pgx.StrictNamedArgs{"before": l.now().Add(-2 * directory.GuardWindow)})
	if err != nil {
		return postgres.Classify(err)
	}
	_, err = l.DB.Exec(ctx, foldDepartures, pgx.StrictNamedArgs{"current": l.now().UTC().Truncate(bucket)})
	return postgres.Classify(err)
}
