package accounts

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
)

// Entitlement is a role on an account, as an identity provider grants it.
type Entitlement struct {
	Account core.ID `db:"account_id"`
	Role    Role    `db:"role"`
}

// Held is an entitlement somebody has by a live grant of their own.
type Held struct {
	Entitlement
	User     core.ID `db:"user_id"`
	AppName  string  `db:"app_name"`
	Username string  `db:"username"`
}

const selectHeld = `
select g.user_id, g.account_id, g.role, p.name as app_name, a.username
from grants g
join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where g.workspace_id = @workspace and g.user_id = any(@users::uuid[]) and g.revoked is null and (g.expires is null or g.expires > @now)
order by g.user_id, a.created, a.id`

// Held lists what users have by live grants of their own; what their teams give them is not theirs.
// One query for all of them.
func (a *Accounts) Held(ctx context.Context, q postgres.Querier, workspace core.ID, users ...core.ID) ([]Held, error) {
	if len(users) == 0 {
		return nil, nil
	}
	return postgres.Many[Held](ctx, q, selectHeld, pgx.StrictNamedArgs{"workspace": workspace, "users": users, "now": a.now()})
}

const revokeGrants = `
with revoked as (
	update grants set revoked = @now, revoke_cause = 'unshared'
	where workspace_id = @workspace and user_id = @user and account_id = any(@accounts::uuid[]) and revoked is null
	returning id, workspace_id, account_id, user_id, team_id, role, purpose, created, expires, revoked
)` + selectRevoked

const selectGiven = accountColumns + `'' as role
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = any(@accounts::uuid[])`

// Entitle makes what a user holds by grants of their own what their connection wants it to be, and
// says whether that was any different. A grant that is wanted and there stays as it is, with its
// expiry. An account that loses its last owner by it passes on or is reported as orphaned: the identity
// provider's word ends access whatever follows. Only the user's own connection may, when it was let; the caller
// holds the user locked. An unknown account is Invalid on "entitlements", and so is one wanted in two
// roles.
func (a *Accounts) Entitle(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User, wanted []Entitlement) (bool, error) {
	if err := a.authorizeConnection(ctx, tx, cause, user); err != nil {
		return false, err
	}
	held, err := a.Held(ctx, tx, user.Workspace, user.ID)
	if err != nil {
		return false, err
	}
	given, taken, err := difference(held, wanted)
	if err != nil || len(given)+len(taken) == 0 {
		return false, err
	}
	if len(given) > 0 && !user.Role.MayOwn() && slices.ContainsFunc(given, func(e Entitlement) bool { return e.Role == Owner }) {
		return false, core.Invalid("roles", "guests and login-only users can be collaborators only")
	}
	touched := make([]core.ID, 0, len(given)+len(taken))
	for _, one := range given {
		touched = append(touched, one.Account)
	}
	for _, one := range taken {
		touched = append(touched, one.Account)
	}
	if err := a.lockAll(ctx, tx, user.Workspace, touched); err != nil {
		return false, err
	}
	if err := a.give(ctx, tx, cause, user, given, touched); err != nil {
		return false, err
	}
	_, events, err := a.judgeOwners(ctx, tx, cause, user.Workspace, touched, loss{leaver: user.ID, why: "its last owner's entitlement was taken back"})
	if err != nil {
		return false, err
	}
	return true, audit.Append(ctx, tx, events...)
}

// give revokes what the user has on the accounts touched, expired grants too, and makes what is given
// anew: changing a role is both.
func (a *Accounts) give(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User, given []Entitlement, touched []core.ID) error {
	now := a.now()
	revoked, err := postgres.Many[revokedGrant](ctx, tx, revokeGrants, pgx.StrictNamedArgs{
		"workspace": user.Workspace, "user": user.ID, "accounts": touched, "now": now,
	})
	if err != nil {
		return err
	}
	if err := appendUnshared(ctx, tx, cause, now, revoked); err != nil || len(given) == 0 {
		return err
	}
	ids := make([]core.ID, 0, len(given))
	for _, one := range given {
		ids = append(ids, one.Account)
	}
	known, err := postgres.Many[Account](ctx, tx, selectGiven, pgx.StrictNamedArgs{"workspace": user.Workspace, "accounts": ids})
	if err != nil {
		return err
	}
	var events []core.Event
	for _, one := range given {
		at := slices.IndexFunc(known, func(account Account) bool { return account.ID == one.Account })
		if at < 0 {
			return unknownEntitlement()
		}
		grant, err := a.insertGrant(ctx, tx, cause.Actor, Grant{
			ID: core.NewID(), Workspace: user.Workspace, Account: one.Account, User: user.ID, Name: user.Name(), Role: one.Role, Created: now,
		})
		if err != nil {
			return err
		}
		events = append(events, grant.tell(core.AccountShared, cause, now, known[at].Target()))
	}
	return audit.Append(ctx, tx, events...)
}

func unknownEntitlement() error {
	return core.Invalid("entitlements", "there is no such account; import the entitlements anew")
}

// difference is what has to be given and taken, both in the order of the accounts' ids: every command
// locks in this order.
func difference(held []Held, wanted []Entitlement) (given []Entitlement, taken []Held, err error) {
	roles := make(map[core.ID]Role, len(wanted))
	for _, one := range wanted {
		if role, twice := roles[one.Account]; twice && role != one.Role {
			return nil, nil, core.Invalid("entitlements", "somebody owns an account or uses it; choose one role for each account")
		}
		roles[one.Account] = one.Role
	}
	for _, one := range held {
		if roles[one.Account] == one.Role {
			delete(roles, one.Account)
			continue
		}
		taken = append(taken, one)
	}
	for account, role := range roles {
		given = append(given, Entitlement{Account: account, Role: role})
	}
	slices.SortFunc(given, func(one, other Entitlement) int { return bytes.Compare(one.Account[:], other.Account[:]) })
	return given, taken, nil
}
