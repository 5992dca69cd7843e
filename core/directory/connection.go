package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// ConnectionKind is which identity provider is at the other end: it chooses between dialects.
type ConnectionKind string

// The kinds of connection.
const (
	Okta    ConnectionKind = "okta"
	Entra   ConnectionKind = "entra"
	Generic ConnectionKind = "generic"
)

// Connection is one configured identity provider of a workspace.
type Connection struct {
	ID            core.ID        `db:"id"`
	Workspace     core.ID        `db:"workspace_id"`
	Name          string         `db:"name"`
	Kind          ConnectionKind `db:"kind"`
	Issuer        string         `db:"issuer"` // of OIDC; empty while sign-in is not configured
	ClientID      string         `db:"client_id"`
	ClientSecret  string         `db:"client_secret"`  // a reference (file: or env:), never the secret itself
	LogoutIssuers []string       `db:"logout_issuers"` // further issuers whose logout tokens are accepted
	JWKSURI       string         `db:"jwks_uri"`       // empty: from the issuer's discovery document
	Created       time.Time      `db:"created"`
	Provisioning  Provisioning   `db:"provisioning"`
	SignIn        SignIn         `db:"sign_in"`
}

// Target is the connection as what an event is about.
func (c Connection) Target() core.Target {
	return core.Target{Kind: "connection", ID: c.ID, Name: c.Name}
}

// Actor is the connection as who did something.
func (c Connection) Actor() core.Actor {
	return core.Actor{Kind: core.ActorConnection, ID: c.ID, Name: c.Name}
}

// NewConnection is what a connection is created from. Only Name and Kind are needed.
type NewConnection struct {
	Name          string
	Kind          ConnectionKind
	Issuer        string
	ClientID      string
	ClientSecret  string // a reference, see Connection
	LogoutIssuers []string
	JWKSURI       string
	Provisioning  Provisioning
	SignIn        SignIn
}

const insertConnection = `
insert into connections (id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in)
values (@id, @workspace, @name, @kind, @issuer, @client_id, @client_secret, @logout_issuers, @jwks_uri, @created, @provisioning, @sign_in)`

// CreateConnection adds a connection to a workspace. A taken name is a Conflict on "name".
func (d *Directory) CreateConnection(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted NewConnection) (Connection, error) {
	if err := present("name", wanted.Name); err != nil {
		return Connection{}, err
	}
	switch wanted.Kind {
	case Okta, Entra, Generic:
	default:
		return Connection{}, core.Invalid("kind", "a connection is okta, entra or generic")
	}
	made := Connection{
		ID: core.NewID(), Workspace: workspace, Name: wanted.Name, Kind: wanted.Kind, Issuer: wanted.Issuer, ClientID: wanted.ClientID,
		ClientSecret: wanted.ClientSecret, LogoutIssuers: append([]string{}, wanted.LogoutIssuers...), JWKSURI: wanted.JWKSURI, Created: d.now(),
		Provisioning: wanted.Provisioning, SignIn: wanted.SignIn.normalised(),
	}
	made.Provisioning = made.Provisioning.normalised()
	if err := made.Provisioning.check(); err != nil {
		return Connection{}, err
	}
	if err := made.checkSignIn(); err != nil {
		return Connection{}, err
	}
	_, err := tx.Exec(ctx, insertConnection, pgx.StrictNamedArgs{
		"id": made.ID, "workspace": workspace, "name": made.Name, "kind": made.Kind, "issuer": made.Issuer, "client_id": made.ClientID,
		"client_secret": made.ClientSecret, "logout_issuers": made.LogoutIssuers, "jwks_uri": made.JWKSURI, "created": made.Created,
		"provisioning": made.Provisioning, "sign_in": made.SignIn,
	})
	if err != nil {
		return Connection{}, collision(err)
	}
	return made, audit.Append(ctx, tx, core.NewEvent(core.ConnectionCreated, workspace, cause, made.Created,
		made.Target()).With("kind", string(made.Kind)))
}

const selectConnection = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in
from connections where workspace_id = @workspace and id = @id`

// Connection reads one connection of a workspace.
func (d *Directory) Connection(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Connection, error) {
	return postgres.One[Connection](ctx, q, "connection", selectConnection, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectConnectionByID = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in
from connections where id = @id`

// ConnectionByID is for the doors where only the id in the path is known: its workspace is the one
// the request belongs to. Nothing about the caller is proven by it.
func (d *Directory) ConnectionByID(ctx context.Context, q postgres.Querier, id core.ID) (Connection, error) {
	return postgres.One[Connection](ctx, q, "connection", selectConnectionByID, pgx.StrictNamedArgs{"id": id})
}

const selectConnections = `
select id, workspace_id, name, kind, issuer, client_id, client_secret, logout_issuers, jwks_uri, created, provisioning, sign_in
from connections where workspace_id = @workspace order by created, id`

// Connections lists the connections of a workspace, oldest first.
func (d *Directory) Connections(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Connection, error) {
	return postgres.Many[Connection](ctx, q, selectConnections, pgx.StrictNamedArgs{"workspace": workspace})
}
