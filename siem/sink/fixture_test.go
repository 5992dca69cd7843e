package sink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/deploy/local/broker"
	"postern/deploy/local/receiver"
	"postern/siem/ocsf"
	"postern/siem/relay"
	"postern/siem/sink"
	"postern/siem/splunk"
	"postern/siem/stream"
)

func TestMain(m *testing.M) {
	if settings := os.Getenv("POSTERN_SINK_CHILD"); settings != "" {
		if err := runChild(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The private PostgreSQL of the run is waited for and listened to until the process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("postern/deploy/local/process.(*Process).start.func1"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"))
}

var public, private, _ = ed25519.GenerateKey(nil)

const token = "0d3c4e5f-1111-4222-8333-canarytoken01"

// line is the whole way from the outbox to a receiver.
type line struct {
	db         *postgres.DB
	broker     *broker.Broker
	cluster    stream.Cluster
	receiver   *receiver.Receiver
	url        string
	workspaces []core.ID
	sequencer  *audit.Sequencer
	relay      *relay.Relay
	logs       *logs

	mutex    sync.Mutex
	token    string
	appended map[core.ID]bool
}

// logs collects what is logged, to be searched for secrets.
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

// onBrokers runs a test with the embedded broker, and with Apache Kafka where it can be had.
func onBrokers(t *testing.T, test func(t *testing.T, running *broker.Broker)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("kafka", func(t *testing.T) { test(t, apache(t)) })
}

func embedded(t testing.TB) *broker.Broker {
	t.Helper()
	running, err := broker.Embedded(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Stop() })
	return running
}

func apache(t testing.TB) *broker.Broker {
	t.Helper()
	partstest.Long(t, "Apache Kafka")
	jars, err := broker.Jars(t.Context())
	partstest.Need(t, "Apache Kafka", err)
	running, err := broker.Kafka(t.Context(), t.TempDir(), jars, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Stop() })
	return running
}

// start lays a line with a sequencer and a relay running, and two workspaces. The sink is the test's.
func start(t testing.TB, db *postgres.DB, running *broker.Broker) *line {
	t.Helper()
	l := lay(t, db, running)
	l.run(t, l.relay.Run)
	return l
}

// lay is start without a relay running.
func lay(t testing.TB, db *postgres.DB, running *broker.Broker) *line {
	t.Helper()
	if db == nil {
		db = postgrestest.Open(t)
	}
	l := &line{db: db, broker: running, cluster: stream.Cluster{Brokers: []string{running.Address}, Partitions: 3}, token: token, appended: map[core.ID]bool{}, logs: &logs{}}
	for _, slug := range []string{"acme", "globex"} {
		id := core.NewID()
		if _, err := db.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, @slug, @slug)`, pgx.StrictNamedArgs{"id": id, "slug": slug}); err != nil {
			t.Fatal(err)
		}
		l.workspaces = append(l.workspaces, id)
	}
	t.Cleanup(func() {
		if text := l.logs.String(); t.Failed() {
			t.Logf("the log ends with:\n%s", text[max(0, len(text)-3000):])
		}
	})
	l.receive(t)
	producer, err := stream.NewProducer(l.cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	l.relay = &relay.Relay{DB: db, Publisher: producer, Log: l.log()}
	l.sequencer = &audit.Sequencer{DB: db, Key: private, CheckpointEvery: 25, Log: l.log(), Moved: l.relay.Wake}
	l.run(t, l.sequencer.Run)
	return l
}

// receive starts the receiver.
func (l *line) receive(t testing.TB) {
	t.Helper()
	made, err := receiver.New(receiver.Options{Folder: t.TempDir(), Token: seal.NewSecret(token), SumoCode: seal.NewSecret("canarysumocode")})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(made)
	t.Cleanup(func() { server.Close(); _ = made.Close() })
	l.receiver, l.url = made, server.URL
}

func (l *line) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(l.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// run runs a part until the test or stop ends it.
func (l *line) run(t testing.TB, part func(ctx context.Context) error) (stop func()) {
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

func (l *line) setToken(text string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.token = text
}

// splunk is a sink to the receiver's collector, with short waits.
func (l *line) splunk(t testing.TB) *sink.Sink {
	collector, err := splunk.New(splunk.Settings{URLs: []string{l.url}}, splunk.Secrets{Token: func() (seal.Secret, error) {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		return seal.NewSecret(l.token), nil
	}}, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = collector.Close() })
	return &sink.Sink{
		Name: "splunk", Kind: "splunk", DB: l.db, Cluster: l.cluster, Log: l.log(), Mapper: ocsf.Mapper{},
		Receiver: collector,
		Backoff:  20 * time.Millisecond, LongestBackoff: 200 * time.Millisecond, ProbeEvery: 200 * time.Millisecond,
	}
}

// append records count events in each workspace and remembers them.
func (l *line) append(t testing.TB, count int) {
	t.Helper()
	cause := core.NewCause(core.System, time.Now())
	for _, workspace := range l.workspaces {
		events := make([]core.Event, count)
		for i := range events {
			events[i] = core.NewEvent(core.UserUpdated, workspace, cause, time.Now(), core.Target{Kind: "user", ID: core.NewID(), Name: fmt.Sprint("user ", i)})
		}
		err := l.db.Tx(context.Background(), func(tx pgx.Tx) error { return audit.Append(context.Background(), tx, events...) })
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			l.appended[event.ID] = true
		}
	}
	l.sequencer.Wake()
}

// arrived checks the receiver's copy alone: per workspace, once copies are recognised by their id, the
// sequence has no gap, the chain holds and every checkpoint in the stream is true. It returns how
// many different events of append arrived.
func (l *line) arrived(t testing.TB, door string) int {
	t.Helper()
	copies := map[core.ID]map[int64]audit.Record{}
	checkpoints := map[core.ID][]audit.Checkpoint{}
	highest := map[core.ID]int64{}
	count := 0
	for _, event := range l.receiver.Events() {
		if event.Door != door {
			continue
		}
		record, err := ocsf.Record(event.Event)
		if err != nil {
			t.Fatal(err)
		}
		workspace := record.Event.Workspace
		if copies[workspace] == nil {
			copies[workspace] = map[int64]audit.Record{}
		}
		if known, twice := copies[workspace][record.Sequence]; twice {
			if known.Event.ID != record.Event.ID {
				t.Fatalf("sequence %d of a workspace is two events", record.Sequence)
			}
			continue
		}
		if record.Sequence != highest[workspace]+1 {
			t.Fatalf("workspace %s: event %d arrived first after event %d", workspace, record.Sequence, highest[workspace])
		}
		highest[workspace] = record.Sequence
		copies[workspace][record.Sequence] = record
		if l.appended[record.Event.ID] {
			count++
		}
		if record.Event.Type == core.CheckpointSigned {
			checkpoint, err := audit.CheckpointOf(record.Event)
			if err != nil {
				t.Fatal(err)
			}
			checkpoints[workspace] = append(checkpoints[workspace], checkpoint)
		}
	}
	for workspace, records := range copies {
		sequences := slices.Sorted(maps.Keys(records))
		err := audit.Verify(func(yield func(audit.Record) bool) {
			for _, sequence := range sequences {
				if !yield(records[sequence]) {
					return
				}
			}
		}, checkpoints[workspace], public)
		if err != nil {
			t.Fatalf("the receiver's copy of %s: %v", workspace, err)
		}
	}
	return count
}

// all waits until everything appended has arrived.
func (l *line) all(t testing.TB, door string) {
	t.Helper()
	eventually(t, "everything has arrived", func() bool { return l.arrived(t, door) == len(l.appended) })
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it never came to: %s", what)
}

// state reads the recorded state of the sink.
func (l *line) state(t testing.TB) audit.SinkState {
	t.Helper()
	states, err := audit.SinkStates(t.Context(), l.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		if state.Name == "splunk" {
			return state
		}
	}
	return audit.SinkState{}
}

// told counts the events of a type in a workspace's log.
func (l *line) told(t testing.TB, workspace core.ID, kind core.EventType) int {
	t.Helper()
	records, err := audit.List(t.Context(), l.db, workspace, audit.Query{Types: []core.EventType{kind}})
	if err != nil {
		t.Fatal(err)
	}
	return len(records)
}

// duplicates counts how often an event came more than once.
func (l *line) duplicates(door string) int {
	seen, again := map[string]bool{}, 0
	for _, event := range l.receiver.Events() {
		id := event.Fields["event_id"]
		if event.Door == door && seen[id] {
			again++
		}
		seen[id] = true
	}
	return again
}

func noSecret(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, secret := range []string{token, "canarytoken", "canarysumocode"} {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is told: %s", text)
			}
		}
	}
}

// isUser matches the documents that tell of an update of a user by that name.
func isUser(name string) func(json.RawMessage) bool {
	return func(event json.RawMessage) bool {
		return bytes.Contains(event, []byte(`"`+name+`"`)) && bytes.Contains(event, []byte(`"user.updated"`))
	}
}
