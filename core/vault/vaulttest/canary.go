package vaulttest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

const selectTables = `
select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'
order by 1`

// Scan reads every column of every row of every table and returns where a planted value stands in
// clear, one line each, and how many rows it read. The values are best letters and digits alone.
func Scan(ctx context.Context, db *postgres.DB, planted ...string) (found []string, rows int, err error) {
	tables, err := collect(ctx, db, selectTables)
	if err != nil {
		return nil, 0, err
	}
	for _, table := range tables {
		texts, err := collect(ctx, db, "select t::text from "+table+" t")
		if err != nil {
			return nil, 0, err
		}
		rows += len(texts)
		for _, text := range texts {
			for _, value := range planted {
				if form := clear(text, value); form != "" {
					found = append(found, fmt.Sprintf("%s holds %q as %s", table, value, form))
				}
			}
		}
	}
	return found, rows, nil
}

// NotInClear fails the test where Scan finds a planted value, or no rows at all.
func NotInClear(t testing.TB, db *postgres.DB, planted ...string) {
	t.Helper()
	found, rows, err := Scan(t.Context(), db, planted...)
	if err != nil {
		t.Fatal(err)
	}
	if rows == 0 {
		t.Error("the database is empty: nothing was looked at")
	}
	for _, place := range found {
		t.Error(place)
	}
}

func collect(ctx context.Context, db *postgres.DB, query string) ([]string, error) {
	rows, err := db.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// clear names the form a text holds a value in. Base64 is looked for at each of its three offsets.
func clear(text, value string) string {
	if strings.Contains(text, value) {
		return "itself"
	}
	if strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(value))) {
		return "hexadecimal"
	}
	for offset := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, offset), value...))
		// The first and last characters also depend on the neighbours.
		if middle := encoded[min(4, len(encoded)) : len(encoded)-1]; len(middle) > 7 && strings.Contains(text, middle) {
			return "base64"
		}
	}
	return ""
}
