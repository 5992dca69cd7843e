package webhooks_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/jwt"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/signals"
)

// crowd is people of the workspace to log out, each with a session and perhaps shared accounts.
func (w *world) crowd(b *testing.B, size, shared int) []string {
	b.Helper()
	emails := make([]string, size)
	w.Tx(b, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		var app accounts.App
		var err error
		if shared > 0 {
			app, err = w.Accounts.CreateApp(ctx, tx, cause, w.acme.ID, accounts.NewApp{
				Name: "Wiki " + core.NewID().String(), Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/login", Connector: "browser",
			})
		}
		for n := range emails {
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s-%d", core.NewID(), n)
			emails[n] = name + "@example.com"
			user, err := w.Directory.InsertUser(ctx, tx, directory.User{
				Workspace: w.acme.ID, Connection: w.okta.ID, UserName: name, Email: emails[n], Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			if _, _, err := w.Directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
				Workspace: w.acme.ID, User: user.ID, Connection: w.okta.ID, Authenticated: time.Now(),
			}); err != nil {
				return err
			}
			for one := range shared {
				if _, err := w.Accounts.CreateAccount(ctx, tx, cause, w.acme.ID, accounts.NewAccount{
					App: app.ID, Username: fmt.Sprint(name, one), Password: seal.NewSecret("password"), Owner: user.ID,
				}); err != nil {
					return err
				}
			}
		}
		return err
	})
	return emails
}

// settle lets the planner know what there is, and the disk have it.
func (w *world) settle(b *testing.B) {
	b.Helper()
	for _, statement := range []string{"vacuum analyze", "checkpoint"} {
		_, err := w.DB.Exec(b.Context(), statement)
		must(b, err)
	}
}

// side is what one side of a comparison has done so far.
type side struct {
	took, process, server time.Duration
	times                 []time.Duration
}

// work carries out work size times, by so many at once. server may be nil.
func (s *side) work(b *testing.B, server *durableServer, size, at int, work func(n int)) {
	times := make([]time.Duration, size)
	var next atomic.Int64
	var wait sync.WaitGroup
	process := ourselves(b)
	var database time.Duration
	if server != nil {
		database = server.busy(b)
	}
	start := time.Now()
	for range at {
		wait.Go(func() {
			for n := int(next.Add(1)) - 1; n < size; n = int(next.Add(1)) - 1 {
				began := time.Now()
				work(n)
				times[n] = time.Since(began)
			}
		})
	}
	wait.Wait()
	s.took += time.Since(start)
	s.process += ourselves(b) - process
	if server != nil {
		s.server += server.busy(b) - database
	}
	s.times = append(s.times, times...)
}

func (s *side) rate() float64 { return float64(len(s.times)) / s.took.Seconds() }

// slow is the 99th percentile in milliseconds.
func (s *side) slow() float64 { return slow(s.times) }

func slow(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[int(0.99*float64(len(times)-1))]) / float64(time.Millisecond)
}

// each is the processor's time for one, in microseconds.
func (s *side) each(total time.Duration) float64 {
	return float64(total.Microseconds()) / float64(len(s.times))
}

// endings are how long it took from each signal to the end of its last session.
type endings struct {
	lock  sync.Mutex
	times []time.Duration
}

func (e *endings) Ended(_ signals.Door, took time.Duration) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.times = append(e.times, took)
}

func (e *endings) Refused(signals.Door, string) {}

// floor is what no logout can do without: one RS256 verification and one committed update, in a bare handler.
func (w *world) floor(b *testing.B) http.Handler {
	b.Helper()
	if _, err := w.DB.Exec(b.Context(), `create table floor (id integer primary key, value integer not null)`); err != nil {
		b.Fatal(err)
	}
	if _, err := w.DB.Exec(b.Context(), `insert into floor select n, 0 from generate_series(0, 99999) n`); err != nil {
		b.Fatal(err)
	}
	verifier := &jwt.Verifier{Keys: w.service.Keys}
	want := jwt.Expected{Types: []string{"global-token-revocation+jwt"}, Issuers: []string{w.idp.issuer()}, Audiences: []string{w.service.LogoutURL(w.okta.ID)}}
	engine := gin.New()
	var row atomic.Int64
	engine.POST("/floor", func(c *gin.Context) {
		if _, err := verifier.Verify(c, strings.TrimPrefix(c.GetHeader("Authorization"), "Bearer "), want); err != nil {
			c.Status(http.StatusUnauthorized)
			return
		}
		if _, err := w.DB.Exec(c, `update floor set value = value + 1 where id = @id`, pgx.StrictNamedArgs{"id": row.Add(1) % 100_000}); err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
	})
	return engine
}

