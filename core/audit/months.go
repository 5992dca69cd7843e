package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/postgres"
)

// months are those the log has tables for, by their first moment.
type months map[time.Time]bool

// month is the first moment of the calendar month of a moment, in UTC.
func month(moment time.Time) time.Time {
	year, month, _ := moment.UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

const createMonth = `select audit_month(@moment)`

// ensure makes the tables of the months that begin then.
func (m months) ensure(ctx context.Context, tx pgx.Tx, needed []time.Time) error {
	for _, first := range needed {
		if m[first] {
			continue
		}
		if _, err := tx.Exec(ctx, createMonth, pgx.StrictNamedArgs{"moment": first}); err != nil {
			return err
		}
		m[first] = true
	}
	return nil
}

const selectMonths = `
select to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC'
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'audit_log'::regclass
order by 1`

// Months are the calendar months the log has tables for, by their first moment, oldest first.
func Months(ctx context.Context, q postgres.Querier) ([]time.Time, error) {
	rows, err := q.Query(ctx, selectMonths)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for i := range found {
		found[i] = found[i].UTC()
	}
	return found, postgres.Classify(err)
}
