package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// selectLost finds the accounts whose password somebody knows who may not use them any more. Whom it is about
// follows.
const selectLost = `
select distinct e.account_id
from exposures e
join credential_versions v on v.workspace_id = e.workspace_id and v.account_id = e.account_id and v.field = 'password' and v.version = e.version
where e.workspace_id = @workspace and e.account_id = any(@accounts::uuid[]) and e.level in ` + PasswordLevels + `
	and (v.label is not distinct from 'current' or v.refused is null or coalesce(v.proven > v.refused, false))
	and not exists (
		select from users u
		where u.workspace_id = e.workspace_id and u.id = e.user_id and u.active and u.deleted is null and (exists (
			select from grants g
			where g.workspace_id = e.workspace_id and g.account_id = e.account_id and g.user_id = e.user_id
				and g.revoked is null and (g.expires is null or g.expires > @now)
		) or exists (
			select from grants g
			join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.user_id = e.user_id and m.suspended is null
			where g.workspace_id = e.workspace_id and g.account_id = e.account_id and g.team_id is not null
				and g.revoked is null and (g.expires is null or g.expires > @now)
		))
	)`

const (
	selectLostByUsers = selectLost + ` and e.user_id = any(@users::uuid[]) order by e.account_id`
	selectLostByTeam  = selectLost + ` and exists (
	select from team_members m where m.workspace_id = e.workspace_id and m.team_id = @team and m.user_id = e.user_id) order by e.account_id`
)

// LostByUsers gives those of the accounts whose password one of the users knows who may not use it any more. Ask it
// when access has ended: who knows a password keeps it until it is changed.
func (a *Accounts) LostByUsers(ctx context.Context, q postgres.Querier, workspace core.ID, users, logins []core.ID) ([]core.ID, error) {
	return postgres.Column[core.ID](ctx, q, selectLostByUsers, pgx.StrictNamedArgs{"workspace": workspace, "users": users, "accounts": logins, "now": a.now()})
}

// LostByTeam is LostByUsers of a team's members.
func (a *Accounts) LostByTeam(ctx context.Context, q postgres.Querier, workspace, team core.ID, logins []core.ID) ([]core.ID, error) {
	return postgres.Column[core.ID](ctx, q, selectLostByTeam, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "accounts": logins, "now": a.now()})
}

// Lost is LostByUsers of whom a grant names.
func (a *Accounts) Lost(ctx context.Context, q postgres.Querier, grant Grant) ([]core.ID, error) {
	if grant.Team.IsZero() {
		return a.LostByUsers(ctx, q, grant.Workspace, []core.ID{grant.User}, []core.ID{grant.Account})
	}
	return a.LostByTeam(ctx, q, grant.Workspace, grant.Team, []core.ID{grant.Account})
}

const selectShared = `
select distinct g.account_id from grants g
where g.workspace_id = @workspace and g.team_id = @team and g.revoked is null
order by g.account_id`

// Shared lists the accounts a team has a grant on.
func (a *Accounts) Shared(ctx context.Context, q postgres.Querier, workspace, team core.ID) ([]core.ID, error) {
	return postgres.Column[core.ID](ctx, q, selectShared, pgx.StrictNamedArgs{"workspace": workspace, "team": team})
}

// Grant finds a grant by its id, whether it still gives access or not.
func (a *Accounts) Grant(ctx context.Context, q postgres.Querier, workspace, grant core.ID) (Grant, error) {
	return postgres.One[Grant](ctx, q, "grant", selectGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant})
}
