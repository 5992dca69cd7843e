package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/deploy/local/postgresql"
	"postern/gateway"
	"postern/gateway/api"
)

// house is a database with one workspace, and a gateway before it.
type house struct {
	server    *postgresql.Server // of buildApart
	config    gateway.Config
	db        *postgres.DB
	gateway   *gateway.Gateway
	log       *journal
	workspace directory.Workspace
	user      directory.User
	cookie    string // of the user, an owner
	api, scim string // tokens
	logout    string // path of the connection's Universal Logout
}

// journal is a log that can be read while it is written.
type journal struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.lock.Lock()
	defer j.lock.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.lock.Lock()
	defer j.lock.Unlock()
	return j.text.String()
}

// find gives a fact of the first line with a message.
func (j *journal) find(message, fact string) string {
	for line := range strings.Lines(j.String()) {
		var read map[string]any
		if json.Unmarshal([]byte(line), &read) == nil && read["msg"] == message {
			text, _ := read[fact].(string)
			return text
		}
	}
	return ""
}

// build makes a house on the tests' common server.
func build(t *testing.T, change func(c *gateway.Config)) *house {
	t.Helper()
	h := &house{log: &journal{}}
	h.open(t, postgrestest.URL(t, jobs.Migrate), change)
	return h
}

// buildApart makes a house with a server of its own, which can be stopped.
func buildApart(t *testing.T) *house {
	t.Helper()
	folder, err := os.MkdirTemp("", "postern-gateway-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	h := &house{log: &journal{}}
	ctx := context.WithoutCancel(t.Context())
	h.server, err = postgresql.Start(ctx, postgresql.Options{Folder: folder + "/data", Settings: map[string]string{"fsync": "off"}})
	if err != nil && core.KindOf(err) == core.KindNotFound && os.Getenv("POSTERN_TEST_REQUIRE") != "1" {
		t.Skipf("skipped: PostgreSQL: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.server.Stop() })
	address, err := h.server.Database(ctx, "postern")
	if err != nil {
		t.Fatal(err)
	}
	h.open(t, address, nil)
	return h
}

func (h *house) open(t *testing.T, address string, change func(c *gateway.Config)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	h.config = goodConfig(t)
	h.config.Roles, h.config.Database = []string{gateway.RoleGateway}, secretFile(t, address)
	h.config.AllowPrivate = true
	if change != nil {
		change(&h.config)
	}
	if _, err := gateway.Migrate(ctx, h.config.Database); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.db, err = postgres.Open(ctx, address, postgres.Options{MaxConnections: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.db.Close)
	h.fill(t)
	if h.gateway, err = gateway.New(ctx, h.config, slog.New(slog.NewJSONHandler(h.log, nil))); err != nil {
		t.Fatal(err)
	}
}

func (h *house) fill(t *testing.T) {
	t.Helper()
	ctx, people, cause := t.Context(), &directory.Directory{DB: h.db}, core.NewCause(core.System, time.Now())
	err := h.db.Tx(ctx, func(tx pgx.Tx) (err error) {
		if h.workspace, err = people.CreateWorkspace(ctx, tx, cause, "acme", "Acme"); err != nil {
			return err
		}
		connection, err := people.CreateConnection(ctx, tx, cause, h.workspace.ID, directory.NewConnection{Name: "Okta", Kind: directory.Okta})
		if err != nil {
			return err
		}
		h.logout = "/webhooks/" + connection.ID.String() + "/universal-logout"
		scim, err := people.CreateConnectionToken(ctx, tx, cause, h.workspace.ID, connection.ID, nil)
		if err != nil {
			return err
		}
		account, err := people.CreateServiceAccount(ctx, tx, cause, h.workspace.ID, "scripts", api.Scopes())
		if err != nil {
			return err
		}
		token, err := people.CreateServiceAccountToken(ctx, tx, cause, h.workspace.ID, account.ID, nil)
		if err != nil {
			return err
		}
		h.api, h.scim = token.Reveal(), scim.Reveal()
		if h.user, err = people.InsertUser(ctx, tx, directory.User{
			Workspace: h.workspace.ID, Connection: connection.ID, UserName: "ana", Active: true, Role: directory.RoleOwner,
		}); err != nil {
			return err
		}
		_, session, err := people.StartSession(ctx, tx, cause, directory.NewSession{
			Workspace: h.workspace.ID, User: h.user.ID, Connection: connection.ID, Authenticated: time.Now(),
		})
		h.cookie = "__Host-postern=" + session.Reveal()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// handler is the HTTP surface without a network.
func (h *house) handler(t *testing.T) http.Handler {
	t.Helper()
	handler, err := h.gateway.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// ask sends one request to a handler.
func ask(t *testing.T, handler http.Handler, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	return send(t, handler, httptest.NewRequest(method, path, body), headers)
}

// start runs the gateway and gives its address; stop ends it and gives what Run returned.
func (h *house) start(t *testing.T) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.gateway.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	eventually(t, "it listens", func() bool { return h.log.find("listening", "address") != "" })
	return h.log.find("listening", "address"), stop
}

// eventually asks until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// askWith is ask with a body whose length is told as given; -1 is not at all.
func askWith(t *testing.T, handler http.Handler, method, path string, body io.Reader, length int64, headers ...string) (*http.Response, string) {
	t.Helper()
	request := httptest.NewRequest(method, path, body)
	request.ContentLength = length
	return send(t, handler, request, headers)
}

// askFrom is a GET from an address.
func askFrom(t *testing.T, handler http.Handler, address, path string, headers ...string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.RemoteAddr = address
	send(t, handler, request, headers)
}

func send(t *testing.T, handler http.Handler, request *http.Request, headers []string) (*http.Response, string) {
	t.Helper()
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	text, err := io.ReadAll(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Result(), string(text)
}
