package audit_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	// The private PostgreSQL of the run is waited for and listened to until the process ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("postern/deploy/local/process.(*Process).start.func1"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"))
}

var public, private, _ = ed25519.GenerateKey(nil)

// sequence runs a sequencer until the test or stop ends it.
func sequence(t testing.TB, sequencer *audit.Sequencer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := sequencer.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// record appends events in one transaction.
func record(t testing.TB, db *postgres.DB, events ...core.Event) {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, events...) }); err != nil {
		t.Fatal(err)
	}
}

// settle waits until nothing is left in the outbox.
func settle(t testing.TB, db *postgres.DB) {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it never came to: %s", what)
}

// verified reads a workspace's whole log, checks it and returns it.
func verified(t testing.TB, db *postgres.DB, workspace core.ID) []audit.Record {
	t.Helper()
	var records []audit.Record
	walk, failure := audit.All(t.Context(), db, workspace)
	checkpoints, err := audit.Checkpoints(t.Context(), db, workspace)
	if err != nil {
		t.Fatal(err)
	}
	err = audit.Verify(func(yield func(audit.Record) bool) {
		for record := range walk {
			records = append(records, record)
			if !yield(record) {
				return
			}
		}
	}, checkpoints, public)
	if err != nil || failure() != nil {
		t.Fatal(err, failure())
	}
	return records
}

func TestNothingIsLostAmongConcurrentWriters(t *testing.T) {
	db := postgrestest.Open(t)
	workspaces := []core.ID{workspace(t, db, "acme"), workspace(t, db, "globex")}
	sequencer := &audit.Sequencer{DB: db, Key: private, CheckpointEvery: 50}
	sequence(t, sequencer)

	var mutex sync.Mutex
	committed := map[core.ID]bool{}
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			for i := range 60 {
				events := make([]core.Event, 1+rand.N(4))
				for j := range events {
					events[j] = event(workspaces[rand.N(2)], fmt.Sprintf("%d/%d/%d", writer, i, j))
				}
				err := db.Tx(context.Background(), func(tx pgx.Tx) error {
					if err := audit.Append(context.Background(), tx, events...); err != nil {
						return err
					}
					if i%20 == 0 { // a long transaction holds the horizon back
						time.Sleep(100 * time.Millisecond)
					}
					if i%10 == 1 {
						return core.Denied("rolled back")
					}
					return nil
				})
				if (err != nil) != (i%10 == 1) {
					t.Errorf("writer %d: %v", writer, err)
				}
				if err == nil {
					mutex.Lock()
					for _, event := range events {
						committed[event.ID] = true
					}
					mutex.Unlock()
					sequencer.Wake()
				}
			}
		})
	}
	writers.Wait()
	settle(t, db)
	positions := map[int64]bool{}
	for _, workspace := range workspaces {
		for _, record := range verified(t, db, workspace) {
			positions[record.Position] = true
			if record.Event.Type == core.CheckpointSigned {
				continue
			}
			if !committed[record.Event.ID] {
				t.Fatalf("event %s was never committed, or comes twice", record.Event.ID)
			}
			delete(committed, record.Event.ID)
		}
	}
	if len(committed) > 0 {
		t.Fatalf("%d events were lost", len(committed))
	}
	for position := range int64(len(positions)) {
		if !positions[position+1] {
			t.Fatalf("position %d is missing of %d", position+1, len(positions))
		}
	}
}

