package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// SignedIn is how people came in through a connection.
type SignedIn struct {
	Last *time.Time `db:"last"` // nil: nobody ever did
	Live int        `db:"live"` // sessions that have neither ended nor reached their limit
}

const selectSignedIn = `
select max(created) as last, count(*) filter (where ended is null and expires > @now) as live
from sessions where workspace_id = @workspace and connection_id = @connection`

// SignedIn tells when somebody last signed in through a connection, and how many of its sessions live.
func (d *Directory) SignedIn(ctx context.Context, q postgres.Querier, workspace, connection core.ID) (SignedIn, error) {
	return postgres.One[SignedIn](ctx, q, "sessions", selectSignedIn, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "now": d.now()})
}
