package directory

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// maxRemembered bounds how many connections are remembered.
const maxRemembered = 10_000

// remembered are connections as they were read last, each with the version of its row. Every request
// looks its token up and finds the version there is: only one that is not the remembered one costs
// another look, so what is told of a connection is never older than the token's look-up.
type remembered struct {
	lock  sync.RWMutex
	known map[core.ID]versioned
}

type versioned struct {
	Connection
	Row uint32 `db:"row"`
}

func (r *remembered) get(id core.ID, row uint32) (Connection, bool) {
	r.lock.RLock()
	defer r.lock.RUnlock()
	found, known := r.known[id]
	return found.Connection, known && found.Row == row
}

func (r *remembered) put(one versioned) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.known == nil || len(r.known) >= maxRemembered {
		r.known = map[core.ID]versioned{}
	}
	r.known[one.ID] = one
}

const selectVersionedConnection = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in, xmin as row
from connections where workspace_id = @workspace and id = @id`

// connectionOf is the connection of a token, in the version the token was found with or a newer one.
func (d *Directory) connectionOf(ctx context.Context, workspace, id core.ID, row uint32) (Connection, error) {
	if found, known := d.remembered.get(id, row); known {
		return found.own(), nil
	}
	found, err := postgres.One[versioned](ctx, d.DB, "connection", selectVersionedConnection, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Connection{}, postgres.Classify(err)
	}
	d.remembered.put(found)
	return d.connectionOf(ctx, workspace, id, found.Row)
}

// own is a copy that shares nothing: nobody changes what others are told.
func (c Connection) own() Connection {
	c.LogoutIssuers, c.SignIn = append([]string{}, c.LogoutIssuers...), c.SignIn.clone()
	return c
}
