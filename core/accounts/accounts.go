package accounts

import (
	"context"
	"encoding/json"
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
	// Connectors check an app's settings, by the name of the connector. Nil: any name and any settings are taken.
	Connectors map[string]func(settings json.RawMessage) error
	// Disables reports whether a connector disables accounts in an app with these settings. Nil: all do.
	Disables func(connector string, settings json.RawMessage) bool
	// Resets reports whether a connector sets passwords as an administrator in an app with these settings. Nil: all do.
	Resets func(connector string, settings json.RawMessage) bool
	// Used is called, if set, in each transaction in which somebody is given an account's password.
	Used func(ctx context.Context, tx pgx.Tx, workspace, account core.ID) error
}

// now is the time as PostgreSQL keeps it.
func (a *Accounts) now() time.Time { return postgres.Now(a.Now) }

// collision turns a violated unique constraint into a Conflict that names the field.
func collision(err error, constraint, field, text string) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23505" && server.ConstraintName == constraint {
		return core.Conflict(field, "%s", text).WithCode(constraint).Because(err)
	}
	return postgres.Classify(err)
}
