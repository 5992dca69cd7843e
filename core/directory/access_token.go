package directory

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
)

// Proof is how somebody showed that they may have an access token for a connection.
type Proof struct {
	Method    string    // client_secret_basic, client_secret_post or private_key_jwt, as OAuth names them
	Client    Client    // zero: an assertion without one
	Assertion Assertion // what the assertion was checked against; zero: none was needed
}

// What has expired goes in passing, a few at a time, and so does the oldest of more than anybody needs:
// a client that asks for a token with each request must not grow the table without end.
const insertAccessToken = `
with expired as (
	delete from connection_tokens where workspace_id = @workspace and id in (
		select id from connection_tokens
		where workspace_id = @workspace and connection_id = @connection and kind = 'access' and expires <= @now
		order by created limit 32 for update skip locked)),
excess as (
	delete from connection_tokens where workspace_id = @workspace and id in (
		select id from connection_tokens
		where workspace_id = @workspace and connection_id = @connection and kind = 'access'
		order by created desc, id desc offset 999 limit 32)),
used as (
	update connection_clients set last_used = @now where workspace_id = @workspace and id = @client)
insert into connection_tokens (id, workspace_id, connection_id, hash, created, expires, kind, client)
values (@id, @workspace, @connection, @hash, @now, @expires, 'access', @client)`

// An edit of the connection waits for this, or this for the edit.
const selectProvisioningForShare = `select provisioning from connections where workspace_id = @workspace and id = @connection for share`

// IssueAccessToken gives out a token for a connection that opens it for life, or until the client
// expires if that is sooner: "pst_at_…", seen only now. It takes no slot and is not listed. A client
// that was revoked in the meantime, or an assertion the connection no longer takes, is
// Unauthenticated. A connection keeps its newest 1000 access tokens.
func (d *Directory) IssueAccessToken(ctx context.Context, tx pgx.Tx, cause core.Cause, connection Connection, proof Proof, life time.Duration) (seal.Secret, time.Duration, error) {
	if proof.Assertion != (Assertion{}) {
		var stored Provisioning
		err := tx.QueryRow(ctx, selectProvisioningForShare, pgx.StrictNamedArgs{"workspace": connection.Workspace, "connection": connection.ID}).Scan(&stored)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return seal.Secret{}, 0, err
		}
		if stored.Assertion != proof.Assertion {
			return seal.Secret{}, 0, unknownClient()
		}
	}
	now := d.now()
	if proof.Client.Expires != nil {
		life = min(life, proof.Client.Expires.Sub(now))
	}
	// Told in whole seconds, and never longer than it lives.
	if life = life.Truncate(time.Second); life <= 0 {
		return seal.Secret{}, 0, unknownClient()
	}
	id, token, expires := core.NewID(), seal.NewToken("pst_at"), now.Add(life)
	_, err := tx.Exec(ctx, insertAccessToken, pgx.StrictNamedArgs{
		"id": id, "workspace": connection.Workspace, "connection": connection.ID, "hash": seal.HashToken(token.Reveal()), "now": now,
		"expires": expires, "client": proof.Client.ID,
	})
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23503" { // its client is gone
		return seal.Secret{}, 0, unknownClient()
	}
	if err != nil {
		return seal.Secret{}, 0, err
	}
	targets := []core.Target{{Kind: "connection", ID: connection.ID, Name: connection.Name}, {Kind: "token", ID: id}}
	if !proof.Client.ID.IsZero() {
		targets = append(targets, core.Target{Kind: "client", ID: proof.Client.ID, Name: proof.Client.ClientID})
	}
	return token, life, audit.Append(ctx, tx, core.NewEvent(core.ConnectionTokenIssued, connection.Workspace, cause, now, targets...).
		With("method", proof.Method).With("expires", expires.Format(time.RFC3339)))
}

const deleteAssertionTokens = `
delete from connection_tokens
where workspace_id = @workspace and connection_id = @connection and kind = 'access' and client is null`
