package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres/postgrestest"
)

// TestNamedArguments sends the same text again and again, with other arguments each time: what is
// remembered of it is nothing but the order.
func TestNamedArguments(t *testing.T) {
	db := postgrestest.Open(t)
	const sql = `select @b::text || '@a' || @a::text || @b::text -- @c is a comment`
	for _, pair := range [][2]string{{"1", "2"}, {"3", "4"}, {"@b", "@a"}} {
		want := pair[1] + "@a" + pair[0] + pair[1]
		args := pgx.StrictNamedArgs{"a": pair[0], "b": pair[1]}
		var got string
		if err := db.QueryRow(t.Context(), sql, args).Scan(&got); err != nil || got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		err := db.Batch(t.Context(), nil, func(batch *pgx.Batch) error {
			batch.Queue(sql, args).QueryRow(func(row pgx.Row) error { return row.Scan(&got) })
			return nil
		})
		if err != nil || got != want {
			t.Fatalf("in a batch: %q, %v", got, err)
		}
		err = db.Command(t.Context(), nil, func(batch *pgx.Batch) { batch.Queue(`select @b::text`, pgx.StrictNamedArgs{"b": "first"}) },
			func(tx pgx.Tx, last *pgx.Batch) error {
				last.Queue(`select @b::text`, pgx.StrictNamedArgs{"b": "last"})
				return tx.QueryRow(t.Context(), sql, args).Scan(&got)
			})
		if err != nil || got != want {
			t.Fatalf("in a command: %q, %v", got, err)
		}
		err = db.Tx(t.Context(), func(tx pgx.Tx) error {
			return pgx.BeginFunc(t.Context(), tx, func(part pgx.Tx) error { return part.QueryRow(t.Context(), sql, args).Scan(&got) })
		})
		if err != nil || got != want {
			t.Fatalf("in a part of a transaction: %q, %v", got, err)
		}
	}
	// What is wrong is told as pgx tells it, known statement or not.
	for _, wrong := range []pgx.StrictNamedArgs{{"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"a": "1", "x": "2"}} {
		_, err := db.Exec(t.Context(), sql, wrong)
		if err == nil || !strings.Contains(err.Error(), "argument") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	if _, err := db.Exec(t.Context(), `select @b::text, @d::text`, pgx.StrictNamedArgs{"b": "1"}); err == nil {
		t.Error("a missing argument was not noticed")
	}
	var classified *core.Error
	if err := db.QueryRow(t.Context(), `select $1::int`, 1).Scan(new(int)); errors.As(err, &classified) {
		t.Error(err)
	}
}
