package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Command is Tx with fewer ways to the database and back: what first queues is sent together with the
// transaction's begin, and what work queues into last together with its commit. work runs between the
// two. Either of first and work may run more than once. explain, if not nil, may turn what the server
// refused into what the caller is told.
func (db *DB) Command(ctx context.Context, explain func(error) error, first func(batch *pgx.Batch), work func(tx pgx.Tx, last *pgx.Batch) error) error {
	return again(ctx, func() error {
		err := db.command(ctx, first, work)
		if err != nil && explain != nil && !victim(err) {
			err = explain(err)
		}
		return err
	})
}

func (db *DB) command(ctx context.Context, first func(batch *pgx.Batch), work func(tx pgx.Tx, last *pgx.Batch) error) (err error) {
	connection, err := db.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	committed := false
	defer func() {
		if !committed && connection.Conn().PgConn().TxStatus() != 'I' {
			rollBack(ctx, connection)
		}
	}()
	begin := &pgx.Batch{}
	begin.Queue("begin")
	if first != nil {
		first(begin)
	}
	db.statements.number(ctx, begin)
	if err := connection.SendBatch(ctx, begin).Close(); err != nil {
		return err
	}
	last, tx := &pgx.Batch{}, begun{numbering{to: connection, statements: &db.statements}, connection}
	if err := work(tx, last); err != nil {
		return err
	}
	if check := checkOf(ctx); check != nil {
		if err := tx.SendBatch(ctx, last).Close(); err != nil {
			return err
		}
		if err := check(ctx, tx); err != nil {
			return err
		}
		last = &pgx.Batch{}
	}
	last.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		if committed = tag.String() == "COMMIT"; !committed {
			return pgx.ErrTxCommitRollback
		}
		return nil
	})
	db.statements.number(ctx, last)
	return connection.SendBatch(ctx, last).Close()
}

// rollBack ends a transaction even if the caller has gone. A connection that cannot is dropped by the
// pool, and the server ends the transaction with it.
func rollBack(ctx context.Context, connection *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = connection.Exec(ctx, "rollback")
}

// begun is a transaction on a connection.
type begun struct {
	numbering  // without a Tx: what is not below is no part of it
	connection *pgxpool.Conn
}

// CopyFrom implements pgx.Tx.
func (t begun) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.connection.CopyFrom(ctx, table, columns, rows)
}

// Conn implements pgx.Tx.
func (t begun) Conn() *pgx.Conn { return t.connection.Conn() }

var errWhole = errors.New("postgres: the command ends its transaction by itself")

// Begin implements pgx.Tx: a part that can be taken back by itself.
func (t begun) Begin(ctx context.Context) (pgx.Tx, error) {
	_, err := t.connection.Exec(ctx, "savepoint part")
	return &part{begun: t}, err
}

// Commit implements pgx.Tx.
func (begun) Commit(context.Context) error { return errWhole }

// Rollback implements pgx.Tx.
func (begun) Rollback(context.Context) error { return errWhole }

// part is a part of a begun transaction. It has no parts itself.
type part struct {
	begun
	ended bool
}

// Begin implements pgx.Tx.
func (*part) Begin(context.Context) (pgx.Tx, error) { return nil, errWhole }

// Commit implements pgx.Tx.
func (p *part) Commit(ctx context.Context) error { return p.end(ctx, "release savepoint part") }

// Rollback implements pgx.Tx.
func (p *part) Rollback(ctx context.Context) error { return p.end(ctx, "rollback to savepoint part") }

func (p *part) end(ctx context.Context, statement string) error {
	if p.ended {
		return pgx.ErrTxClosed
	}
	p.ended = true
	_, err := p.connection.Exec(ctx, statement)
	return err
}