func TestOneSequencerLeads(t *testing.T) {
	db := postgrestest.Open(t)
	acme := workspace(t, db, "acme")
	first := sequence(t, &audit.Sequencer{DB: db, Key: private})
	second := sequence(t, &audit.Sequencer{DB: db, Key: private})
	leaders := func() (count int) {
		_ = db.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`).Scan(&count)
		return count
	}
	for i := range 50 {
		record(t, db, event(acme, fmt.Sprint(i)))
		if leaders() > 1 {
			t.Fatal("two sequencers lead")
		}
	}
	settle(t, db)
	// Whichever led, the other takes over.
	first()
	record(t, db, event(acme, "after the first"))
	settle(t, db)
	second()
	if records := verified(t, db, acme); len(records) != 51 {
		t.Fatalf("got %d records", len(records))
	}
}

func TestCheckpointsDoNotCauseCheckpoints(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	began := time.Now()
	var later atomic.Int64
	now := func() time.Time { return began.Add(time.Duration(later.Load())) }
	sequence(t, &audit.Sequencer{DB: db, Key: private, CheckpointEvery: 4, Now: now})
	for range 6 {
		record(t, db, event(acme, "acme"))
	}
	record(t, db, event(globex, "globex"))
	settle(t, db)
	if checkpoints, _ := audit.Checkpoints(t.Context(), db, acme); len(checkpoints) != 1 || checkpoints[0].Sequence != 4 {
		t.Fatalf("six events with one checkpoint every four: %+v", checkpoints)
	}
	later.Store(int64(time.Minute))
	count := func(workspace core.ID) int {
		checkpoints, err := audit.Checkpoints(t.Context(), db, workspace)
		if err != nil {
			t.Fatal(err)
		}
		return len(checkpoints)
	}
	eventually(t, "quiet workspaces are signed", func() bool { return count(acme) == 2 && count(globex) == 1 })
	later.Store(int64(time.Hour))
	time.Sleep(2500 * time.Millisecond) // at least two looks for quiet workspaces
	if count(acme) != 2 || count(globex) != 1 {
		t.Fatal("a checkpoint caused a checkpoint")
	}
	records := verified(t, db, acme)
	var told int
	for _, record := range records {
		if record.Event.Type == core.CheckpointSigned {
			told++
			checkpoint, err := audit.CheckpointOf(record.Event)
			if err != nil || checkpoint.Sequence != record.Sequence-1 || !ed25519.Verify(public, checkpoint.Payload(), checkpoint.Signature) {
				t.Fatalf("%+v %v", checkpoint, err)
			}
		}
	}
	if told != 2 || len(records) != 8 {
		t.Fatalf("%d checkpoints told in %d records", told, len(records))
	}
}

func TestListNarrows(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	sequence(t, &audit.Sequencer{DB: db})
	one, two := event(acme, "one"), event(acme, "two")
	two.Type, two.Correlation = core.UserUpdated, one.Correlation
	foreign := event(globex, "foreign")
	foreign.Targets, foreign.Correlation = one.Targets, one.Correlation
	record(t, db, one, two, event(acme, "three"), foreign)
	settle(t, db)
	for _, test := range []struct {
		name  string
		query audit.Query
		want  []int64
	}{
		{"everything", audit.Query{}, []int64{1, 2, 3}},
		{"newest first", audit.Query{Descending: true, Limit: 2}, []int64{3, 2}},
		{"a target", audit.Query{Target: one.Targets[0].ID}, []int64{1}},
		{"a story", audit.Query{Correlation: one.Correlation}, []int64{1, 2}},
		{"a type", audit.Query{Types: []core.EventType{core.UserUpdated, core.UserDeleted}}, []int64{2}},
		{"a range", audit.Query{AfterSequence: 1, BeforeSequence: 3}, []int64{2}},
		{"all at once", audit.Query{Target: one.Targets[0].ID, Correlation: one.Correlation, Types: []core.EventType{core.UserProvisioned}, BeforeSequence: 9}, []int64{1}},
	} {
		records, err := audit.List(t.Context(), db, acme, test.query)
		var got []int64
		for _, record := range records {
			got = append(got, record.Sequence)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	after, err := audit.After(t.Context(), db, 1, 2)
	if err != nil || len(after) != 2 || after[0].Position != 2 || after[1].Position != 3 {
		t.Fatalf("%v %v", after, err)
	}
}

func TestRestoredOutboxIsNotStuck(t *testing.T) {
	db := postgrestest.Open(t)
	acme := workspace(t, db, "acme")
	record(t, db, event(acme, "one"), event(acme, "two"))
	if _, err := db.Exec(t.Context(), `update audit_outbox set xid = '9000000000000'`); err != nil {
		t.Fatal(err)
	}
	sequence(t, &audit.Sequencer{DB: db})
	settle(t, db)
	if records := verified(t, db, acme); len(records) != 2 || records[0].Event.Targets[0].Name != "one" {
		t.Fatalf("%+v", records)
	}
}

// breaker cuts the connection at the n-th statement it sees of a pool.
type breaker struct{ left atomic.Int64 }

func (b *breaker) TraceQueryStart(ctx context.Context, connection *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	b.cut(connection)
	return ctx
}
func (b *breaker) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (b *breaker) TraceCopyFromStart(ctx context.Context, connection *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	b.cut(connection)
	return ctx
}
func (b *breaker) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}
func (b *breaker) TraceBatchStart(ctx context.Context, connection *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	b.cut(connection)
	return ctx
}
func (b *breaker) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (b *breaker) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (b *breaker) cut(connection *pgx.Conn) {
	if b.left.Add(-1) == 0 {
		_ = connection.PgConn().Conn().Close()
	}
}

// through opens a second pool to db's database, whose connections break as told.
func through(t *testing.T, db *postgres.DB, breaker *breaker) *postgres.DB {
	t.Helper()
	config := db.Config().Copy()
	config.ConnConfig.Tracer = breaker
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &postgres.DB{Pool: pool}
}

func TestSequencerSurvivesALostConnectionAtEveryStep(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	breaker := &breaker{}
	sequence(t, &audit.Sequencer{DB: through(t, db, breaker), Key: private, CheckpointEvery: 3, Log: slog.New(slog.DiscardHandler)})
	for step := range int64(20) {
		breaker.left.Store(step + 1)
		record(t, db, event(acme, "a"), event(globex, "b"), event(acme, "c"))
		settle(t, db)
	}
	count := 0
	for _, workspace := range []core.ID{acme, globex} {
		for _, record := range verified(t, db, workspace) {
			if record.Event.Type != core.CheckpointSigned {
				count++
			}
		}
	}
	if count != 20*3 {
		t.Fatalf("got %d events of %d", count, 20*3)
	}
}

func TestSequencerIsKilledAtRandom(t *testing.T) {
	db := postgrestest.Open(t)
	acme := workspace(t, db, "acme")
	breaker := &breaker{}
	sequence(t, &audit.Sequencer{DB: through(t, db, breaker), Key: private, CheckpointEvery: 20})
	for range 200 {
		record(t, db, event(acme, "x"))
		if rand.N(8) == 0 {
			_, _ = db.Exec(t.Context(), `select pg_terminate_backend(l.pid) from pg_locks l where locktype = 'advisory' and granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())`)
		}
	}
	settle(t, db)
	var count int
	for _, record := range verified(t, db, acme) {
		if record.Event.Type != core.CheckpointSigned {
			count++
		}
	}
	if count != 200 {
		t.Fatalf("got %d events of 200", count)
	}
}

func BenchmarkSequencer(b *testing.B) {
	db := postgrestest.Open(b)
	acme := workspace(b, db, "acme")
	padding := make([]byte, 700)
	for i := range padding {
		padding[i] = 'a' + byte(i%26)
	}
	const count = 100_000
	var goal int64
	for range b.N {
		b.StopTimer()
		position, err := audit.Cursor(b.Context(), db, audit.CursorSequencer)
		if err != nil {
			b.Fatal(err)
		}
		goal = position + count
		for range count / 1000 {
			events := make([]core.Event, 1000)
			for i := range events {
				events[i] = event(acme, "someone").With("padding", string(padding))
			}
			record(b, db, events...)
		}
		sequencer := &audit.Sequencer{DB: db, Key: private}
		b.StartTimer()
		stop := sequence(b, sequencer)
		for moved := int64(0); moved < goal; time.Sleep(2 * time.Millisecond) {
			var err error
			if moved, err = audit.Cursor(b.Context(), db, audit.CursorSequencer); err != nil { // cheap: counting the outbox would slow it
				b.Fatal(err)
			}
		}
		stop()
	}
	b.ReportMetric(float64(b.N)*count/b.Elapsed().Seconds(), "events/s")
}

// A server has one counter of transactions for all its databases.
func TestATransactionOfAnotherDatabaseDelaysNothing(t *testing.T) {
	db, other := postgrestest.Open(t), postgrestest.Open(t)
	acme := workspace(t, db, "acme")
	held, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), `select pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	sequence(t, &audit.Sequencer{DB: db})
	for range 3 {
		record(t, db, event(acme, "ana"))
		settle(t, db)
	}
	// One of this database does: what it will say comes first.
	own, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Append(t.Context(), own, event(acme, "first")); err != nil {
		t.Fatal(err)
	}
	record(t, db, event(acme, "second"))
	time.Sleep(time.Second) // time to pass over it
	if backlog, err := audit.ReadBacklog(t.Context(), db, time.Now()); err != nil || backlog.Unsequenced != 1 {
		t.Fatalf("%+v, %v", backlog, err)
	}
	if err := own.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
