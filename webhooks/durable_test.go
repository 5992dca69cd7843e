package webhooks_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

// durableServer is a PostgreSQL that waits for the disk, as one in use does and the one of the tests does not.
type durableServer struct {
	url     string
	process string // of the postmaster
}

func durable(b *testing.B) durableServer {
	b.Helper()
	folder, err := os.MkdirTemp("", "postern-bench-postgresql-")
	must(b, err)
	must(b, os.Chmod(folder, 0o711))
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	data := filepath.Join(folder, "data")
	server, err := postgresql.Start(context.Background(), postgresql.Options{
		Folder: data, Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"},
	})
	partstest.Need(b, "PostgreSQL", err)
	b.Cleanup(func() { _ = server.Stop() })
	connection, err := pgx.Connect(b.Context(), server.URL)
	must(b, err)
	var folderThere string
	must(b, connection.QueryRow(b.Context(), "show data_directory").Scan(&folderThere))
	must(b, connection.Close(b.Context()))
	text, err := os.ReadFile(filepath.Join(folderThere, "postmaster.pid"))
	must(b, err)
	process, _, _ := strings.Cut(string(text), "\n")
	return durableServer{server.URL, process}
}

// open makes a database with the schema.
func (s durableServer) open(b *testing.B, name string) *postgres.DB {
	b.Helper()
	admin, err := pgx.Connect(b.Context(), s.url)
	must(b, err)
	_, err = admin.Exec(b.Context(), "create database "+name)
	must(b, err)
	must(b, admin.Close(b.Context()))
	db, err := postgres.Open(b.Context(), strings.Replace(s.url, "/postgres?", "/"+name+"?", 1), postgres.Options{Name: "bench", MaxConnections: 40})
	must(b, err)
	b.Cleanup(db.Close)
	_, err = postgres.Migrate(b.Context(), db)
	must(b, err)
	must(b, jobs.Migrate(b.Context(), db))
	return db
}

// busy is how long PostgreSQL has used a processor: its children that live, as those of a pool do.
func (s durableServer) busy(b *testing.B) time.Duration {
	b.Helper()
	entries, err := os.ReadDir("/proc")
	must(b, err)
	total := 0
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		// What comes after the name, which may hold anything: state, parent, … user and system time as 12th and 13th.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 || fields[1] != s.process {
			continue
		}
		for _, field := range fields[11:13] {
			ticks, err := strconv.Atoi(field)
			must(b, err)
			total += ticks
		}
	}
	return time.Duration(total) * 10 * time.Millisecond
}

// ourselves is how long this process has used a processor.
func ourselves(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
