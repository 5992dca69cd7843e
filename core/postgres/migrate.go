package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

//go:embed migrations/*.sql
var migrations embed.FS

// lockMigrations keeps two processes that start together from migrating at once. Other advisory
// locks of Postern use numbers next to it.
const lockMigrations = 0x706f7374_00000001 // "post"

const createMigrations = `
create table if not exists schema_migrations (
	name     text primary key,
	checksum text not null,
	applied  timestamptz not null default now()
)`

const selectMigrations = `select name, checksum from schema_migrations`

const insertMigration = `insert into schema_migrations (name, checksum) values (@name, @checksum)`

// Migrate applies every migration that has not run yet, each in its own transaction, in the order
// of their names, and returns the names of those it applied. It refuses (Conflict) a database whose
// migrations are not this program's: an edited file, or one from a newer program.
func Migrate(ctx context.Context, db *DB) ([]string, error) {
	connection, err := db.Acquire(ctx)
	if err != nil {
		return nil, Classify(err)
	}
	defer connection.Release()
	if _, err := connection.Exec(ctx, `select pg_advisory_lock($1)`, int64(lockMigrations)); err != nil {
		return nil, Classify(err)
	}
	defer func() {
		_, _ = connection.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, int64(lockMigrations))
	}()
	if _, err := connection.Exec(ctx, createMigrations); err != nil {
		return nil, Classify(err)
	}
	rows, err := connection.Query(ctx, selectMigrations)
	if err != nil {
		return nil, Classify(err)
	}
	known := map[string]string{}
	var name, checksum string
	if _, err := pgx.ForEachRow(rows, []any{&name, &checksum}, func() error { known[name] = checksum; return nil }); err != nil {
		return nil, Classify(err)
	}

	var applied []string
	for _, file := range files() {
		text, err := migrations.ReadFile("migrations/" + file)
		if err != nil {
			return applied, core.Internal(err)
		}
		sum := sha256.Sum256(text)
		wanted := hex.EncodeToString(sum[:])
		if had, ran := known[file]; ran {
			delete(known, file)
			if had != wanted {
				return applied, core.Conflict("database", "migration %s was changed after it ran; restore the file or the database", file)
			}
			continue
		}
		err = pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, string(text)); err != nil {
				return fmt.Errorf("migration %s: %w", file, err)
			}
			_, err := tx.Exec(ctx, insertMigration, pgx.StrictNamedArgs{"name": file, "checksum": wanted})
			return err
		})
		if err != nil {
			return applied, Classify(err)
		}
		applied = append(applied, file)
	}
	for newer := range known {
		return applied, core.Conflict("database", "the database holds migration %s of a newer Postern; run that version", newer)
	}
	return applied, nil
}

// Outdated names the migrations of this program that a database has not had, in the order they run:
// none when this program can work with its schema.
func Outdated(ctx context.Context, q Querier) ([]string, error) {
	rows, err := q.Query(ctx, selectMigrations)
	if err != nil {
		return nil, Classify(err)
	}
	applied := map[string]bool{}
	var name, checksum string
	if _, err := pgx.ForEachRow(rows, []any{&name, &checksum}, func() error { applied[name] = true; return nil }); err != nil {
		return nil, Classify(err)
	}
	return slices.DeleteFunc(files(), func(file string) bool { return applied[file] }), nil
}

// files lists the migrations in the order they run.
func files() []string {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		panic(err) // embedded: the build is broken
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Fingerprint identifies the schema this program would build: it changes with every migration.
func Fingerprint() string {
	hash := sha256.New()
	for _, file := range files() {
		text, err := migrations.ReadFile("migrations/" + file)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(hash, "%s\n%s\n", file, strings.TrimSpace(string(text)))
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}
