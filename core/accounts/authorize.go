package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// trusted reports whether an actor's right was settled where it came in: a service account by its
// scopes, the system by being us.
func trusted(actor core.Actor) bool {
	return actor.Kind == core.ActorSystem || actor.Kind == core.ActorServiceAccount
}

// Administrator lets whoever acts pass if they administer the workspace, and keeps it so until the
// transaction ends: administrators, service accounts, whose scopes say more, and the system. Everybody
// else is Denied.
func (a *Accounts) Administrator(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) error {
	if trusted(cause.Actor) {
		return nil
	}
	user, err := a.actor(ctx, tx, cause, workspace)
	if err != nil {
		return err
	}
	if !user.Role.Administers() {
		return core.Denied("only an administrator of the workspace may do this").WithCode("not_administrator")
	}
	return nil
}

// authorizeOwner lets the account's owners and administrators of the workspace pass.
func (a *Accounts) authorizeOwner(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) error {
	if trusted(cause.Actor) {
		return nil
	}
	user, err := a.actor(ctx, tx, cause, workspace)
	if err != nil {
		return err
	}
	if user.Role.Administers() {
		return nil
	}
	role, err := a.MayUse(ctx, tx, workspace, user.ID, account)
	if err != nil {
		return err
	}
	if role != Owner {
		return core.Denied("only an owner of the account or an administrator may do this").WithCode("not_owner")
	}
	return nil
}

// actor finds the active user who acts, and keeps them active until what they do is done: whoever
// shuts them out waits, or is waited for.
func (a *Accounts) actor(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) (directory.User, error) {
	if cause.Actor.Kind != core.ActorUser {
		return directory.User{}, core.Denied("a %s may not do this", cause.Actor.Kind).WithCode("not_a_user")
	}
	user, err := a.Directory.HoldUser(ctx, tx, workspace, cause.Actor.ID)
	if core.KindOf(err) == core.KindNotFound || (err == nil && !user.Active) {
		return directory.User{}, core.Denied("you have no access to this workspace").WithCode("not_active")
	}
	return user, err
}
