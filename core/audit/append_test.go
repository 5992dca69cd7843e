package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

// workspace makes a workspace to record in.
func workspace(t testing.TB, db *postgres.DB, slug string) core.ID {
	t.Helper()
	id := core.NewID()
	if _, err := db.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, @slug, @slug)`, pgx.StrictNamedArgs{"id": id, "slug": slug}); err != nil {
		t.Fatal(err)
	}
	return id
}

func event(workspace core.ID, name string) core.Event {
	cause := core.NewCause(core.System, time.Now())
	return core.NewEvent(core.UserProvisioned, workspace, cause, time.Now(), core.Target{Kind: "user", ID: core.NewID(), Name: name})
}

func TestAppendKeepsOrderAndBytes(t *testing.T) {
	db := postgrestest.Open(t)
	acme := workspace(t, db, "acme")
	first := event(acme, "Ana \u2028 <&> \x00 \xff é").With("b", "2").With("a", "1")
	second := event(acme, "second")
	second.Correlation = core.ID{}
	second.Targets = append(second.Targets, second.Targets[0], core.Target{Kind: "origin"})
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, first, second) }); err != nil {
		t.Fatal(err)
	}
	rows, _ := db.Query(t.Context(), `select event::text from audit_outbox where workspace_id = @workspace order by xid, number`, pgx.StrictNamedArgs{"workspace": acme})
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want, err := audit.Canonical(first)
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 2 || texts[0] != string(want) || !strings.Contains(texts[1], `"second"`) {
		t.Fatalf("got %q\nwant %q first", texts, want)
	}
	if !strings.Contains(texts[1], `"correlation":"`+second.ID.String()+`"`) {
		t.Fatalf("an event without correlation should begin its own story: %s", texts[1])
	}
}

func TestAppendRefusesHalfAnEvent(t *testing.T) {
	db := postgrestest.Open(t)
	err := db.Tx(t.Context(), func(tx pgx.Tx) error { return audit.Append(t.Context(), tx, core.Event{}) })
	if core.KindOf(err) != core.KindInternal {
		t.Fatalf("got %v", err)
	}
}
