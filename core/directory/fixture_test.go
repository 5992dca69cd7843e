package directory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres/postgrestest"
)

// house is one workspace with a connection, a user and a team.
type house struct {
	workspace  directory.Workspace
	connection directory.Connection
	ana        directory.User
	team       directory.Team
	cause      core.Cause
}

// world is a directory with two workspaces that hold the same names and external ids, so that a query
// which forgets its workspace finds too much.
type world struct {
	*directory.Directory
	clock *coretest.Clock
	acme  house
	other house
}

func open(t *testing.T) *world {
	t.Helper()
	c := coretest.NewClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	w := &world{Directory: &directory.Directory{DB: postgrestest.Open(t), Now: c.Now}, clock: c}
	w.other = w.build(t, "other")
	w.acme = w.build(t, "acme")
	return w
}

func (w *world) tx(t testing.TB, work func(tx pgx.Tx) error) {
	t.Helper()
	if err := w.DB.Tx(t.Context(), work); err != nil {
		t.Fatal(err)
	}
}

func (w *world) build(t *testing.T, slug string) house {
	t.Helper()
	h := house{cause: core.NewCause(core.System, w.clock.Now())}
	ctx := t.Context()
	w.tx(t, func(tx pgx.Tx) (err error) {
		if h.workspace, err = w.CreateWorkspace(ctx, tx, h.cause, slug, slug); err != nil {
			return err
		}
		h.connection, err = w.CreateConnection(ctx, tx, h.cause, h.workspace.ID, directory.NewConnection{Name: "Okta", Kind: directory.Okta})
		if err != nil {
			return err
		}
		h.ana, err = w.InsertUser(ctx, tx, directory.User{
			Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: "ana@example.com", ExternalID: "00u1", Email: "ana@example.com",
			DisplayName: "Ana", Active: true,
		})
		if err != nil {
			return err
		}
		h.team, err = w.InsertTeam(ctx, tx, directory.Team{
			Workspace: h.workspace.ID, Connection: h.connection.ID, DisplayName: "Sales", ExternalID: "00g1",
		})
		if err != nil {
			return err
		}
		_, err = w.AddMembers(ctx, tx, h.workspace.ID, h.team.ID, []core.ID{h.ana.ID})
		return err
	})
	return h
}

// user adds one more user to a house.
func (w *world) user(t testing.TB, h house, name string) directory.User {
	t.Helper()
	var made directory.User
	w.tx(t, func(tx pgx.Tx) (err error) {
		made, err = w.InsertUser(t.Context(), tx, directory.User{
			Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: name, Email: name, Active: true,
		})
		return err
	})
	return made
}

// refused runs work in a transaction and requires this kind of error, about this field.
func (w *world) refused(t testing.TB, kind core.Kind, field string, work func(tx pgx.Tx) error) {
	t.Helper()
	coretest.Wants(t, w.DB.Tx(t.Context(), work), kind, field)
}

// events counts the events of a type a workspace appended.
func (w *world) events(t testing.TB, workspace core.ID, kind core.EventType) int {
	t.Helper()
	var count int
	err := w.DB.QueryRow(t.Context(), `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type`,
		pgx.StrictNamedArgs{"workspace": workspace, "type": kind}).Scan(&count)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// together starts all functions at once and waits for them.
func together(work ...func()) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, one := range work {
		all.Go(func() { <-start; one() })
	}
	close(start)
	all.Wait()
}
