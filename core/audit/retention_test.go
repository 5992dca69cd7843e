package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

var newYear = time.Date(2026, 1, 20, 12, 0, 0, 0, time.UTC)

// years records three events of each workspace in each of four months, from January 2026 on.
func years(t testing.TB, db *postgres.DB, workspaces ...core.ID) {
	t.Helper()
	for month := range 4 {
		now := newYear.AddDate(0, month, 0)
		stop := sequence(t, &audit.Sequencer{DB: db, Key: private, CheckpointEvery: 2, Now: func() time.Time { return now }})
		for i := range 3 {
			for _, workspace := range workspaces {
				one := event(workspace, fmt.Sprintf("%d/%d", month, i))
				one.Actor = core.Actor{Kind: core.ActorUser, ID: workspace, Name: "ana"}
				if i == 1 {
					one = one.Failed("no")
				}
				record(t, db, one)
			}
		}
		settle(t, db)
		stop()
	}
}

// past moves every cursor beyond the end of the log, but one.
func past(t testing.TB, db *postgres.DB, behind string, position int64) {
	t.Helper()
	for _, name := range []string{audit.CursorRelay, "sink/splunk/0", behind} {
		if err := audit.MoveCursor(t.Context(), db, name, position); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(t.Context(), `update cursors set position = 1::bigint << 40 where name not in ('sequencer', $1)`, behind); err != nil {
		t.Fatal(err)
	}
}

func counted(t testing.TB, db *postgres.DB, workspace core.ID) (records, targets int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `
		select (select count(*) from audit_log where workspace_id = $1), (select count(*) from audit_targets where workspace_id = $1)`, workspace).Scan(&records, &targets); err != nil {
		t.Fatal(err)
	}
	return records, targets
}

// told reads what the outbox and the log tell of a kind in a workspace.
func told(t testing.TB, db *postgres.DB, workspace core.ID, kind core.EventType) (data []map[string]string) {
	t.Helper()
	settle(t, db)
	records, err := audit.List(t.Context(), db, workspace, audit.Query{Types: []core.EventType{kind}})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range records {
		data = append(data, one.Event.Data)
	}
	return data
}

func TestRetentionDropsWholeMonths(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	years(t, db, acme, globex)
	before := verified(t, db, acme)
	past(t, db, "", 1)
	if err := audit.PlaceHold(t.Context(), db, core.NewCause(core.System, newYear), globex, "a lawsuit", newYear); err != nil {
		t.Fatal(err)
	}
	if err := audit.PlaceHold(t.Context(), db, core.NewCause(core.System, newYear), globex, "another", newYear); core.KindOf(err) != core.KindConflict {
		t.Errorf("a second hold: %v", err)
	}
	all, allTargets := counted(t, db, globex)

	// In the middle of April, with 40 days to keep: all of February is older than that, and March is not.
	retention := &audit.Retention{DB: db, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Keep: 40 * 24 * time.Hour, Now: func() time.Time { return newYear.AddDate(0, 3, 0) }}
	taken, err := retention.Apply(t.Context())
	if err != nil || len(taken) != 2 || taken[0].Month() != time.January || taken[1].Month() != time.February {
		t.Fatalf("took %v, %v", taken, err)
	}
	stop := sequence(t, &audit.Sequencer{DB: db, Key: private, Now: func() time.Time { return newYear.AddDate(0, 3, 0) }})
	events := told(t, db, acme, core.RetentionApplied)
	left := verified(t, db, acme)
	gone := int(left[0].Sequence) - 1
	if gone == 0 || cmp.Diff(before[gone:], left[:len(before)-gone]) != "" || !slices.IsSortedFunc(left, func(a, b audit.Record) int { return int(a.Sequence - b.Sequence) }) {
		t.Fatalf("%d records are gone, and what is left is not what it was", gone)
	}
	if left[0].Sequenced.Month() != time.March || len(events) != 2 || events[1]["month"] != "2026-02" || events[1]["last_sequence"] != fmt.Sprint(gone) || events[0]["first_sequence"] != "1" {
		t.Errorf("left from %s; told %v", left[0].Sequenced, events)
	}
	// Moments before all that is left are found too, and pages end.
	for _, query := range []audit.Query{{Since: newYear.AddDate(-1, 0, 0)}, {Since: newYear}, {Until: newYear}, {Actor: acme, Until: newYear.AddDate(0, 2, 1)}} {
		if _, err := audit.List(t.Context(), db, acme, query); err != nil {
			t.Errorf("%+v: %v", query, err)
		}
	}
	// The workspace on hold has all it had, for every way of looking, and its chain.
	if records, targets := counted(t, db, globex); records < all || targets < allTargets {
		t.Errorf("of the workspace on hold %d of %d records are left, %d of %d targets", records, all, targets, allTargets)
	}
	if held := verified(t, db, globex); held[0].Sequence != 1 || len(told(t, db, globex, core.RetentionApplied)) != 0 {
		t.Errorf("the workspace on hold begins at %d", held[0].Sequence)
	}
	found, err := audit.List(t.Context(), db, globex, audit.Query{Outcome: core.Failure, Until: newYear.AddDate(0, 1, -10)})
	if err != nil || len(found) != 1 || found[0].Event.Targets[0].Name != "0/1" {
		t.Errorf("%v, %v", found, err)
	}
	if byTarget, err := audit.List(t.Context(), db, globex, audit.Query{Target: found[0].Event.Targets[0].ID}); err != nil || len(byTarget) != 1 {
		t.Errorf("%v, %v", byTarget, err)
	}
	if again, err := retention.Apply(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("the same again took %v, %v", again, err)
	}

	// Lifted, it goes as the others went.
	if err := audit.LiftHold(t.Context(), db, core.NewCause(core.System, newYear), globex, newYear); err != nil {
		t.Fatal(err)
	}
	if err := audit.LiftHold(t.Context(), db, core.NewCause(core.System, newYear), globex, newYear); core.KindOf(err) != core.KindNotFound {
		t.Errorf("lifting nothing: %v", err)
	}
	if taken, err = retention.Apply(t.Context()); err != nil || len(taken) != 2 {
		t.Fatalf("took %v, %v", taken, err)
	}
	if lifted := told(t, db, globex, core.AuditHoldLifted); len(lifted) != 1 || lifted[0]["held_for"] != "a lawsuit" {
		t.Errorf("%v", lifted)
	}
	if globexLeft := verified(t, db, globex); globexLeft[0].Sequenced.Month() != time.March {
		t.Errorf("the workspace begins at %s", globexLeft[0].Sequenced)
	}
	stop()
	if known, err := audit.Months(t.Context(), db); err != nil || slices.ContainsFunc(known, func(one time.Time) bool { return one.Before(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) }) {
		t.Errorf("%v, %v", known, err)
	}
}

