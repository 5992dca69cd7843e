package delivery_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres/postgrestest"
	"postern/webhooks/delivery"
)

// BenchmarkDeliveries measures messages that wait in sixteen lanes and are brought to an endpoint on this machine,
// beside a bare loop of sixteen that posts as much to it and commits one update each. They take turns in one run, on a
// database that does not wait for its disk.
func BenchmarkDeliveries(b *testing.B) {
	const lanes, each, rounds = 16, 50, 4
	endpoint := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		answer.WriteHeader(http.StatusNoContent)
	}))
	defer endpoint.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: lanes}}
	for _, ordered := range []bool{true, false} {
		b.Run(fmt.Sprintf("ordered=%v", ordered), func(b *testing.B) {
			db := postgrestest.Open(b)
			house := workspace(b, db, "acme")
			body := `{"type":"user.updated","data":"` + strings.Repeat("x", 1000) + `"}`
			var left atomic.Int64
			done := make(chan struct{}, 1)
			post := func(ctx context.Context) (*http.Request, error) {
				return http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, strings.NewReader(body))
			}
			judge := func(status int, _ []byte) (delivery.Verdict, string) {
				if status != http.StatusNoContent {
					return delivery.Again, ""
				}
				if left.Add(-1) == 0 {
					done <- struct{}{}
				}
				return delivery.Delivered, ""
			}
			d := &delivery.Deliveries{DB: db, Carriers: map[string]delivery.Carrier{"hook": {Schedule: delivery.Standard(), Carry: func(ctx context.Context, _ delivery.Lane, _ delivery.Delivery) delivery.Outcome {
				request, err := post(ctx)
				if err != nil {
					return delivery.Outcome{Verdict: delivery.Again, Why: err.Error()}
				}
				return delivery.Send(client, request, judge)
			}}}}
			var ids []core.ID
			must(b, db.Tx(b.Context(), func(tx pgx.Tx) error {
				for n := range lanes {
					lane := delivery.Lane{ID: core.NewID(), Workspace: house, Kind: "hook", Name: fmt.Sprint(n), Ordered: ordered, Carried: true}
					ids = append(ids, lane.ID)
					if err := d.Open(b.Context(), tx, lane); err != nil {
						return err
					}
				}
				return nil
			}))
			for _, statement := range []string{
				`create table floor (id integer primary key, value integer not null)`, `insert into floor select n, 0 from generate_series(0, 999) n`, `vacuum analyze`,
			} {
				_, err := db.Exec(b.Context(), statement)
				must(b, err)
			}
			fill := func() {
				left.Store(lanes * each)
				must(b, db.Tx(b.Context(), func(tx pgx.Tx) error {
					for n := range lanes * each {
						if err := d.Add(b.Context(), tx, delivery.Delivery{Workspace: house, Lane: ids[n%lanes], Type: "t", Payload: []byte(body)}); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			deliver := func() time.Duration {
				ctx, stop := context.WithCancel(b.Context())
				var running sync.WaitGroup
				began := time.Now()
				running.Go(func() { _ = d.Run(ctx) })
				<-done
				took := time.Since(began)
				stop()
				running.Wait()
				return took
			}
			bare := func() time.Duration {
				began := time.Now()
				var group sync.WaitGroup
				for lane := range lanes {
					group.Go(func() {
						for range each {
							request, err := post(b.Context())
							if err != nil {
								b.Error(err)
								return
							}
							answer, err := client.Do(request)
							if err != nil {
								b.Error(err)
								return
							}
							_ = answer.Body.Close()
							if _, err := db.Exec(b.Context(), `update floor set value = value + 1 where id = $1`, lane); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				return time.Since(began)
			}
			fill()
			deliver()
			bare()
			b.ResetTimer()
			var ours, floor time.Duration
			for range rounds {
				b.StopTimer()
				fill()
				b.StartTimer()
				ours += deliver()
				floor += bare()
			}
			messages := float64(rounds * lanes * each)
			b.ReportMetric(messages/ours.Seconds(), "events/s")
			b.ReportMetric(messages/floor.Seconds(), "bare-events/s")
			b.ReportMetric(floor.Seconds()/ours.Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}
