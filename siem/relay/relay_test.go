package relay_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/siem/relay"
	"postern/siem/stream"
)

// recorder keeps what is published; told to, it fails after having kept it, as one does whose answer is lost.
type recorder struct {
	mutex sync.Mutex
	kept  []stream.Event
	fails int
}

func (b *recorder) Publish(_ context.Context, events []stream.Event) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.kept = append(b.kept, events...)
	if b.fails > 0 {
		b.fails--
		return errors.New("the answer was lost")
	}
	return nil
}

func (b *recorder) events() []stream.Event {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Clone(b.kept)
}

// run runs a part until the test or stop ends it.
func run(t *testing.T, part func(context.Context) error) (stop func()) {
	t.Helper()
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

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it never came to: %s", what)
}

// logged puts events into the log.
func logged(t *testing.T, db *postgres.DB, events ...core.Event) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, events...) }); err != nil {
		t.Fatal(err)
	}
	stop := run(t, (&audit.Sequencer{DB: db, Key: private}).Run)
	eventually(t, "all is in the log", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
	stop()
}

func events(workspace core.ID, count int) []core.Event {
	all := make([]core.Event, count)
	for i := range all {
		all[i] = core.NewEvent(core.UserProvisioned, workspace, core.NewCause(core.System, time.Now()), time.Now(), core.Target{Kind: "user", ID: core.NewID(), Name: "ana"})
	}
	return all
}

// A record that was damaged in the log does not stop the stream: a tombstone has its id and its place.
func TestADamagedRecordLeavesATombstone(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := core.NewID(), core.NewID()
	written := append(events(acme, 4), events(globex, 2)...)
	logged(t, db, written...)
	for sequence, text := range map[int]string{2: `{"actor":{"id":`, 3: `{"id":"` + core.NewID().String() + `","workspace":"` + globex.String() + `"}`} {
		if _, err := db.Exec(t.Context(), `update audit_log set event = $1 where workspace_id = $2 and sequence = $3`, text, acme, sequence); err != nil {
			t.Fatal(err)
		}
	}
	kafka := &recorder{}
	for range 2 { // and once more, as after a crash before the cursor moved
		if _, err := db.Exec(t.Context(), `update cursors set position = 0 where name = 'relay'`); err != nil {
			t.Fatal(err)
		}
		stop := run(t, (&relay.Relay{DB: db, Publisher: kafka}).Run)
		eventually(t, "all is published", func() bool {
			backlog, err := audit.ReadBacklog(t.Context(), db, time.Now())
			return err == nil && backlog.Unpublished == 0 && backlog.Unreadable == 2
		})
		stop()
	}
	published := kafka.events()
	if len(published) != 12 {
		t.Fatalf("%d events were published", len(published))
	}
	for i, one := range published {
		want := written[i%6]
		if one.ID != want.ID || one.Workspace != want.Workspace || one.Position != int64(i%6+1) {
			t.Errorf("event %d is %s at %d of %s", i, one.ID, one.Position, one.Workspace)
		}
		if damaged := one.Workspace == acme && (one.Sequence == 2 || one.Sequence == 3); damaged != (one.Type == core.RecordUnreadable) {
			t.Errorf("event %d is a %s", i, one.Type)
		} else if damaged && !strings.Contains(string(one.Value), `"audit.record_unreadable"`) {
			t.Errorf("event %d says %s", i, one.Value)
		}
	}
	letters, err := audit.DeadLetters(t.Context(), db, acme, 10)
	if err != nil || len(letters) != 2 || letters[0].Sink != "relay" || letters[0].Record != `{"actor":{"id":` || !strings.Contains(letters[0].Answer, "position 2, sequence 2") {
		t.Errorf("the dead letters are %+v, %v", letters, err)
	}
	var told int
	if err := db.QueryRow(t.Context(), `select count(*) from audit_outbox where workspace_id = $1 and type = $2`, acme, core.SinkDeadLettered).Scan(&told); err != nil || told != 2 {
		t.Errorf("the workspace was told %d times, %v", told, err)
	}
}

