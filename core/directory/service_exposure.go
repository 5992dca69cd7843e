package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// ServiceExposure is that a person came to know a secret of a service account: a token for Postern, or one version of a credential.
type ServiceExposure struct {
	Account    core.ID // the service account
	Kind       string  // token, key or password
	Token      core.ID // of Postern's
	Credential core.ID // of another system's
	Version    int
	Name       string // of the credential
	Entered    bool   // they typed it in; else they were shown it
	Expires    *time.Time
}

const insertServiceExposure = `
insert into service_exposures (id, workspace_id, service_account_id, account_name, user_id, how, seen, kind, token_id, credential_id, version, name, expires)
select @id, a.workspace_id, a.id, a.name, @user, @how, @now, @kind, @token, @credential, nullif(@version::integer, 0), @name, @expires
from service_accounts a where a.workspace_id = @workspace and a.id = @account`

// ExposeService writes down, in the transaction that hands a secret out or stores it, that the cause's actor knows it, if they are a
// person.
func (d *Directory) ExposeService(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, known ServiceExposure) error {
	if cause.Actor.Kind != core.ActorUser {
		return nil
	}
	how := "shown"
	if known.Entered {
		how = "entered"
	}
	_, err := tx.Exec(ctx, insertServiceExposure, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": workspace, "account": known.Account, "user": cause.Actor.ID, "how": how, "now": d.now(), "kind": known.Kind,
		"token": known.Token, "credential": known.Credential, "version": known.Version, "name": known.Name, "expires": known.Expires,
	})
	return postgres.Classify(err)
}

const endServiceToken = `update service_exposures set ended = @now where workspace_id = @workspace and token_id = @token and ended is null`

const endServiceAccount = `update service_exposures set ended = @now where workspace_id = @workspace and service_account_id = @account and ended is null`
