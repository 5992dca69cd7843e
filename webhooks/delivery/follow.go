package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const (
	cursor            = "deliveries"
	lockFollow  int64 = 0x706f7374_00000005
	batch             = 1000
	longestLook       = 250 * time.Millisecond
)

// Listener turns events into deliveries.
type Listener interface {
	// Types are the events it wants to hear of.
	Types() []core.EventType
	// Hear adds what follows from events to the lanes they are for, in the transaction that moves the cursor: it
	// happens wholly and once, or not at all. The events are of many workspaces, in the order of the log.
	Hear(ctx context.Context, tx pgx.Tx, events []core.Event) error
}

// Follower follows the log of all workspaces and tells listeners of it.
type Follower struct {
	*Deliveries
	Listeners []Listener
}

// Run follows until ctx ends, then returns nil. At most one process of all does it at a time.
func (f *Follower) Run(ctx context.Context) error {
	leader := audit.Leader{DB: f.DB, Lock: lockFollow, Name: "deliveries", Log: f.Log}
	return leader.Run(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		for {
			moved, err := f.Step(ctx, connection)
			if err != nil {
				return err
			}
			if moved {
				continue
			}
			core.Rest(ctx, longestLook)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
}

// Whoever reads the log for deliveries serves every workspace.
const selectEnd = `
select coalesce(max(position), @position) from (
	select position from audit_log where position > @position order by position limit @limit) next`

const selectEvents = `
select l.position, l.workspace_id, l.event from audit_log l
where l.position > @position and l.position <= @end and l.type = any(@types::text[])
  and l.workspace_id in (select workspace_id from delivery_lanes)
order by l.position`

// beginner is a pool or a connection.
type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Step hears the next batch of the log, and reports whether there was one. Run does it again and again; only
// one may at a time.
func (f *Follower) Step(ctx context.Context, from beginner) (bool, error) {
	f.prepare()
	var types []string
	for _, listener := range f.Listeners {
		for _, kind := range listener.Types() {
			types = append(types, string(kind))
		}
	}
	moved, heard := false, false
	err := pgx.BeginFunc(ctx, from, func(tx pgx.Tx) error {
		position, err := audit.Cursor(ctx, tx, cursor)
		if err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{"position": position, "limit": batch}
		var end int64
		if err := tx.QueryRow(ctx, selectEnd, args).Scan(&end); err != nil || end == position {
			return err
		}
		moved = true
		events, err := read(ctx, tx, position, end, types)
		if err != nil {
			return err
		}
		for _, listener := range f.Listeners {
			meant := f.meant(events, listener)
			if len(meant) == 0 {
				continue
			}
			heard = true
			if err := listener.Hear(ctx, tx, meant); err != nil {
				return err
			}
		}
		return audit.MoveCursor(ctx, tx, cursor, end)
	})
	if err == nil && heard {
		f.Nudge()
	}
	return moved && err == nil, postgres.Classify(err)
}

func (f *Follower) meant(events []core.Event, listener Listener) []core.Event {
	wanted := map[core.EventType]bool{}
	for _, kind := range listener.Types() {
		wanted[kind] = true
	}
	var meant []core.Event
	for _, event := range events {
		if wanted[event.Type] {
			meant = append(meant, event)
		}
	}
	return meant
}

func read(ctx context.Context, tx pgx.Tx, position, end int64, types []string) ([]core.Event, error) {
	rows, err := tx.Query(ctx, selectEvents, pgx.StrictNamedArgs{"position": position, "end": end, "types": types})
	if err != nil {
		return nil, err
	}
	var events []core.Event
	var at int64
	var workspace core.ID
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{&at, &workspace, &text}, func() error {
		var event core.Event
		if err := json.Unmarshal(text, &event); err != nil {
			return fmt.Errorf("delivery: the record at %d cannot be read: %w", at, err)
		}
		if event.Workspace != workspace {
			return fmt.Errorf("delivery: the record at %d tells of another workspace", at)
		}
		events = append(events, event)
		return nil
	})
	return events, err
}
