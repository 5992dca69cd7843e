package webhooks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	"postern/core/jwt"
	"postern/core/seal"
)

// crowd is people of the workspace to log out, each with a session and perhaps shared accounts.
func (w *world) crowd(b *testing.B, size, shared int) []string {
	b.Helper()
	emails := make([]string, size)
	w.tx(b, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		var app accounts.App
		var err error
		if shared > 0 {
			app, err = w.accounts.CreateApp(ctx, tx, cause, w.acme.ID, accounts.NewApp{
				Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/login", Connector: "browser",
			})
		}
		for n := range emails {
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s-%d", core.NewID(), n)
			emails[n] = name + "@example.com"
			user, err := w.directory.InsertUser(ctx, tx, directory.User{
				Workspace: w.acme.ID, Connection: w.okta.ID, UserName: name, Email: emails[n], Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			if _, _, err := w.directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
				Workspace: w.acme.ID, User: user.ID, Connection: w.okta.ID, Authenticated: time.Now(),
			}); err != nil {
				return err
			}
			for one := range shared {
				if _, err := w.accounts.CreateAccount(ctx, tx, cause, w.acme.ID, accounts.NewAccount{
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

// timed carries out work size times, by so many at once, and returns how many were done per second.
func timed(size, at int, work func(n int)) float64 {
	var next atomic.Int64
	var wait sync.WaitGroup
	start := time.Now()
	for range at {
		wait.Go(func() {
			for n := int(next.Add(1)) - 1; n < size; n = int(next.Add(1)) - 1 {
				work(n)
			}
		})
	}
	wait.Wait()
	return float64(size) / time.Since(start).Seconds()
}

// floor is what no logout can do without: one RS256 verification and one committed update, in a bare handler.
func (w *world) floor(b *testing.B) http.Handler {
	b.Helper()
	if _, err := w.db.Exec(b.Context(), `create table floor (id integer primary key, value integer not null)`); err != nil {
		b.Fatal(err)
	}
	if _, err := w.db.Exec(b.Context(), `insert into floor select n, 0 from generate_series(0, 99999) n`); err != nil {
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
		if _, err := w.db.Exec(c, `update floor set value = value + 1 where id = @id`, pgx.StrictNamedArgs{"id": row.Add(1) % 100_000}); err != nil {
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
// one run: "ratio" is ours by the floor's.
func BenchmarkUniversalLogout(b *testing.B) {
	for _, shared := range []int{0, 5} {
		for _, at := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("accounts=%d/concurrency=%d", shared, at), func(b *testing.B) {
				w := newWorld(b)
				const rounds = 4
				each := map[bool]int{true: 300, false: 60}[shared == 0]
				handler, path := w.floor(b), "/webhooks/"+w.okta.ID.String()+"/universal-logout"
				emails := w.crowd(b, (rounds+1)*each, shared)
				tokens := make([]string, len(emails))
				for n := range tokens {
					tokens[n] = w.mint(b, tokenSpec{})
				}
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
				timed(each, at, func(n int) { ours(n); theirs(n) }) // warm
				b.ResetTimer()
				var rate, floor float64
				for round := 1; round <= rounds; round++ {
					rate += timed(each, at, func(n int) { ours(round*each + n) }) / rounds
					floor += timed(each, at, func(n int) { theirs(n) }) / rounds
				}
				b.ReportMetric(rate, "logouts/s")
				b.ReportMetric(floor, "floor/s")
				b.ReportMetric(rate/floor, "ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkForgedTokens measures honest logouts at one connection with and without a client that sends forged tokens to
// another one as fast as it gets answers: over a real connection, right in all but the signature.
func BenchmarkForgedTokens(b *testing.B) {
	w := newWorld(b)
	const rounds, each = 4, 200
	emails := w.crowd(b, (2*rounds+1)*each, 0)
	tokens := make([]string, len(emails))
	for n := range tokens {
		tokens[n] = w.mint(b, tokenSpec{})
	}
	server := httptest.NewServer(w.engine)
	defer server.Close()
	forged := w.mint(b, tokenSpec{Signing: "other-key", Header: map[string]any{"kid": "forged"}, Claims: map[string]any{
		"jti": "j", "iss": "{{issuer}}", "sub": "{{client}}", "aud": "{{other-audience}}", "exp": "{{now+300}}", "iat": "{{now}}",
	}})
	path := "/webhooks/" + w.okta.ID.String() + "/universal-logout"
	honest := func(n int) {
		if code := call(b, w.engine, path, "198.51.100.7:1", tokens[n], emailBody(emails[n])); code != http.StatusNoContent {
			b.Errorf("answered %d", code)
		}
	}
	timed(each, 4, honest)
	fetches := w.idp.fetches.Load()
	begun := time.Now()
	b.ResetTimer()
	var alone, beside, flood float64
	for round := range rounds {
		from := (1 + 2*round) * each
		alone += timed(each, 4, func(n int) { honest(from + n) }) / rounds
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			sent := 0
			for {
				select {
				case <-stop:
					done <- sent
					return
				default:
				}
				request, _ := http.NewRequest(http.MethodPost, server.URL+"/webhooks/"+w.other.ID.String()+"/universal-logout", strings.NewReader("{}"))
				request.Header.Set("Authorization", "Bearer "+forged)
				if answer, err := server.Client().Do(request); err == nil {
					_ = answer.Body.Close()
				}
				sent++
			}
		}()
		start := time.Now()
		beside += timed(each, 4, func(n int) { honest(from + each + n) }) / rounds
		close(stop)
		flood += float64(<-done) / time.Since(start).Seconds() / rounds
	}
	b.ReportMetric(alone, "alone/s")
	b.ReportMetric(beside, "beside/s")
	b.ReportMetric(beside/alone, "ratio")
	b.ReportMetric(flood, "forged/s")
	b.ReportMetric(float64(w.idp.fetches.Load()-fetches), "fetches")
	b.ReportMetric(time.Since(begun).Seconds(), "s")
	b.ReportMetric(0, "ns/op")
}
