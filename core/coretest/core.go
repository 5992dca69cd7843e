package coretest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/signing"
	"postern/core/vault"
)

// Core is every slice over one database. A test changes what it wants otherwise before it begins.
type Core struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Vault     *vault.Vault
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations
	Lifecycle *lifecycle.Lifecycle
	Signals   *signals.Signals
	Signing   *signing.Signing
}

// Open is Core over a fresh database, which goes with the test. now is the clock of all; nil is time.Now.
func Open(t testing.TB, now func() time.Time) *Core {
	t.Helper()
	return On(t, postgrestest.Open(t, jobs.Migrate), now)
}

// On is Core over a database that may have others, with a key of its own for the vault.
func On(t testing.TB, db *postgres.DB, now func() time.Time) *Core {
	t.Helper()
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	Must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	Must(t, err)
	c := &Core{DB: db, Directory: &directory.Directory{DB: db, Now: now}, Vault: &vault.Vault{DB: db, Keys: key, Now: now}}
	c.Accounts = &accounts.Accounts{DB: db, Vault: c.Vault, Directory: c.Directory, Now: now}
	c.Rotations = &rotation.Rotations{DB: db, Accounts: c.Accounts, Queue: queue, Now: now}
	c.Lifecycle = &lifecycle.Lifecycle{DB: db, Directory: c.Directory, Accounts: c.Accounts, Rotations: c.Rotations, Now: now}
	c.Signals = &signals.Signals{DB: db, Directory: c.Directory, Accounts: c.Accounts, Rotations: c.Rotations, Lifecycle: c.Lifecycle, Now: now}
	c.Signing = &signing.Signing{DB: db, Vault: c.Vault, Now: now}
	return c
}

// Tx does work in a transaction, which must succeed.
func (c *Core) Tx(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	Must(t, c.DB.Tx(t.Context(), func(tx pgx.Tx) error { return work(t.Context(), tx) }))
}

// Until waits for something to hold, as long as a test may take.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Run runs a part until it is stopped, or the test ends.
func Run(t testing.TB, part func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = part(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}
