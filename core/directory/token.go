package directory

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Token is what can be known of a token after it was made: everything but the token itself.
type Token struct {
	ID       core.ID    `db:"id"`
	Created  time.Time  `db:"created"`
	Expires  *time.Time `db:"expires"`   // nil: never
	LastUsed *time.Time `db:"last_used"` // nil: never; written at most once a minute
}

// Live reports whether the token opens anything at a time.
func (t Token) Live(at time.Time) bool { return t.Expires == nil || t.Expires.After(at) }

const selectConnectionTokens = `
select id, created, expires, last_used from connection_tokens
where workspace_id = @workspace and connection_id = @owner and kind = 'static' order by created, id`

// ConnectionTokens lists the static SCIM tokens of a connection, expired ones too, oldest first. Access
// tokens, which clients are given for hours, are not among them.
func (d *Directory) ConnectionTokens(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]Token, error) {
	return postgres.Many[Token](ctx, q, selectConnectionTokens, pgx.StrictNamedArgs{"workspace": workspace, "owner": connection})
}

const selectServiceAccountTokens = `
select id, created, expires, last_used from service_account_tokens
where workspace_id = @workspace and service_account_id = @owner order by created, id`

// ServiceAccountTokens lists the tokens of a service account, expired ones too, oldest first.
func (d *Directory) ServiceAccountTokens(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Token, error) {
	return postgres.Many[Token](ctx, q, selectServiceAccountTokens, pgx.StrictNamedArgs{"workspace": workspace, "owner": account})
}

const deleteConnectionToken = `
delete from connection_tokens t using connections c
where t.workspace_id = @workspace and t.connection_id = @owner and t.id = @token and c.workspace_id = t.workspace_id and c.id = t.connection_id
returning c.name`

// RevokeConnectionToken ends a SCIM token, static or issued, at once and for good. One that is not the connection's, or
// was revoked before, is NotFound.
func (d *Directory) RevokeConnectionToken(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, connection, token core.ID) error {
	name, err := revoke(ctx, tx, deleteConnectionToken, workspace, connection, token)
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.ConnectionTokenRevoked, workspace, cause, d.now(),
		core.Target{Kind: "connection", ID: connection, Name: name}, core.Target{Kind: "token", ID: token}))
}

const deleteServiceAccountToken = `
delete from service_account_tokens t using service_accounts a
where t.workspace_id = @workspace and t.service_account_id = @owner and t.id = @token and a.workspace_id = t.workspace_id and a.id = t.service_account_id
returning a.name`

// RevokeServiceAccountToken is RevokeConnectionToken for a service account.
func (d *Directory) RevokeServiceAccountToken(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account, token core.ID) error {
	name, err := revoke(ctx, tx, deleteServiceAccountToken, workspace, account, token)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, endServiceToken, pgx.StrictNamedArgs{"workspace": workspace, "token": token, "now": d.now()}); err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.ServiceAccountTokenRevoked, workspace, cause, d.now(),
		core.Target{Kind: "service_account", ID: account, Name: name}, core.Target{Kind: "token", ID: token}))
}

// revoke deletes a token's row: the audit log is its history. It returns the name of whose it was.
func revoke(ctx context.Context, tx pgx.Tx, query string, workspace, owner, token core.ID) (name string, err error) {
	err = tx.QueryRow(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "owner": owner, "token": token}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", core.NotFound("token")
	}
	return name, err
}
