package accounts

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
)

// Access is somebody who may use an account now, in their strongest role, and how they came to it.
type Access struct {
	User      core.ID
	UserName  string
	Name      string         // what a person would call them
	Workspace directory.Role // their role in the workspace; guests and login-only users own nothing by it
	Role      Role
	Grant     core.ID    // their own; zero: only through teams
	Teams     []Via      // by these teams, in the order of their names
	Expires   *time.Time // when the role ends by itself; nil: never
}

// Direct reports whether they have a grant of their own.
func (a Access) Direct() bool { return !a.Grant.IsZero() }

// AccessQuery narrows Access. The zero query is the first page.
type AccessQuery struct {
	Limit int     // default 100, at most 500
	After core.ID // the last user of the page before
}

// Each grant is walked in the order of people and left after a page, as in selectUsable.
const selectAccess = `
with given as (
	select own.user_id, own.role, own.expires, own.id as grant_id, null::uuid as team_id, null::text as team_name
	from (
		select g.user_id, g.role, g.expires, g.id from grants g
		join users u on u.workspace_id = g.workspace_id and u.id = g.user_id and u.active and u.deleted is null
		where g.workspace_id = @workspace and g.account_id = @account and g.user_id is not null
			and g.user_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000')
			and g.revoked is null and (g.expires is null or g.expires > @now)
		order by g.user_id limit @limit
	) own
	union all
	select theirs.user_id, g.role, g.expires, null, g.team_id,
		(select t.display_name from teams t where t.workspace_id = g.workspace_id and t.id = g.team_id)
	from grants g
	cross join lateral (
		select m.user_id from team_members m
		join users u on u.workspace_id = m.workspace_id and u.id = m.user_id and u.active and u.deleted is null
		where m.workspace_id = @workspace and m.team_id = g.team_id and m.suspended is null
			and m.user_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000')
		order by m.user_id limit @limit
	) theirs
	where g.workspace_id = @workspace and g.account_id = @account and g.team_id is not null
		and g.revoked is null and (g.expires is null or g.expires > @now)
), able as (
	select user_id, bool_or(role = 'owner') as owns, (array_agg(grant_id) filter (where grant_id is not null))[1] as grant_id,
		array_agg(team_id) filter (where team_id is not null) as teams,
		array_agg(team_name) filter (where team_id is not null) as names,
		max(coalesce(expires, 'infinity')) filter (where role = 'owner') as owner_expires,
		max(coalesce(expires, 'infinity')) as any_expires
	from given group by user_id order by user_id limit @limit
)
select n.user_id, u.user_name, coalesce(nullif(u.display_name, ''), u.user_name) as name, u.role as workspace_role,
	case when n.owns and u.role not in ('login_only', 'guest') then 'owner' else 'collaborator' end as role, n.grant_id, n.teams, n.names,
	nullif(case when n.owns and u.role not in ('login_only', 'guest') then n.owner_expires else n.any_expires end, 'infinity') as expires
from able n join users u on u.workspace_id = @workspace and u.id = n.user_id
order by n.user_id`

// Access answers "who has access": everybody to whom MayUse gives a role on the account now, oldest
// first, a page at a time.
func (a *Accounts) Access(ctx context.Context, q postgres.Querier, workspace, account core.ID, query AccessQuery) ([]Access, error) {
	found, err := postgres.Many[struct {
		User      core.ID        `db:"user_id"`
		UserName  string         `db:"user_name"`
		Name      string         `db:"name"`
		Workspace directory.Role `db:"workspace_role"`
		Role      Role           `db:"role"`
		Grant     core.ID        `db:"grant_id"`
		Teams     []core.ID      `db:"teams"`
		Names     []string       `db:"names"`
		Expires   *time.Time     `db:"expires"`
	}](ctx, q, selectAccess, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "now": a.now(), "after": query.After, "limit": postgres.Page(query.Limit),
	})
	if err != nil {
		return nil, err
	}
	access := make([]Access, 0, len(found))
	for _, one := range found {
		access = append(access, Access{one.User, one.UserName, one.Name, one.Workspace, one.Role, one.Grant, viaOf(one.Teams, one.Names), one.Expires})
	}
	return access, nil
}
