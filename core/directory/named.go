package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// NamedQuery is a page of a list in the order of names.
type NamedQuery struct {
	Search string  // how the name begins, whatever the case
	After  core.ID // the last of the page before
	Limit  int     // default 100
}

// A list of the workspace in the order of names is one of each connection, and of what belongs to none, along the
// index that names are unique by, each left after a page: there are few connections. What begins like a text is
// between the text and the text with the last character there is. The first page comes from behind no name at all.
const (
	namedUsers = `select n.id from users n
		where n.workspace_id = @workspace and n.deleted is null and n.user_name <> ''
			and fold(n.user_name) collate "C" >= greatest(@from::text collate "C", fold(@search::text) collate "C") and fold(n.user_name) collate "C" < fold(@search::text) || U&'\+10FFFF' collate "C"
			and (fold(n.user_name) collate "C" > @from::text collate "C" or n.id > @after::uuid)`
	usersInOrder = ` order by fold(n.user_name) collate "C" limit @limit`

	selectNamedUsers = `
select u.id, u.workspace_id, u.connection_id, u.user_name, u.external_id, u.display_name, u.given_name, u.family_name, u.email, u.active, u.role,
       u.attributes, u.version, u.epoch, u.created, u.updated, u.deleted
from (
	select named.id from connections c cross join lateral (` + namedUsers + ` and n.connection_id = c.id` + usersInOrder + `) named
	where c.workspace_id = @workspace
	union all
	(` + namedUsers + ` and n.connection_id is null` + usersInOrder + `)
) found
join users u on u.workspace_id = @workspace and u.id = found.id
order by fold(u.user_name) collate "C", u.id limit @limit`

	selectAddressedUsers = selectUsers + `
where workspace_id = @workspace and deleted is null and email <> ''
	and fold(email) collate "C" >= greatest(@from::text collate "C", fold(@search::text) collate "C") and fold(email) collate "C" < fold(@search::text) || U&'\+10FFFF' collate "C"
	and (fold(email) collate "C" > @from::text collate "C" or id > @after::uuid)
order by fold(email) collate "C", id limit @limit`

	namedTeams = `select n.id from teams n
		where n.workspace_id = @workspace and n.deleted is null and n.display_name <> ''
			and fold(n.display_name) collate "C" >= greatest(@from::text collate "C", fold(@search::text) collate "C") and fold(n.display_name) collate "C" < fold(@search::text) || U&'\+10FFFF' collate "C"
			and (fold(n.display_name) collate "C" > @from::text collate "C" or n.id > @after::uuid)`
	teamsInOrder = ` order by fold(n.display_name) collate "C" limit @limit`

	selectNamedTeams = `
select t.id, t.workspace_id, t.connection_id, t.display_name, t.external_id, t.attributes, t.version, t.created, t.updated
from (
	select named.id from connections c cross join lateral (` + namedTeams + ` and n.connection_id = c.id` + teamsInOrder + `) named
	where c.workspace_id = @workspace
	union all
	(` + namedTeams + ` and n.connection_id is null` + teamsInOrder + `)
) found
join teams t on t.workspace_id = @workspace and t.id = found.id
order by fold(t.display_name) collate "C", t.id limit @limit`

	// Of somebody deleted meanwhile the place is still known.
	selectUserPlace    = `select fold(user_name) from users where workspace_id = @workspace and id = @after`
	selectAddressPlace = `select fold(email) from users where workspace_id = @workspace and id = @after`
	selectTeamPlace    = `select fold(display_name) from teams where workspace_id = @workspace and id = @after`
)

// NamedUsers gives the workspace's users in the order of their user names, inactive ones too, a page at a time. A page
// costs what it shows, however many there are.
func (d *Directory) NamedUsers(ctx context.Context, q postgres.Querier, workspace core.ID, query NamedQuery) ([]User, error) {
	return named[User](ctx, q, selectNamedUsers, selectUserPlace, workspace, query)
}

// AddressedUsers gives the workspace's users in the order of their e-mail addresses, likewise.
func (d *Directory) AddressedUsers(ctx context.Context, q postgres.Querier, workspace core.ID, query NamedQuery) ([]User, error) {
	return named[User](ctx, q, selectAddressedUsers, selectAddressPlace, workspace, query)
}

// NamedTeams gives the workspace's teams in the order of their names, likewise.
func (d *Directory) NamedTeams(ctx context.Context, q postgres.Querier, workspace core.ID, query NamedQuery) ([]Team, error) {
	return named[Team](ctx, q, selectNamedTeams, selectTeamPlace, workspace, query)
}

func named[Row any](ctx context.Context, q postgres.Querier, statement, place string, workspace core.ID, query NamedQuery) ([]Row, error) {
	var from string
	if !query.After.IsZero() {
		err := postgres.Classify(q.QueryRow(ctx, place, pgx.StrictNamedArgs{"workspace": workspace, "after": query.After}).Scan(&from))
		if core.KindOf(err) == core.KindNotFound {
			return nil, core.Invalid("after", "this is no place in the list")
		}
		if err != nil {
			return nil, err
		}
	}
	_, limit := window(0, query.Limit)
	return postgres.Many[Row](ctx, q, statement, pgx.StrictNamedArgs{"workspace": workspace, "search": query.Search, "from": from, "after": query.After, "limit": limit})
}

const selectMembersBehind = `
select m.user_id, u.user_name, u.display_name, m.suspended
from team_members m
cross join lateral (select u.user_name, u.display_name from users u where u.workspace_id = @workspace and u.id = m.user_id and u.deleted is null offset 0) u
where m.workspace_id = @workspace and m.team_id = @team
	and m.user_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000')
order by m.user_id limit @limit`

// MembersBehind lists who is in a team, suspended members too, in the order of their ids, a page at a time.
func (d *Directory) MembersBehind(ctx context.Context, q postgres.Querier, workspace, team, after core.ID, limit int) ([]Member, error) {
	return postgres.Many[Member](ctx, q, selectMembersBehind, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "after": after, "limit": max(limit, 1)})
}
