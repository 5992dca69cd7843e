package outgoing_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/vault"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

// world is two workspaces whose events are told to one receiver of webhooks.
type world struct {
	db         *postgres.DB
	service    *outgoing.Service
	deliveries *delivery.Deliveries
	follower   *delivery.Follower
	sequencer  *audit.Sequencer
	ahead      atomic.Int64
	receiver   *receiver

	acme, globex core.ID
}

// got is a request as the receiver got it.
type got struct {
	path   string
	header http.Header
	body   []byte
}

// receiver answers what it is told to, and keeps everything.
type receiver struct {
	*httptest.Server
	lock   sync.Mutex
	all    []got
	answer func(got) (status int, retryAfter string)
}

func (r *receiver) take() []got {
	r.lock.Lock()
	defer r.lock.Unlock()
	taken := r.all
	r.all = nil
	return taken
}

func (r *receiver) says(answer func(got) (int, string)) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.answer = answer
}

func status(code int) func(got) (int, string) { return func(got) (int, string) { return code, "" } }

func newWorld(t testing.TB) *world {
	t.Helper()
	db := postgrestest.Open(t)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	w := &world{db: db, receiver: &receiver{answer: status(204)}}
	w.receiver.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		one := got{r.URL.Path, r.Header.Clone(), body}
		w.receiver.lock.Lock()
		w.receiver.all = append(w.receiver.all, one)
		code, after := w.receiver.answer(one)
		w.receiver.lock.Unlock()
		if after != "" {
			rw.Header().Set("Retry-After", after)
		}
		if code == 302 {
			rw.Header().Set("Location", "/elsewhere")
		}
		rw.WriteHeader(code)
	}))
	t.Cleanup(w.receiver.Close)
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	w.service = w.process(now, &vault.Vault{DB: db, Keys: key, Now: now})
	w.deliveries = w.service.Deliveries
	w.follower = &delivery.Follower{Deliveries: w.deliveries, Listeners: []delivery.Listener{w.service}}
	w.sequencer = &audit.Sequencer{DB: db, Now: now, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.sequencer.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	people := &directory.Directory{DB: db, Now: now}
	must(t, db.Tx(t.Context(), func(tx pgx.Tx) error {
		for slug, id := range map[string]*core.ID{"acme": &w.acme, "globex": &w.globex} {
			made, err := people.CreateWorkspace(t.Context(), tx, cause(), slug, slug)
			if err != nil {
				return err
			}
			*id = made.ID
		}
		return nil
	}))
	w.follow(t)
	return w
}

// process is another process of the same gateway.
func (w *world) process(now func() time.Time, safe *vault.Vault) *outgoing.Service {
	made := &outgoing.Service{
		DB: w.db, Vault: safe, HTTP: http.DefaultClient, AllowPrivate: true, Now: now,
		Deliveries: &delivery.Deliveries{DB: w.db, Now: now, Look: 5 * time.Millisecond},
	}
	made.Deliveries.Carriers = map[string]delivery.Carrier{outgoing.Kind: made.Carrier()}
	return made
}

// follow sequences what was recorded, and has the follower hear all of it.
func (w *world) follow(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	w.sequencer.Wake()
	for left := 1; left > 0; {
		must(t, w.db.QueryRow(ctx, `select count(*) from audit_outbox`).Scan(&left))
		time.Sleep(time.Millisecond)
	}
	for moved := true; moved; {
		var err error
		moved, err = w.follower.Step(ctx, w.db)
		must(t, err)
	}
}

// deliver runs the deliveries until a condition is met.
func (w *world) deliver(t testing.TB, what string, met func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	done := make(chan error, 1)
	go func() { done <- w.deliveries.Run(ctx) }()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain:", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop()
	must(t, <-done)
}

func (w *world) create(t testing.TB, workspace core.ID, wanted outgoing.Webhook) outgoing.Made {
	t.Helper()
	wanted.Workspace = workspace
	if wanted.Address == "" {
		wanted.Address = w.receiver.URL + "/" + wanted.Name
	}
	made, err := w.service.Create(t.Context(), cause(), wanted)
	must(t, err)
	return made
}

// happens records an event.
func (w *world) happens(t testing.TB, workspace core.ID, kind core.EventType, data string) core.Event {
	t.Helper()
	now := time.Now().Add(time.Duration(w.ahead.Load()))
	event := core.NewEvent(kind, workspace, cause(), now, core.Target{Kind: "user", ID: core.NewID(), Name: "Ana"}).With("note", data)
	must(t, w.db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, event) }))
	return event
}

func (w *world) state(t testing.TB, workspace, id core.ID) outgoing.Webhook {
	t.Helper()
	one, err := w.service.Webhook(t.Context(), w.db, workspace, id)
	must(t, err)
	return one
}

func (w *world) messages(t testing.TB, workspace, id core.ID) []outgoing.Message {
	t.Helper()
	found, err := w.service.Messages(t.Context(), w.db, workspace, id, "", 100)
	must(t, err)
	return found
}

func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, secret seal.Secret, one got) error {
	t.Helper()
	checker, err := standardwebhooks.NewWebhook(secret.Reveal())
	must(t, err)
	return checker.Verify(one.body, one.header)
}
