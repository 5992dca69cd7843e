package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectVersionedConnectionByID = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in, xmin as row
from connections where id = @id`

// VersionedConnection is ConnectionByID with the version of the row, which is another one after every change:
// what is judged by a connection that is remembered asks for it in its own transaction.
func (d *Directory) VersionedConnection(ctx context.Context, q postgres.Querier, id core.ID) (Connection, uint32, error) {
	found, err := postgres.One[versioned](ctx, q, "connection", selectVersionedConnectionByID, pgx.StrictNamedArgs{"id": id})
	return found.Connection, found.Row, err
}
