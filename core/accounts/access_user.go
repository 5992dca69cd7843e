package accounts

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Via is a team through which somebody has access.
type Via struct {
	Team core.ID
	Name string
}

// Usable is an account somebody may use now, in its Role, and how they came to that.
type Usable struct {
	Account
	Direct  bool       // by a grant of their own
	Teams   []Via      // by these teams, in the order of their names
	Expires *time.Time // when the role ends by itself; nil: never
}

// UsableQuery narrows Usable. The zero query is the first page of everything.
type UsableQuery struct {
	Search string  // how the app's name or the username begins, whatever the case
	Limit  int     // default 100, at most 500
	After  core.ID // the last account of the page before
}

// listable is what a way to accounts is walked by: in their order, behind the page before, and left
// after a page, so that a page costs the same however much a team is given.
const listable = `
			and g.account_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000')
			and g.revoked is null and (g.expires is null or g.expires > @now)
			and (@search::text = '' or exists (
				select from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
				where a.workspace_id = g.workspace_id and a.id = g.account_id
					and (starts_with(fold(p.name), fold(@search)) or starts_with(fold(a.username), fold(@search)))))
		order by g.account_id limit @limit`

const selectUsable = `
with me as (
	select u.id, u.role not in ('login_only', 'guest') as may_own
	from users u
	where u.workspace_id = @workspace and u.id = @user and u.active and u.deleted is null
), given as (
	select own.account_id, own.role, own.expires, null::uuid as team_id, null::text as team_name
	from me cross join lateral (
		select g.account_id, g.role, g.expires from grants g
		where g.workspace_id = @workspace and g.user_id = me.id` + listable + `
	) own
	union all
	select theirs.account_id, theirs.role, theirs.expires, m.team_id, t.display_name
	from me
	join team_members m on m.workspace_id = @workspace and m.user_id = me.id and m.suspended is null
	join teams t on t.workspace_id = m.workspace_id and t.id = m.team_id
	cross join lateral (
		select g.account_id, g.role, g.expires from grants g
		where g.workspace_id = @workspace and g.team_id = m.team_id` + listable + `
	) theirs
), usable as (
	select account_id, bool_or(role = 'owner') and (select may_own from me) as owns, bool_or(team_id is null) as direct,
		array_agg(team_id) filter (where team_id is not null) as teams,
		array_agg(team_name) filter (where team_id is not null) as names,
		max(coalesce(expires, 'infinity')) filter (where role = 'owner') as owner_expires,
		max(coalesce(expires, 'infinity')) as any_expires
	from given group by account_id order by account_id limit @limit
)` + accountColumns + `
	case when n.owns then 'owner' else 'collaborator' end as role, n.direct, n.teams, n.names,
	nullif(case when n.owns then n.owner_expires else n.any_expires end, 'infinity') as expires
from usable n
join accounts a on a.workspace_id = @workspace and a.id = n.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
order by a.id`

// Usable answers "what can they use": the accounts MayUse gives a user a role on now, oldest first, a
// page at a time. Of somebody inactive, and of nobody, that is nothing.
func (a *Accounts) Usable(ctx context.Context, q postgres.Querier, workspace, user core.ID, query UsableQuery) ([]Usable, error) {
	found, err := postgres.Many[struct {
		Account
		Direct  bool       `db:"direct"`
		Teams   []core.ID  `db:"teams"`
		Names   []string   `db:"names"`
		Expires *time.Time `db:"expires"`
	}](ctx, q, selectUsable, pgx.StrictNamedArgs{
		"workspace": workspace, "user": user, "now": a.now(), "search": strings.TrimSpace(query.Search), "after": query.After, "limit": postgres.Page(query.Limit),
	})
	if err != nil {
		return nil, err
	}
	usable := make([]Usable, 0, len(found))
	for _, one := range found {
		usable = append(usable, Usable{one.Account, one.Direct, viaOf(one.Teams, one.Names), one.Expires})
	}
	return usable, nil
}

// viaOf puts teams together with their names.
func viaOf(teams []core.ID, names []string) []Via {
	via := make([]Via, 0, len(teams))
	for i, team := range teams {
		via = append(via, Via{team, names[i]})
	}
	slices.SortFunc(via, func(one, other Via) int {
		return cmp.Or(strings.Compare(one.Name, other.Name), strings.Compare(one.Team.String(), other.Team.String()))
	})
	return via
}
