package postgrestest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

var (
	server = sync.OnceValues(startServer)

	templatesLock sync.Mutex
	templates     = map[string]error{}

	number atomic.Int64
)

// lockTemplate serialises processes that share a server and build the same template.
const lockTemplate = 0x706f7374_000000ff

func startServer() (string, error) {
	if url := os.Getenv("POSTERN_TEST_POSTGRES"); url != "" {
		if name, told := strings.CutPrefix(url, "file:"); told {
			written, err := os.ReadFile(name)
			return string(written), err
		}
		return url, nil
	}
	folder, err := os.MkdirTemp("", "postern-test-postgresql-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		return "", err
	}
	// The server ends with this process; its folder is swept by the next one.
	sweep(folder)
	running, err := postgresql.Start(context.Background(), postgresql.Options{Folder: folder, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300", "shared_buffers": "256MB",
	}})
	if err != nil {
		return "", err
	}
	return running.URL, nil
}

// Open returns a fresh database with the schema of postgres.Migrate and, applied after it, extra
// (for example jobs.Migrate). The database is dropped when the test ends.
func Open(t testing.TB, extra ...func(ctx context.Context, db *postgres.DB) error) *postgres.DB {
	t.Helper()
	url := URL(t, extra...)
	db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// URL is Open for a process under test that connects by itself.
func URL(t testing.TB, extra ...func(ctx context.Context, db *postgres.DB) error) string {
	t.Helper()
	admin, err := server()
	partstest.Need(t, "PostgreSQL", err)
	template := fmt.Sprintf("template_%s_%d", postgres.Fingerprint(), len(extra))
	if err := ensureTemplate(admin, template, extra); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	name, found := taken(template)
	if !found {
		name = fmt.Sprintf("test_%d_%d", os.Getpid(), number.Add(1))
		if err := execute(ctx, admin, "create database "+name+" template "+template); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := leave(ctx, admin, template, name); err != nil {
			t.Logf("dropping %s: %v", name, err)
		}
	})
	return on(admin, name)
}

func ensureTemplate(admin, template string, extra []func(context.Context, *postgres.DB) error) error {
	templatesLock.Lock()
	defer templatesLock.Unlock()
	if err, made := templates[template]; made {
		return err
	}
	err := makeTemplate(context.Background(), admin, template, extra)
	templates[template] = err
	return err
}

// makeTemplate builds under another name and renames at the end, so a run that was killed halfway
// leaves no template behind.
func makeTemplate(ctx context.Context, admin, template string, extra []func(context.Context, *postgres.DB) error) error {
	connection, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	if _, err := connection.Exec(ctx, `select pg_advisory_lock($1)`, int64(lockTemplate)); err != nil {
		return err
	}
	var exists bool
	if err := connection.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, template).Scan(&exists); err != nil || exists {
		return err
	}
	half := template + "_half"
	for _, statement := range []string{"drop database if exists " + half + " with (force)", "create database " + half} {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return err
		}
	}
	db, err := postgres.Open(ctx, on(admin, half), postgres.Options{})
	if err != nil {
		return err
	}
	_, err = postgres.Migrate(ctx, db)
	for _, migrate := range extra {
		if err == nil {
			err = migrate(ctx, db)
		}
	}
	db.Close()
	if err == nil {
		err = describe(ctx, on(admin, half), half)
	}
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, "alter database "+half+" rename to "+template)
	return err
}

func execute(ctx context.Context, url, statement string) error {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	_, err = connection.Exec(ctx, statement)
	return err
}

func on(url, database string) string {
	return strings.Replace(url, "/postgres?", "/"+database+"?", 1)
}
