package audit

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Retention lets go of old records: whole months, oldest first, once all of a month is older than Keep. Any number may
// run; one works.
//
//	a month's tables ── all older than Keep? ── everybody past it? ── a workspace that keeps its own? ── no ──► dropped, and told
//	                          no: done            no: done, loudly                                    └─ yes ──► its records stay, the rest goes
//
// It never takes what a reader of the log has still to read (the relay, a sink, whoever else has a cursor), and never
// a record of a workspace on hold, or one that a sink of the workspace's own has still to deliver. Checkpoints stay for good.
type Retention struct {
	DB   *postgres.DB
	Keep time.Duration    // zero keeps everything for ever
	Now  func() time.Time // nil is time.Now
	Log  *slog.Logger     // nil logs nothing

	// Reads says whether who has a cursor of this name reads a workspace's records; nil: everybody reads all. A sink has
	// a cursor per partition of the topic: one whose workspaces are quiet stays where it is.
	Reads func(cursor string, workspace core.ID) bool

	// Behind says which workspaces have a reader of their own that has not come past a sequence, of those asked about;
	// nil: none. It holds up the records of no other workspace.
	Behind func(ctx context.Context, q postgres.Querier, past map[core.ID]int64) ([]core.ID, error)
}

// retainEvery is how often Run looks for what is old.
const retainEvery = time.Hour

// Run applies the retention once an hour until ctx ends, then returns nil.
func (r *Retention) Run(ctx context.Context) error {
	if r.Keep <= 0 {
		<-ctx.Done()
		return nil
	}
	leader := Leader{DB: r.DB, Lock: LockRetention, Name: "retention", Log: r.Log}
	return leader.Run(ctx, func(ctx context.Context, _ *pgx.Conn) error {
		for {
			if _, err := r.Apply(ctx); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retainEvery):
			}
		}
	})
}

// Apply lets go of what is due now, and returns the months it took records from.
func (r *Retention) Apply(ctx context.Context) ([]time.Time, error) {
	if r.Keep <= 0 {
		return nil, nil
	}
	now := time.Now()
	if r.Now != nil {
		now = r.Now()
	}
	known, err := Months(ctx, r.DB)
	if err != nil {
		return nil, err
	}
	var taken []time.Time
	for _, first := range known {
		if first.AddDate(0, 1, 0).After(now.Add(-r.Keep)) {
			break
		}
		removed, blocked, err := r.month(ctx, first, now)
		if err != nil {
			return taken, err
		}
		if blocked != "" {
			r.log().WarnContext(ctx, "old records of the log are kept: a reader has not come past them", "month", first.Format("2006-01"), "reader", blocked)
			break
		}
		if removed > 0 {
			taken = append(taken, first)
			r.log().InfoContext(ctx, "old records of the log were let go of", "month", first.Format("2006-01"), "records", removed)
		}
	}
	return taken, nil
}

func (r *Retention) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

const (
	// Whoever reads goes first: a month can go an hour later as well.
	hurry = `set local lock_timeout = '3s'`

	// A hold is placed before or after, never while.
	lockHolds = `lock table audit_holds in share mode`

	selectBehind = `
select name, position from cursors
where name <> 'sequencer' and position < @newest
order by position, name`

	selectLeaving = `
select l.workspace_id, min(l.sequence), max(l.sequence), max(l.position), count(*),
	exists (select from audit_holds h where h.workspace_id = l.workspace_id)
from audit_log l
where l.sequenced >= @first and l.sequenced < @next
group by l.workspace_id`
)

