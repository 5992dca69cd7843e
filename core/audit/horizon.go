package audit

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// Horizon is how far open transactions hold the sequencer back. It reads below the oldest of them, since that one may
// still commit an event that belongs before all later ones; so a transaction that stays open keeps every later event
// waiting. None is lost.
type Horizon struct {
	// Held counts committed events that wait for an older transaction to end; the oldest has waited for Wait.
	Held int64
	Wait time.Duration
	// Blocker is that transaction; nil when no event waits for one.
	Blocker *Blocker
}

// Blocker is an open transaction that has written something, in this database. What a role may not see is empty.
type Blocker struct {
	PID         int32 // of its backend; 0 for a prepared one
	Application string
	User        string
	State       string // such as "idle in transaction"
	Prepared    string // its name, when it waits for COMMIT PREPARED or ROLLBACK PREPARED and nobody is connected
	Since       time.Time
}

const selectBlocked = `
with oldest as (
	select x.xid
	from (select pg_current_snapshot() as taken) s, lateral (select x from pg_snapshot_xip(s.taken) x) x(xid)
	where not exists (
		select from pg_locks l
		join pg_stat_activity a on a.pid = l.pid
		join pg_database d on d.oid = a.datid
		where l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock' and l.transactionid = x.xid::xid
			and d.datname <> current_database())
	order by x.xid limit 1
), held as (
	select count(*) as events, min(o.occurred) as since from audit_outbox o, oldest where o.xid >= oldest.xid
)
select held.events, held.since, coalesce(l.pid, 0), coalesce(a.application_name, ''), coalesce(a.usename, p.owner, '')::text,
	coalesce(a.state, ''), coalesce(p.gid, ''), coalesce(a.xact_start, p.prepared, held.since)
from held, oldest
left join pg_locks l on l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock' and l.transactionid = oldest.xid::xid
left join pg_stat_activity a on a.pid = l.pid
left join pg_prepared_xacts p on p.transaction = oldest.xid::xid
where held.events > 0
limit 1`

// ReadHorizon looks for what holds the sequencer back, over all workspaces. It costs a look at every lock of the
// server: it is for metrics and for a person who asks. Of a running system it may see a transaction of the
// sequencer's own, for the milliseconds that takes.
func ReadHorizon(ctx context.Context, q postgres.Querier, now time.Time) (Horizon, error) {
	var held Horizon
	var blocker Blocker
	var since time.Time
	err := q.QueryRow(ctx, selectBlocked).Scan(&held.Held, &since, &blocker.PID, &blocker.Application, &blocker.User, &blocker.State, &blocker.Prepared, &blocker.Since)
	if errors.Is(err, pgx.ErrNoRows) {
		return held, nil
	}
	if err != nil {
		return held, postgres.Classify(err)
	}
	held.Wait, held.Blocker = max(0, now.Sub(since)), &blocker
	return held, nil
}
