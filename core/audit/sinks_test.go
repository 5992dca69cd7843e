package audit_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres/postgrestest"
)

func TestSinkStateIsToldOnceToWhomItConcerns(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	sequence(t, &audit.Sequencer{DB: db})
	set := func(state audit.SinkStatus, reason string, waiting ...core.ID) {
		t.Helper()
		if err := audit.SetSinkState(t.Context(), db, "splunk", state, reason, waiting, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	set(audit.SinkRunning, "")
	set(audit.SinkRetrying, "busy", acme)
	set(audit.SinkPaused, "the token is not known", acme)
	set(audit.SinkPaused, "the token is not known", acme, globex)
	set(audit.SinkPaused, "the token is disabled", globex)
	set(audit.SinkRetrying, "connection refused", globex)
	states, err := audit.SinkStates(t.Context(), db)
	if err != nil || len(states) != 1 || states[0].State != audit.SinkPaused || states[0].Reason != "the token is disabled" || len(states[0].Workspaces) != 1 {
		t.Fatalf("%+v %v", states, err)
	}
	set(audit.SinkRunning, "")
	set(audit.SinkRunning, "")
	settle(t, db)
	records := verified(t, db, acme)
	if len(records) != 2 || records[0].Event.Type != core.SinkPaused || records[1].Event.Type != core.SinkResumed {
		t.Fatalf("%+v", records)
	}
	if foreign := verified(t, db, globex); len(foreign) != 0 {
		t.Fatalf("another workspace was told: %+v", foreign)
	}
}

func TestDeadLettersHaveNoEcho(t *testing.T) {
	db := postgrestest.Open(t)
	acme, globex := workspace(t, db, "acme"), workspace(t, db, "globex")
	sequence(t, &audit.Sequencer{DB: db})
	add := func(letter audit.DeadLetter) {
		t.Helper()
		letter.Sink, letter.Record, letter.Answer, letter.Created = "splunk", "{}", "code 6", time.Now()
		if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.AddDeadLetter(t.Context(), tx, letter) }); err != nil {
			t.Fatal(err)
		}
	}
	add(audit.DeadLetter{Workspace: acme, Event: core.NewID(), Type: core.UserUpdated})
	add(audit.DeadLetter{Workspace: acme, Event: core.NewID(), Type: core.SinkDeadLettered})
	add(audit.DeadLetter{})
	settle(t, db)
	if records := verified(t, db, acme); len(records) != 1 || records[0].Event.Type != core.SinkDeadLettered || records[0].Event.Outcome != core.Failure {
		t.Fatalf("%+v", records)
	}
	for workspace, want := range map[core.ID]int{acme: 2, globex: 0, {}: 1} {
		letters, err := audit.DeadLetters(t.Context(), db, workspace, 10)
		if err != nil || len(letters) != want {
			t.Fatalf("workspace %v: %d letters, want %d (%v)", workspace, len(letters), want, err)
		}
	}
}
