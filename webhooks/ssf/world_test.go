package ssf_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// world is a gateway with two workspaces, and a transmitter that both have a connection to.
type world struct {
	*coretest.Core
	service *ssf.Service
	gateway *httptest.Server
	tx      *transmitter
	ahead   atomic.Int64 // how far the service's clock is ahead

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
	w := &world{tx: newTransmitter(t)}
	engine := gin.New()
	w.gateway = httptest.NewServer(engine)
	t.Cleanup(w.gateway.Close)
	w.Core = coretest.Open(t, w.now)
	w.Signals.PublicURL = w.gateway.URL
	w.service = w.process(w.tx.Client())
	w.service.Mount(engine)
	w.acme, w.globex = w.house(t, "acme", "ana@example.com"), w.house(t, "globex", "gus@example.com")
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// process is another process of the same gateway.
func (w *world) process(client *http.Client) *ssf.Service {
	return &ssf.Service{
		DB: w.DB, Directory: w.Directory, Signals: w.Signals, Vault: w.Vault, Keys: &keys.Cache{HTTP: w.tx.Client()}, HTTP: client, PublicURL: w.gateway.URL,
		Now: w.now, Log: slog.New(slog.DiscardHandler),
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret(clientSecret), nil },
		Pace:       ssf.Pace{Every: 20 * time.Millisecond, Slow: 30 * time.Millisecond, Longest: 50 * time.Millisecond, Lease: 2 * time.Second, Look: 10 * time.Millisecond},
	}
}

func (w *world) house(t testing.TB, slug, email string) house {
	t.Helper()
	h := house{sessions: map[core.ID]seal.Secret{}}
	h.workspace, h.connection = w.Workspace(t, slug, directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: w.tx.issuer(), Provisioning: directory.Provisioning{GuardFloor: -1}})
	h.ana, h.ben = w.person(t, &h, "ana", email), w.person(t, &h, "ben", "ben@"+slug+".example")
	return h
}

func (w *world) person(t testing.TB, h *house, name, email string) directory.User {
	t.Helper()
	user := w.Person(t, h.connection, directory.User{UserName: name, Email: email, ExternalID: "ext-" + name, DisplayName: name})
	w.signIn(t, h, user)
	return user
}

func (w *world) signIn(t testing.TB, h *house, user directory.User) {
	t.Helper()
	h.sessions[user.ID] = w.SignIn(t, user)
}

func (w *world) signedIn(t testing.TB, h house, user directory.User) bool {
	t.Helper()
	return w.SignedIn(t, h.sessions[user.ID])
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
	found, err := w.service.Stream(t.Context(), w.DB, h.workspace.ID, id)
	must(t, err)
	return found
}

// events are the events of a type, of one workspace, that are not yet sequenced.
func (w *world) events(t testing.TB, h house, kind core.EventType) []core.Event {
	t.Helper()
	rows, err := w.DB.Query(t.Context(), `select event from audit_outbox where workspace_id = @workspace and type = @type order by xid, number`,
		pgx.StrictNamedArgs{"workspace": h.workspace.ID, "type": kind})
	must(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[core.Event])
	must(t, err)
	return events
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
