package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// SinkStatus says how deliveries of a sink go.
type SinkStatus string

// The statuses.
const (
	SinkRunning  SinkStatus = "running"
	SinkRetrying SinkStatus = "retrying" // the receiver is down or busy; tried again by itself
	SinkPaused   SinkStatus = "paused"   // a person has to change something; tried again now and then
	SinkDraining SinkStatus = "draining" // paused by a person, while a last request is under way
)

// SinkState is a sink as the console and the doctor show it.
type SinkState struct {
	Name       string
	Kind       string // of its receiver
	State      SinkStatus
	Reason     string     // in words; no secret. It may name the operator's machines: Told is for workspaces
	Held       bool       // the operator paused it
	Workspaces []core.ID  // with SinkPaused: whose events were the first to wait
	Served     *time.Time // when a process last said that it delivers
	ReplayTo   int64      // a position: up to there events are delivered once more; 0: none are
	Updated    time.Time
}

// Told is the reason as workspaces may read it: what is theirs to know, and nothing of the operator's machines.
func (s SinkState) Told() string { return toldReason(s.State, s.Held, s.Reason) }

func toldReason(state SinkStatus, held bool, reason string) string {
	switch {
	case held:
		return "paused by the operator"
	case state == SinkPaused:
		return "the operator has to change something; it is tried again now and then"
	case state == SinkRetrying:
		return "its receiver is away or busy; it is tried again by itself"
	case reason != "":
		return "its receiver takes events, with a warning to the operator"
	}
	return ""
}

const selectSinks = `
select name, kind, state, reason, held, workspaces, served, replay_to, updated
from sinks
order by name`

// SinkStates reads the state of every sink that ever ran.
func SinkStates(ctx context.Context, q postgres.Querier) ([]SinkState, error) {
	rows, err := q.Query(ctx, selectSinks)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SinkState])
	return states, postgres.Classify(err)
}

const (
	insertSink = `insert into sinks (name) values (@name) on conflict (name) do nothing`

	lockSink = `
select state, reason, held, workspaces
from sinks
where name = @name
for update`

	updateSink = `
update sinks set state = @state, reason = @reason, workspaces = @workspaces, updated = @now
where name = @name`
)

// SetSinkState records a sink's state. Pausing and resuming are told as sink.paused and sink.resumed
// events, in the same transaction, in each workspace whose events were waiting when the sink
// paused: the receiver belongs to all workspaces, but only theirs were held up. Saying the same
// again changes and tells nothing, so every process of a sink may say it. What the operator holds stays as it is.
func SetSinkState(ctx context.Context, db *postgres.DB, name string, state SinkStatus, reason string, waiting []core.ID, now time.Time) error {
	return db.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertSink, pgx.StrictNamedArgs{"name": name}); err != nil {
			return err
		}
		was := SinkState{Name: name}
		if err := tx.QueryRow(ctx, lockSink, pgx.StrictNamedArgs{"name": name}).Scan(&was.State, &was.Reason, &was.Held, &was.Workspaces); err != nil {
			return err
		}
		if was.Held || was.State == state && was.Reason == reason {
			return nil
		}
		kind, told := core.EventType(""), waiting
		switch {
		case state == SinkPaused && was.State == SinkPaused: // another reason, the same pause
			told = was.Workspaces
		case state == SinkPaused:
			kind = core.SinkPaused
		case was.State == SinkPaused && state == SinkRetrying: // a receiver that is down has accepted nothing yet
			return nil
		case was.State == SinkPaused:
			kind, told = core.SinkResumed, was.Workspaces
		}
		kept := []core.ID{}
		if state == SinkPaused {
			kept = append(kept, told...)
		}
		if _, err := tx.Exec(ctx, updateSink, pgx.StrictNamedArgs{"name": name, "state": state, "reason": reason, "workspaces": kept, "now": now}); err != nil || kind == "" {
			return err
		}
		cause := core.NewCause(core.System, now)
		events := make([]core.Event, len(told))
		for i, workspace := range told {
			events[i] = core.NewEvent(kind, workspace, cause, now, core.Target{Kind: "sink", Name: name}).Because(toldReason(state, false, reason))
		}
		return Append(ctx, tx, events...)
	})
}
