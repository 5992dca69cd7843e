package ssf_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// world is a gateway with two workspaces, and a transmitter that both have a connection to.
type world struct {
	db        *postgres.DB
	directory *directory.Directory
	signals   *signals.Signals
	service   *ssf.Service
	gateway   *httptest.Server
	tx        *transmitter
	ahead     atomic.Int64 // how far the service's clock is ahead

	acme, globex house
}

// house is a workspace with one connection and two people.
type house struct {
	workspace  directory.Workspace
	connection directory.Connection
	ana, ben   directory.User
	sessions   map[core.ID]seal.Secret
}

func newWorld(t testing.TB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	w := &world{db: db, tx: newTransmitter(t)}
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
	w.service = w.process(w.tx.Client())
	w.service.Vault, w.service.Now = safe, now
	w.service.Mount(engine)
	w.acme, w.globex = w.house(t, "acme", "ana@example.com"), w.house(t, "globex", "gus@example.com")
	return w
}

// process is another process of the same gateway.
func (w *world) process(client *http.Client) *ssf.Service {
	made := &ssf.Service{
		DB: w.db, Directory: w.directory, Signals: w.signals, Keys: &keys.Cache{HTTP: w.tx.Client()}, HTTP: client, PublicURL: w.gateway.URL,
		Log:        slog.New(slog.DiscardHandler),
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret(clientSecret), nil },
		Pace:       ssf.Pace{Every: 20 * time.Millisecond, Slow: 30 * time.Millisecond, Longest: 50 * time.Millisecond, Lease: 2 * time.Second, Look: 10 * time.Millisecond},
	}
	if w.service != nil {
		made.Vault, made.Now = w.service.Vault, w.service.Now
	}
	return made
}

func (w *world) house(t testing.TB, slug, email string) house {
	t.Helper()
	h := house{sessions: map[core.ID]seal.Secret{}}
	cause := core.NewCause(core.System, time.Now())
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if h.workspace, err = w.directory.CreateWorkspace(ctx, tx, cause, slug, slug); err != nil {
			return err
		}
		if _, err := w.service.Vault.Prepare(ctx, tx, h.workspace.ID); err != nil {
			return err
		}
		h.connection, err = w.directory.CreateConnection(ctx, tx, cause, h.workspace.ID, directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: w.tx.issuer(), Provisioning: directory.Provisioning{GuardFloor: -1}})
		return err
	})
	h.ana, h.ben = w.person(t, &h, "ana", email), w.person(t, &h, "ben", "ben@"+slug+".example")
	return h
}

func (w *world) person(t testing.TB, h *house, name, email string) directory.User {
	t.Helper()
	var user directory.User
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if user, err = w.directory.InsertUser(ctx, tx, directory.User{
			Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: name, Email: email, ExternalID: "ext-" + name, DisplayName: name,
			Active: true, Role: directory.RoleUser,
		}); err != nil {
			return err
		}
		return w.directory.LinkIdentity(ctx, tx, h.workspace.ID, h.connection.ID, w.tx.issuer(), "sub-"+name, user.ID)
	})
	w.signIn(t, h, user)
	return user
}

func (w *world) signIn(t testing.TB, h *house, user directory.User) {
	t.Helper()
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		_, h.sessions[user.ID], err = w.directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
			Workspace: h.workspace.ID, User: user.ID, Connection: h.connection.ID, Authenticated: time.Now(),
		})
		return err
	})
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

// cause is an administrator's.
func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

// wanted is a stream with OAuth client credentials.
func (w *world) wanted(h house, delivery ssf.Delivery) ssf.NewStream {
	return ssf.NewStream{
		Connection: h.connection.ID, Delivery: delivery, Issuer: w.tx.issuer(), Description: "Postern " + h.workspace.Slug,
		Access: ssf.Access{Method: ssf.MethodClientSecretBasic, ClientID: h.workspace.Slug},
		Secret: seal.NewSecret(clientSecret),
	}
}

func (w *world) create(t testing.TB, h house, wanted ssf.NewStream) ssf.Stream {
	t.Helper()
	made, err := w.service.Create(t.Context(), cause(), h.workspace.ID, wanted)
	must(t, err)
	return made.Stream
}

func (w *world) stream(t testing.TB, h house, id core.ID) ssf.Stream {
	t.Helper()
	found, err := w.service.Stream(t.Context(), w.db, h.workspace.ID, id)
	must(t, err)
	return found
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

// events are the events of a type, of one workspace, that are not yet sequenced.
func (w *world) events(t testing.TB, h house, kind core.EventType) []core.Event {
	t.Helper()
	rows, err := w.db.Query(t.Context(), `select event from audit_outbox where workspace_id = @workspace and type = @type order by xid, number`,
		pgx.StrictNamedArgs{"workspace": h.workspace.ID, "type": kind})
	must(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[core.Event])
	must(t, err)
	return events
}

// until waits for a condition, as long as a test may take.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
