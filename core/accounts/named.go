package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// NamedQuery is a page of the accounts in the order of their names: of the app's, then of the username.
type NamedQuery struct {
	Search string  // how the app's name begins or, after all of those, the username; whatever the case
	After  core.ID // the last account of the page before
	// ByUsername says that After was found by its username: NamedPage.ByUsername of the page before.
	ByUsername bool
	Limit      int // default 100, at most 500
}

// NamedPage is one page. A page of those found by their usernames may have fewer accounts than there was room for,
// and yet not be the last: those whose app's name begins like that too were on a page before.
type NamedPage struct {
	Accounts   []Account
	Next       core.ID // After of the next page; zero: this is the last
	ByUsername bool    // likewise
}

const selectPlace = `
select fold(p.name), fold(a.username), a.app_id from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = @after`

// begins holds of a text column that begins like what is searched for, whatever the case. An index over the folded column
// finds those.
func begins(column string) string {
	return `fold(` + column + `) collate "C" >= fold(@search::text) collate "C" and fold(` + column + `) collate "C" < fold(@search::text) || U&'\+10FFFF' collate "C"`
}

// selectNamed walks the apps in the order of their names, and in each its accounts in the order of theirs, and leaves
// both after a page.
var selectNamed = accountColumns + `'' as role
from apps p
cross join lateral (
	select n.id from accounts n
	where n.workspace_id = @workspace and n.app_id = p.id and n.username <> ''
		and (fold(n.username) collate "C", n.id) > (
			case when p.id = @app then @username::text else '' end collate "C",
			case when p.id = @app then @after::uuid else '00000000-0000-0000-0000-000000000000' end)
	order by fold(n.username) collate "C", n.id limit @limit
) named
join accounts a on a.workspace_id = @workspace and a.id = named.id
where p.workspace_id = @workspace and p.name <> ''
	and (fold(p.name) collate "C", p.id) >= (@name::text collate "C", coalesce(@app::uuid, '00000000-0000-0000-0000-000000000000'))
	and ` + begins("p.name") + `
order by fold(p.name) collate "C", p.id, fold(a.username) collate "C", a.id limit @limit`

var selectByUsername = accountColumns + `'' as role, starts_with(fold(p.name), fold(@search)) as before
from (
	select n.id, n.username from accounts n
	where n.workspace_id = @workspace and n.username > ''
		and (fold(n.username) collate "C", n.id) > (@username::text collate "C", coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000'))
		and ` + begins("n.username") + `
	order by fold(n.username) collate "C", n.id limit @limit
) named
join accounts a on a.workspace_id = @workspace and a.id = named.id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
order by fold(a.username) collate "C", a.id`

// Named gives the workspace's accounts in the order of their names, a page at a time. It costs what the page shows,
// however many there are. It asks nobody's leave: the caller does.
func (a *Accounts) Named(ctx context.Context, q postgres.Querier, workspace core.ID, query NamedQuery) (NamedPage, error) {
	limit := postgres.Page(query.Limit)
	var name, username string
	var app core.ID
	if !query.After.IsZero() {
		err := postgres.Classify(q.QueryRow(ctx, selectPlace, pgx.StrictNamedArgs{"workspace": workspace, "after": query.After}).Scan(&name, &username, &app))
		if core.KindOf(err) == core.KindNotFound {
			return NamedPage{}, core.Invalid("after", "this is no place in the list")
		}
		if err != nil {
			return NamedPage{}, err
		}
	}
	var found NamedPage
	if !query.ByUsername {
		all, err := postgres.Many[Account](ctx, q, selectNamed, pgx.StrictNamedArgs{
			"workspace": workspace, "search": query.Search, "name": name, "app": app, "username": username, "after": query.After, "limit": limit,
		})
		if err != nil {
			return NamedPage{}, err
		}
		found.Accounts = all
		if len(all) == limit {
			found.Next = all[limit-1].ID
		}
		if len(all) == limit || query.Search == "" {
			return found, nil
		}
		query.After, username = core.ID{}, ""
	}
	return found, a.byUsername(ctx, q, workspace, query, username, limit-len(found.Accounts), &found)
}

