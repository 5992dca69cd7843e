package jobs

import (
	"context"
	"log/slog"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"postern/core"
	"postern/core/postgres"
)

// Outdated reports whether River's tables are older than this program's River, or not there: Migrate
// has not run yet.
func Outdated(ctx context.Context, db *postgres.DB) (bool, error) {
	migrator, err := rivermigrate.New(riverpgxv5.New(db.Pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return false, core.Internal(err)
	}
	applied, err := migrator.ExistingVersions(ctx)
	if err != nil {
		return false, postgres.Classify(err)
	}
	return len(applied) < len(migrator.AllVersions()), nil
}
