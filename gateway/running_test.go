package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
	"postern/gateway"
)

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	h := buildApart(t)
	handler := h.handler(t)
	ready := func() (int, string, map[string]string) {
		t.Helper()
		answer, body := ask(t, handler, "GET", "/readyz", nil)
		var read struct {
			Status string            `json:"status"`
			Parts  map[string]string `json:"parts"`
		}
		if err := json.Unmarshal([]byte(body), &read); err != nil {
			t.Fatal(err, body)
		}
		return answer.StatusCode, read.Status, read.Parts
	}
	if status, state, parts := ready(); status != 200 || state != "ready" || parts["database"] != "ready" {
		t.Errorf("%d %s %v", status, state, parts)
	}
	const forget, restore = `delete from schema_migrations where name like '0001%' returning checksum`, `insert into schema_migrations (name, checksum) values ('0001_directory.sql', $1)`
	var checksum string
	if err := h.db.QueryRow(t.Context(), forget).Scan(&checksum); err != nil {
		t.Fatal(err)
	}
	if status, state, parts := ready(); status != 503 || state != "not ready" || !strings.Contains(parts["schema"], "postern migrate") || parts["database"] != "ready" {
		t.Errorf("with an older schema: %d %s %v", status, state, parts)
	}
	if _, err := h.db.Exec(t.Context(), restore, checksum); err != nil {
		t.Fatal(err)
	}
	if status, _, parts := ready(); status != 200 {
		t.Errorf("migrated: %d %v", status, parts)
	}
	for _, rename := range []string{"river_migration rename to river_migration_away", "river_migration_away rename to river_migration"} {
		if _, err := h.db.Exec(t.Context(), "alter table "+rename); err != nil {
			t.Fatal(err)
		}
		away := strings.HasSuffix(rename, "_away")
		if status, _, parts := ready(); (status != 503) == away || strings.Contains(parts["schema"], "postern migrate") != away {
			t.Errorf("River's tables, %s: %d %v", rename, status, parts)
		}
	}
	if err := h.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if status, state, parts := ready(); status != 503 || state != "not ready" || parts["database"] != "not available" {
		t.Errorf("without the database: %d %s %v", status, state, parts)
	}
	if answer, _ := ask(t, handler, "GET", "/healthz", nil); answer.StatusCode != 200 {
		t.Errorf("not alive without the database: %d", answer.StatusCode)
	}
	answer, body := ask(t, handler, "GET", "/api/v1/users", nil, "Authorization", "Bearer "+h.api)
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || !strings.Contains(body, `"code":"unavailable"`) {
		t.Errorf("the API without the database: %d, Retry-After %q, %s", answer.StatusCode, answer.Header.Get("Retry-After"), body)
	}
	if err := h.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is ready again", func() bool { status, _, _ := ready(); return status == 200 })
}

// dial opens a connection of its own and sends what is given.
func dial(t *testing.T, address, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	return connection, bufio.NewReader(connection)
}

func TestAStopLetsRequestsFinish(t *testing.T) {
	h := build(t, func(c *gateway.Config) { c.Drain = 3 * time.Second })
	address, stop := h.start(t)

	// A request whose body is still on its way, and a page that is looked at live.
	body := `{"name":"Wiki","domains":["wiki.example.com"],"sign_in_url":"https://wiki.example.com/"}`
	slow, slowAnswer := dial(t, address, fmt.Sprintf("POST /api/v1/apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		h.api, len(body), body[:10]))
	_, live := dial(t, address, fmt.Sprintf("GET /activity/stream HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", h.cookie))
	stream, err := http.ReadResponse(live, nil)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(err, stream)
	}

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	eventually(t, "readiness ends while the listener is still open", func() bool {
		answer, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			t.Fatalf("the listener closed first: %v", err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode == 503 && strings.Contains(string(text), `"stopping"`)
	})
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the live page was cut off instead of ended: %v", err)
	}
	eventually(t, "no new connection is taken", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(slow, body[10:]); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(slowAnswer, nil)
	if err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("the request under way: %v %v", answer, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Whoever uses a connection again and again, as identity providers do, is told by an answer that it ends: no request
// meets a connection that is gone.
func TestAStopCutsNoRequestOff(t *testing.T) {
	h := build(t, func(*gateway.Config) {})
	address, stop := h.start(t)
	const connections = 8
	var answered, told atomic.Int64
	var all sync.WaitGroup
	for range connections {
		connection, answers := dial(t, address, "")
		all.Go(func() {
			for {
				if _, err := io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Error(err)
					return
				}
				answer, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Errorf("a request was cut off: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answered.Add(1)
				if answer.Close {
					told.Add(1)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	eventually(t, "all of them are used", func() bool { return answered.Load() >= 5*connections })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	all.Wait()
	if told.Load() != connections {
		t.Errorf("%d of %d connections were told", told.Load(), connections)
	}
}

// A client that never finishes holds a stop up for the grace period and no longer.
func TestTheGracePeriodEnds(t *testing.T) {
	h := build(t, func(c *gateway.Config) { c.Grace = 100 * time.Millisecond })
	address, stop := h.start(t)
	_, answer := dial(t, address, fmt.Sprintf("POST /api/v1/apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", h.api))
	// It is under way once the token was looked up.
	eventually(t, "the request is under way", func() bool {
		var used bool
		err := h.db.QueryRow(t.Context(), `select exists (select from service_account_tokens where last_used is not null)`).Scan(&used)
		return err == nil && used
	})
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got, err := http.ReadResponse(answer, nil); err == nil && got.StatusCode < 400 {
		t.Errorf("half a request was answered with %d", got.StatusCode)
	}
}

func TestLimitsOfAConnection(t *testing.T) {
	h := build(t, nil)
	address, _ := h.start(t)
	_, answer := dial(t, address, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	if got, err := http.ReadResponse(answer, nil); err != nil || got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers of 64 KiB: %v %v", got, err)
	}
}

// A process without the role gateway answers its orchestrator and nobody else.
func TestOtherRolesAnswerTheirOrchestrator(t *testing.T) {
	h := build(t, func(c *gateway.Config) { c.Roles, c.Kafka = []string{gateway.RoleSink}, []string{"127.0.0.1:1"} })
	address, stop := h.start(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/api/v1/users": 404, "/scim/v2/Users": 404, "/": 404, "/sign-in": 404} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWhatKeepsItFromStarting(t *testing.T) {
	h := buildApart(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	config := h.config
	config.Listen = busy.Addr().String()
	second, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), busy.Addr().String()) {
		t.Errorf("an address in use: %v", err)
	}
	address, err := h.server.Database(context.WithoutCancel(t.Context()), "empty")
	if err != nil {
		t.Fatal(err)
	}
	config.Database = secretFile(t, address)
	if _, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler)); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "postern migrate") {
		t.Errorf("a database without a schema: %v", err)
	}
	if err := h.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler)); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("a database that is down: %v", err)
	}
}
