package audit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// The advisory locks of the parts that run once per database, next to that of the migrations.
const (
	LockSequencer int64 = 0x706f7374_00000002
	LockRelay     int64 = 0x706f7374_00000003
	LockRetention int64 = 0x706f7374_0000000a
)

// Leader runs work in at most one of all processes that share a database. The others stand by and
// take over within about a second when the leader's connection ends, which the server notices.
type Leader struct {
	DB   *postgres.DB
	Lock int64
	Name string       // for the log
	Log  *slog.Logger // nil logs nothing
}

// Run stands for election until ctx ends, then returns nil. The lock lives on the connection that
// work gets: a leader that lost its connection can write nothing more through it, so two leaders
// never write at once. When work fails the leadership is given up and stood for again.
func (l *Leader) Run(ctx context.Context, work func(ctx context.Context, connection *pgx.Conn) error) error {
	log := l.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for failures := 0; ctx.Err() == nil; {
		led, err := l.once(ctx, work)
		wait := time.Second
		if err != nil && ctx.Err() == nil {
			if led {
				failures = 0
			}
			failures++
			wait = min(100*time.Millisecond<<min(failures, 5), 2*time.Second)
			log.WarnContext(ctx, "leadership interrupted, standing again", "part", l.Name, "in", wait, "error", err)
		}
		core.Rest(ctx, wait/2+rand.N(wait/2))
	}
	return nil
}

// once stands for election one time. It reports whether it led.
func (l *Leader) once(ctx context.Context, work func(context.Context, *pgx.Conn) error) (bool, error) {
	pooled, err := l.DB.Acquire(ctx)
	if err != nil {
		return false, err
	}
	var leads bool
	if err := pooled.QueryRow(ctx, `select pg_try_advisory_lock($1)`, l.Lock).Scan(&leads); err != nil || !leads {
		pooled.Release()
		return false, err
	}
	// Out of the pool: closing the connection is what gives the lock back, whatever happened.
	connection := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = connection.Close(closing)
	}()
	if _, err := connection.Exec(ctx, alive); err != nil {
		return true, err
	}
	return true, work(ctx, connection)
}

// alive has the server notice within about ten seconds that a leader's whole machine is gone, which says no goodbye. By
// default it takes hours, and nobody else could lead meanwhile.
const alive = `
set tcp_keepalives_idle = 5;
set tcp_keepalives_interval = 2;
set tcp_keepalives_count = 3`

// Walk gives work a connection of its own for reading a table from one end to the other: PostgreSQL follows the index
// in its order, a batch at a time. Left to itself it takes a young table, of which it knows nothing yet, for small, and
// sorts the whole rest of it for every batch.
func Walk(ctx context.Context, db *postgres.DB, work func(connection *pgx.Conn) error) error {
	pooled, err := db.Acquire(ctx)
	if err != nil {
		return postgres.Classify(err)
	}
	connection := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = connection.Close(closing)
	}()
	if _, err := connection.Exec(ctx, walking); err != nil {
		return postgres.Classify(err)
	}
	return work(connection)
}

const walking = `
set enable_bitmapscan = off;
set enable_sort = off;
set max_parallel_workers_per_gather = 0`