func call(b *testing.B, handler http.Handler, path, address, token, body string) int {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.RemoteAddr = address
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}

// BenchmarkUniversalLogout measures logouts of different people of one workspace beside the floor, in turns within
// one run and on one PostgreSQL with full durability: "ratio" is ours by the floor's. The processor's time for one
// is told apart for this process (which plays the client on both sides) and for the database; "ended-p99-ms" is from
// the signal to the end of its last session. What is left of a signal then (receipt, events, rotations) is done between
// the rounds, at "settled/s"; in the rows called settling it is done all the while, as in a gateway.
func BenchmarkUniversalLogout(b *testing.B) {
	core.Ballast()
	server := durable(b)
	for _, shared := range []int{0, 5} {
		w := newWorldOn(b, postgrestest.Database(b, server.Server, fmt.Sprint("logouts", shared), jobs.Migrate))
		w.Signals.Later = true
		handler := w.floor(b)
		for _, settling := range []bool{false, true} {
			for _, at := range []int{1, 8, 32} {
				name := fmt.Sprintf("accounts=%d/concurrency=%d", shared, at)
				if settling {
					name = fmt.Sprintf("accounts=%d/settling/concurrency=%d", shared, at)
				}
				b.Run(name, func(b *testing.B) { w.logouts(b, &server, handler, shared, at, settling) })
			}
		}
	}
}

func (w *world) logouts(b *testing.B, server *durableServer, handler http.Handler, shared, at int, settling bool) {
	const rounds = 5
	each := map[bool]int{true: 800, false: 100}[shared == 0]
	ended := &endings{}
	w.Signals.Meter = ended
	path := "/webhooks/" + w.okta.ID.String() + "/universal-logout"
	emails := w.crowd(b, (rounds+1)*each, shared)
	tokens := make([]string, len(emails))
	for n := range tokens {
		tokens[n] = w.mint(b, tokenSpec{})
	}
	w.settle(b)
	ours := func(n int) {
		if code := call(b, w.engine, path, "192.0.2.1:1", tokens[n], emailBody(emails[n])); code != http.StatusNoContent {
			b.Errorf("answered %d", code)
		}
	}
	theirs := func(n int) {
		if code := call(b, handler, "/floor", "192.0.2.1:1", tokens[n], ""); code != http.StatusNoContent {
			b.Errorf("the floor answered %d", code)
		}
	}
	rest := side{}
	settle := func() {
		began := time.Now()
		done, err := w.Signals.Settle(b.Context())
		must(b, err)
		rest.took += time.Since(began)
		rest.times = append(rest.times, make([]time.Duration, done)...)
	}
	(&side{}).work(b, server, each, at, func(n int) { ours(n); theirs(n) }) // warm
	settle()
	rest = side{}
	if settling {
		ctx, stop := context.WithCancel(b.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- w.Signals.KeepSettled(ctx) }()
		defer func() {
			stop()
			must(b, <-stopped)
		}()
	}
	b.ResetTimer()
	var mine, floor side
	ended.times = nil
	for round := 1; round <= rounds; round++ {
		mine.work(b, server, each, at, func(n int) { ours(round*each + n) })
		settle()
		floor.work(b, server, each, at, func(n int) { theirs(n) })
	}
	b.ReportMetric(mine.rate(), "logouts/s")
	b.ReportMetric(floor.rate(), "floor/s")
	b.ReportMetric(mine.rate()/floor.rate(), "ratio")
	b.ReportMetric(mine.slow(), "p99-ms")
	b.ReportMetric(floor.slow(), "floor-p99-ms")
	b.ReportMetric(slow(ended.times), "ended-p99-ms")
	b.ReportMetric(float64(ended.times[len(ended.times)/2])/float64(time.Millisecond), "ended-p50-ms")
	b.ReportMetric(mine.each(mine.process), "µs-ours")
	b.ReportMetric(mine.each(mine.server), "µs-database")
	b.ReportMetric(floor.each(floor.process), "floor-µs-ours")
	b.ReportMetric(floor.each(floor.server), "floor-µs-database")
	if !settling {
		b.ReportMetric(rest.rate(), "settled/s")
	}
	b.ReportMetric(0, "ns/op")
}

