package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core"
)

// Querier is what a read needs: a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// DB is a pool of connections to one database. It is safe for concurrent use.
type DB struct {
	*pgxpool.Pool

	statements statements
}

// Options tune a pool. Zero values are good.
type Options struct {
	// MaxConnections bounds the pool. Default 16.
	MaxConnections int32
	// Name is shown in pg_stat_activity. Default "postern".
	Name string
}

// Open connects to the database of a URL such as postgres://postern@127.0.0.1:5432/postern. It
// waits for the first connection until ctx ends; a server that is down is Unavailable. The pool
// heals by itself when the server comes back later.
func Open(ctx context.Context, url string, options Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, core.Invalid("database", "the database URL cannot be read").Because(redact(err))
	}
	config.MaxConns = 16
	if options.MaxConnections > 0 {
		config.MaxConns = options.MaxConnections
	}
	config.MaxConnIdleTime = 5 * time.Minute
	parameters := config.ConnConfig.RuntimeParams
	parameters["application_name"] = "postern"
	if options.Name != "" {
		parameters["application_name"] = options.Name
	}
	parameters["timezone"] = "UTC"
	// A statement that was planned while a table had a handful of rows is kept, and the table grows.
	// Every statement has an index; it is to be used from the first row on. What has none is read whole
	// all the same, and looks so dear then that it would be compiled first.
	parameters["enable_seqscan"] = "off"
	parameters["jit"] = "off"
	// A transaction left open would hold back the sequencer's horizon, and with it every sink.
	parameters["idle_in_transaction_session_timeout"] = "60s"
	config.AfterConnect = registerID
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, core.Invalid("database", "the database URL cannot be used").Because(redact(err))
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, Classify(err)
	}
	return &DB{Pool: pool}, nil
}

// redact drops the connection string, which may hold a password, from pgx's parse errors.
func redact(err error) error {
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return fmt.Errorf("parse: %w", errors.Unwrap(parse))
	}
	return err
}

const attempts = 4

// Tx runs work in one read-committed transaction and commits it. An error from work rolls back and
// is returned classified (see Classify). When the server chose the transaction as a deadlock or
// serialization victim, work is run again, up to 4 times: it must not touch anything but tx.
func (db *DB) Tx(ctx context.Context, work func(tx pgx.Tx) error) error {
	if check := checkOf(ctx); check != nil {
		unchecked := work
		work = func(tx pgx.Tx) error {
			if err := unchecked(tx); err != nil {
				return err
			}
			return check(ctx, tx)
		}
	}
	return again(ctx, func() error {
		return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error { return work(numbering{tx, tx, &db.statements}) })
	})
}

// Batch is Tx for statements that need no answer of each other: what work queues is one transaction
// and one round trip. Done when it returns, it has happened whole or not at all. explain, if not nil,
// may turn what the server refused into what the caller is told.
func (db *DB) Batch(ctx context.Context, explain func(error) error, work func(batch *pgx.Batch) error) error {
	if checkOf(ctx) != nil {
		return db.Command(ctx, explain, nil, func(_ pgx.Tx, last *pgx.Batch) error { return work(last) })
	}
	return again(ctx, func() error {
		batch := &pgx.Batch{}
		if err := work(batch); err != nil {
			return err
		}
		// The server makes one transaction of all that comes before the message that ends a batch, and
		// Close waits for the answer to that message: it comes after the commit.
		db.statements.number(ctx, batch)
		err := db.Pool.SendBatch(ctx, batch).Close()
		if err != nil && explain != nil && !victim(err) {
			err = explain(err)
		}
		return err
	})
}

func again(ctx context.Context, once func() error) error {
	var err error
	for attempt := range attempts {
		if err = once(); !victim(err) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt+1) * 5 * time.Millisecond):
		}
	}
	return Classify(err)
}

func victim(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (server.Code == "40001" || server.Code == "40P01")
}

// Classify turns a database error into a core.Error: a unique violation is a Conflict whose Code is
// the constraint's name, no row is NotFound, an unreachable server is Unavailable. An error that is
// already classified, and a context's end, pass unchanged; the rest is Internal.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return core.NotFound("row").Because(err)
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case server.Code == "23505":
			return core.Conflict("", "this already exists").WithCode(server.ConstraintName).Because(err)
		case server.Code == "23503":
			return core.Conflict("", "something this refers to does not exist").WithCode(server.ConstraintName).Because(err)
		case server.Code == "22021" || server.Code == "22P05":
			return core.Invalid("", "text may not hold a zero character").Because(err)
		case server.Code[:2] == "08", server.Code[:2] == "57", server.Code[:2] == "53":
			return core.Unavailable(5*time.Second, "the database is not available").Because(err)
		}
		return core.Internal(err)
	}
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return core.Unavailable(5*time.Second, "the database cannot be reached").Because(connect)
	}
	if pgconn.SafeToRetry(err) || connectionLost(err) {
		return core.Unavailable(5*time.Second, "the connection to the database was lost").Because(err)
	}
	return core.Internal(err)
}
