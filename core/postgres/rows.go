package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// One reads the only row of a query into a struct, by the names of its columns. None is NotFound of the noun.
func One[Row any](ctx context.Context, q Querier, noun, query string, args pgx.StrictNamedArgs) (Row, error) {
	var none Row
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return none, Classify(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Row])
	if errors.Is(err, pgx.ErrNoRows) {
		return none, core.NotFound(noun)
	}
	return row, Classify(err)
}

// Many reads every row of a query into structs, by the names of its columns.
func Many[Row any](ctx context.Context, q Querier, query string, args pgx.StrictNamedArgs) ([]Row, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	return found, Classify(err)
}

// Column reads a query's only column.
func Column[Value any](ctx context.Context, q Querier, query string, args pgx.StrictNamedArgs) ([]Value, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[Value])
	return found, Classify(err)
}

// Page is how many rows a list gives at once: 100 unless a limit says otherwise, and never more than 500.
func Page(limit int) int {
	if limit <= 0 {
		limit = 100
	}
	return min(limit, 500)
}