func TestRetentionWaitsForEveryReader(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	years(t, db, acme, globex)
	records := verified(t, db, acme)
	last := records[slices.IndexFunc(records, func(one audit.Record) bool { return one.Sequenced.Month() == time.March })-1].Position
	past(t, db, "sink/sumologic/3", last-1) // February's last record of acme is still to be delivered
	retention := &audit.Retention{DB: db, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Keep: time.Hour, Now: func() time.Time { return newYear.AddDate(1, 0, 0) }}
	taken, err := retention.Apply(t.Context())
	if err != nil || len(taken) != 1 || taken[0].Month() != time.January {
		t.Fatalf("took %v, %v", taken, err)
	}
	// It is not in the way of what it does not read.
	retention.Reads = func(cursor string, of core.ID) bool {
		return cursor != "sink/sumologic/3" || of != acme && of != globex
	}
	if taken, err = retention.Apply(t.Context()); err != nil || len(taken) != 3 {
		t.Fatalf("took %v, %v", taken, err)
	}
	if none, err := (&audit.Retention{DB: db}).Apply(t.Context()); err != nil || none != nil {
		t.Errorf("without a retention: %v, %v", none, err)
	}
}

// The log of before there were months, with data, becomes the one of today: the same records, found the same ways.
func TestMigrationToMonthsLosesNothing(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	years(t, db, acme, globex)
	want := map[core.ID][]audit.Record{acme: verified(t, db, acme), globex: verified(t, db, globex)}

	config := db.Config().Copy()
	config.ConnConfig.RuntimeParams["search_path"] = "before, public"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	old := &postgres.DB{Pool: pool}
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if name, isFile := strings.CutPrefix(statement, "file:"); isFile {
				text, err := os.ReadFile("../postgres/migrations/" + name)
				if err != nil {
					t.Fatal(err)
				}
				statement = string(text)
			}
			if err := pgx.BeginFunc(t.Context(), old.Pool, func(tx pgx.Tx) error { // as postgres.Migrate does
				_, err := tx.Exec(context.Background(), statement, pgx.QueryExecModeSimpleProtocol)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	run("create schema before", "file:0002_audit.sql", "file:0043_activity.sql", `
		insert into audit_log (position, workspace_id, sequence, event_id, type, occurred, correlation, event, previous, hash, sequenced)
		select position, workspace_id, sequence, event_id, type, occurred, correlation, event, previous, hash, sequenced from public.audit_log`, `
		insert into audit_targets (workspace_id, target_id, sequence) select workspace_id, target_id, sequence from public.audit_targets`, `
		insert into audit_checkpoints select * from public.audit_checkpoints`,
		"file:0056_audit_months.sql")

	for workspace, records := range want {
		if diff := cmp.Diff(records, verified(t, old, workspace)); diff != "" {
			t.Errorf("the log is not what it was:\n%s", diff)
		}
		for _, query := range []audit.Query{{Actor: workspace}, {Outcome: core.Failure}, {Types: []core.EventType{core.UserProvisioned}}, {Target: records[0].Event.Targets[0].ID}, {Since: newYear.AddDate(0, 1, 0)}} {
			one, err := audit.List(t.Context(), db, workspace, query)
			if err != nil || len(one) == 0 {
				t.Fatalf("%+v: %d records, %v", query, len(one), err)
			}
			other, err := audit.List(t.Context(), old, workspace, query)
			if diff := cmp.Diff(one, other); err != nil || diff != "" {
				t.Errorf("%+v: %v\n%s", query, err, diff)
			}
		}
	}
	if found, err := audit.Months(t.Context(), old); err != nil || len(found) < 4 || !found[0].Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", found, err)
	}
}
