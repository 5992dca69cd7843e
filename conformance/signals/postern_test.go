package signals_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"postern/gateway"
)

// house is a running gateway, and a proxy before it that may corrupt what passes.
type house struct {
	url, token string
	db         *postgres.DB
	lock       sync.Mutex
	mutant     func(w http.ResponseWriter, r *http.Request, sent string, next func() *httptest.ResponseRecorder) bool
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
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.lock.Lock()
		mutant := h.mutant
		h.lock.Unlock()
		if mutant == nil {
			handler.ServeHTTP(w, r)
			return
		}
		text, _ := io.ReadAll(r.Body)
		next := func() *httptest.ResponseRecorder {
			recorder := httptest.NewRecorder()
			r.Body = io.NopCloser(bytes.NewReader(text))
			handler.ServeHTTP(recorder, r)
			return recorder
		}
		if !mutant(w, r, string(text), next) {
			copyTo(w, next())
		}
	})
	server.Start()
	t.Cleanup(server.Close)
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

func copyTo(w http.ResponseWriter, from *httptest.ResponseRecorder) {
	for name, values := range from.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(from.Code)
	_, _ = w.Write(from.Body.Bytes())
}

func (h *house) run(t *testing.T, only string) signals.Report {
	t.Helper()
	report, err := signals.Run(t.Context(), signals.Options{URL: h.url, Token: h.token, Only: only})
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
	if !report.Passed() || len(report.Left) > 0 || report.Count(signals.Skipped) > 3 {
		t.Error(text.String())
	}
	// It takes itself away: nobody it made is active, and none of its connections believes anybody.
	var active, believing int
	if err := h.db.QueryRow(t.Context(), `select (select count(*) from users where active), (select count(*) from connections where issuer <> '')`).Scan(&active, &believing); err != nil {
		t.Fatal(err)
	}
	if active != 0 || believing != 0 {
		t.Errorf("%d people and %d connections are left", active, believing)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page); err != nil || strings.Contains(page.String(), h.token) {
		t.Error(err)
	}
}

// part reads a part of the token a request carries.
func part(number int, r *http.Request, sent string) map[string]any {
	compact := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case strings.HasSuffix(r.URL.Path, "/backchannel-logout"):
		compact = strings.TrimPrefix(sent, "logout_token=")
	case strings.Contains(r.URL.Path, "/ssf/"):
		compact = sent
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[number])
	var members map[string]any
	_ = json.Unmarshal(text, &members)
	return members
}

// mutants are faults that gateways have. The vector named has to notice.
func TestPlantedFaultsAreFound(t *testing.T) {
	h := start(t)
	at := func(r *http.Request, door string) bool {
		return strings.Contains(r.URL.Path, door) && r.Method == "POST"
	}
	is := func(door string, wrong func(header, claims map[string]any) bool, status int) func(http.ResponseWriter, *http.Request, string, func() *httptest.ResponseRecorder) bool {
		return func(w http.ResponseWriter, r *http.Request, sent string, _ func() *httptest.ResponseRecorder) bool {
			if !at(r, door) || !wrong(part(0, r, sent), part(1, r, sent)) {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			return true
		}
	}
	answers := func(door string, change func(a *httptest.ResponseRecorder)) func(http.ResponseWriter, *http.Request, string, func() *httptest.ResponseRecorder) bool {
		return func(w http.ResponseWriter, r *http.Request, _ string, next func() *httptest.ResponseRecorder) bool {
			if !at(r, door) {
				return false
			}
			got := next()
			change(got)
			copyTo(w, got)
			return true
		}
	}
	code := func(from, to int) func(*httptest.ResponseRecorder) {
		return func(a *httptest.ResponseRecorder) {
			if a.Code == from {
				a.Code = to
			}
		}
	}
	const gtr, back, ssf = "/universal-logout", "/backchannel-logout", "/ssf/"
	seen := map[any]bool{}
	for _, one := range []struct {
		name, caught string
		mutant       func(http.ResponseWriter, *http.Request, string, func() *httptest.ResponseRecorder) bool
	}{
		{"believes alg none", "universal_logout/alg none", is(gtr, func(h, _ map[string]any) bool { return h["alg"] == "none" }, 204)},
		{"believes a shared secret", "universal_logout/HS256 with the public key", is(gtr, func(h, _ map[string]any) bool { return h["alg"] == "HS256" }, 204)},
		{"believes another issuer", "universal_logout/another issuer", is(gtr, func(_, c map[string]any) bool { return c["iss"] == "https://attacker.example" }, 204)},
		{"does not look at typ", "universal_logout/typ of a logout token", is(gtr, func(h, _ map[string]any) bool { return h["typ"] == "logout+jwt" }, 204)},
		{"ignores that a jti was used", "universal_logout/same jti, fresh signature", is(gtr, func(_, c map[string]any) bool {
			used := seen[c["jti"]]
			seen[c["jti"]] = true
			return used
		}, 204)},
		{"200 for 204", "universal_logout/as Okta sends it", answers(gtr, code(204, 200))},
		{"400 for 401", "universal_logout/no token", answers(gtr, code(401, 400))},
		{"204 for somebody unknown", "universal_logout/after not found", answers(gtr, code(404, 204))},
		{"no challenge", "universal_logout/not a token", answers(gtr, func(a *httptest.ResponseRecorder) { a.Header().Del("WWW-Authenticate") })},
		{"says yes and does nothing", "universal_logout/as Okta sends it", is(gtr, func(_, _ map[string]any) bool { return true }, 204)},
		{"takes a nonce", "back_channel_logout/", is(back, func(_, c map[string]any) bool { return c["nonce"] != nil }, 200)},
		{"takes what has expired", "back_channel_logout/expired", is(back, func(_, c map[string]any) bool {
			ends, _ := c["exp"].(float64)
			return ends > 0 && ends < float64(time.Now().Unix()-60)
		}, 200)},
		{"lets logouts be cached", "back_channel_logout/sub alone", answers(back, func(a *httptest.ResponseRecorder) { a.Header().Del("Cache-Control") })},
		{"200 for 202", "ssf_push/session-revoked by e-mail", answers(ssf, code(202, 200))},
		{"acknowledges and forgets", "ssf_push/session-revoked by e-mail", is(ssf, func(_, _ map[string]any) bool { return true }, 202)},
		{"has one word for every refusal", "ssf_push/another issuer", answers(ssf, func(a *httptest.ResponseRecorder) {
			a.Body = bytes.NewBuffer(bytes.ReplaceAll(a.Body.Bytes(), []byte("invalid_issuer"), []byte("invalid_request")))
		})},
		{"takes exp in an event", "ssf_push/exp", is(ssf, func(_, c map[string]any) bool { return c["exp"] != nil }, 202)},
	} {
		t.Run(one.name, func(t *testing.T) {
			if strings.HasSuffix(one.caught, "/") {
				t.Log("a whole door")
			}
			h.lock.Lock()
			h.mutant = one.mutant
			h.lock.Unlock()
			caught := h.run(t, one.caught)
			h.lock.Lock()
			h.mutant = nil
			h.lock.Unlock()
			if caught.Count(signals.Failed) == 0 {
				t.Errorf("not noticed: %s", caught.Verdict())
			}
		})
	}
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
