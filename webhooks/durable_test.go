package webhooks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres/postgrestest"
	"postern/deploy/local/postgresql"
)

// durableServer is a PostgreSQL that waits for the disk, as one in use does, and whose work can be measured.
type durableServer struct {
	*postgresql.Server
	process string // of the postmaster
}

func durable(b *testing.B) durableServer {
	b.Helper()
	server := postgrestest.Server(b, map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"})
	connection, err := pgx.Connect(b.Context(), server.URL)
	must(b, err)
	var folder string
	must(b, connection.QueryRow(b.Context(), "show data_directory").Scan(&folder))
	must(b, connection.Close(b.Context()))
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	must(b, err)
	process, _, _ := strings.Cut(string(text), "\n")
	return durableServer{server, process}
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
