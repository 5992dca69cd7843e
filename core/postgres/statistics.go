package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// statisticsEvery is how often the tables are looked at. PostgreSQL does the same once a minute: long
// enough for a first import to put thousands of rows into a table it still takes for empty.
const statisticsEvery = 2 * time.Second

// lockStatistics keeps all processes but one from looking at the same tables at the same time.
const lockStatistics = `select pg_try_advisory_xact_lock(@key)`

const statisticsKey = 0x706f7374_00000e57

const selectOutgrown = `
select format('%I.%I', s.schemaname, s.relname)
from pg_stat_user_tables s join pg_class c on c.oid = s.relid
where s.schemaname = current_schema() and s.n_mod_since_analyze > 50 + 0.5 * greatest(c.reltuples, 0)
order by s.relname`

// KeepStatistics tells the planner of tables that outgrew what it knows of them, until ctx ends. How a
// statement is carried out is decided by that, and each connection keeps what was decided: one that was
// opened while a table was empty would go through all of it ever after. Analysing a table makes every
// connection decide anew.
func KeepStatistics(ctx context.Context, db *DB, log *slog.Logger) error {
	ticker := time.NewTicker(statisticsEvery)
	defer ticker.Stop()
	for {
		if _, err := RefreshStatistics(ctx, db); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the planner could not be told how the tables grew", "error", Classify(err).Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// RefreshStatistics does so once, and returns the tables it analysed.
func RefreshStatistics(ctx context.Context, db *DB) ([]string, error) {
	var outgrown []string
	err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		var ours bool
		if err := tx.QueryRow(ctx, lockStatistics, pgx.StrictNamedArgs{"key": int64(statisticsKey)}).Scan(&ours); err != nil || !ours {
			return err
		}
		rows, err := tx.Query(ctx, selectOutgrown)
		if err != nil {
			return err
		}
		if outgrown, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		return nil
	})
	for _, table := range outgrown {
		// Each by itself: a table that is being vacuumed keeps no other waiting.
		if err == nil {
			_, err = db.Exec(ctx, "analyze (skip_locked) "+table, pgx.QueryExecModeSimpleProtocol)
		}
	}
	return outgrown, err
}
