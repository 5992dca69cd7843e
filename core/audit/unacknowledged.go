package audit

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Unacknowledged is what a receiver has taken of a partition and not yet said it keeps, when the process that waited for
// it stopped.
type Unacknowledged struct {
	Events  []core.ID       // in order
	Pending json.RawMessage // the receiver's own; no secret
}

const upsertUnacknowledged = `
insert into sink_unacknowledged (sink, partition, events, pending) values (@sink, @partition, @events, @pending)
on conflict (sink, partition) do update set events = excluded.events, pending = excluded.pending`

// KeepUnacknowledged keeps it for whoever delivers the partition next to a sink for all workspaces.
func KeepUnacknowledged(ctx context.Context, q postgres.Querier, sink string, partition int, left Unacknowledged) error {
	_, err := q.Exec(ctx, upsertUnacknowledged, pgx.StrictNamedArgs{"sink": sink, "partition": partition, "events": left.Events, "pending": left.Pending})
	return postgres.Classify(err)
}

const deleteUnacknowledged = `
delete from sink_unacknowledged where sink = @sink and partition = @partition
returning events, pending`

// TakeUnacknowledged gives what was kept, once; nothing is the zero value.
func TakeUnacknowledged(ctx context.Context, q postgres.Querier, sink string, partition int) (Unacknowledged, error) {
	var left Unacknowledged
	err := q.QueryRow(ctx, deleteUnacknowledged, pgx.StrictNamedArgs{"sink": sink, "partition": partition}).Scan(&left.Events, &left.Pending)
	if errors.Is(err, pgx.ErrNoRows) {
		return Unacknowledged{}, nil
	}
	return left, postgres.Classify(err)
}
