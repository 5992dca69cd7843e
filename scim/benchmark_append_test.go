package scim_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

// BenchmarkAppend measures what the audit log costs whoever provisions people: SCIM creates with their event appended
// in their transaction, as always, and the same without, in turns on two databases of one PostgreSQL with full
// durability. Without means that the statement is taken out of what is sent; the event is still made, which takes
// microseconds. The ratio is the part of the rate that is left with the log.
func BenchmarkAppend(b *testing.B) {
	server := postgrestest.Server(b, inUse)
	with := openOn(b, postgrestest.Database(b, server, "appending", jobs.Migrate), directory.Okta)
	db := postgrestest.Database(b, server, "silent", jobs.Migrate)
	config := db.Config()
	dropped := &silence{}
	config.ConnConfig.Tracer = dropped
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	must(b, err)
	b.Cleanup(pool.Close)
	without := openOn(b, &postgres.DB{Pool: pool}, directory.Okta)
	var number atomic.Int64
	create := func(w *world) func(b *testing.B) {
		return func(b *testing.B) {
			name := fmt.Sprint("person", number.Add(1))
			body := strings.NewReplacer("test.user@okta.local", name+"@example.com", "00ujl29u0le5T6Aj10h7", name).Replace(createBody)
			w.acme.answer(b, w.engine, "POST", "/Users", body, http.StatusCreated)
		}
	}
	for _, concurrency := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("create/concurrency-%d", concurrency), func(b *testing.B) {
			contest{ours: create(with), floor: create(without)}.run(b, concurrency)
		})
	}
	// Both did what they are said to do.
	const events = `select (select count(*) from users where user_name like 'person%'), (select count(*) from audit_outbox where type = 'user.provisioned')`
	for name, w := range map[string]*world{"with": with, "without": without} {
		var people, told int64
		must(b, w.DB.QueryRow(b.Context(), events).Scan(&people, &told))
		if people == 0 || name == "with" && told != people || name == "without" && (told != 0 || dropped.count.Load() != people) {
			b.Errorf("%s: %d people and %d events, %d dropped", name, people, told, dropped.count.Load())
		}
	}
}

// silence takes events out of the batches that requests send.
type silence struct{ count atomic.Int64 }

// TraceBatchStart implements pgx.BatchTracer.
func (s *silence) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	data.Batch.QueuedQueries = slices.DeleteFunc(data.Batch.QueuedQueries, func(query *pgx.QueuedQuery) bool {
		event := strings.Contains(query.SQL, "insert into audit_outbox")
		if event {
			s.count.Add(1)
		}
		return event
	})
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (s *silence) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *silence) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceQueryStart implements pgx.QueryTracer.
func (s *silence) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *silence) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
