package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// Client is an OAuth client of a connection: what its identity provider shows to be given access
// tokens for a while (RFC 6749 §4.4). Everything but the secret.
type Client struct {
	ID         core.ID    `db:"id"`
	Workspace  core.ID    `db:"workspace_id"`
	Connection core.ID    `db:"connection_id"`
	ClientID   string     `db:"client_id"` // pst_client_…: the name it shows, no secret
	Created    time.Time  `db:"created"`
	Expires    *time.Time `db:"expires"`   // nil: never
	LastUsed   *time.Time `db:"last_used"` // nil: never; when it was last given a token
}

// Live reports whether the client is given tokens at a time.
func (c Client) Live(at time.Time) bool { return c.Expires == nil || c.Expires.After(at) }

// liveClients is how many live clients a connection may have: the one in use and its successor.
const liveClients = 2

const countConnectionClients = `
select count(*) from connection_clients
where workspace_id = @workspace and connection_id = @connection and (expires is null or expires > @now)`

const insertConnectionClient = `
insert into connection_clients (id, workspace_id, connection_id, client_id, hash, created, expires)
values (@id, @workspace, @connection, @client_id, @hash, @now, @expires)`

// CreateConnectionClient gives a connection one more OAuth client and returns it with its secret,
// "pst_secret_…": the only time that can be seen. expires may be nil. A connection has at most two
// live clients, so that one can be replaced without a gap; a third is a Conflict.
func (d *Directory) CreateConnectionClient(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, connection core.ID, expires *time.Time) (Client, seal.Secret, error) {
	now := d.now()
	// The row lock makes two creations count one after the other.
	var name string
	err := tx.QueryRow(ctx, lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return Client{}, seal.Secret{}, core.NotFound("connection")
	}
	if err != nil {
		return Client{}, seal.Secret{}, err
	}
	var live int
	args := pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "now": now}
	if err := tx.QueryRow(ctx, countConnectionClients, args).Scan(&live); err != nil {
		return Client{}, seal.Secret{}, err
	}
	if live >= liveClients {
		return Client{}, seal.Secret{}, core.Conflict("", "a connection has at most %d live clients", liveClients).WithCode("too_many_clients")
	}
	made, secret := Client{ID: core.NewID(), Workspace: workspace, Connection: connection, Created: now}, seal.NewToken("pst_secret")
	made.ClientID = "pst_client_" + hex.EncodeToString(made.ID[:])
	if expires != nil {
		made.Expires = new(expires.UTC().Truncate(time.Microsecond))
	}
	_, err = tx.Exec(ctx, insertConnectionClient, pgx.StrictNamedArgs{
		"id": made.ID, "workspace": workspace, "connection": connection, "client_id": made.ClientID,
		"hash": seal.HashToken(secret.Reveal()), "now": now, "expires": made.Expires,
	})
	if err != nil {
		return Client{}, seal.Secret{}, err
	}
	event := core.NewEvent(core.ConnectionClientCreated, workspace, cause, now,
		core.Target{Kind: "connection", ID: connection, Name: name}, core.Target{Kind: "client", ID: made.ID, Name: made.ClientID})
	if made.Expires != nil {
		event = event.With("expires", made.Expires.Format(time.RFC3339))
	}
	return made, secret, audit.Append(ctx, tx, event)
}

const selectConnectionClients = `
select id, workspace_id, connection_id, client_id, created, expires, last_used from connection_clients
where workspace_id = @workspace and connection_id = @connection order by created, id`

// ConnectionClients lists the OAuth clients of a connection, expired ones too, oldest first.
func (d *Directory) ConnectionClients(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]Client, error) {
	return postgres.Many[Client](ctx, q, selectConnectionClients, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection})
}

const deleteConnectionClient = `
delete from connection_clients t using connections c
where t.workspace_id = @workspace and t.connection_id = @owner and t.id = @token and c.workspace_id = t.workspace_id and c.id = t.connection_id
returning c.name`

// RevokeConnectionClient ends an OAuth client and every access token it was given, at once and for
// good. One that is not the connection's, or was revoked before, is NotFound.
func (d *Directory) RevokeConnectionClient(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, connection, client core.ID) error {
	name, err := revoke(ctx, tx, deleteConnectionClient, workspace, connection, client)
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return core.NotFound("client")
	}
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.ConnectionClientRevoked, workspace, cause, d.now(),
		core.Target{Kind: "connection", ID: connection, Name: name}, core.Target{Kind: "client", ID: client}))
}
