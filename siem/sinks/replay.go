package sinks

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sink"
)

const maxRanges = 1000

// Replay is a part of the log that is delivered once more, each event under its id.
type Replay struct {
	ID        core.ID    `db:"id"`
	Workspace core.ID    `db:"workspace_id"`
	Sink      core.ID    `db:"sink_id"`
	From      int64      `db:"from_sequence"`
	To        int64      `db:"to_sequence"`
	Next      int64      `db:"next_sequence"`
	State     string     `db:"state"`     // running, done or cancelled
	Delivered int64      `db:"delivered"` // events
	Created   time.Time  `db:"created"`
	Finished  *time.Time `db:"finished"`
}

const insertReplay = `
insert into sink_replays (id, workspace_id, sink_id, from_sequence, to_sequence, next_sequence, created)
values (@id, @workspace, @sink, @from, @to, @from, @now)`

// Replay has parts of the log delivered once more, one after the other, beside what is new. What was not delivered
// yet comes anyway and is left out. A process that dies in the middle leaves the rest to the next.
func (s *Service) Replay(ctx context.Context, cause core.Cause, workspace, id core.ID, ranges []sink.Range) ([]Replay, error) {
	if len(ranges) == 0 || len(ranges) > maxRanges {
		return nil, core.Invalid("ranges", "1 to %d ranges of sequences", maxRanges)
	}
	var made []Replay
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.locked(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		events := int64(0)
		for _, part := range ranges {
			if part.From < 1 || part.To < part.From {
				return core.Invalid("ranges", "a range is from a sequence, 1 or more, to one that is no smaller")
			}
			replay := Replay{ID: core.NewID(), Workspace: workspace, Sink: id, From: part.From, To: min(part.To, one.Delivered), Next: part.From, State: "running", Created: s.now()}
			if replay.To < replay.From {
				continue
			}
			if _, err := tx.Exec(ctx, insertReplay, pgx.StrictNamedArgs{"id": replay.ID, "workspace": workspace, "sink": id, "from": replay.From, "to": replay.To, "now": replay.Created}); err != nil {
				return err
			}
			events += replay.To - replay.From + 1
			made = append(made, replay)
		}
		if len(made) == 0 {
			return core.Conflict("ranges", "nothing of this was delivered yet: it is at event %d", one.Delivered)
		}
		if err := s.setState(ctx, tx, one, 1); err != nil {
			return err
		}
		event := core.NewEvent(core.SinkReplayed, workspace, cause, s.now(), one.target()).
			With("from", strconv.FormatInt(made[0].From, 10)).With("to", strconv.FormatInt(made[len(made)-1].To, 10)).With("events", strconv.FormatInt(events, 10))
		return audit.Append(ctx, tx, event)
	})
	return made, err
}

// ReplaySince is Replay of everything that was written to the log at a time or later.
func (s *Service) ReplaySince(ctx context.Context, cause core.Cause, workspace, id core.ID, since time.Time) ([]Replay, error) {
	one, err := s.Sink(ctx, s.DB, workspace, id)
	if err != nil {
		return nil, err
	}
	first, err := audit.Since(ctx, s.DB, workspace, since)
	if err != nil {
		return nil, err
	}
	if first > one.Delivered {
		return nil, core.Conflict("since", "nothing was delivered since then")
	}
	return s.Replay(ctx, cause, workspace, id, []sink.Range{{From: first, To: one.Delivered}})
}

const selectReplays = `
select id, workspace_id, sink_id, from_sequence, to_sequence, next_sequence, state, delivered, created, finished
from sink_replays
where workspace_id = @workspace and sink_id = @id and (state = 'running' or not @running)
order by case when @running then created end, created desc, id
limit @limit`

// Replays lists a sink's, the latest first.
func (s *Service) Replays(ctx context.Context, q postgres.Querier, workspace, id core.ID, limit int) ([]Replay, error) {
	return replays(ctx, q, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "running": false, "limit": limit})
}

func replays(ctx context.Context, q postgres.Querier, args pgx.StrictNamedArgs) ([]Replay, error) {
	rows, err := q.Query(ctx, selectReplays, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Replay])
	return found, postgres.Classify(err)
}

// next is the replay a lane is at; nil when there is none.
func (s *Service) next(ctx context.Context, one Sink) (*Replay, error) {
	found, err := replays(ctx, s.DB, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "running": true, "limit": 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

const cancelReplays = `
update sink_replays set state = 'cancelled', finished = @now
where workspace_id = @workspace and sink_id = @id and state = 'running'`

// CancelReplays stops what is being replayed; what was delivered stays delivered.
func (s *Service) CancelReplays(ctx context.Context, cause core.Cause, workspace, id core.ID) (int, error) {
	count := 0
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.locked(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		done, err := tx.Exec(ctx, cancelReplays, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": s.now()})
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		count = int(done.RowsAffected())
		if err := s.setState(ctx, tx, one, 1); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SinkUpdated, workspace, cause, s.now(), one.target()).With("changed", "replays cancelled"))
	})
	return count, err
}

const updateReplay = `
update sink_replays set next_sequence = @next, delivered = delivered + @count,
	state = case when @next > to_sequence then 'done' else state end,
	finished = case when @next > to_sequence then @now::timestamptz end
where workspace_id = @workspace and id = @id and state = 'running'`

func (s *Service) replayed(ctx context.Context, replay Replay, count int) error {
	_, err := s.DB.Exec(ctx, updateReplay, pgx.StrictNamedArgs{"workspace": replay.Workspace, "id": replay.ID, "next": replay.Next, "count": count, "now": s.now()})
	return err
}
