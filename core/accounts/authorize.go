package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
)

// trusted reports whether an actor's right was settled where it came in: a service account by its
// scopes, the system by being us.
func trusted(actor core.Actor) bool {
	return actor.Kind == core.ActorSystem || actor.Kind == core.ActorServiceAccount
}

// right is what lets somebody carry out a command who does not administer the workspace: the rows of
// the package's table. The zero right is for administrators alone.
type right struct {
	self  core.ID // being this user
	owner core.ID // owning this account
}

// authorize is the one step that lets a command pass or denies it with the code of the rule that says
// no. What it found holds until the transaction ends: whoever shuts the actor out waits, or is waited for.
func (a *Accounts) authorize(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, by right) error {
	if trusted(cause.Actor) {
		return nil
	}
	user, err := a.actor(ctx, tx, cause, workspace)
	switch {
	case err != nil:
		return err
	case user.Role.Administers(), !by.self.IsZero() && by.self == user.ID:
		return nil
	case by.owner.IsZero():
		return core.Denied("only an administrator of the workspace may do this").WithCode("not_administrator")
	}
	held, err := a.mayUse(ctx, tx, selectMayUse, workspace, user.ID, by.owner)
	if err != nil {
		return err
	}
	return held.owns("only an owner of the account or an administrator may do this")
}

// Administrator lets whoever acts pass if they administer the workspace, and keeps it so until the
// transaction ends: administrators, service accounts, whose scopes say more, and the system. Everybody
// else is Denied.
func (a *Accounts) Administrator(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) error {
	return a.authorize(ctx, tx, cause, workspace, right{})
}

// actor finds the active user who acts, and keeps them active until what they do is done.
func (a *Accounts) actor(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) (directory.User, error) {
	if cause.Actor.Kind != core.ActorUser {
		return directory.User{}, core.Denied("a %s may not do this", cause.Actor.Kind).WithCode("not_a_user")
	}
	user, err := a.Directory.HoldUser(ctx, tx, workspace, cause.Actor.ID)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return directory.User{}, core.Denied("you are nobody in this workspace").WithCode("not_a_member")
	case err == nil && !user.Active:
		return directory.User{}, inactive()
	}
	return user, err
}

func inactive() *core.Error {
	return core.Denied("whoever is deactivated has no access to this workspace").WithCode("inactive")
}

// authorizeUse lets a user have an account's password, filled or revealed, asked for by themselves or
// by whom Postern trusts. The user stays as they are until the transaction ends: a leaver's exposures
// are complete when they are counted, and a signal that restricts them is wholly before or after.
func (a *Accounts) authorizeUse(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, account core.ID, reveal bool) error {
	if !trusted(cause.Actor) && (cause.Actor.Kind != core.ActorUser || cause.Actor.ID != user) {
		return core.Denied("nobody may use an account in somebody else's name").WithCode("not_you")
	}
	held, err := a.mayUse(ctx, tx, lockMayUse, workspace, user, account)
	if err != nil {
		return err
	}
	if reveal {
		if err := held.owns("only an owner of the account may see its password"); err != nil {
			return err
		}
	}
	standing, err := a.Directory.Standing(ctx, tx, workspace, user)
	if err != nil {
		return err
	}
	return standing.Refusal(reveal, cause)
}

// authorizeConnection lets a user's own connection pass, if it may grant entitlements.
func (a *Accounts) authorizeConnection(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User) error {
	denied := core.Denied("this connection may not grant access to accounts").WithCode("no_entitlements")
	if cause.Actor.Kind != core.ActorConnection || cause.Actor.ID != user.Connection {
		return denied
	}
	connection, err := a.Directory.Connection(ctx, tx, user.Workspace, user.Connection)
	if err != nil {
		return err
	}
	if !connection.Provisioning.Entitlements {
		return denied
	}
	return nil
}

// held is the strongest role somebody was given on an account, and whether their role in the workspace
// lets them have it.
type held struct {
	given  Role
	mayOwn bool
}

func (h held) role() Role {
	if !h.mayOwn {
		return Collaborator
	}
	return h.given
}

// owns denies what takes an owner, saying why they are none.
func (h held) owns(otherwise string) error {
	switch {
	case h.role() == Owner:
		return nil
	case h.given == Owner:
		return core.Denied("guests and login-only users are collaborators at most, whatever they were given").WithCode("capped")
	}
	return core.Denied("%s", otherwise).WithCode("not_owner")
}

// selectRefusal tells why somebody may not use an account: the latest of what they were given, and
// whether a team would give it to them if their membership counted. They have nothing live here.
const selectRefusal = `
select u.active,
	exists (
		select from team_members m
		join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id
		where m.workspace_id = @workspace and m.user_id = u.id and m.suspended is not null
			and g.account_id = @account and g.revoked is null and (g.expires is null or g.expires > @now)
	) as suspended,
	coalesce((
		select over.expired from (
			select g.created, g.id, (g.revoked is null or g.revoked >= g.expires) as expired from grants g
			where g.workspace_id = @workspace and g.account_id = @account and g.user_id = u.id and g.revoked is null
			union all
			select g.created, g.id, g.revoked >= g.expires from grants g
			where g.workspace_id = @workspace and g.account_id = @account and g.user_id = u.id and g.revoked is not null
			union all
			select g.created, g.id, (g.revoked is null or g.revoked >= g.expires) from team_members m
			join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id and g.account_id = @account
			where m.workspace_id = @workspace and m.user_id = u.id and m.suspended is null
		) over order by over.created desc, over.id desc limit 1
	), false) as expired
from users u
where u.workspace_id = @workspace and u.id = @user and u.deleted is null`

// refusal says which rule keeps a user from an account they may not use.
func (a *Accounts) refusal(ctx context.Context, q postgres.Querier, workspace, user, account core.ID) error {
	why, err := postgres.One[struct {
		Active    bool `db:"active"`
		Suspended bool `db:"suspended"`
		Expired   bool `db:"expired"`
	}](ctx, q, "user", selectRefusal, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "account": account, "now": a.now()})
	switch {
	case err != nil && core.KindOf(err) != core.KindNotFound:
		return err
	case err == nil && !why.Active:
		return inactive()
	case why.Suspended:
		return core.Denied("the team this account is shared with gives you nothing until you are added to it again").WithCode("suspended")
	case why.Expired:
		return core.Denied("your access to this account has ended; ask an owner to share it again").WithCode("expired")
	}
	return core.Denied("this account is not shared with you").WithCode("not_shared")
}
