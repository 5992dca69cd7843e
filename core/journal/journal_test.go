package journal_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/journal"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// place is a workspace with a connection that keeps its journal for so many days; 0 says nothing.
func place(t *testing.T, db *postgres.DB, slug string, days int) (workspace, connection core.ID) {
	t.Helper()
	workspace = core.NewID()
	_, err := db.Exec(t.Context(), `insert into workspaces (id, slug, name, created) values ($1, $2, $2, now())`, workspace, slug)
	coretest.Must(t, err)
	return workspace, connect(t, db, workspace, "IdP", days)
}

func connect(t *testing.T, db *postgres.DB, workspace core.ID, name string, days int) core.ID {
	t.Helper()
	connection, settings := core.NewID(), `{}`
	if days > 0 {
		settings = fmt.Sprintf(`{"journal_days": %d}`, days)
	}
	_, err := db.Exec(t.Context(), `insert into connections (id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning)
		values ($1, $2, $3, 'okta', '', '', '', '{}', '', now(), $4::jsonb)`, connection, workspace, name, settings)
	coretest.Must(t, err)
	return connection
}

func keep(t *testing.T, db *postgres.DB, entries ...journal.Entry) {
	t.Helper()
	coretest.Must(t, db.Tx(t.Context(), func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, entry := range entries {
			journal.Queue(batch, entry)
		}
		return tx.SendBatch(t.Context(), batch).Close()
	}))
}

func entry(workspace, connection core.ID, received time.Time) journal.Entry {
	return journal.Entry{
		ID: core.NewID(), Workspace: workspace, Connection: connection, Received: received, Method: "POST", Address: "/Users", Body: new(`{"userName":"ana"}`),
		Profile: "okta", Rules: []string{}, Status: 201, Resource: core.NewID(), Correlation: core.NewID(),
	}
}

func list(t *testing.T, db *postgres.DB, workspace core.ID, query journal.Query) []journal.Entry {
	t.Helper()
	entries, err := journal.List(t.Context(), db, workspace, query)
	coretest.Must(t, err)
	return entries
}

func TestListAndRead(t *testing.T) {
	db := postgrestest.Open(t)
	acme, okta := place(t, db, "acme", 0)
	other, theirs := place(t, db, "other", 0)
	entra := connect(t, db, acme, "Entra", 0)
	first, second, third := entry(acme, okta, noon), entry(acme, okta, noon.Add(time.Minute)), entry(acme, entra, noon.Add(2*time.Minute))
	second.Method, second.Status, second.Detail, second.Body, second.Rules = "PATCH", 400, "no", nil, []string{"op_case", "null_removes"}
	third.Query, third.Resource, third.Correlation = "attributes=id", first.Resource, first.Correlation
	first.Method, third.Address = "GET", "/Users/.search" // which change nothing
	foreign := entry(other, theirs, noon)
	foreign.Resource, foreign.Correlation = first.Resource, first.Correlation
	keep(t, db, first, second, third, foreign)

	all := []journal.Entry{first, second, third}
	for name, test := range map[string]struct {
		query journal.Query
		want  []journal.Entry
	}{
		"all":               {journal.Query{}, all},
		"newest first":      {journal.Query{Newest: true}, []journal.Entry{third, second, first}},
		"a page":            {journal.Query{After: first.ID, Limit: 1}, []journal.Entry{second}},
		"a page backwards":  {journal.Query{After: third.ID, Limit: 1, Newest: true}, []journal.Entry{second}},
		"of a connection":   {journal.Query{Connection: entra}, []journal.Entry{third}},
		"of a resource":     {journal.Query{Resource: first.Resource}, []journal.Entry{first, third}},
		"of a story":        {journal.Query{Correlation: first.Correlation, Newest: true}, []journal.Entry{third, first}},
		"of a stretch":      {journal.Query{From: second.Received, To: third.Received}, []journal.Entry{second}},
		"refused":           {journal.Query{Refused: true}, []journal.Entry{second}},
		"a rule":            {journal.Query{Rule: "null_removes", Newest: true}, []journal.Entry{second}},
		"changes":           {journal.Query{Changes: true}, []journal.Entry{second}},
		"a rule of nobody":  {journal.Query{Rule: "null"}, nil},
		"theirs":            {journal.Query{Connection: theirs}, nil},
		"after one of them": {journal.Query{After: foreign.ID}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := list(t, db, acme, test.query)
			if diff := cmp.Diff(test.want, got); diff != "" && len(test.want)+len(got) > 0 {
				t.Error(diff)
			}
		})
	}
	read, err := journal.Read(t.Context(), db, acme, second.ID)
	coretest.Must(t, err)
	if diff := cmp.Diff(second, read); diff != "" {
		t.Error(diff)
	}
	for _, id := range []core.ID{foreign.ID, core.NewID(), {}} {
		if _, err := journal.Read(t.Context(), db, acme, id); core.KindOf(err) != core.KindNotFound {
			t.Errorf("entry %s: %v", id, err)
		}
	}
}

