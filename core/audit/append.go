package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const insertOutbox = `
insert into audit_outbox (workspace_id, event_id, type, occurred, correlation, targets, event)
select workspace_id, event_id, type, occurred, correlation, targets::uuid[], event::json
from unnest(@workspaces::uuid[], @ids::uuid[], @types::text[], @occurred::timestamptz[], @correlations::uuid[], @targets::text[], @events::text[])
	with ordinality as given (workspace_id, event_id, type, occurred, correlation, targets, event, place)
order by place`

// Append records events in the transaction that makes them true, in one round trip. They keep the
// order given. An event without a correlation begins its own story. No events is no work.
func Append(ctx context.Context, tx pgx.Tx, events ...core.Event) error {
	if len(events) == 0 {
		return nil
	}
	statement, args, err := insert(events)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, statement, args)
	return postgres.Classify(err)
}

// Queue is Append as part of what a transaction sends to the database next.
func Queue(batch *pgx.Batch, events ...core.Event) error {
	if len(events) == 0 {
		return nil
	}
	statement, args, err := insert(events)
	if err != nil {
		return err
	}
	batch.Queue(statement, args)
	return nil
}

const insertOne = `
insert into audit_outbox (workspace_id, event_id, type, occurred, correlation, targets, event)
values (@workspace, @id, @type, @occurred, @correlation, @targets, @event)`

// insert is the statement for events, and its arguments. One event, the usual number, needs no lists.
func insert(events []core.Event) (string, pgx.StrictNamedArgs, error) {
	count := len(events)
	if count == 1 {
		return insertSingle(events[0])
	}
	workspaces, ids, correlations := make([]core.ID, count), make([]core.ID, count), make([]core.ID, count)
	types, targets, texts := make([]string, count), make([]string, count), make([]string, count)
	occurred := make([]time.Time, count)
	for i, event := range events {
		event, text, err := written(event)
		if err != nil {
			return "", nil, err
		}
		workspaces[i], ids[i], correlations[i] = event.Workspace, event.ID, event.Correlation
		types[i], targets[i], texts[i] = string(event.Type), targetArray(event.Targets), string(text)
		occurred[i] = event.Occurred
	}
	return insertOutbox, pgx.StrictNamedArgs{
		"workspaces": workspaces, "ids": ids, "types": types, "occurred": occurred,
		"correlations": correlations, "targets": targets, "events": texts,
	}, nil
}

func insertSingle(event core.Event) (string, pgx.StrictNamedArgs, error) {
	event, text, err := written(event)
	if err != nil {
		return "", nil, err
	}
	return insertOne, pgx.StrictNamedArgs{
		"workspace": event.Workspace, "id": event.ID, "type": string(event.Type), "occurred": event.Occurred,
		"correlation": event.Correlation, "targets": targetIDs(event.Targets), "event": string(text),
	}, nil
}

// written is an event that may be recorded, as it will be, and its canonical text.
func written(event core.Event) (core.Event, []byte, error) {
	if event.ID.IsZero() || event.Workspace.IsZero() || event.Type == "" || event.Occurred.IsZero() {
		return event, nil, core.Internal(fmt.Errorf("audit: event %q lacks an id, a workspace, a type or a time", event.Type))
	}
	if event.Correlation.IsZero() {
		event.Correlation = event.ID
	}
	text, err := Canonical(event)
	if err != nil {
		return event, nil, core.Internal(err)
	}
	return event, text, nil
}

// targetArray writes the ids of targets as a PostgreSQL array.
func targetArray(targets []core.Target) string {
	ids := targetIDs(targets)
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// targetIDs is the ids of targets, each once.
func targetIDs(targets []core.Target) []core.ID {
	ids := make([]core.ID, 0, len(targets))
	for _, target := range targets {
		if !target.ID.IsZero() && !slices.Contains(ids, target.ID) {
			ids = append(ids, target.ID)
		}
	}
	return ids
}
