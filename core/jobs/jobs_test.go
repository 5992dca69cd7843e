package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

type chore struct {
	Name string `json:"name"`
}

func (chore) Kind() string { return "test.chore" }

func add(t *testing.T, db *postgres.DB, name string, options jobs.Options) {
	t.Helper()
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return queue.Add(t.Context(), tx, chore{name}, options) }); err != nil {
		t.Fatal(err)
	}
}

// run works jobs in the background until the returned stop is called, which waits for Run's end.
func run(t *testing.T, db *postgres.DB, options jobs.WorkerOptions, work func(ctx context.Context, job chore, attempt int) error) (stop func()) {
	t.Helper()
	options.Poll, options.Rescue = 10*time.Millisecond, 50*time.Millisecond
	var handlers jobs.Handlers
	jobs.Handle(&handlers, work)
	worker, err := jobs.NewWorker(db, &handlers, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func state(t *testing.T, db *postgres.DB, name string) string {
	t.Helper()
	var state string
	if err := db.QueryRow(t.Context(), `select state from river_job where args->>'name' = $1`, name).Scan(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestAJobExistsOnlyOnceItsTransactionCommitted(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Tx(t.Context(), func(tx pgx.Tx) error {
		if err := queue.Add(t.Context(), tx, chore{"undone"}, jobs.Options{}); err != nil {
			t.Fatal(err)
		}
		return core.Denied("no")
	})
	add(t, db, "done", jobs.Options{})
	ran := make(chan string, 2)
	run(t, db, jobs.WorkerOptions{}, func(_ context.Context, job chore, _ int) error { ran <- job.Name; return nil })
	if name := <-ran; name != "done" {
		t.Fatalf("ran %s", name)
	}
	eventually(t, "completed", func() bool { return state(t, db, "done") == "completed" })
}

func TestAnErrorsKindDecides(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	cases := map[string]struct {
		first error
		state string // in the end
		runs  []int  // the attempt numbers
	}{
		"done":            {nil, "completed", []int{1}},
		"invalid":         {core.Invalid("x", "wrong"), "cancelled", []int{1}},
		"unauthenticated": {core.Unauthenticated("who"), "cancelled", []int{1}},
		"denied":          {core.Denied("no"), "cancelled", []int{1}},
		"conflict":        {core.Conflict("x", "there"), "cancelled", []int{1}},
		"too large":       {core.TooLarge("big"), "cancelled", []int{1}},
		"not found":       {core.NotFound("thing"), "completed", []int{1}},
		"rate limited":    {&core.Error{Kind: core.KindRateLimited, RetryAfter: 10 * time.Millisecond}, "completed", []int{1, 1}},
		"stale":           {&core.Error{Kind: core.KindStale}, "completed", []int{1, 2}},
		"unavailable":     {core.Unavailable(time.Millisecond, "down"), "completed", []int{1, 2}},
		"internal":        {core.Internal(errors.New("bug")), "completed", []int{1, 2}},
		"unclassified":    {errors.New("bug"), "completed", []int{1, 2}},
		"snoozed":         {jobs.Snooze(10 * time.Millisecond), "completed", []int{1, 1}},
		"panic":           {nil, "completed", []int{1, 2}},
	}
	for name := range cases {
		add(t, db, name, jobs.Options{})
	}
	var lock sync.Mutex
	runs := map[string][]int{}
	stop := run(t, db, jobs.WorkerOptions{Concurrency: 8}, func(_ context.Context, job chore, attempt int) error {
		lock.Lock()
		runs[job.Name] = append(runs[job.Name], attempt)
		first := len(runs[job.Name]) == 1
		lock.Unlock()
		if !first {
			return nil
		}
		if job.Name == "panic" {
			panic("bug")
		}
		return cases[job.Name].first
	})
	for name, wanted := range cases {
		eventually(t, name+" "+wanted.state, func() bool { return state(t, db, name) == wanted.state })
	}
	stop()
	for name, wanted := range cases {
		if diff := cmp.Diff(wanted.runs, runs[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPrioritiesAreHonoured(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	add(t, db, "last", jobs.Options{})
	add(t, db, "third", jobs.Options{Priority: 3})
	add(t, db, "first", jobs.Options{Priority: 1})
	add(t, db, "second", jobs.Options{Priority: 2})
	add(t, db, "later", jobs.Options{Priority: 1, RunAt: time.Now().Add(time.Hour)})
	ran := make(chan string, 5)
	stop := run(t, db, jobs.WorkerOptions{Concurrency: 1}, func(_ context.Context, job chore, _ int) error { ran <- job.Name; return nil })
	var order []string
	for range 4 {
		order = append(order, <-ran)
	}
	stop()
	if diff := cmp.Diff([]string{"first", "second", "third", "last"}, order); diff != "" {
		t.Fatal(diff)
	}
	if len(ran) != 0 {
		t.Fatal("a job ran before its time")
	}
}

// TestAPromptJobWaitsForNoOther takes every place with jobs that do not end by themselves.
func TestAPromptJobWaitsForNoOther(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	prompt := make(chan struct{})
	stop := run(t, db, jobs.WorkerOptions{Concurrency: 2}, func(_ context.Context, job chore, _ int) error {
		if job.Name == "code" {
			close(prompt)
			return nil
		}
		begun <- struct{}{}
		<-finish
		return nil
	})
	for _, name := range []string{"slow", "slower", "slowest"} {
		add(t, db, name, jobs.Options{Priority: 1})
	}
	<-begun
	<-begun
	add(t, db, "code", jobs.Options{Prompt: true})
	select {
	case <-prompt:
	case <-time.After(30 * time.Second):
		t.Error("a prompt job waits behind others")
	}
	close(finish)
	stop()
}

func TestStopLetsRunningJobsFinish(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	db := postgrestest.Open(t, jobs.Migrate)
	add(t, db, "slow", jobs.Options{})
	begun, finish := make(chan struct{}), make(chan struct{})
	stop := run(t, db, jobs.WorkerOptions{}, func(ctx context.Context, _ chore, _ int) error {
		close(begun)
		<-finish
		return ctx.Err()
	})
	<-begun
	add(t, db, "too late", jobs.Options{RunAt: time.Now().Add(time.Hour)})
	time.AfterFunc(50*time.Millisecond, func() { close(finish) })
	stop()
	if got := state(t, db, "slow"); got != "completed" {
		t.Fatalf("the running job is %s", got)
	}
	db.Close()
}

func TestGraceInterruptsWithoutLoss(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	add(t, db, "endless", jobs.Options{})
	begun := make(chan struct{})
	stop := run(t, db, jobs.WorkerOptions{Grace: 10 * time.Millisecond}, func(ctx context.Context, _ chore, _ int) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	<-begun
	stop()
	if got := state(t, db, "endless"); got != "available" {
		t.Fatalf("the interrupted job is %s", got)
	}
	attempts := make(chan int, 1)
	run(t, db, jobs.WorkerOptions{}, func(_ context.Context, _ chore, attempt int) error { attempts <- attempt; return nil })
	if attempt := <-attempts; attempt != 1 {
		t.Fatalf("being interrupted counted as an attempt: %d", attempt)
	}
}

// helperDatabase turns a run of this test binary into a worker that begins a job and never ends it.
const helperDatabase = "POSTERN_TEST_JOBS_HELPER"

func TestMain(m *testing.M) {
	if url := os.Getenv(helperDatabase); url != "" {
		fmt.Fprintln(os.Stderr, neverEnds(url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func neverEnds(url string) error {
	db, err := postgres.Open(context.Background(), url, postgres.Options{})
	if err != nil {
		return err
	}
	var handlers jobs.Handlers
	jobs.Handle(&handlers, func(context.Context, chore, int) error { select {} })
	worker, err := jobs.NewWorker(db, &handlers, jobs.WorkerOptions{Concurrency: 1, Poll: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	return worker.Run(context.Background())
}

func TestAKilledWorkersJobsAreRescued(t *testing.T) {
	url := postgrestest.URL(t, jobs.Migrate)
	db, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	helper := exec.Command(executable)
	helper.Env = append(os.Environ(), helperDatabase+"="+url)
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = helper.Process.Kill(); _ = helper.Wait() })
	add(t, db, "orphan", jobs.Options{})
	eventually(t, "running in the helper", func() bool { return state(t, db, "orphan") == "running" })

	ran := make(chan string, 10)
	run(t, db, jobs.WorkerOptions{}, func(_ context.Context, job chore, _ int) error { ran <- job.Name; return nil })
	add(t, db, "other", jobs.Options{})
	if name := <-ran; name != "other" {
		t.Fatalf("%s was taken from a worker that lives", name)
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if name := <-ran; name != "orphan" {
		t.Fatalf("ran %s", name)
	}
	eventually(t, "completed", func() bool { return state(t, db, "orphan") == "completed" })
}

func TestAWorkerThatLostItsConnectionIsNotTakenForDead(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	add(t, db, "long", jobs.Options{})
	var lock sync.Mutex
	var attempts []int
	finish := make(chan struct{})
	work := func(_ context.Context, _ chore, attempt int) error {
		lock.Lock()
		attempts = append(attempts, attempt)
		lock.Unlock()
		<-finish
		return nil
	}
	run(t, db, jobs.WorkerOptions{Concurrency: 1}, work)
	eventually(t, "begun", func() bool { lock.Lock(); defer lock.Unlock(); return len(attempts) == 1 })
	locks := `select pg_terminate_backend(pid, 30000) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
	if tag, err := db.Exec(t.Context(), locks); err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("nothing was cut: %v, %v", tag, err)
	}
	held := `select count(*) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`
	eventually(t, "present again", func() bool {
		var count int
		return db.QueryRow(t.Context(), held).Scan(&count) == nil && count > 0
	})
	run(t, db, jobs.WorkerOptions{Concurrency: 1}, work)
	time.Sleep(300 * time.Millisecond) // six looks of the second worker
	close(finish)
	eventually(t, "completed", func() bool { return state(t, db, "long") == "completed" })
	lock.Lock()
	defer lock.Unlock()
	if len(attempts) != 1 {
		t.Fatalf("the job ran %d times", len(attempts))
	}
}

func TestHandlersAreChecked(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	var handlers jobs.Handlers
	for range 2 {
		jobs.Handle(&handlers, func(context.Context, chore, int) error { return nil })
	}
	if _, err := jobs.NewWorker(db, &handlers, jobs.WorkerOptions{}); core.KindOf(err) != core.KindInvalid {
		t.Fatalf("got %v", err)
	}
}
