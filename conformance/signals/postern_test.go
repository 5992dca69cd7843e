package signals_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/signals"
	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/deploy/local/process"
	"postern/gateway"
)

// house is a running gateway, and a proxy before it that may corrupt what passes.
type house struct {
	url, token string
	db         *postgres.DB
	listen     string // of the suite's identity provider
	public     string // of a proxy before it that may corrupt what passes, too
	lock       sync.Mutex
	patience   time.Duration
	mutant     mutant
	polled     mutant
}

// through has a mutant between who asks and a handler.
func (h *house) through(handler http.Handler, of *mutant) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.lock.Lock()
		mutant := *of
		h.lock.Unlock()
		if mutant == nil {
			handler.ServeHTTP(w, r)
			return
		}
		text, _ := io.ReadAll(r.Body)
		next := func(body string) *httptest.ResponseRecorder {
			recorder := httptest.NewRecorder()
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			handler.ServeHTTP(recorder, r)
			return recorder
		}
		if !mutant(w, r, string(text), next) {
			copyTo(w, next(string(text)))
		}
	})
}

func start(t *testing.T) *house {
	t.Helper()
	h := &house{}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	database := postgrestest.URL(t, jobs.Migrate)
	server := httptest.NewUnstartedServer(nil)
	h.url = "http://" + server.Listener.Addr().String()
	config := gateway.Config{
		Roles: []string{gateway.RoleGateway}, Database: file(database), Listen: "127.0.0.1:0", PublicURL: h.url, AllowPrivate: true,
		Key: file(seal.GenerateLocalKey().Reveal()), AuditKey: file(seal.GenerateLocalKey().Reveal()), Concurrency: 3, Grace: 5 * time.Second,
	}
	if _, err := gateway.Migrate(t.Context(), config.Database); err != nil {
		t.Fatal(err)
	}
	running, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := running.Handler()
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = h.through(handler, &h.mutant)
	server.Start()
	t.Cleanup(server.Close)
	h.work(t, config)
	if h.db, err = postgres.Open(t.Context(), database, postgres.Options{MaxConnections: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.db.Close)
	people, cause := &directory.Directory{DB: h.db}, core.NewCause(core.System, time.Now())
	if err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
		workspace, err := people.CreateWorkspace(t.Context(), tx, cause, "acme", "Acme")
		if err != nil {
			return err
		}
		account, err := people.CreateServiceAccount(t.Context(), tx, cause, workspace.ID, "suite", []string{"connections:read", "connections:write", "signals:read"})
		if err != nil {
			return err
		}
		token, err := people.CreateServiceAccountToken(t.Context(), tx, cause, workspace.ID, account.ID, nil)
		h.token = token.Reveal()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return h
}

// work runs what a gateway does in its own time, and finds a place for the suite's identity provider.
func (h *house) work(t *testing.T, config gateway.Config) {
	t.Helper()
	config.Roles, config.Listen = []string{gateway.RoleWorker}, ""
	worker, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	h.listen = fmt.Sprintf("127.0.0.1:%d", port)
	proxy := httptest.NewServer(h.through(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: h.listen}), &h.polled))
	t.Cleanup(proxy.Close)
	h.public = proxy.URL
}

func copyTo(w http.ResponseWriter, from *httptest.ResponseRecorder) {
	for name, values := range from.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(from.Code)
	_, _ = w.Write(from.Body.Bytes())
}

func (h *house) run(t *testing.T, only string) signals.Report {
	t.Helper()
	report, err := signals.Run(t.Context(), signals.Options{
		URL: h.url, Token: h.token, Only: only, Listen: h.listen, Public: h.public, Patience: h.patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestPosternConforms(t *testing.T) {
	h := start(t)
	report := h.run(t, "")
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(report.Verdict(), report.Requests, "requests in", report.Seconds, "s")
	if !report.Passed() || len(report.Left) > 0 {
		t.Error(text.String())
	}
	for _, one := range report.Results {
		if elsewhere := strings.HasSuffix(one.Name, " workspace") || strings.HasSuffix(one.Name, " workspaces"); one.Outcome == signals.Skipped && !elsewhere && !strings.Contains(one.Name, "/Entra: ") {
			t.Errorf("%s was skipped: %s", one.Name, one.Reason)
		}
	}
	h.mustBeClean(t, report)
	if !strings.Contains(text.String(), fmt.Sprintf("%d of its connections, which believe nobody", len(report.Kept))) {
		t.Error("the report does not say what stays")
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil || strings.Contains(page.String(), h.token) {
		t.Error(err)
	}
}

// mustBeClean wants that nothing a run made does anything any more: what stays is history.
func (h *house) mustBeClean(t *testing.T, report signals.Report) {
	t.Helper()
	for name, query := range map[string]string{
		"active people":                       `select count(*) from users where active or deleted is null`,
		"live sessions":                       `select count(*) from sessions where ended is null`,
		"streams":                             `select count(*) from streams`,
		"hooks":                               `select count(*) from hooks`,
		"SCIM tokens and clients":             `select (select count(*) from connection_tokens) + (select count(*) from connection_clients)`,
		"connections that believe anyone":     `select count(*) from connections where issuer <> '' or client_id <> '' or client_secret <> '' or jwks_uri <> '' or logout_issuers <> '{}' or sign_in <> '{}'`,
		"connections that are loosened":       `select count(*) from connections where logout_quirks <> '{}' or provisioning <> '{}'`,
		"secrets but the workspace's own key": `select count(*) from item_versions where field <> 'signing_key'`,
	} {
		left := 1
		for began := time.Now(); left > 0 && time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) { // takers end sessions in their own time
			if err := h.db.QueryRow(t.Context(), query).Scan(&left); err != nil {
				t.Fatal(name, err)
			}
		}
		if left != 0 {
			t.Errorf("%d %s are left", left, name)
		}
	}
	// The connections stay, and all of them are named.
	rows, err := h.db.Query(t.Context(), `select id::text from connections order by created, id`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(found) == 0 || !slices.Equal(slices.Sorted(slices.Values(found)), slices.Sorted(slices.Values(report.Kept))) {
		t.Errorf("the connections are %v (%v), and %v were named", found, err, report.Kept)
	}
}

func list(value any) []any {
	found, _ := value.([]any)
	return found
}

func object(value any) map[string]any {
	found, _ := value.(map[string]any)
	return found
}

// A gateway that does not let the suite in is an error, not a failed vector.
func TestWhoMayNotIsTold(t *testing.T) {
	h := start(t)
	for name, options := range map[string]signals.Options{
		"no gateway": {URL: "nowhere", Token: h.token}, "no such vector": {URL: h.url, Token: h.token, Only: "nothing/at all"}, "a wrong token": {URL: h.url, Token: "pst_api_nobody"},
	} {
		if _, err := signals.Run(t.Context(), options); err == nil || strings.Contains(err.Error(), h.token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
