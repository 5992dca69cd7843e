package signals_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
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

// mutant does what a gateway with a fault does. It reports whether it has answered.
type mutant func(w http.ResponseWriter, r *http.Request, sent string, next func(body string) *httptest.ResponseRecorder) bool

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
	partstest.Long(t, "the suite, once for each fault")
	h := start(t)
	at := func(r *http.Request, door string) bool {
		return strings.Contains(r.URL.Path, door) && r.Method == "POST"
	}
	is := func(door string, wrong func(header, claims map[string]any) bool, status int) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, _ func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) || !wrong(part(0, r, sent), part(1, r, sent)) {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			return true
		}
	}
	answers := func(door string, change func(a *httptest.ResponseRecorder)) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) {
				return false
			}
			got := next(sent)
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
	when := func(door string, wrong func(r *http.Request, sent string) bool, status int) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, _ func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) || !wrong(r, sent) {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			return true
		}
	}
	const gtr, back, ssf = "/universal-logout", "/backchannel-logout", "/ssf/"
	const okta, graph, standard, signed = "/okta", "/graph", "/standard/", "/signed/"
	seen := map[any]bool{}
	told := map[any]any{} // the events of each jti
	framed := func(answer func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder)) mutant {
		return func(w http.ResponseWriter, r *http.Request, _ string, next func(string) *httptest.ResponseRecorder) bool {
			if !strings.HasSuffix(r.URL.Path, "/frontchannel-logout") {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			answer(w, r, next)
			return true
		}
	}
	for _, one := range []struct {
		name, caught string
		mutant       mutant
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
		{"takes a jti again for another event", "ssf_push/jti again, for another event", is(ssf, func(_, c map[string]any) bool {
			before, used := told[c["jti"]]
			told[c["jti"]] = fmt.Sprint(c["events"])
			return used && before != told[c["jti"]]
		}, 202)},
		{"reads a claim that is there twice", "ssf_push/a claim twice", answers(ssf, code(400, 202))},
		{"logs out whoever has the address", "ssf_push/same e-mail at another connection", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.URL.Path != "/sessions" {
				return false
			}
			w.WriteHeader(401)
			return true
		}},

		{"frames and does nothing", "front_channel_logout/iss and sid", framed(func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "sid-1", "sid-7", 1)
			copyTo(w, next(""))
		})},
		{"takes the last sid", "front_channel_logout/sid twice", framed(func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "sid=sid-2&", "", 1)
			copyTo(w, next(""))
		})},
		{"believes any issuer", "front_channel_logout/another issuer", framed(func(w http.ResponseWriter, _ *http.Request, next func(string) *httptest.ResponseRecorder) {
			got := next("")
			code(403, 200)(got)
			copyTo(w, got)
		})},
		{"lets anybody frame it", "front_channel_logout/escaped", framed(func(w http.ResponseWriter, _ *http.Request, next func(string) *httptest.ResponseRecorder) {
			got := next("")
			got.Header().Set("Content-Security-Policy", "default-src 'none'")
			copyTo(w, got)
		})},
		{"does not look at whose sid", "front_channel_logout/at another connection", framed(func(w http.ResponseWriter, _ *http.Request, _ func(string) *httptest.ResponseRecorder) {
			w.WriteHeader(200)
		})},

		{"forgets Okta's challenge", "okta_event_hook/challenge", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.Header.Get("X-Okta-Verification-Challenge") == "" {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write([]byte(`{"verification":"ok"}`))
			return true
		}},
		{"believes a hook without its key", "okta_event_hook/no key", when(okta, func(r *http.Request, _ string) bool { return r.Header.Get("Authorization") == "" }, 204)},
		{"takes events and forgets", "okta_event_hook/sessions cleared", when(okta, func(*http.Request, string) bool { return true }, 204)},
		{"counts a delivery and not its events", "okta_event_hook/same event in another delivery", func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, okta) {
				return false
			}
			copyTo(w, next(strings.ReplaceAll(sent, `"uuid":"`, `"uuid":"`+rand.Text())))
			return true
		}},
		{"reads what can be read in two ways", "okta_event_hook/duplicate members", answers(okta, code(400, 204))},

		{"echoes markup", "graph/validation token with markup", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.URL.Query().Get("validationToken") == "" {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(r.URL.Query().Get("validationToken")))
			return true
		}},
		{"believes any client state", "graph/client state wrong", answers(graph, code(401, 202))},
		{"takes notifications and forgets", "graph/somebody was disabled", when(graph, func(r *http.Request, _ string) bool { return r.URL.RawQuery == "" }, 202)},
		{"believes another tenant", "graph/wrong tenant", when(graph, func(_ *http.Request, sent string) bool { return strings.Contains(sent, "11111111-") }, 202)},
		{"takes every change for a departure", "graph/a change of the profile", func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, graph) {
				return false
			}
			copyTo(w, next(strings.ReplaceAll(sent, `"changeType":"updated"`, `"changeType":"deleted"`)))
			return true
		}},

		{"does not look at the time", "standard_webhook/old timestamp", when(standard, func(r *http.Request, _ string) bool {
			at, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
			return err == nil && time.Since(time.Unix(at, 0)) > 5*time.Minute
		}, 204)},
		{"looks at the first signature alone", "standard_webhook/several signatures, one right", when(standard, func(r *http.Request, _ string) bool { return strings.Contains(r.Header.Get("Webhook-Signature"), " ") }, 401)},
		{"does not look at the version", "standard_webhook/wrong prefix", when(standard, func(r *http.Request, _ string) bool {
			return strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v2,")
		}, 204)},
		{"takes one id for many messages", "standard_webhook/replayed id with another body", answers(standard, code(401, 204))},
		{"forgets that a secret was changed", "standard_webhook/secret that was changed without an overlap", answers(standard, code(401, 204))},

		{"does not hash the body", "signed_webhook/jwt, another body", answers(signed, code(401, 204))},
		{"believes a token without its hash", "signed_webhook/jwt, no hash", is(signed, func(_, c map[string]any) bool { return c != nil && c["request_body_sha256"] == nil }, 204)},
		{"believes an unsigned token", "signed_webhook/jwt, alg none", is(signed, func(h, _ map[string]any) bool { return h["alg"] == "none" }, 204)},
		{"says yes and does nothing to a template", "signed_webhook/template", when(signed, func(*http.Request, string) bool { return true }, 204)},
	} {
		t.Run(one.name, func(t *testing.T) {
			h.find(t, one.caught, &h.mutant, one.mutant)
		})
	}
	for _, one := range []struct {
		name, caught string
		polled       func(asked map[string]any) bool // false: the gateway is answered that there is nothing
	}{
		{"acknowledges what it refuses", "ssf_poll/another issuer", func(asked map[string]any) bool {
			for key := range object(asked["setErrs"]) {
				asked["ack"] = append(list(asked["ack"]), key)
			}
			delete(asked, "setErrs")
			return true
		}},
		{"refuses what it should take", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			errs := map[string]any{}
			for _, key := range list(asked["ack"]) {
				errs[key.(string)] = map[string]string{"err": "invalid_request", "description": "no"}
			}
			asked["setErrs"] = errs
			delete(asked, "ack")
			return true
		}},
		{"never acknowledges", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			delete(asked, "ack")
			return true
		}},
		{"has one word for every refusal of a poll", "ssf_poll/another audience", func(asked map[string]any) bool {
			for key := range object(asked["setErrs"]) {
				object(asked["setErrs"])[key] = map[string]string{"err": "invalid_request", "description": "no"}
			}
			return true
		}},
		{"acknowledges a token it never looked at", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			asked["returnImmediately"] = false
			return false
		}},
	} {
		t.Run(one.name, func(t *testing.T) {
			h.find(t, one.caught, &h.polled, func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
				asked := map[string]any{}
				if !strings.Contains(r.URL.Path, "/poll/") || json.Unmarshal([]byte(sent), &asked) != nil {
					return false
				}
				passes := one.polled(asked)
				for {
					body, _ := json.Marshal(asked)
					got := next(string(body))
					if passes || got.Code != 200 {
						copyTo(w, got)
						return true
					}
					// What comes is acknowledged by somebody who did not look at it.
					var said struct {
						Sets map[string]string `json:"sets"`
					}
					_ = json.Unmarshal(got.Body.Bytes(), &said)
					acks := []any{}
					for key := range said.Sets {
						acks = append(acks, key)
					}
					if asked["ack"] = acks; len(acks) == 0 {
						_, _ = w.Write([]byte(`{"sets":{}}`))
						return true
					}
				}
			})
		})
	}
}

// find plants a fault and wants a vector to find it.
func (h *house) find(t *testing.T, vector string, where *mutant, planted mutant) {
	t.Helper()
	set := func(planted mutant) {
		h.lock.Lock()
		defer h.lock.Unlock()
		*where = planted
	}
	h.patience = 10 * time.Second
	set(planted)
	caught := h.run(t, vector)
	set(nil)
	if caught.Count(signals.Failed) == 0 {
		t.Errorf("not noticed: %s", caught.Verdict())
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
