package hooks_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/vault"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
)

// world is a gateway with two workspaces, each with one connection and two people.
type world struct {
	db        *postgres.DB
	directory *directory.Directory
	signals   *signals.Signals
	service   *hooks.Service
	gateway   *httptest.Server
	ahead     atomic.Int64

	acme, globex house
}

type house struct {
	workspace  directory.Workspace
	connection directory.Connection
	ana, ben   directory.User
	sessions   map[core.ID]seal.Secret
}

const issuer = "https://idp.example.com"

func newWorld(t testing.TB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	w := &world{db: db}
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	engine := gin.New()
	w.gateway = httptest.NewServer(engine)
	t.Cleanup(w.gateway.Close)
	w.directory = &directory.Directory{DB: db, Now: now}
	safe := &vault.Vault{DB: db, Keys: key, Now: now}
	logins := &accounts.Accounts{DB: db, Vault: safe, Directory: w.directory, Now: now}
	rotations := &rotation.Rotations{DB: db, Accounts: logins, Queue: queue, Now: now}
	w.signals = &signals.Signals{
		DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations, PublicURL: w.gateway.URL, Now: now,
		Lifecycle: &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations, Now: now},
	}
	w.service = &hooks.Service{
		DB: db, Directory: w.directory, Signals: w.signals, Vault: safe, Keys: &keys.Cache{HTTP: http.DefaultClient}, HTTP: http.DefaultClient, PublicURL: w.gateway.URL, Now: now,
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret("by-reference"), nil },
	}
	w.service.Mount(engine)
	w.acme, w.globex = w.house(t, "acme"), w.house(t, "globex")
	return w
}

func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	h := house{sessions: map[core.ID]seal.Secret{}}
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if h.workspace, err = w.directory.CreateWorkspace(ctx, tx, cause(), slug, slug); err != nil {
			return err
		}
		h.connection, err = w.directory.CreateConnection(ctx, tx, cause(), h.workspace.ID, directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: issuer, Provisioning: directory.Provisioning{GuardFloor: -1}})
		return err
	})
	h.ana, h.ben = w.person(t, &h, "ana"), w.person(t, &h, "ben")
	return h
}

func (w *world) person(t testing.TB, h *house, name string) directory.User {
	t.Helper()
	var user directory.User
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if user, err = w.directory.InsertUser(ctx, tx, directory.User{
			Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: name + "@example.com", Email: name + "@example.com", ExternalID: "00u-" + name, DisplayName: name,
			Active: true, Role: directory.RoleUser,
		}); err != nil {
			return err
		}
		return w.directory.LinkIdentity(ctx, tx, h.workspace.ID, h.connection.ID, issuer, "sub-"+name, user.ID)
	})
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		_, h.sessions[user.ID], err = w.directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
			Workspace: h.workspace.ID, User: user.ID, Connection: h.connection.ID, Authenticated: time.Now(),
		})
		return err
	})
	return user
}

func (w *world) signedIn(t testing.TB, h house, user directory.User) bool {
	t.Helper()
	_, _, err := w.directory.Authenticate(t.Context(), h.sessions[user.ID])
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

func (w *world) do(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	must(t, w.db.Tx(t.Context(), func(tx pgx.Tx) error { return work(t.Context(), tx) }))
}

func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

func (w *world) create(t testing.TB, h house, wanted hooks.NewHook) hooks.Made {
	t.Helper()
	wanted.Connection = h.connection.ID
	if wanted.Name == "" {
		wanted.Name = "hook"
	}
	made, err := w.service.Create(t.Context(), cause(), h.workspace.ID, wanted)
	must(t, err)
	return made
}

func (w *world) hook(t testing.TB, h house, id core.ID) hooks.Hook {
	t.Helper()
	found, err := w.service.Hook(t.Context(), w.db, h.workspace.ID, id)
	must(t, err)
	return found
}

// post sends a message and returns the status.
func (w *world) post(t testing.TB, address, body string, header map[string]string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	must(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

// receipts are those of a workspace, oldest first.
func (w *world) receipts(t testing.TB, h house) []signals.Kept {
	t.Helper()
	found, err := w.signals.List(t.Context(), w.db, h.workspace.ID, signals.Query{Limit: 500})
	must(t, err)
	out := make([]signals.Kept, 0, len(found))
	for i := range found {
		out = append(out, found[len(found)-1-i])
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