// byUsername fills a page with those whose username begins as is searched for.
func (a *Accounts) byUsername(ctx context.Context, q postgres.Querier, workspace core.ID, query NamedQuery, username string, limit int, into *NamedPage) error {
	type row struct {
		Account
		Before bool `db:"before"` // on a page before: its app's name begins like that too
	}
	all, err := postgres.Many[row](ctx, q, selectByUsername, pgx.StrictNamedArgs{
		"workspace": workspace, "search": query.Search, "username": username, "after": query.After, "limit": limit,
	})
	if err != nil {
		return err
	}
	for _, one := range all {
		if !one.Before {
			into.Accounts = append(into.Accounts, one.Account)
		}
	}
	into.ByUsername = true
	if len(all) == limit {
		into.Next = all[limit-1].ID
	}
	return nil
}

const selectRolesOn = `
select given.account_id, case when bool_or(given.role = 'owner') and u.role not in ('login_only', 'guest') then 'owner' else 'collaborator' end as role
from users u
cross join lateral (
	select g.account_id, g.role from grants g
	where g.workspace_id = @workspace and g.user_id = u.id and g.account_id = any(@accounts::uuid[])
		and g.revoked is null and (g.expires is null or g.expires > @now)
	union all
	select g.account_id, g.role from team_members m
	join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id and g.account_id = any(@accounts::uuid[])
	where m.workspace_id = @workspace and m.user_id = u.id and m.suspended is null
		and g.revoked is null and (g.expires is null or g.expires > @now)
) given
where u.workspace_id = @workspace and u.id = @user and u.active and u.deleted is null
group by given.account_id, u.role`

// RolesOn gives what MayUse gives, for many accounts at once; where the user has no role there is none.
func (a *Accounts) RolesOn(ctx context.Context, q postgres.Querier, workspace, user core.ID, accounts []core.ID) (map[core.ID]Role, error) {
	rows, err := q.Query(ctx, selectRolesOn, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "accounts": accounts, "now": a.now()})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	roles := make(map[core.ID]Role, len(accounts))
	var id core.ID
	var role Role
	_, err = pgx.ForEachRow(rows, []any{&id, &role}, func() error { roles[id] = role; return nil })
	return roles, postgres.Classify(err)
}

const selectSome = accountColumns + `'' as role
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and a.id = any(@ids::uuid[])`

// Some gives the accounts with these ids, as far as the workspace has them.
func (a *Accounts) Some(ctx context.Context, q postgres.Querier, workspace core.ID, ids []core.ID) (map[core.ID]Account, error) {
	found, err := postgres.Many[Account](ctx, q, selectSome, pgx.StrictNamedArgs{"workspace": workspace, "ids": ids})
	some := make(map[core.ID]Account, len(found))
	for _, one := range found {
		some[one.ID] = one
	}
	return some, err
}

const (
	liveGrant = ` and g.revoked is null and (g.expires is null or g.expires > @now)`

	selectGrantsBehind = grantColumns + `
where g.id in (
	(select g.id from grants g where g.workspace_id = @workspace and g.account_id = @account and g.user_id is not null` + liveGrant + `
		and g.user_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000') order by g.user_id limit @limit)
	union all
	(select g.id from grants g where g.workspace_id = @workspace and g.account_id = @account and g.team_id is not null and @after::uuid is null` + liveGrant + `
		order by g.team_id limit @limit)
) and g.workspace_id = @workspace
order by g.role = 'owner' desc, name, g.id`

	selectGivenTo = accountColumns + `g.role
from (
	select g.account_id, g.role from grants g where g.workspace_id = @workspace and g.team_id = @team` + liveGrant + `
		and g.account_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000') order by g.account_id limit @limit
) g
join accounts a on a.workspace_id = @workspace and a.id = g.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
order by a.id`
)

// GrantsBehind lists an account's live grants, a page at a time: those of teams on the first, and those of users in
// the order of their ids, from behind one of them on. On a page owners come first.
func (a *Accounts) GrantsBehind(ctx context.Context, q postgres.Querier, workspace, account, after core.ID, limit int) ([]Grant, error) {
	return postgres.Many[Grant](ctx, q, selectGrantsBehind, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "after": after, "now": a.now(), "limit": postgres.Page(limit)})
}

// GivenTo lists the accounts a team is given, oldest first, with its role, a page at a time.
func (a *Accounts) GivenTo(ctx context.Context, q postgres.Querier, workspace, team, after core.ID, limit int) ([]Account, error) {
	return postgres.Many[Account](ctx, q, selectGivenTo, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "after": after, "now": a.now(), "limit": postgres.Page(limit)})
}
