package sink_test

import (
	"cmp"
	"context"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

// outageMemory is the most a process may need that sequences, publishes and delivers, in megabytes.
const outageMemory = 400

// TestMemoryWhileAReceiverIsDown has a process of its own sequence, publish and try to deliver events of 1 KB while the
// receiver refuses everything, then deliver them all. $POSTERN_OUTAGE_EVENTS is how many, or 30,000. The most memory
// the process ever had is printed; it does not depend on it.
func TestMemoryWhileAReceiverIsDown(t *testing.T) {
	partstest.Long(t, "tens of thousands of events")
	count, err := strconv.Atoi(cmp.Or(os.Getenv("POSTERN_OUTAGE_EVENTS"), "30000"))
	if err != nil {
		t.Fatal(err)
	}
	url := postgrestest.URL(t)
	db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	swallowed := &hole{}
	swallowed.down.Store(true)
	server := httptest.NewServer(swallowed)
	defer server.Close()
	command := child{Broker: embedded(t).Address, Collector: server.URL, Database: url, Whole: true}.command()
	var said strings.Builder
	command.Stdout, command.Stderr, command.SysProcAttr = &said, &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	until := func(what string, reached func() bool) {
		t.Helper()
		for last := time.Now().Add(30 * time.Minute); !reached(); time.Sleep(50 * time.Millisecond) {
			select {
			case err := <-ended:
				t.Fatalf("%s: the process ended: %v %s", what, err, said.String())
			default:
			}
			if time.Now().After(last) {
				t.Fatalf("%s: never", what)
			}
		}
	}
	published := func() int64 {
		position, err := audit.Cursor(t.Context(), db, audit.CursorRelay)
		if err != nil {
			t.Fatal(err)
		}
		return position
	}
	workspaces := make([]core.ID, 24)
	for i := range workspaces {
		workspaces[i] = core.NewID()
	}
	for done := 0; done < count; {
		done += appendCounted(t, db, workspaces, min(5000, count-done))
		until("the outbox is nearly empty", func() bool { return published() >= int64(done-20_000) })
		if done%100_000 == 0 {
			t.Logf("%d events, peak %d MB", done, peak(command.Process.Pid)>>10)
		}
	}
	until("all is published", func() bool { return published() >= int64(count) })
	while := peak(command.Process.Pid) >> 10
	swallowed.down.Store(false)
	until("all has arrived", func() bool { events, _ := swallowed.so(); return events >= count })
	after := peak(command.Process.Pid) >> 10
	t.Logf("%d events while the receiver was down: peak %d MB, and %d MB once they were delivered", count, while, after)
	if after > outageMemory {
		t.Errorf("%d MB", after)
	}
	_ = command.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("%v %s", err, said.String())
	}
}

// appendCounted appends events of about 1 KB.
func appendCounted(t *testing.T, db *postgres.DB, workspaces []core.ID, count int) int {
	t.Helper()
	padding := strings.Repeat("what else there is to know about it; ", 14)
	cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID(), Name: "ana@acme.example"}, time.Now())
	events := make([]core.Event, count)
	for i := range events {
		events[i] = core.NewEvent(core.AccountPasswordFilled, workspaces[i%len(workspaces)], cause, time.Now(), core.Target{Kind: "account", ID: core.NewID(), Name: "Harbour"}).
			With("padding", padding).With("counted", "1")
	}
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(context.WithoutCancel(t.Context()), tx, events...) }); err != nil {
		t.Fatal(err)
	}
	return count
}