// paced is how many forged tokens a second the sender sends, at most. It lives on the same processors as the server,
// the honest client and the database: what it needs itself must not be counted as what it does to the server.
const paced = 2000

// BenchmarkForgedTokens measures what a client that sends forged tokens to one connection, right in all but the
// signature, costs honest logouts at another one: by the processor's time of a forged one beside an honest one's
// ("cost"), both without a network, and by the rate of honest ones beside a sender over a real connection ("ratio").
func BenchmarkForgedTokens(b *testing.B) {
	database := durable(b)
	w := newWorldOn(b, postgrestest.Database(b, database.Server, "forged", jobs.Migrate))
	const rounds, each = 4, 400
	emails := w.crowd(b, (2*rounds+1)*each, 0)
	tokens := make([]string, len(emails))
	for n := range tokens {
		tokens[n] = w.mint(b, tokenSpec{})
	}
	w.settle(b)
	server := httptest.NewServer(w.engine)
	defer server.Close()
	forge := func(kid string) string {
		return w.mint(b, tokenSpec{Signing: "other-key", Header: map[string]any{"kid": kid}, Claims: map[string]any{
			"jti": "j", "iss": "{{issuer}}", "sub": "{{client}}", "aud": "{{other-audience}}", "exp": "{{now+300}}", "iat": "{{now}}",
		}})
	}
	forged := map[string]string{"unknown-key": forge("forged"), "known-key": forge("rsa-1")}
	path, other := "/webhooks/"+w.okta.ID.String()+"/universal-logout", "/webhooks/"+w.other.ID.String()+"/universal-logout"
	honest := func(n int) {
		if code := call(b, w.engine, path, "198.51.100.7:1", tokens[n], emailBody(emails[n])); code != http.StatusNoContent {
			b.Errorf("answered %d", code)
		}
	}
	(&side{}).work(b, nil, each, 4, honest)
	fetches := w.idp.fetches.Load()
	begun := time.Now()
	b.ResetTimer()
	var alone, beside side
	var sent int
	for round := range rounds {
		from := (1 + 2*round) * each
		alone.work(b, &database, each, 4, func(n int) { honest(from + n) })
		stop, done := make(chan struct{}), make(chan int)
		go func() { done <- flood(server, other, forged["known-key"], stop) }()
		beside.work(b, &database, each, 4, func(n int) { honest(from + each + n) })
		close(stop)
		sent += <-done
	}
	b.ReportMetric(alone.rate(), "alone/s")
	b.ReportMetric(beside.rate(), "beside/s")
	b.ReportMetric(beside.rate()/alone.rate(), "ratio")
	b.ReportMetric(float64(sent)/beside.took.Seconds(), "forged/s")
	b.ReportMetric(float64(w.idp.fetches.Load()-fetches), "fetches")
	b.ReportMetric(time.Since(begun).Seconds(), "s")
	one := alone.each(alone.process + alone.server)
	b.ReportMetric(one, "µs-honest")
	// From one address, and from as many as there are tokens, so that no limit of an address helps.
	for name, token := range forged {
		for spread, address := range map[string]func(n int) string{
			"one":  func(int) string { return "203.0.113.9:1" },
			"many": func(n int) string { return fmt.Sprintf("10.%d.%d.%d:1", n>>16&255, n>>8&255, n&255) },
		} {
			var pest side
			pest.work(b, &database, 20_000, 4, func(n int) { call(b, w.engine, other, address(n), token, "{}") })
			cost := pest.each(pest.process + pest.server)
			b.ReportMetric(cost, "µs-"+name+"-"+spread)
			b.ReportMetric(cost/one, "cost-"+name+"-"+spread)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// flood sends a forged token again and again until it is told to stop, and returns how many it sent.
func flood(server *httptest.Server, path, token string, stop <-chan struct{}) int {
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for sent := 0; ; {
		select {
		case <-stop:
			return sent
		case <-every.C:
		}
		for range paced / 100 {
			request, _ := http.NewRequest(http.MethodPost, server.URL+path, strings.NewReader("{}"))
			request.Header.Set("Authorization", "Bearer "+token)
			if answer, err := server.Client().Do(request); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			sent++
		}
	}
}
