package sinks_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"

	"postern/core/seal"
	"postern/siem/ocsf"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
)

// BenchmarkAWorkspacesSink measures a lane that is behind: events per second of one workspace from the log to a collector,
// filtered, redacted and one request at a time. Beside it, in turns, the operator's sink delivers the same events from Kafka.
func BenchmarkAWorkspacesSink(b *testing.B) {
	const count = 30_000
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
	b.Cleanup(collector.Close)
	w := newWorld(b)
	for range count / 1000 {
		w.happens(b, w.acme, 1000)
	}
	eventually(b, "everything is published", func() (done bool) {
		must(b, w.db.QueryRow(b.Context(), `select exists (select from cursors where name = 'relay' and position >= @count and position = (select count(*) from audit_log))`, pgx.StrictNamedArgs{"count": count}).Scan(&done))
		return done
	})
	// until delivers until everything has arrived.
	until := func(run func() (stop func())) time.Duration {
		received.Store(0)
		began := time.Now()
		stop := run()
		for received.Load() < count {
			time.Sleep(time.Millisecond)
		}
		took := time.Since(began)
		stop()
		return took
	}
	var ours, theirs time.Duration
	for round := 0; b.Loop(); round++ {
		theirs += until(func() func() {
			receiver, err := splunk.New(splunk.Settings{URLs: []string{collector.URL}}, splunk.Secrets{Token: func() (seal.Secret, error) { return seal.NewSecret(canary), nil }}, new(net.Dialer).DialContext)
			must(b, err)
			one := &sink.Sink{Name: fmt.Sprint("splunk-", round), Kind: "splunk", DB: w.db, Cluster: w.cluster, Receiver: receiver, Mapper: ocsf.Mapper{}}
			return w.run(b, one.Run)
		})
		ours += until(func() func() {
			one := w.splunk(b, w.acme, fmt.Sprint("SIEM ", round), collector.URL, func(wanted *sinks.Wanted) { wanted.Everything = true })
			stop := w.run(b, w.runner().Run)
			return func() {
				stop()
				must(b, w.service.Delete(b.Context(), w.cause, one.Workspace, one.ID))
			}
		})
	}
	b.ReportMetric(float64(count*b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(count*b.N)/theirs.Seconds(), "bare-events/s")
	b.ReportMetric(0, "ns/op")
}
