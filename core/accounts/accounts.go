package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/vault"
)

// Accounts reads and changes apps, accounts, grants and credentials. It is safe for concurrent use.
type Accounts struct {
	DB        *postgres.DB
	Vault     *vault.Vault
	Directory *directory.Directory
	Now       func() time.Time // nil is time.Now
	// Used is called, if set, in each transaction in which somebody is given an account's password.
	Used func(ctx context.Context, tx pgx.Tx, workspace, account core.ID) error
}

// now is the time as PostgreSQL keeps it.
func (a *Accounts) now() time.Time {
	if a.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return a.Now().UTC().Truncate(time.Microsecond)
}

// one reads the only row of a query; none is NotFound of the noun.
func one[Row any](ctx context.Context, q postgres.Querier, noun, query string, args pgx.StrictNamedArgs) (Row, error) {
	var none Row
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return none, postgres.Classify(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Row])
	if errors.Is(err, pgx.ErrNoRows) {
		return none, core.NotFound(noun)
	}
	return row, postgres.Classify(err)
}

// many reads every row of a query.
func many[Row any](ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]Row, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	return found, postgres.Classify(err)
}

// identifiers reads a query's only column.
func identifiers(ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]core.ID, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	return found, postgres.Classify(err)
}

// collision turns a violated unique constraint into a Conflict that names the field.
func collision(err error, constraint, field, text string) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23505" && server.ConstraintName == constraint {
		return core.Conflict(field, "%s", text).WithCode(constraint).Because(err)
	}
	return postgres.Classify(err)
}
