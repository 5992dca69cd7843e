package sinks

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const maxSinks = 20

// Sink is where a workspace has its events delivered to.
type Sink struct {
	ID            core.ID          `db:"id"`
	Workspace     core.ID          `db:"workspace_id"`
	Name          string           `db:"name"`
	Kind          string           `db:"kind"`
	Settings      json.RawMessage  `db:"settings"`
	Credentials   []string         `db:"credentials"` // the names of those that are set
	SecretVersion int              `db:"secret_version"`
	Filter        Filter           `db:"filter"`
	Redaction     []Redaction      `db:"redaction"`
	Enabled       bool             `db:"enabled"`
	Revision      int64            `db:"revision"`
	State         audit.SinkStatus `db:"state"`
	Reason        string           `db:"reason"` // in words; no secret
	Held          bool             `db:"held"`   // a person paused it
	Began         int64            `db:"began"`  // the first sequence that is for it
	Delivered     int64            `db:"delivered"`
	DeliveredAt   *time.Time       `db:"delivered_at"` // when the receiver last took something
	Served        *time.Time       `db:"served"`       // when a process last said that it delivers
	Created       time.Time        `db:"created"`
	Updated       time.Time        `db:"updated"`

	Lag  int64 `db:"lag"`  // events of the log that were not delivered or passed over yet
	Dead int   `db:"dead"` // letters
}

func (s Sink) target() core.Target { return core.Target{Kind: "sink", ID: s.ID, Name: s.Name} }

const selectSinks = `
select w.id, w.workspace_id, w.name, w.kind, w.settings, w.credentials, w.secret_version, w.filter, w.redaction, w.enabled, w.revision,
	w.state, w.reason, w.held, w.began, w.delivered, w.delivered_at, w.served, w.created, w.updated,
	greatest(0, coalesce(h.sequence, 0) - w.delivered) as lag,
	(select count(*) from dead_letters d where d.workspace_id = w.workspace_id and d.sink_id = w.id) as dead
from workspace_sinks w left join audit_heads h on h.workspace_id = w.workspace_id
`

const selectSink = selectSinks + `where w.workspace_id = @workspace and w.id = @id`

// Sink reads one.
func (s *Service) Sink(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Sink, error) {
	found, err := list(ctx, q, selectSink, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		return Sink{}, core.NotFound("sink")
	}
	if err != nil {
		return Sink{}, err
	}
	return found[0], nil
}

const selectWorkspaceSinks = selectSinks + `where w.workspace_id = @workspace order by w.created, w.id`

// Sinks lists those of a workspace, oldest first.
func (s *Service) Sinks(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Sink, error) {
	return list(ctx, q, selectWorkspaceSinks, pgx.StrictNamedArgs{"workspace": workspace})
}

func list(ctx context.Context, q postgres.Querier, statement string, args pgx.StrictNamedArgs) ([]Sink, error) {
	rows, err := q.Query(ctx, statement, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Sink])
	return found, postgres.Classify(err)
}

const lockSink = `select revision from workspace_sinks where workspace_id = @workspace and id = @id for no key update`

// locked reads a sink that nobody else changes before the end of the transaction.
func (s *Service) locked(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Sink, error) {
	if _, err := tx.Exec(ctx, lockSink, pgx.StrictNamedArgs{"workspace": workspace, "id": id}); err != nil {
		return Sink{}, err
	}
	return s.Sink(ctx, tx, workspace, id)
}