// month lets go of one month's records that nobody keeps, and says how many those were, or whose cursor forbids it.
func (r *Retention) month(ctx context.Context, first, now time.Time) (removed int64, blocked string, err error) {
	err = r.DB.Tx(ctx, func(tx pgx.Tx) error {
		removed, blocked = 0, ""
		for _, statement := range []string{hurry, lockHolds} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		leaving, kept, err := r.leaving(ctx, tx, first)
		if err != nil {
			return err
		}
		if blocked, err = r.behind(ctx, tx, leaving); err != nil || blocked != "" {
			return err
		}
		var events []core.Event
		cause := core.NewCause(core.System, now)
		for _, one := range leaving {
			removed += one.Records
			events = append(events, core.NewEvent(core.RetentionApplied, one.Workspace, cause, now).
				With("first_sequence", strconv.FormatInt(one.First, 10)).With("last_sequence", strconv.FormatInt(one.Last, 10)).
				With("records", strconv.FormatInt(one.Records, 10)).With("month", first.Format("2006-01")))
		}
		if len(kept) > 0 && removed == 0 {
			return nil // nobody else is in it
		}
		if err := replace(ctx, tx, first, kept); err != nil {
			return err
		}
		return Append(ctx, tx, events...)
	})
	return removed, blocked, err
}

// leaving is what a workspace has in a month that goes.
type leaving struct {
	Workspace       core.ID
	First, Last     int64 // sequences
	Newest, Records int64 // its last position; how many
	Held            bool
}

// leaving is what goes with a month, and the workspaces whose records stay.
func (r *Retention) leaving(ctx context.Context, tx pgx.Tx, first time.Time) (all []leaving, kept []core.ID, err error) {
	rows, err := tx.Query(ctx, selectLeaving, pgx.StrictNamedArgs{"first": first, "next": first.AddDate(0, 1, 0)})
	if err != nil {
		return nil, nil, err
	}
	if all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaving]); err != nil {
		return nil, nil, err
	}
	past := map[core.ID]int64{}
	for _, one := range all {
		if one.Held {
			kept = append(kept, one.Workspace)
		} else {
			past[one.Workspace] = one.Last
		}
	}
	if r.Behind != nil && len(past) > 0 {
		behind, err := r.Behind(ctx, tx, past)
		if err != nil {
			return nil, nil, err
		}
		for _, one := range behind {
			r.log().WarnContext(ctx, "old records of a workspace are kept: a sink of its own has not come past them", "month", first.Format("2006-01"), "workspace", one)
		}
		kept = append(kept, behind...)
	}
	return slices.DeleteFunc(all, func(one leaving) bool { return slices.Contains(kept, one.Workspace) }), kept, nil
}

// behind is the name of a cursor that has not come past all of what leaves, if there is one.
func (r *Retention) behind(ctx context.Context, tx pgx.Tx, all []leaving) (string, error) {
	newest := int64(0)
	for _, one := range all {
		newest = max(newest, one.Newest)
	}
	rows, err := tx.Query(ctx, selectBehind, pgx.StrictNamedArgs{"newest": newest})
	if err != nil {
		return "", err
	}
	var name, found string
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&name, &position}, func() error {
		for _, one := range all {
			if found == "" && one.Newest > position && (r.Reads == nil || r.Reads(name, one.Workspace)) {
				found = name
			}
		}
		return nil
	})
	return found, err
}

// replace puts the records of the workspaces that keep theirs in the place of all records of a month.
func replace(ctx context.Context, tx pgx.Tx, first time.Time, kept []core.ID) error {
	tables := []string{"audit_log", "audit_targets"}
	leaving := func(table string) string { return table + first.Format("_2006_01") + "_leaving" }
	execute := func(statement string, names ...any) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(statement, names...))
		return err
	}
	for _, table := range tables {
		child := table + first.Format("_2006_01")
		if err := execute("alter table %s detach partition %s", table, child); err != nil {
			return err
		}
		if err := execute("alter table %s rename to %s", child, leaving(table)); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		if _, err := tx.Exec(ctx, createMonth, pgx.StrictNamedArgs{"moment": first}); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if len(kept) > 0 {
			stay := fmt.Sprintf("insert into %s select l.* from %s l where l.workspace_id = any(@kept)", table, leaving(table))
			if _, err := tx.Exec(ctx, stay, pgx.StrictNamedArgs{"kept": kept}); err != nil {
				return err
			}
		}
		if err := execute("drop table %s", leaving(table)); err != nil {
			return err
		}
	}
	return nil
}
