package rotation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/postgres"
)

// Meter is told what the workers of a process do, for metrics. Its methods must not block.
type Meter interface {
	// Rested is told of each rotation that a worker has brought to rest: finished, blocked, or waiting for its next
	// attempt. The app is empty if the rotation rests before it was read.
	Rested(app accounts.App, r Rotation)
	// Tried is told of each sign-in that a connector made, whatever for, and whether a password was to be changed, set or
	// recovered by it, and of its outcome, one of those there are.
	Tried(connector string, change bool, outcome Outcome)
	// Shut is told of each change that the gate kept from being sent.
	Shut(connector string, by Keeper)
}

// Keeper is what kept a change from being sent.
type Keeper string

// The keepers.
const (
	KeeperPage  Keeper = "page"  // the page would have sent another password, or nothing
	KeeperLease Keeper = "lease" // the worker may no longer say so, or has been told to stop
)

// unmetered is the Meter of who wants none.
type unmetered struct{}

func (unmetered) Rested(accounts.App, Rotation) {}
func (unmetered) Tried(string, bool, Outcome)   {}
func (unmetered) Shut(string, Keeper)           {}

func (r *Rotations) meter() Meter {
	if r.Meter == nil {
		return unmetered{}
	}
	return r.Meter
}

// Lockouts are the rotations that lock somebody out, after a deprovision, a revocation, the end of a link or a logout.
type Lockouts struct {
	Done int64 `db:"done"` // proven within the time looked at, in time or not
	Late int64 `db:"late"` // of them, those that took longer than the objective
	Open int64 `db:"open"` // not proven yet, and already longer than that
}

const selectLockouts = `
select coalesce(sum(done), 0)::bigint as done, coalesce(sum(late), 0)::bigint as late, coalesce(sum(open), 0)::bigint as open from (
	select count(*) as done, count(*) filter (where (receipt->>'time_to_lockout_ns')::bigint > @nanoseconds) as late, 0 as open
	from rotations
	where finished > @since and receipt is not null and reason in ('deprovision', 'revocation', 'link_end', 'logout')
	union all
	select 0, 0, count(*) from rotations
	where finished is null and reason in ('deprovision', 'revocation', 'link_end', 'logout') and (cause->>'received')::timestamptz < @before
) counted`

// ReadLockouts counts, over all workspaces, the lockouts proven within a time before now and those still open, against
// an objective of the time from the request to the proof.
func ReadLockouts(ctx context.Context, q postgres.Querier, now time.Time, within, objective time.Duration) (Lockouts, error) {
	rows, err := q.Query(ctx, selectLockouts, pgx.StrictNamedArgs{
		"since": now.Add(-within), "nanoseconds": objective.Nanoseconds(), "before": now.Add(-objective),
	})
	if err != nil {
		return Lockouts{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Lockouts])
	return found, postgres.Classify(err)
}

// Burn is how fast these spend what the target leaves to be late: at 1 exactly all of it over its whole period, above
// that sooner. A target of 0.99 leaves one in a hundred. Without any lockout nothing burns.
func (l Lockouts) Burn(target float64) float64 {
	all := l.Done + l.Open
	if all == 0 {
		return 0
	}
	return float64(l.Late+l.Open) / float64(all) / (1 - target)
}
