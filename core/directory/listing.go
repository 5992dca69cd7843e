package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Each person's teams are looked up one after the other, whatever the planner thinks of how many there
// are: offset 0 keeps it from beginning at the other end.
const selectTeamNames = `
select wanted.id, t.id, t.display_name
from unnest(@users::uuid[]) wanted (id)
cross join lateral (select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = wanted.id offset 0) m
cross join lateral (
	select t.id, t.display_name, t.created from teams t
	where t.workspace_id = @workspace and t.id = m.team_id and t.connection_id = @connection and t.deleted is null offset 0) t
order by wanted.id, t.created, t.id`

// TeamNames lists a connection's teams that each of the users is in, those where the membership is
// suspended too.
func (d *Directory) TeamNames(ctx context.Context, q postgres.Querier, workspace, connection core.ID, users []core.ID) (map[core.ID][]TeamName, error) {
	rows, err := q.Query(ctx, selectTeamNames, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "users": users})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	teams := make(map[core.ID][]TeamName, len(users))
	var user core.ID
	team := TeamName{Connection: connection}
	_, err = pgx.ForEachRow(rows, []any{&user, &team.ID, &team.DisplayName}, func() error {
		teams[user] = append(teams[user], team)
		return nil
	})
	return teams, postgres.Classify(err)
}

// Member rows come team by team in the order the teams are asked for, so a limit cuts off whole teams
// and at most one in the middle.
const selectMembersOf = `
select wanted.number - 1, m.user_id, u.user_name, u.display_name
from unnest(@teams::uuid[]) with ordinality wanted (id, number)
cross join lateral (select m.user_id, m.added from team_members m where m.workspace_id = @workspace and m.team_id = wanted.id offset 0) m
join users u on u.workspace_id = @workspace and u.id = m.user_id
where u.deleted is null
order by wanted.number, m.added, m.user_id limit @limit`

// EachMember goes over the members of teams, suspended ones too: team by team, those of one in the
// order they were added. It keeps nothing, so it can go over very many. number says whose of the teams
// the member is. It ends after limit of them; zero means never.
func (d *Directory) EachMember(ctx context.Context, q postgres.Querier, workspace core.ID, teams []core.ID, limit int, each func(number int, member Member) error) error {
	if len(teams) == 0 {
		return nil
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "teams": teams, "limit": nil}
	if limit > 0 {
		args["limit"] = limit
	}
	rows, err := q.Query(ctx, selectMembersOf, args)
	if err != nil {
		return postgres.Classify(err)
	}
	var number int
	var member Member
	_, err = pgx.ForEachRow(rows, []any{&number, &member.User, &member.UserName, &member.DisplayName}, func() error { return each(number, member) })
	return postgres.Classify(err)
}

const selectMemberPage = `
select m.user_id, u.user_name, u.display_name, m.suspended, m.added
from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
where m.workspace_id = @workspace and m.team_id = @team and u.deleted is null`

const (
	membersBehind = ` and (m.added, m.user_id) > (@added, @user) order by m.added, m.user_id limit @limit`
	membersBefore = ` and (m.added, m.user_id) < (@added, @user) order by m.added desc, m.user_id desc limit @limit`
	membersFrom   = ` order by m.added, m.user_id limit @limit offset @offset`
)

const countMembers = `
select count(*) from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
where m.workspace_id = @workspace and m.team_id = @team and u.deleted is null`

// SearchMembers is a page of a team's members, suspended ones too, in the order they were added. Of the
// search, After, Before, Offset, Limit and Total count.
func (d *Directory) SearchMembers(ctx context.Context, q postgres.Querier, workspace, team core.ID, search Search) (Page[Member], error) {
	var page Page[Member]
	args := pgx.StrictNamedArgs{"workspace": workspace, "team": team}
	if search.Total {
		if err := q.QueryRow(ctx, countMembers, args).Scan(&page.Total); err != nil {
			return page, postgres.Classify(err)
		}
	}
	if search.Limit == 0 {
		return page, nil
	}
	query := selectMemberPage
	args["limit"] = search.Limit + 1
	switch {
	case search.Before != nil:
		query += membersBefore
		args["added"], args["user"] = search.Before.Created, search.Before.ID
	case search.After != nil:
		query += membersBehind
		args["added"], args["user"] = search.After.Created, search.After.ID
	default:
		query += membersFrom
		args["offset"] = search.Offset
	}
	rows, err := postgres.Many[struct {
		Member
		Added time.Time `db:"added"`
	}](ctx, q, query, args)
	for _, row := range rows {
		page.Rows, page.At = append(page.Rows, row.Member), append(page.At, Position{Created: row.Added, ID: row.User})
	}
	total := page.Total
	settle(&page, search)
	page.Total = total
	return page, err
}
