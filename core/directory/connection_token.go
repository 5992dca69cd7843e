package directory

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

const lockConnection = `select name from connections where workspace_id = @workspace and id = @connection for no key update`

const countConnectionTokens = `
select count(*) from connection_tokens
where workspace_id = @workspace and connection_id = @connection and kind = 'static' and (expires is null or expires > @now)`

const insertConnectionToken = `
insert into connection_tokens (id, workspace_id, connection_id, hash, created, expires)
values (@id, @workspace, @connection, @hash, @now, @expires)`

// CreateConnectionToken gives a connection one more SCIM token, "pst_scim_…", and returns it: the
// only time it can be seen. expires may be nil. A connection has at most two live ones, so that one can
// be replaced without a gap; a third is a Conflict.
func (d *Directory) CreateConnectionToken(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, connection core.ID, expires *time.Time) (seal.Secret, error) {
	now := d.now()
	// The row lock makes two creations count one after the other.
	var name string
	err := tx.QueryRow(ctx, lockConnection, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, core.NotFound("connection")
	}
	if err != nil {
		return seal.Secret{}, err
	}
	var live int
	args := pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "now": now}
	if err := tx.QueryRow(ctx, countConnectionTokens, args).Scan(&live); err != nil {
		return seal.Secret{}, err
	}
	if live >= liveTokens {
		return seal.Secret{}, core.Conflict("", "a connection has at most %d live tokens", liveTokens).WithCode("too_many_tokens")
	}
	id, token := core.NewID(), seal.NewToken("pst_scim")
	_, err = tx.Exec(ctx, insertConnectionToken, pgx.StrictNamedArgs{
		"id": id, "workspace": workspace, "connection": connection, "hash": seal.HashToken(token.Reveal()), "now": now, "expires": expires,
	})
	if err != nil {
		return seal.Secret{}, err
	}
	event := core.NewEvent(core.ConnectionTokenCreated, workspace, cause, now,
		core.Target{Kind: "connection", ID: connection, Name: name}, core.Target{Kind: "token", ID: id})
	if expires != nil {
		event = event.With("expires", expires.UTC().Format(time.RFC3339))
	}
	return token, audit.Append(ctx, tx, event)
}

// The lookup is by the hash of what was sent, so how long it takes tells nothing about the token.
const selectConnectionByToken = `
select t.id, t.last_used, c.workspace_id, c.id, c.xmin
from connection_tokens t join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
where t.hash = @hash and (t.expires is null or t.expires > @now)`

const touchConnectionToken = `
update connection_tokens set last_used = @now
where workspace_id = @workspace and id = (
	select id from connection_tokens
	where workspace_id = @workspace and id = @id and (last_used is null or last_used <= @stale)
	for update skip locked)`

// AuthenticateConnection finds whose SCIM token this is, static or issued. A token that is unknown or
// has expired is Unauthenticated, and the two cannot be told apart. It reads the token's row each time:
// a revoked token opens nothing from the commit of its revocation on.
func (d *Directory) AuthenticateConnection(ctx context.Context, token seal.Secret) (Connection, error) {
	now := d.now()
	var shown bearer
	hash := seal.HashToken(token.Reveal())
	err := d.DB.QueryRow(ctx, selectConnectionByToken, pgx.StrictNamedArgs{"hash": hash, "now": now}).Scan(shown.columns()...)
	if err != nil {
		d.claims.drop(hash)
		return Connection{}, unknown(err)
	}
	d.claims.put(hash, shown, now)
	return d.admit(ctx, shown, now)
}

// bearer is a token that was shown, and whose it is.
type bearer struct {
	token, workspace, connection core.ID
	lastUsed                     *time.Time
	row                          uint32 // the version of the connection's row
}

// columns are where the first columns of a query for a token go.
func (b *bearer) columns() []any {
	return []any{(*[16]byte)(&b.token), &b.lastUsed, (*[16]byte)(&b.workspace), (*[16]byte)(&b.connection), &b.row}
}

// admit is the connection of a token that was found, and writes down that the token was used.
func (d *Directory) admit(ctx context.Context, shown bearer, now time.Time) (Connection, error) {
	connection, err := d.connectionOf(ctx, shown.workspace, shown.connection, shown.row)
	if err != nil {
		return Connection{}, err
	}
	return connection, d.touch(ctx, touchConnectionToken, shown.workspace, shown.token, shown.lastUsed, now)
}

// unknown is what a token is refused with that was not found.
func unknown(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return unknownToken()
	}
	return postgres.Classify(err)
}

func unknownToken() error { return core.Unauthenticated("the token is not valid") }
