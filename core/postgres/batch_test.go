package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

// A batch happens whole or not at all, whichever of its statements fails.
func TestABatchIsOneTransaction(t *testing.T) {
	db := postgrestest.Open(t)
	ctx := context.Background()
	insert := `insert into workspaces (id, slug, name) values ($1, $2, '')`
	explained := errors.New("explained")
	for name, slugs := range map[string][]string{"first": {"-", "a"}, "last": {"b", "c", "-"}, "none": {"d", "e"}} {
		calls := 0
		err := db.Batch(ctx, func(err error) error { return core.Invalid("slug", "%s", explained).Because(err) }, func(batch *pgx.Batch) error {
			calls++
			for _, slug := range slugs {
				if _, err := postgres.Queueing(batch).Exec(ctx, insert, core.NewID(), slug); err != nil {
					return err
				}
			}
			return nil
		})
		var there int
		if err := db.QueryRow(ctx, `select count(*) from workspaces where slug = any($1)`, slugs).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if fails := name != "none"; fails != (err != nil) || fails != (there == 0) || calls != 1 {
			t.Errorf("%s fails: %v, %d rows, %d calls", name, err, there, calls)
		}
		if err != nil && core.AsError(err).Field != "slug" {
			t.Errorf("%s fails: %v", name, err)
		}
	}
	if err := postgres.Queueing(&pgx.Batch{}).QueryRow(ctx, `select 1`).Scan(new(int)); err == nil {
		t.Error("a queued statement answered")
	}
}