func TestRetentionIsTheConnections(t *testing.T) {
	db := postgrestest.Open(t)
	acme, okta := place(t, db, "acme", 0)
	entra := connect(t, db, acme, "Entra", 7)
	other, theirs := place(t, db, "other", 90)
	ago := func(workspace, connection core.ID, days int) journal.Entry {
		return entry(workspace, connection, noon.AddDate(0, 0, -days).Add(-time.Second))
	}
	gone := core.NewID() // a connection that was removed
	kept := []journal.Entry{ago(acme, okta, 29), ago(acme, entra, 6), ago(acme, gone, 29)}
	keep(t, db, kept...)
	keep(t, db, ago(acme, okta, 30), ago(acme, okta, 400), ago(acme, entra, 7), ago(acme, gone, 30), ago(other, theirs, 89), ago(other, theirs, 90))
	removed, err := journal.Sweep(t.Context(), db, noon)
	coretest.Must(t, err)
	if removed != 5 {
		t.Errorf("%d were removed", removed)
	}
	if diff := cmp.Diff(kept, list(t, db, acme, journal.Query{})); diff != "" {
		t.Error(diff)
	}
	if got := list(t, db, other, journal.Query{}); len(got) != 1 {
		t.Errorf("the other workspace has %d", len(got))
	}
	if removed, err := journal.Sweep(t.Context(), db, noon); err != nil || removed != 0 {
		t.Errorf("a second sweep removes %d: %v", removed, err)
	}
}

func TestSweepTakesMoreThanOneBatch(t *testing.T) {
	db := postgrestest.Open(t)
	acme, okta := place(t, db, "acme", 1)
	_, err := db.Exec(t.Context(), `insert into provisioning_requests (id, workspace_id, connection_id, received, method, address, profile, status, correlation)
		select gen_random_uuid(), $1, $2, $3, 'POST', '/Users', 'okta', 201, gen_random_uuid() from generate_series(1, 5001)`, acme, okta, noon.AddDate(0, 0, -2))
	coretest.Must(t, err)
	if removed, err := journal.Sweep(t.Context(), db, noon); err != nil || removed != 5001 {
		t.Errorf("removed %d: %v", removed, err)
	}
}

func TestRunSweepsUntilItIsStopped(t *testing.T) {
	db := postgrestest.Open(t)
	acme, okta := place(t, db, "acme", 1)
	keep(t, db, entry(acme, okta, noon.AddDate(0, 0, -2)))
	swept := make(chan struct{}, 1)
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		done <- journal.Run(ctx, db, func() time.Time { swept <- struct{}{}; return noon }, slog.New(slog.DiscardHandler))
	}()
	<-swept
	for len(list(t, db, acme, journal.Query{})) > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	coretest.Must(t, <-done)
}
