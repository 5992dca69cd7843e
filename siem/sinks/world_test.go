package sinks_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/vault"
	"postern/deploy/local/broker"
	"postern/deploy/local/receiver"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
	"postern/siem/stream"
	"postern/siem/sumologic"
)

const canary = "canary-0d3c4e5f-1111"

// world is two workspaces, the way from their outbox to Kafka, and what delivers to their sinks.
type world struct {
	db           *postgres.DB
	service      *sinks.Service
	cluster      stream.Cluster
	sequencer    *audit.Sequencer
	acme, globex core.ID
	cause        core.Cause
	logs         *logs
	ago          atomic.Int64 // by how much the log's time is behind ours
}

type logs struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kinds are those of the gateway, with connections that reach this machine.
func kinds() map[string]sink.Kind {
	dial := new(net.Dialer).DialContext
	return map[string]sink.Kind{
		"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
			return splunk.New(s, c, dial)
		}),
		"sumologic": sink.NewKind("Sumo Logic", func(s sumologic.Settings, c sumologic.Secrets) (sink.Receiver, error) {
			return sumologic.New(s, c, dial)
		}),
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	running, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	must(t, err)
	t.Cleanup(func() { _ = running.Stop() })
	db := postgrestest.Open(t)
	keys, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	w := &world{
		db: db, cluster: stream.Cluster{Brokers: []string{running.Address}, Partitions: 2}, logs: &logs{},
		cause: core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID(), Name: "Zoe"}, time.Now()),
	}
	log := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for slug, id := range map[string]*core.ID{"acme": &w.acme, "globex": &w.globex} {
		*id = core.NewID()
		_, err := db.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, @slug, @slug)`, pgx.StrictNamedArgs{"id": *id, "slug": slug})
		must(t, err)
	}
	producer, err := stream.NewProducer(w.cluster)
	must(t, err)
	t.Cleanup(producer.Close)
	publish := &relay.Relay{DB: db, Publisher: producer, Log: log}
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	w.sequencer = &audit.Sequencer{DB: db, Key: key, CheckpointEvery: 1 << 20, Log: log, Moved: publish.Wake,
		Now: func() time.Time { return time.Now().Add(-time.Duration(w.ago.Load())) }}
	w.service = &sinks.Service{DB: db, Vault: &vault.Vault{DB: db, Keys: keys}, Kinds: kinds(), Log: log, Wake: w.sequencer.Wake}
	w.run(t, w.sequencer.Run)
	w.run(t, publish.Run)
	t.Cleanup(func() {
		if text := w.logs.String(); t.Failed() {
			t.Logf("the log ends with:\n%s", text[max(0, len(text)-3000):])
		}
	})
	return w
}

// run runs a part until the test or stop ends it.
func (w *world) run(t testing.TB, part func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := part(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func (w *world) runner() *sinks.Runner {
	return &sinks.Runner{
		Service: w.service, Cluster: w.cluster, Look: 50 * time.Millisecond,
		Waits: sink.Waits{Backoff: 20 * time.Millisecond, Longest: 200 * time.Millisecond, Probe: 200 * time.Millisecond},
	}
}

// collector is a receiver that keeps what it is sent.
func collector(t testing.TB) (*receiver.Receiver, string) {
	t.Helper()
	made, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(canary), SumoCode: seal.NewSecret("canarysumocode")})
	must(t, err)
	server := httptest.NewServer(made)
	t.Cleanup(func() { server.Close(); _ = made.Close() })
	return made, server.URL
}

// splunk makes a sink of a workspace to a collector.
func (w *world) splunk(t testing.TB, workspace core.ID, name, url string, edit func(*sinks.Wanted)) sinks.Sink {
	t.Helper()
	settings, err := json.Marshal(splunk.Settings{URLs: []string{url}, Index: "main", SearchURL: url})
	must(t, err)
	wanted := sinks.Wanted{
		Workspace: workspace, Name: name, Kind: "splunk", Settings: settings,
		Credentials: map[string]seal.Secret{"token": seal.NewSecret(canary), "search_token": seal.NewSecret(canary)},
	}
	if edit != nil {
		edit(&wanted)
	}
	made, err := w.service.Create(t.Context(), w.cause, wanted)
	must(t, err)
	return made
}

// happens records events of a type in a workspace.
func (w *world) happens(t testing.TB, workspace core.ID, count int, kinds ...core.EventType) {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []core.EventType{core.UserUpdated}
	}
	events := make([]core.Event, count)
	for i := range events {
		events[i] = core.NewEvent(kinds[i%len(kinds)], workspace, w.cause, time.Now(), core.Target{Kind: "user", ID: core.NewID(), Name: fmt.Sprint("user ", i)})
	}
	must(t, w.db.Tx(context.Background(), func(tx pgx.Tx) error { return audit.Append(context.Background(), tx, events...) }))
	w.sequencer.Wake()
}

func (w *world) sink(t testing.TB, one sinks.Sink) sinks.Sink {
	t.Helper()
	found, err := w.service.Sink(t.Context(), w.db, one.Workspace, one.ID)
	must(t, err)
	return found
}

// caught waits until a sink has delivered all there is.
func (w *world) caught(t testing.TB, one sinks.Sink) sinks.Sink {
	t.Helper()
	eventually(t, "the sink has caught up", func() bool {
		var waiting int
		must(t, w.db.QueryRow(t.Context(), `select count(*) from audit_outbox`).Scan(&waiting))
		return waiting == 0 && w.sink(t, one).Lag == 0
	})
	return w.sink(t, one)
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 1200 {
		if holds() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("it never came to: %s", what)
}

// told counts the events of a type in a workspace's log.
func (w *world) told(t testing.TB, workspace core.ID, kind core.EventType) []audit.Record {
	t.Helper()
	records, err := audit.List(t.Context(), w.db, workspace, audit.Query{Types: []core.EventType{kind}})
	must(t, err)
	return records
}

// sequences are what a receiver has of a workspace, in the order of arrival. It fails when one came out of order
// for the first time.
func sequences(t testing.TB, from *receiver.Receiver, workspace core.ID) []int64 {
	t.Helper()
	var all []int64
	highest := int64(0)
	seen := map[string]int64{}
	for _, event := range from.Events() {
		number, err := strconv.ParseInt(event.Fields["sequence"], 10, 64)
		must(t, err)
		if event.Fields["workspace"] != workspace.String() {
			t.Fatalf("an event of another workspace: %v", event.Fields)
		}
		if number == 0 {
			continue // a test
		}
		if before, again := seen[event.Fields["event_id"]]; again {
			if before != number {
				t.Fatalf("event %s is %d and %d", event.Fields["event_id"], before, number)
			}
		} else if number <= highest {
			t.Fatalf("event %d arrived first after event %d", number, highest)
		}
		seen[event.Fields["event_id"]] = number
		highest = max(highest, number)
		all = append(all, number)
	}
	return all
}

// distinct are the sequences, each once, in order.
func distinct(all []int64) []int64 {
	return slices.Compact(slices.Sorted(slices.Values(all)))
}
