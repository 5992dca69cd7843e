package postgres_test

import (
	"slices"
	"testing"
	"time"

	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

func TestStatisticsFollowTheGrowth(t *testing.T) {
	db := postgrestest.Open(t)
	ctx := t.Context()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("alter table workspaces set (autovacuum_enabled = off)")
	known := func() (rows float64) {
		t.Helper()
		if err := db.QueryRow(ctx, `select reltuples from pg_class where oid = 'workspaces'::regclass`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for _, round := range []struct {
		first, last int
		outgrown    bool
	}{{1, 40, false}, {41, 200, true}, {201, 250, false}, {251, 500, true}} {
		if _, err := db.Exec(ctx, `insert into workspaces (id, slug, name) select gen_random_uuid(), 'w' || n, 'w' from generate_series($1::int, $2::int) n`, round.first, round.last); err != nil {
			t.Fatal(err)
		}
		before := known()
		var analysed []string
		for range 100 { // what is written is counted a moment later
			var err error
			if analysed, err = postgres.RefreshStatistics(ctx, db); err != nil {
				t.Fatal(err)
			}
			if !round.outgrown || slices.Contains(analysed, "public.workspaces") {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if got := slices.Contains(analysed, "public.workspaces"); got != round.outgrown {
			t.Fatalf("with %d rows analysed %v", round.last, analysed)
		}
		if after := known(); round.outgrown && int(after) != round.last || !round.outgrown && after != before {
			t.Fatalf("the planner knows of %v rows, of %d", after, round.last)
		}
	}
}
