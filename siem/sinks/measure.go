package sinks

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sink"
	"postern/siem/stream"
)

// Meter counts what this process sends.
type Meter interface {
	// Sent is told of each request to a sink of a kind: what its receiver said (one of Verdicts), and about how many events.
	Sent(kind, verdict string, events int)
}

// Verdicts are the words a Meter is told, and Test tells: the first is the one that counts as delivered.
var Verdicts = []string{verdicts[sink.Accepted], verdicts[sink.Busy], verdicts[sink.Misconfigured], verdicts[sink.Refused], verdicts[sink.TooLarge]}

// measured is a receiver whose answers are counted.
type measured struct {
	sink.Receiver
	kind  string
	meter Meter
}

// Send implements sink.Receiver.
func (m measured) Send(ctx context.Context, events []stream.Event) sink.Answer {
	said := m.Receiver.Send(ctx, events)
	m.meter.Sent(m.kind, verdicts[said.Verdict], len(events))
	return said
}

// Disabled is the state of what Load counts that is not enabled, whatever it was before.
const Disabled = audit.SinkStatus("disabled")

// States are those a Load can be of.
var States = []audit.SinkStatus{audit.SinkRunning, audit.SinkRetrying, audit.SinkPaused, audit.SinkDraining, Disabled}

// Load is how the sinks of one kind and state go, over all workspaces.
type Load struct {
	Kind  string           `db:"kind"`
	State audit.SinkStatus `db:"state"`
	Sinks int              `db:"sinks"`
	Lag   int64            `db:"lag"`  // events that wait, over all of them
	Most  int64            `db:"most"` // that wait for the one that is behind the furthest
	Dead  int64            `db:"dead"` // letters
}

// Over all workspaces: a figure for the operator, in which no workspace is to be seen.
const selectLoads = `
select w.kind, case when w.enabled then w.state else 'disabled' end as state, count(*) as sinks,
	sum(greatest(0, coalesce(h.sequence, 0) - w.delivered))::bigint as lag, max(greatest(0, coalesce(h.sequence, 0) - w.delivered)) as most,
	sum(d.dead)::bigint as dead
from workspace_sinks w left join audit_heads h on h.workspace_id = w.workspace_id
cross join lateral (select count(*) as dead from dead_letters d where d.workspace_id = w.workspace_id and d.sink_id = w.id) d
group by 1, 2`

// ReadLoads measures the sinks of all workspaces.
func ReadLoads(ctx context.Context, q postgres.Querier) ([]Load, error) {
	rows, err := q.Query(ctx, selectLoads)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Load])
	return found, postgres.Classify(err)
}
