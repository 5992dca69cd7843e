package hooks_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core"
	"postern/core/directory"
	"postern/webhooks/hooks"
)

// BenchmarkHooks measures messages of Standard Webhooks about different people, each of whom loses a session, beside
// what none can do without: one HMAC and one committed update in a bare handler. They take turns in one run, on a
// database that does not wait for its disk: what is compared is work, not waiting.
func BenchmarkHooks(b *testing.B) {
	const rounds, each, at = 4, 300, 8
	w := newWorld(b)
	made := w.create(b, w.acme, hooks.NewHook{Kind: hooks.Standard, Settings: hooks.Settings{Mapping: mapping()}})
	signer, err := standardwebhooks.NewWebhook(made.Secret.Reveal())
	must(b, err)
	requests := make([]func() *http.Request, (rounds+1)*each)
	w.Tx(b, func(ctx context.Context, tx pgx.Tx) error {
		for n := range requests {
			email := fmt.Sprintf("crowd-%d@example.com", n)
			user, err := w.Directory.InsertUser(ctx, tx, directory.User{
				Workspace: w.acme.workspace.ID, Connection: w.acme.connection.ID, UserName: email, Email: email, Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			if _, _, err := w.Directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
				Workspace: w.acme.workspace.ID, User: user.ID, Connection: w.acme.connection.ID, Authenticated: time.Now(),
			}); err != nil {
				return err
			}
			id, body := fmt.Sprintf("msg_%d", n), `{"type":"session.revoked","data":{"email":"`+email+`"}}`
			requests[n] = func() *http.Request {
				now := time.Now()
				signature, err := signer.Sign(id, now, []byte(body))
				must(b, err)
				request := httptest.NewRequest(http.MethodPost, w.service.URL(made.Hook), strings.NewReader(body))
				request.Header = http.Header{"Content-Type": {"application/json"}, "Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature}}
				return request
			}
		}
		return nil
	})
	for _, statement := range []string{
		`create table floor (id integer primary key, value integer not null)`, `insert into floor select n, 0 from generate_series(0, 9999) n`, `vacuum analyze`,
	} {
		_, err := w.DB.Exec(b.Context(), statement)
		must(b, err)
	}
	bare := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err == nil {
			err = signer.Verify(body, request.Header)
		}
		number, _ := strconv.Atoi(strings.TrimPrefix(request.Header.Get("Webhook-Id"), "msg_"))
		if err == nil {
			_, err = w.DB.Exec(request.Context(), `update floor set value = value + 1 where id = $1`, number)
		}
		if err != nil {
			answer.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer.WriteHeader(http.StatusNoContent)
	})
	var ours, floor []time.Duration
	var took, bareTook time.Duration
	play := func(handler http.Handler, from int, times *[]time.Duration) time.Duration {
		all := make([]time.Duration, each)
		var next atomic.Int64
		var group sync.WaitGroup
		began := time.Now()
		for range at {
			group.Go(func() {
				for n := int(next.Add(1)) - 1; n < each; n = int(next.Add(1)) - 1 {
					request, recorder := requests[from+n](), httptest.NewRecorder()
					one := time.Now()
					handler.ServeHTTP(recorder, request)
					if all[n] = time.Since(one); recorder.Code != http.StatusNoContent {
						b.Errorf("answered %d %s", recorder.Code, recorder.Body)
					}
				}
			})
		}
		group.Wait()
		*times = append(*times, all...)
		return time.Since(began)
	}
	play(w.gateway.Config.Handler, 0, new([]time.Duration))
	play(bare, 0, new([]time.Duration))
	b.ResetTimer()
	for round := 1; round <= rounds; round++ {
		took += play(w.gateway.Config.Handler, round*each, &ours)
		bareTook += play(bare, round*each, &floor)
	}
	rate, bareRate := rounds*each/took.Seconds(), rounds*each/bareTook.Seconds()
	b.ReportMetric(rate, "ours/s")
	b.ReportMetric(bareRate, "floor/s")
	b.ReportMetric(rate/bareRate, "ratio")
	b.ReportMetric(slow(ours), "ours-p99-ms")
	b.ReportMetric(slow(floor), "floor-p99-ms")
	b.ReportMetric(0, "ns/op")
}

// slow is the 99th percentile in milliseconds.
func slow(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[int(0.99*float64(len(times)-1))]) / float64(time.Millisecond)
}
