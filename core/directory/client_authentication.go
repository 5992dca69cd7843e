package directory

import (
	"context"
	"crypto/subtle"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// The columns stand in the order of the fields of Connection and Client.
const selectConnectionByClient = `
select c.id, c.workspace_id, c.name, c.kind, c.issuer, c.client_id, c.client_secret, c.logout_issuers, c.jwks_uri, c.created, c.provisioning, c.sign_in,
       o.id, o.workspace_id, o.connection_id, o.client_id, o.created, o.expires, o.last_used, o.hash
from connection_clients o join connections c on c.workspace_id = o.workspace_id and c.id = o.connection_id
where o.client_id = @client and (o.expires is null or o.expires > @now)`

// known is an OAuth client with its connection and the hash of its secret.
type known struct {
	Connection
	Client
	Hash []byte
}

// ConnectionByClient finds the connection of a live OAuth client by the client_id it names. Nothing
// about the caller is proven by it. One that is unknown or has expired is Unauthenticated.
func (d *Directory) ConnectionByClient(ctx context.Context, clientID string) (Connection, Client, error) {
	found, err := d.client(ctx, clientID)
	return found.Connection, found.Client, err
}

// AuthenticateClient finds whose client_id and secret these are. When the secret is wrong it is
// Unauthenticated, and the connection is returned all the same, for the record of the failure.
func (d *Directory) AuthenticateClient(ctx context.Context, clientID string, secret seal.Secret) (Connection, Client, error) {
	found, err := d.client(ctx, clientID)
	if err != nil {
		return Connection{}, Client{}, err
	}
	if subtle.ConstantTimeCompare(found.Hash, seal.HashToken(secret.Reveal())) != 1 {
		return found.Connection, Client{}, unknownClient()
	}
	return found.Connection, found.Client, nil
}

func (d *Directory) client(ctx context.Context, clientID string) (known, error) {
	rows, err := d.DB.Query(ctx, selectConnectionByClient, pgx.StrictNamedArgs{"client": clientID, "now": d.now()})
	if err != nil {
		return known{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[known])
	if err = postgres.Classify(err); err != nil && core.KindOf(err) == core.KindNotFound {
		return known{}, unknownClient()
	}
	return found, err
}

func unknownClient() error {
	return core.Unauthenticated("the client is not known, or what it showed is not its own")
}

const selectConnectionsByAssertion = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in
from connections
where provisioning -> 'assertion' ->> 'issuer' = @issuer and provisioning -> 'assertion' ->> 'subject' = @subject
  and provisioning -> 'assertion' ->> 'audience' = any (@audiences)
limit 2`

// ConnectionByAssertion finds the one connection in the installation that takes client assertions with
// this issuer, this subject and one of these audiences. Nothing about the caller is proven by it. None,
// or more than one, is Unauthenticated: then the request has to name its client.
func (d *Directory) ConnectionByAssertion(ctx context.Context, issuer, subject string, audiences []string) (Connection, error) {
	spelled := make([]string, 0, len(audiences))
	for _, audience := range audiences {
		spelled = append(spelled, Audience(audience))
	}
	found, err := postgres.Many[Connection](ctx, d.DB, selectConnectionsByAssertion, pgx.StrictNamedArgs{"issuer": issuer, "subject": subject, "audiences": spelled})
	switch {
	case err != nil:
		return Connection{}, err
	case len(found) == 0:
		return Connection{}, unknownClient()
	case len(found) > 1:
		return Connection{}, core.Unauthenticated("more than one connection takes this assertion; name yours as client_id").WithCode("ambiguous")
	}
	return found[0], nil
}
