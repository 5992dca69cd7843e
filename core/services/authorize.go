package services

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// itself denies a service account what would decide about itself.
func itself(cause core.Cause, account core.ID) error {
	if cause.Actor.Kind == core.ActorServiceAccount && cause.Actor.ID == account {
		return core.Denied("a service account does not decide about itself").WithCode("itself")
	}
	return nil
}

// administrator lets pass who administers the workspace, and no service account over itself.
func (s *Services) administrator(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if err := itself(cause, account); err != nil {
		return err
	}
	return s.Accounts.Administrator(ctx, tx, cause, workspace)
}

const selectOwns = `
select exists (
	select from service_owners o
	where o.workspace_id = @workspace and o.service_account_id = @account and (o.user_id = @user or o.team_id in (
		select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = @user and m.suspended is null)))`

// owner lets pass who administers the workspace or owns the service account, directly or by a team.
func (s *Services) owner(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	err := s.Accounts.Administrator(ctx, tx, cause, workspace)
	if err == nil || core.AsError(err).Code != "not_administrator" {
		return err
	}
	user, err := s.Directory.HoldUser(ctx, tx, workspace, cause.Actor.ID)
	if err != nil {
		return err
	}
	var owns bool
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account, "user": user.ID}
	if err := tx.QueryRow(ctx, selectOwns, args).Scan(&owns); err != nil {
		return postgres.Classify(err)
	}
	if !owns || !user.Role.MayOwn() {
		return core.Denied("only an owner of the service account or an administrator may do this").WithCode("not_owner")
	}
	return nil
}

// Mine reports whether a person may look at a service account and keep its credentials: an administrator or an owner.
func (s *Services) Mine(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if _, err := s.Account(ctx, tx, workspace, account); err != nil {
		return err
	}
	return s.owner(ctx, tx, cause, workspace, account)
}

const selectScopes = `select scopes from service_accounts where workspace_id = @workspace and id = @id`

// mayGive keeps a service account from giving more than it has itself: to another one, or to whoever gets the token of
// another one.
func (s *Services) mayGive(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, scopes []string) error {
	if cause.Actor.Kind != core.ActorServiceAccount {
		return nil
	}
	var held []string
	err := tx.QueryRow(ctx, selectScopes, pgx.StrictNamedArgs{"workspace": workspace, "id": cause.Actor.ID}).Scan(&held)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return postgres.Classify(err)
	}
	for _, text := range scopes {
		if scope, err := ParseScope(text); err == nil && !Allow(held, scope) {
			return core.Denied("a service account gives nobody the scope %s, which it does not have itself", scope).WithCode("scope_not_held")
		}
	}
	return nil
}

// mayHandOver lets an account's password be held by a service account: who may share it may.
func (s *Services) mayHandOver(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if err := s.mayGive(ctx, tx, cause, workspace, []string{"grants:write"}); err != nil {
		return err
	}
	err := s.Accounts.Administrator(ctx, tx, cause, workspace)
	if err == nil || core.AsError(err).Code != "not_administrator" {
		return err
	}
	role, err := s.Accounts.MayUse(ctx, tx, workspace, cause.Actor.ID, account)
	if err == nil && role != accounts.Owner {
		err = core.Denied("only an owner of the account or an administrator may do this").WithCode("not_owner")
	}
	return err
}

// inUse explains why a row that others refer to stays.
func inUse(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23503" {
		return core.Conflict("", "a receiver of signals is this service account; remove the receiver").WithCode("in_use").Because(err)
	}
	return err
}
