package postgres

import (
	"context"
	"errors"

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

// QueryRow implements pgx.Tx.
func (q queueing) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

// Scan implements pgx.Row.
func (noRow) Scan(...any) error { return errQueueing }
