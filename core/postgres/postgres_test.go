package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

func TestMigrateIsIdempotent(t *testing.T) {
	db := postgrestest.Open(t)
	applied, err := postgres.Migrate(t.Context(), db)
	if err != nil || len(applied) != 0 {
		t.Fatalf("a second run applied %v, %v", applied, err)
	}
}

func TestMigrateRefusesAnEditedFile(t *testing.T) {
	db := postgrestest.Open(t)
	if _, err := db.Exec(t.Context(), `update schema_migrations set checksum = 'edited' where name like '0001%'`); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Migrate(t.Context(), db); core.KindOf(err) != core.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestMigrateRefusesANewerDatabase(t *testing.T) {
	db := postgrestest.Open(t)
	if _, err := db.Exec(t.Context(), `insert into schema_migrations (name, checksum) values ('9999_future.sql', '')`); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Migrate(t.Context(), db); core.KindOf(err) != core.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestOutdatedNamesWhatIsMissing(t *testing.T) {
	db := postgrestest.Open(t)
	if missing, err := postgres.Outdated(t.Context(), db); err != nil || len(missing) != 0 {
		t.Fatalf("a migrated database lacks %v, %v", missing, err)
	}
	if _, err := db.Exec(t.Context(), `delete from schema_migrations where name like '0002%' or name like '0003%'`); err != nil {
		t.Fatal(err)
	}
	missing, err := postgres.Outdated(t.Context(), db)
	if err != nil || len(missing) != 2 || missing[0][:4] != "0002" || missing[1][:4] != "0003" {
		t.Fatalf("got %v, %v", missing, err)
	}
}

func TestIDsTravelThroughSQL(t *testing.T) {
	db := postgrestest.Open(t)
	want := core.NewID()
	var got, none core.ID
	var many []core.ID
	err := db.QueryRow(t.Context(), `select @id::uuid, @none::uuid, array[@id::uuid, @id::uuid] where @id::uuid = any(@ids::uuid[])`,
		pgx.StrictNamedArgs{"id": want, "none": core.ID{}, "ids": []core.ID{want}}).Scan(&got, &none, &many)
	if err != nil {
		t.Fatal(err)
	}
	if got != want || !none.IsZero() || len(many) != 2 || many[1] != want {
		t.Fatalf("got %v, %v, %v", got, none, many)
	}
}

func TestTxRollsBackAndClassifies(t *testing.T) {
	db := postgrestest.Open(t)
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, 'acme', 'Acme')`, pgx.StrictNamedArgs{"id": core.NewID()})
		return err
	}
	err := db.Tx(t.Context(), func(tx pgx.Tx) error {
		if err := insert(tx); err != nil {
			return err
		}
		return core.Denied("no")
	})
	if core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), insert); err != nil {
		t.Fatalf("the refused transaction left its row behind: %v", err)
	}
	err = db.Tx(t.Context(), insert)
	if classified := core.AsError(err); classified.Kind != core.KindConflict || classified.Code != "workspaces_slug_key" {
		t.Fatalf("got %v", err)
	}
}
