package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres/postgrestest"
)

const (
	insertWorkspace = `insert into workspaces (id, slug, name) values (@id, @slug, @slug)`
	insertSeen      = `insert into connection_of (workspace_id, connection_id, seen) values (@id, @connection, 1)
on conflict (workspace_id, connection_id) do update set seen = connection_of.seen + excluded.seen`
	numberRow  = `insert into numbered_rows (workspace_id, number) values (@id, @number)`
	copyNumber = `insert into other_rows (workspace_id, number) select workspace_id, number from numbered_rows where workspace_id = @id`
)

// What a batch does is the same, whether its statements were made one or not: inserts into several
// tables, into one table in their order, and one that reads what came before it.
func TestABatchDoesWhatItsStatementsSay(t *testing.T) {
	db := postgrestest.Open(t)
	for _, statement := range []string{
		`create table connection_of (workspace_id uuid references workspaces (id), connection_id uuid, seen int, primary key (workspace_id, connection_id))`,
		`create table numbered_rows (place bigint generated always as identity, workspace_id uuid, number int)`,
		`create table other_rows (workspace_id uuid, number int)`,
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, slug := range []string{"acme", "other"} {
		workspace, connection := core.NewID(), core.NewID()
		err := db.Batch(t.Context(), nil, func(batch *pgx.Batch) error {
			// The second refers to the first, and all to arguments of their own.
			batch.Queue(insertWorkspace, pgx.StrictNamedArgs{"id": workspace, "slug": slug})
			batch.Queue(insertSeen, pgx.StrictNamedArgs{"id": workspace, "connection": connection})
			batch.Queue(numberRow, pgx.StrictNamedArgs{"id": workspace, "number": 7})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Batch(t.Context(), nil, func(batch *pgx.Batch) error {
			batch.Queue(insertSeen, pgx.StrictNamedArgs{"id": workspace, "connection": connection})
			batch.Queue(numberRow, pgx.StrictNamedArgs{"id": workspace, "number": 8})
			batch.Queue(numberRow, pgx.StrictNamedArgs{"id": workspace, "number": 9})
			batch.Queue(copyNumber, pgx.StrictNamedArgs{"id": workspace})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var seen int
		var numbers, copies []int
		err = db.QueryRow(t.Context(), `
			select (select seen from connection_of where workspace_id = @id),
			       array(select number from numbered_rows where workspace_id = @id order by place),
			       array(select number from other_rows where workspace_id = @id order by number)`,
			pgx.StrictNamedArgs{"id": workspace}).Scan(&seen, &numbers, &copies)
		if err != nil {
			t.Fatal(err)
		}
		if seen != 2 || len(numbers) != 3 || numbers[0] != 7 || numbers[1] != 8 || numbers[2] != 9 || len(copies) != 3 {
			t.Errorf("%s: seen %d, numbered %v, copied %v", slug, seen, numbers, copies)
		}
	}
}

// A part that fails takes the others with it, and says which constraint it was.
func TestAWovenBatchIsOneTransaction(t *testing.T) {
	db := postgrestest.Open(t)
	if _, err := db.Exec(t.Context(), `create table numbered_rows (workspace_id uuid, number int)`); err != nil {
		t.Fatal(err)
	}
	workspace := core.NewID()
	add := func() error {
		return db.Batch(t.Context(), nil, func(batch *pgx.Batch) error {
			batch.Queue(numberRow, pgx.StrictNamedArgs{"id": workspace, "number": 1})
			batch.Queue(insertWorkspace, pgx.StrictNamedArgs{"id": core.NewID(), "slug": "acme"})
			return nil
		})
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	if err := add(); core.KindOf(err) != core.KindConflict || core.AsError(err).Code != "workspaces_slug_key" {
		t.Fatalf("got %v", err)
	}
	var rows int
	if err := db.QueryRow(t.Context(), `select count(*) from numbered_rows where workspace_id = @id`, pgx.StrictNamedArgs{"id": workspace}).Scan(&rows); err != nil || rows != 1 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}
