package audit_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres/postgrestest"
)

// TestAnOpenTransactionHoldsTheStreamBack has one that has written something and stays open: events of later ones wait
// for it and are told apart from those that merely wait for the sequencer; one that has only read holds nothing back.
func TestAnOpenTransactionHoldsTheStreamBack(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := core.NewID(), core.NewID()
	one := func(workspace core.ID) core.Event {
		return core.NewEvent(core.UserProvisioned, workspace, core.NewCause(core.System, time.Now()), time.Now(), core.Target{Kind: "user", ID: core.NewID(), Name: "ana"})
	}
	read := func() audit.Horizon {
		t.Helper()
		held, err := audit.ReadHorizon(t.Context(), db, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	record(t, db, one(acme), one(globex))
	if held := read(); held.Held != 0 || held.Wait != 0 || held.Blocker != nil {
		t.Fatalf("nothing is open: %+v", held)
	}
	config := db.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "nightly-report"
	other, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	open, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), `select count(*) from audit_outbox`); err != nil {
		t.Fatal(err)
	}
	record(t, db, one(acme))
	if held := read(); held.Held != 0 {
		t.Fatalf("a reader holds nothing back: %+v", held)
	}
	if err := audit.Append(t.Context(), open, one(globex)); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	record(t, db, one(acme), one(globex))
	record(t, db, one(acme))
	sequence(t, &audit.Sequencer{DB: db, Key: private})
	eventually(t, "what came before it is in the log, what comes after waits", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), db, time.Now())
		return err == nil && backlog.Unsequenced == 3 && backlog.Sequencer > 0 && backlog.Unpublished >= 3
	})
	eventually(t, "it is named", func() bool {
		held := read()
		if held.Held != 3 || held.Blocker == nil {
			return false
		}
		who := *held.Blocker
		if who.PID != int32(other.PgConn().PID()) || who.Application != "nightly-report" || who.State != "idle in transaction" || who.User != config.User || who.Since.After(before) || who.Prepared != "" {
			t.Fatalf("%+v", who)
		}
		if held.Wait <= 0 || held.Wait > time.Since(before)+time.Second {
			t.Fatalf("the oldest waits %s, written %s ago", held.Wait, time.Since(before))
		}
		return true
	})
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	eventually(t, "nothing is held any more", func() bool { return read().Held == 0 })
}
