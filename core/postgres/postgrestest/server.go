package postgrestest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"postern/conformance/partstest"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

// Server starts a PostgreSQL of the test's own, to be stopped, killed or measured. It has its own settings but for
// those given: it waits for the disk, which that of Open does not.
func Server(t testing.TB, settings map[string]string) *postgresql.Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "postern-test-own-postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o711); err != nil { // PostgreSQL does not run as root
		t.Fatal(err)
	}
	server, err := postgresql.Start(context.WithoutCancel(t.Context()), postgresql.Options{Folder: filepath.Join(folder, "data"), Settings: settings})
	partstest.Need(t, "PostgreSQL", err)
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

// Database is Open on a server of the test's own.
func Database(t testing.TB, server *postgresql.Server, name string, extra ...func(ctx context.Context, db *postgres.DB) error) *postgres.DB {
	t.Helper()
	url, err := server.Database(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "test", MaxConnections: 40})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if _, err := postgres.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	for _, migrate := range extra {
		if err := migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	return db
}
