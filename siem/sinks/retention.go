package sinks

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// A sink that is disabled is not waited for: nobody knows whether it is ever enabled again.
const selectBehind = `
select a.workspace_id
from unnest(@workspaces::uuid[], @sequences::bigint[]) a (workspace_id, sequence)
where exists (
	select from workspace_sinks w
	where w.workspace_id = a.workspace_id and w.enabled and (w.delivered < a.sequence or exists (
		select from sink_replays r
		where r.workspace_id = w.workspace_id and r.sink_id = w.id and r.state = 'running' and r.next_sequence <= a.sequence)))`

// Behind says which of the workspaces have a sink that has not come past a sequence of theirs, or that replays what is
// before it: for audit.Retention.
func Behind(ctx context.Context, q postgres.Querier, past map[core.ID]int64) ([]core.ID, error) {
	var workspaces []core.ID
	var sequences []int64
	for workspace, sequence := range past {
		workspaces, sequences = append(workspaces, workspace), append(sequences, sequence)
	}
	rows, err := q.Query(ctx, selectBehind, pgx.StrictNamedArgs{"workspaces": workspaces, "sequences": sequences})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	behind, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	return behind, postgres.Classify(err)
}

// first is the oldest sequence of a workspace that the log still has, or next if it has none.
func first(ctx context.Context, q postgres.Querier, workspace core.ID, next int64) (int64, error) {
	records, err := audit.Following(ctx, q, workspace, 0, 1)
	if err != nil || len(records) == 0 {
		return next, err
	}
	return records[0].Sequence, nil
}

const (
	passSink = `
update workspace_sinks set delivered = @sequence
where workspace_id = @workspace and id = @id and delivered < @sequence`

	passReplay = `
update sink_replays set next_sequence = @sequence + 1
where workspace_id = @workspace and id = @id and next_sequence <= @sequence and state = 'running'`
)

// missed passes over what the log does not have any more, of what a sink is at or of one of its replays, and tells
// of it, once.
func (s *Service) missed(ctx context.Context, one Sink, replay *Replay, from, to int64) error {
	s.log().WarnContext(ctx, "retention took events before a workspace's sink had them", "workspace", one.Workspace, "sink", one.ID, "from", from, "to", to)
	statement, id := passSink, one.ID
	if replay != nil {
		statement, id = passReplay, replay.ID
	}
	return s.change(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, statement, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": id, "sequence": to})
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		now := s.now()
		return audit.Append(ctx, tx, core.NewEvent(core.SinkMissed, one.Workspace, core.NewCause(core.System, now), now, one.target()).
			With("first_sequence", strconv.FormatInt(from, 10)).With("last_sequence", strconv.FormatInt(to, 10)))
	})
}
