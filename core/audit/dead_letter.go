package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// DeadLetter is an event a receiver refuses for what it is. It is kept with the receiver's answer,
// and the events around it go on.
type DeadLetter struct {
	ID        core.ID
	Sink      string
	SinkID    core.ID // of a workspace's own sink; zero: the sink serves all workspaces
	Workspace core.ID // zero: the record could not even be read
	Event     core.ID
	Type      core.EventType
	Sequence  int64
	Record    string // what was sent
	Answer    string // what the receiver said, without secrets
	Created   time.Time
}

const insertDeadLetter = `
insert into dead_letters (id, sink, sink_id, workspace_id, event_id, type, sequence, record, answer, created)
values (@id, @sink, @sinkID, @workspace, @event, @type, @sequence, @record, @answer, @created)
on conflict (workspace_id, sink_id, event_id) where sink_id is not null do update set answer = excluded.answer, record = excluded.record
returning xmax = 0`

// AddDeadLetter keeps a dead letter and tells its workspace so with a sink.event_dead_lettered
// event, unless the refused event is of that very type: a receiver that refuses everything must not be
// sent an endless echo. An event that a workspace's own sink has among its dead letters is there once.
func AddDeadLetter(ctx context.Context, tx pgx.Tx, letter DeadLetter) error {
	if letter.ID.IsZero() {
		letter.ID = core.NewID()
	}
	var added bool
	if err := tx.QueryRow(ctx, insertDeadLetter, pgx.StrictNamedArgs{
		"id": letter.ID, "sink": letter.Sink, "sinkID": letter.SinkID, "workspace": letter.Workspace, "event": letter.Event, "type": string(letter.Type), "sequence": letter.Sequence,
		"record": letter.Record, "answer": letter.Answer, "created": letter.Created,
	}).Scan(&added); err != nil {
		return postgres.Classify(err)
	}
	if !added || letter.Workspace.IsZero() || letter.Type == core.SinkDeadLettered {
		return nil
	}
	event := core.NewEvent(core.SinkDeadLettered, letter.Workspace, core.NewCause(core.System, letter.Created), letter.Created,
		core.Target{Kind: "sink", ID: letter.SinkID, Name: letter.Sink}, core.Target{Kind: "event", ID: letter.Event, Name: string(letter.Type)}).Failed(letter.Answer)
	return Append(ctx, tx, event.With("dead_letter", letter.ID.String()))
}

const selectDeadLetters = `
select id, sink, sink_id, workspace_id, event_id, type, sequence, record, answer, created
from dead_letters
where workspace_id = @workspace or @workspace is null and workspace_id is null
order by id
limit @limit`

// DeadLetters reads a workspace's dead letters, oldest first; those of the zero workspace are the
// records that could not be read.
func DeadLetters(ctx context.Context, q postgres.Querier, workspace core.ID, limit int) ([]DeadLetter, error) {
	rows, err := q.Query(ctx, selectDeadLetters, pgx.StrictNamedArgs{"workspace": workspace, "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeadLetter])
	return letters, postgres.Classify(err)
}

const selectSharedLetters = `
select id, sink, sink_id, workspace_id, event_id, type, sequence, record, answer, created
from dead_letters
where sink_id is null and sink = @sink and id > @after and (id = @letter or @letter is null)
order by id
limit @limit`

// SharedLetters reads the dead letters of a sink for all workspaces, or of the relay (Relayed), oldest first, after one of
// them; letter is the one that is meant, zero all.
func SharedLetters(ctx context.Context, q postgres.Querier, sink string, letter, after core.ID, limit int) ([]DeadLetter, error) {
	rows, err := q.Query(ctx, selectSharedLetters, pgx.StrictNamedArgs{"sink": sink, "letter": letter, "after": [16]byte(after), "limit": limit})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeadLetter])
	return letters, postgres.Classify(err)
}

const countSharedLetters = `
select sink, count(*) from dead_letters
where sink_id is null and (workspace_id = @workspace or @workspace is null)
group by sink`

// CountSharedLetters counts them by sink: those of a workspace, or all when it is zero.
func CountSharedLetters(ctx context.Context, q postgres.Querier, workspace core.ID) (map[string]int64, error) {
	rows, err := q.Query(ctx, countSharedLetters, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	counts := map[string]int64{}
	var name string
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&name, &count}, func() error { counts[name] = count; return nil })
	return counts, postgres.Classify(err)
}

const deleteSharedLetter = `
delete from dead_letters d using dead_letters o
where o.id = @letter and o.sink = @sink and o.sink_id is null and d.sink = o.sink and d.sink_id is null
	and (d.id = o.id or d.workspace_id = o.workspace_id and d.event_id = o.event_id)`

const updateSharedLetter = `update dead_letters set answer = @answer where sink_id is null and sink = @sink and id = @letter`

// SettleSharedLetter ends a dead letter that was taken now, with every copy of it, or keeps what was said instead.
func SettleSharedLetter(ctx context.Context, tx pgx.Tx, sink string, letter core.ID, answer string) error {
	statement, args := deleteSharedLetter, pgx.StrictNamedArgs{"sink": sink, "letter": letter}
	if answer != "" {
		statement, args["answer"] = updateSharedLetter, answer
	}
	_, err := tx.Exec(ctx, statement, args)
	return postgres.Classify(err)
}

const discardSharedLetters = `
delete from dead_letters where sink_id is null and sink = @sink and (id = @letter or @letter is null)
returning workspace_id`

// DiscardSharedLetters gives up dead letters, one or all when letter is zero, and says whose how many were; those of the
// zero workspace could not be read. The log keeps the events.
func DiscardSharedLetters(ctx context.Context, tx pgx.Tx, sink string, letter core.ID) (map[core.ID]int, error) {
	rows, err := tx.Query(ctx, discardSharedLetters, pgx.StrictNamedArgs{"sink": sink, "letter": letter})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	gone := map[core.ID]int{}
	var workspace core.ID
	_, err = pgx.ForEachRow(rows, []any{&workspace}, func() error { gone[workspace]++; return nil })
	return gone, postgres.Classify(err)
}
