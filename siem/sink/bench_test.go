package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/splunk"
	"postern/siem/stream"
)

// BenchmarkOutboxToHEC measures events of 1 KB per second from the outbox to a collector: sequenced,
// chained, signed, published with all acknowledgements to a broker that syncs to disk, delivered and
// committed. Beside it, in the same run, a bare loop does what no one should: select the rows, wrap
// them and POST them, with no order, no proof, no memory of what was sent.
func BenchmarkOutboxToHEC(b *testing.B) {
	const count = 40_000
	var received atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "not gzip", http.StatusBadRequest)
			return
		}
		lines, buffer := 0, make([]byte, 64<<10)
		for {
			n, err := unpacked.Read(buffer)
			lines += bytes.Count(buffer[:n], []byte{'\n'})
			if err != nil {
				break
			}
		}
		received.Add(int64(lines))
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer collector.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()

	var ours, bare time.Duration
	for range b.N {
		b.StopTimer()
		db := postgrestest.Open(b)
		fill(b, db, count)
		running := embedded(b)
		b.StartTimer()

		received.Store(0)
		began := time.Now()
		n, err := bareLoop(b.Context(), db, client, collector.URL)
		if err != nil || n != count || received.Load() != count {
			b.Fatal(n, received.Load(), err)
		}
		bare += time.Since(began)

		received.Store(0)
		began = time.Now()
		cluster := stream.Cluster{Brokers: []string{running.Address}}
		producer, err := stream.NewProducer(cluster)
		if err != nil {
			b.Fatal(err)
		}
		publish := &relay.Relay{DB: db, Publisher: producer}
		sequencer := &audit.Sequencer{DB: db, Key: private, Moved: publish.Wake}
		receiver, err := splunk.New(splunk.Settings{URLs: []string{collector.URL}}, splunk.Secrets{Token: func() (seal.Secret, error) { return seal.NewSecret(token), nil }}, new(net.Dialer).DialContext)
		if err != nil {
			b.Fatal(err)
		}
		delivering := &sink.Sink{Name: "splunk", DB: db, Cluster: cluster, Receiver: receiver}
		l := &line{}
		var stops []func()
		for _, part := range []func(context.Context) error{sequencer.Run, publish.Run, delivering.Run} {
			stops = append(stops, l.run(b, part))
		}
		for received.Load() < count {
			time.Sleep(5 * time.Millisecond)
		}
		ours += time.Since(began)
		b.StopTimer()
		for _, stop := range stops {
			stop()
		}
		producer.Close()
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
}

// bareLoop is the floor: select, wrap, compress, POST.
func bareLoop(ctx context.Context, db *postgres.DB, client *http.Client, url string) (int, error) {
	total := 0
	for xid, number := uint64(0), int64(0); ; {
		rows, err := db.Query(ctx, `select o.xid, o.number, o.event::text from audit_outbox o where (o.xid, o.number) > ($1, $2) order by o.xid, o.number limit 1000`, xid, number)
		if err != nil {
			return total, err
		}
		var body bytes.Buffer
		writer, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
		if err != nil {
			return total, err
		}
		var text []byte
		count := 0
		if _, err := pgx.ForEachRow(rows, []any{&xid, &number, &text}, func() error {
			count++
			_, err := fmt.Fprintf(writer, "{\"event\":%s}\n", text)
			return err
		}); err != nil || count == 0 {
			return total, err
		}
		if err := writer.Close(); err != nil {
			return total, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
		if err != nil {
			return total, err
		}
		response, err := client.Do(request)
		if err != nil {
			return total, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		total += count
	}
}
