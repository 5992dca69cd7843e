package relay_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/deploy/local/broker"
	"postern/siem/relay"
	"postern/siem/stream"
)

// BenchmarkOutboxToKafka measures events of 1 KB per second from the outbox to Kafka: sequenced, chained, signed,
// indexed, kept in the log, translated and published with all acknowledgements to a broker that syncs to disk.
// Beside it, in the same run and with the same client, a bare loop does what no one should: select the rows and
// produce them as they are, with no sequence, no proof and no memory of what was sent.
func BenchmarkOutboxToKafka(b *testing.B) {
	const count = 50_000
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	var ours, bare time.Duration
	for range b.N {
		b.StopTimer()
		db := postgrestest.Open(b)
		fill(b, db, count)
		running, err := broker.Embedded(b.Context(), b.TempDir(), 0)
		if err != nil {
			b.Fatal(err)
		}
		open := func(topic string) *stream.Producer {
			cluster := stream.Cluster{Brokers: []string{running.Address}, Topic: topic}
			if err := cluster.Ensure(b.Context()); err != nil {
				b.Fatal(err)
			}
			producer, err := stream.NewProducer(cluster)
			if err != nil {
				b.Fatal(err)
			}
			return producer
		}
		plain, whole := open("bare"), open("postern.audit")
		b.StartTimer()

		began := time.Now()
		if n, err := bareLoop(b.Context(), db, plain); err != nil || n != count {
			b.Fatal(n, err)
		}
		bare += time.Since(began)

		began = time.Now()
		publish := &relay.Relay{DB: db, Publisher: whole}
		sequencer := &audit.Sequencer{DB: db, Key: private, Moved: publish.Wake}
		ctx, stop := context.WithCancel(b.Context())
		var parts sync.WaitGroup
		for _, run := range []func(context.Context) error{sequencer.Run, publish.Run} {
			parts.Go(func() {
				if err := run(ctx); err != nil {
					b.Error(err)
				}
			})
		}
		for position := int64(0); position < count; time.Sleep(2 * time.Millisecond) {
			if position, err = audit.Cursor(b.Context(), db, audit.CursorRelay); err != nil {
				b.Fatal(err)
			}
		}
		ours += time.Since(began)
		b.StopTimer()
		stop()
		parts.Wait()
		plain.Close()
		whole.Close()
		_ = running.Stop()
		b.StartTimer()
	}
	perSecond := func(spent time.Duration) float64 { return float64(b.N) * count / spent.Seconds() }
	b.ReportMetric(perSecond(ours), "events/s")
	b.ReportMetric(perSecond(bare), "bare-events/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "of-bare")
}

// fill puts events of about 1 KB into the outbox, of eight workspaces.
func fill(b *testing.B, db *postgres.DB, count int) {
	b.Helper()
	padding := strings.Repeat("what else there is to know about it; ", 14)
	cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID(), Name: "ana@acme.example"}, time.Now())
	var workspaces []core.ID
	for range 8 {
		workspaces = append(workspaces, core.NewID())
	}
	for done := 0; done < count; done += 1000 {
		events := make([]core.Event, 1000)
		for i := range events {
			events[i] = core.NewEvent(core.AccountPasswordFilled, workspaces[i%8], cause, time.Now(), core.Target{Kind: "account", ID: core.NewID(), Name: "Harbour"}).With("padding", padding)
		}
		if err := db.Tx(b.Context(), func(tx pgx.Tx) error { return audit.Append(b.Context(), tx, events...) }); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Exec(b.Context(), `analyze audit_outbox`); err != nil {
		b.Fatal(err)
	}
}

// bareLoop is the floor: select, produce, again.
func bareLoop(ctx context.Context, db *postgres.DB, producer *stream.Producer) (int, error) {
	total := 0
	for xid, number := uint64(0), int64(0); ; {
		rows, err := db.Query(ctx, `
			select o.xid, o.number, o.workspace_id, o.event::text from audit_outbox o
			where (o.xid, o.number) > ($1, $2) order by o.xid, o.number limit 1000`, xid, number)
		if err != nil {
			return total, err
		}
		var events []stream.Event
		var event stream.Event
		if _, err := pgx.ForEachRow(rows, []any{&xid, &number, (*[16]byte)(&event.Workspace), &event.Value}, func() error {
			events = append(events, event)
			event.Value = nil
			return nil
		}); err != nil || len(events) == 0 {
			return total, err
		}
		if err := producer.Publish(ctx, events); err != nil {
			return total, err
		}
		total += len(events)
	}
}
