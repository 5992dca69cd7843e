package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Queueing is a transaction whose statements are not sent but added to a batch: for a command that
// only writes and whose statement needs no answer. Reading through it fails.
func Queueing(batch *pgx.Batch) pgx.Tx { return queueing{batch: batch} }

type queueing struct {
	pgx.Tx // nil: what is not below is no part of it
	batch  *pgx.Batch
}

var errQueueing = errors.New("postgres: this needs an answer, and the statement was only queued")

// Exec implements pgx.Tx. The tag says nothing.
func (q queueing) Exec(_ context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	q.batch.Queue(sql, arguments...)
	return pgconn.CommandTag{}, nil
}

// Query implements pgx.Tx.
func (q queueing) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errQueueing }

// together is how many rows one statement of CopyFrom writes at most: a statement is prepared for each
// number of rows.
const together = 8

// CopyFrom implements pgx.Tx with the insert statements that do the same.
func (q queueing) CopyFrom(_ context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = pgx.Identifier{column}.Sanitize()
	}
	head := "insert into " + table.Sanitize() + " (" + strings.Join(names, ", ") + ") values "
	var count int64
	var arguments []any
	send := func() {
		if len(arguments) > 0 {
			q.batch.Queue(head+placeholders(len(arguments)/len(columns), len(columns)), arguments...)
			arguments = nil
		}
	}
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return 0, err
		}
		arguments = append(arguments, row...)
		if count++; count%together == 0 {
			send()
		}
	}
	send()
	return count, rows.Err()
}

// placeholders are those of some rows: ($1, $2), ($3, $4).
func placeholders(rows, columns int) string {
	var text strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			text.WriteString("($")
		case i%columns == 0:
			text.WriteString("), ($")
		default:
			text.WriteString(", $")
		}
		text.WriteString(strconv.Itoa(i + 1))
	}
	return text.String() + ")"
}

// QueryRow implements pgx.Tx.
func (q queueing) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

// Scan implements pgx.Row.
func (noRow) Scan(...any) error { return errQueueing }