// A broker whose answer is lost gets the same events again, and none after them before that.
func TestALostAnswerRepeatsAndLosesNothing(t *testing.T) {
	db := postgrestest.Open(t)
	acme := core.NewID()
	written := events(acme, 30)
	logged(t, db, written...)
	kafka := &recorder{fails: 2}
	run(t, (&relay.Relay{DB: db, Publisher: kafka}).Run)
	eventually(t, "all is published", func() bool {
		position, err := audit.Cursor(t.Context(), db, audit.CursorRelay)
		return err == nil && position == 30
	})
	next := int64(1)
	for _, one := range kafka.events() {
		if one.Sequence > next {
			t.Fatalf("event %d came before event %d", one.Sequence, next)
		}
		if one.Sequence == next {
			next++
		}
	}
	if next != 31 || len(kafka.events()) != 90 {
		t.Errorf("%d events came, %d of them for the first time", len(kafka.events()), next-1)
	}
}

// cut is Kafka beside a database whose connections end before the cursor is moved.
type cut struct {
	recorder
	meanwhile func()
}

func (c *cut) Publish(ctx context.Context, events []stream.Event) error {
	err := c.recorder.Publish(ctx, events)
	if c.meanwhile != nil {
		c.meanwhile()
		c.meanwhile = nil
	}
	return err
}

// Kafka's word that it has a batch outlives the database's connection: nothing is published twice. A database that was
// set back meanwhile holds other events there, and they are published.
func TestWhatIsAcknowledgedIsNotPublishedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		setBack bool
		want    int
	}{"the connection ends": {false, 5}, "the database is set back": {true, 10}} {
		t.Run(name, func(t *testing.T) {
			db := postgrestest.Open(t)
			logged(t, db, events(core.NewID(), 5)...)
			kafka := &cut{meanwhile: func() {
				if test.setBack {
					if _, err := db.Exec(t.Context(), `update audit_log set event_id = $1 where position = 5`, core.NewID()); err != nil {
						t.Error(err)
					}
				}
				if _, err := db.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
					t.Error(err)
				}
			}}
			run(t, (&relay.Relay{DB: db, Publisher: kafka}).Run)
			eventually(t, "the cursor has moved", func() bool {
				position, err := audit.Cursor(t.Context(), db, audit.CursorRelay)
				return err == nil && position == 5
			})
			if came := len(kafka.events()); came != test.want {
				t.Errorf("%d events came, want %d", came, test.want)
			}
		})
	}
}

// halfway is Kafka of which the first batch reaches half of the partitions.
type halfway struct{ recorder }

func (h *halfway) Publish(ctx context.Context, events []stream.Event) error {
	if len(h.events()) > 0 {
		return h.recorder.Publish(ctx, events)
	}
	half := len(events) / 2
	if err := h.recorder.Publish(ctx, events[:half]); err != nil {
		return err
	}
	return stream.PartlyPublished{Left: events[half:], Err: errors.New("a broker is away")}
}

// Of a batch that Kafka has in part the rest is published, and the cursor moves behind it all.
func TestWhatKafkaHasInPartIsCompleted(t *testing.T) {
	db := postgrestest.Open(t)
	written := events(core.NewID(), 10)
	logged(t, db, written...)
	kafka := &halfway{}
	run(t, (&relay.Relay{DB: db, Publisher: kafka}).Run)
	eventually(t, "the cursor has moved", func() bool {
		position, err := audit.Cursor(t.Context(), db, audit.CursorRelay)
		return err == nil && position == 10
	})
	came := kafka.events()
	if len(came) != len(written) {
		t.Fatalf("%d events came, want %d", len(came), len(written))
	}
	for i, one := range came {
		if one.ID != written[i].ID {
			t.Errorf("event %d is %s", i, one.ID)
		}
	}
}
