package audit

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// counting is a database that asks how each statement goes about it instead of only doing it.
type counting struct {
	postgres.Querier
	t    testing.TB
	rows float64
}

// plan is one step of PostgreSQL's.
type plan struct {
	Type    string  `json:"Node Type"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []plan
}

func (p plan) all() float64 {
	rows := (p.Rows + p.Removed) * p.Loops
	if strings.HasSuffix(p.Type, "Append") {
		rows = 0 // it hands on what the months' tables were looked at for
	}
	for _, one := range p.Plans {
		rows += one.all()
	}
	return rows
}

func (c *counting) explain(ctx context.Context, sql string, args ...any) {
	var text []byte
	if err := c.Querier.QueryRow(ctx, "explain (analyze, timing off, format json) "+sql, args...).Scan(&text); err != nil {
		c.t.Fatal(err)
	}
	var told []struct{ Plan plan }
	if err := json.Unmarshal(text, &told); err != nil {
		c.t.Fatal(err)
	}
	c.rows += told[0].Plan.all()
}

// Query implements postgres.Querier.
func (c *counting) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.explain(ctx, sql, args...)
	return c.Querier.Query(ctx, sql, args...)
}

// QueryRow implements postgres.Querier.
func (c *counting) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.explain(ctx, sql, args...)
	return c.Querier.QueryRow(ctx, sql, args...)
}

// Looked is how many rows all the steps of a search touch together.
func Looked(t testing.TB, db *postgres.DB, workspace core.ID, query Query) float64 {
	t.Helper()
	counted := &counting{Querier: db, t: t}
	if _, err := Search(t.Context(), counted, workspace, query); err != nil {
		t.Fatal(err)
	}
	return counted.rows
}
