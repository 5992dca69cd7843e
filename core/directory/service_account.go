package directory

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// ServiceAccount is an identity that is not a person: a script, a pipeline, another system.
type ServiceAccount struct {
	ID        core.ID   `db:"id"`
	Workspace core.ID   `db:"workspace_id"`
	Name      string    `db:"name"`
	Scopes    []string  `db:"scopes"`
	Created   time.Time `db:"created"`
	// Token is what it came with. Only AuthenticateServiceAccount fills it.
	Token core.ID `db:"-"`
}

// Actor is the service account as who did something.
func (a ServiceAccount) Actor() core.Actor {
	return core.Actor{Kind: core.ActorServiceAccount, ID: a.ID, Name: a.Name}
}

const insertServiceAccount = `
insert into service_accounts (id, workspace_id, name, scopes, created) values (@id, @workspace, @name, @scopes, @created)`

// CreateServiceAccount adds a service account with its scopes. A taken name is a Conflict on "name".
func (d *Directory) CreateServiceAccount(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, name string, scopes []string) (ServiceAccount, error) {
	if err := present("name", name); err != nil {
		return ServiceAccount{}, err
	}
	for _, scope := range scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\n\"\\") {
			return ServiceAccount{}, core.Invalid("scopes", "a scope is a word without spaces")
		}
	}
	made := ServiceAccount{ID: core.NewID(), Workspace: workspace, Name: name, Scopes: append([]string{}, scopes...), Created: d.now()}
	_, err := tx.Exec(ctx, insertServiceAccount, pgx.StrictNamedArgs{
		"id": made.ID, "workspace": workspace, "name": name, "scopes": made.Scopes, "created": made.Created,
	})
	if err != nil {
		return ServiceAccount{}, collision(err)
	}
	return made, audit.Append(ctx, tx, core.NewEvent(core.ServiceAccountCreated, workspace, cause, made.Created,
		core.Target{Kind: "service_account", ID: made.ID, Name: name}).With("scopes", strings.Join(made.Scopes, " ")))
}

const selectServiceAccounts = `
select id, workspace_id, name, scopes, created from service_accounts where workspace_id = @workspace order by created, id`

// ServiceAccounts lists the service accounts of a workspace, oldest first.
func (d *Directory) ServiceAccounts(ctx context.Context, q postgres.Querier, workspace core.ID) ([]ServiceAccount, error) {
	return postgres.Many[ServiceAccount](ctx, q, selectServiceAccounts, pgx.StrictNamedArgs{"workspace": workspace})
}

const lockServiceAccount = `select name from service_accounts where workspace_id = @workspace and id = @account for no key update`

const countServiceAccountTokens = `
select count(*) from service_account_tokens
where workspace_id = @workspace and service_account_id = @account and (expires is null or expires > @now)`

const insertServiceAccountToken = `
insert into service_account_tokens (id, workspace_id, service_account_id, hash, created, expires)
values (@id, @workspace, @account, @hash, @now, @expires)`

// CreateServiceAccountToken gives a service account one more token, "pst_api_…", and returns it: the
// only time it can be seen, and whoever asked is on record as knowing it. expires may be nil. A third live token is a Conflict.
func (d *Directory) CreateServiceAccountToken(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, expires *time.Time) (seal.Secret, error) {
	now := d.now()
	// The row lock makes two creations count one after the other.
	var name string
	err := tx.QueryRow(ctx, lockServiceAccount, pgx.StrictNamedArgs{"workspace": workspace, "account": account}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, core.NotFound("service account")
	}
	if err != nil {
		return seal.Secret{}, err
	}
	var live int
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": now}
	if err := tx.QueryRow(ctx, countServiceAccountTokens, args).Scan(&live); err != nil {
		return seal.Secret{}, err
	}
	if live >= liveTokens {
		return seal.Secret{}, core.Conflict("", "a service account has at most %d live tokens", liveTokens).WithCode("too_many_tokens")
	}
	id, token := core.NewID(), seal.NewToken("pst_api")
	_, err = tx.Exec(ctx, insertServiceAccountToken, pgx.StrictNamedArgs{
		"id": id, "workspace": workspace, "account": account, "hash": seal.HashToken(token.Reveal()), "now": now, "expires": expires,
	})
	if err != nil {
		return seal.Secret{}, err
	}
	if err := d.ExposeService(ctx, tx, cause, workspace, ServiceExposure{Account: account, Kind: "token", Token: id, Expires: expires}); err != nil {
		return seal.Secret{}, err
	}
	event := core.NewEvent(core.ServiceAccountTokenCreated, workspace, cause, now,
		core.Target{Kind: "service_account", ID: account, Name: name}, core.Target{Kind: "token", ID: id})
	if expires != nil {
		event = event.With("expires", expires.UTC().Format(time.RFC3339))
	}
	return token, audit.Append(ctx, tx, event)
}

const selectServiceAccountByToken = `
select a.id, a.workspace_id, a.name, a.scopes, a.created, t.id as token_id, t.last_used
from service_account_tokens t join service_accounts a on a.workspace_id = t.workspace_id and a.id = t.service_account_id
where t.hash = @hash and (t.expires is null or t.expires > @now)`

const touchServiceAccountToken = `
update service_account_tokens set last_used = @now
where workspace_id = @workspace and id = (
	select id from service_account_tokens
	where workspace_id = @workspace and id = @id and (last_used is null or last_used <= @stale)
	for update skip locked)`

// AuthenticateServiceAccount finds whose token this is. A token that is unknown or has expired is
// Unauthenticated, and the two cannot be told apart.
func (d *Directory) AuthenticateServiceAccount(ctx context.Context, token seal.Secret) (ServiceAccount, error) {
	now := d.now()
	found, err := postgres.One[struct {
		ServiceAccount
		TokenID  core.ID    `db:"token_id"`
		LastUsed *time.Time `db:"last_used"`
	}](ctx, d.DB, "token", selectServiceAccountByToken, pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal()), "now": now})
	if core.KindOf(err) == core.KindNotFound {
		return ServiceAccount{}, core.Unauthenticated("the token is not valid")
	}
	if err != nil {
		return ServiceAccount{}, err
	}
	found.Token = found.TokenID
	return found.ServiceAccount, d.touch(ctx, touchServiceAccountToken, found.Workspace, found.TokenID, found.LastUsed, now)
}
