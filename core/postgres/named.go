package postgres

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxRemembered bounds how many statements are remembered. Searches are made of parts, in any number
// of ways; what comes after the first so many is read anew each time.
const maxRemembered = 2000

// statement is one with named arguments as PostgreSQL takes it: numbered, in the order of names.
type statement struct {
	sql   string
	names []string
}

// statements are those that were read, by the text with the names in it.
type statements struct {
	known sync.Map // of statement
	count atomic.Int64
}

// numbered turns named arguments into numbered ones, as pgx would: it reads a text anew each time it
// is sent, which costs as much as encoding the arguments. Anything unusual is left to pgx.
func (s *statements) numbered(ctx context.Context, sql string, arguments []any) (string, []any) {
	if len(arguments) != 1 {
		return sql, arguments
	}
	named, ok := arguments[0].(pgx.StrictNamedArgs)
	if !ok {
		return sql, arguments
	}
	found, known := s.known.Load(sql)
	if !known {
		if found, known = s.learn(ctx, sql, named); !known {
			return sql, arguments
		}
	}
	read := found.(statement)
	if len(named) != len(read.names) {
		return sql, arguments
	}
	values := make([]any, len(read.names))
	for i, name := range read.names {
		value, given := named[name]
		if !given {
			return sql, arguments
		}
		values[i] = value
	}
	return read.sql, values
}

// learn has pgx read a statement once, with each argument's name for its value.
func (s *statements) learn(ctx context.Context, sql string, named pgx.StrictNamedArgs) (any, bool) {
	if s.count.Load() >= maxRemembered {
		return nil, false
	}
	names := make(pgx.StrictNamedArgs, len(named))
	for name := range named {
		names[name] = name
	}
	rewritten, order, err := names.RewriteQuery(ctx, nil, sql, nil)
	if err != nil {
		return nil, false // pgx says it to whoever sends it
	}
	read := statement{sql: rewritten, names: make([]string, len(order))}
	for i, name := range order {
		read.names[i] = name.(string)
	}
	if _, twice := s.known.LoadOrStore(sql, read); !twice {
		s.count.Add(1)
	}
	return read, true
}

// number is numbered for every statement of a batch.
func (s *statements) number(ctx context.Context, batch *pgx.Batch) {
	for _, queued := range batch.QueuedQueries {
		queued.SQL, queued.Arguments = s.numbered(ctx, queued.SQL, queued.Arguments)
	}
}

// sender takes statements: a pool, a connection or a transaction.
type sender interface {
	Querier
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// numbering sends statements that were read once. It is a transaction as far as its Tx is one.
type numbering struct {
	pgx.Tx
	to         sender
	statements *statements
}

// Exec implements pgx.Tx.
func (n numbering) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	sql, arguments = n.statements.numbered(ctx, sql, arguments)
	return n.to.Exec(ctx, sql, arguments...)
}

// Query implements pgx.Tx.
func (n numbering) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	sql, arguments = n.statements.numbered(ctx, sql, arguments)
	return n.to.Query(ctx, sql, arguments...)
}

// QueryRow implements pgx.Tx.
func (n numbering) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	sql, arguments = n.statements.numbered(ctx, sql, arguments)
	return n.to.QueryRow(ctx, sql, arguments...)
}

// SendBatch implements pgx.Tx.
func (n numbering) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	n.statements.number(ctx, batch)
	return n.to.SendBatch(ctx, batch)
}

// Begin implements pgx.Tx.
func (n numbering) Begin(ctx context.Context) (pgx.Tx, error) {
	part, err := n.Tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return numbering{part, part, n.statements}, nil
}

func (db *DB) sent() numbering { return numbering{to: db.Pool, statements: &db.statements} }

// Query is the pool's, for statements with named arguments too.
func (db *DB) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	return db.sent().Query(ctx, sql, arguments...)
}

// QueryRow is the pool's, for statements with named arguments too.
func (db *DB) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	return db.sent().QueryRow(ctx, sql, arguments...)
}

// Exec is the pool's, for statements with named arguments too.
func (db *DB) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return db.sent().Exec(ctx, sql, arguments...)
}
