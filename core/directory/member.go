package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Member is a user in a team.
type Member struct {
	User        core.ID    `db:"user_id"`
	UserName    string     `db:"user_name"`
	DisplayName string     `db:"display_name"`
	Suspended   *time.Time `db:"suspended"` // set: the IdP lists them, but the team gives them nothing
}

// Target is the member as what something happened to.
func (m Member) Target() core.Target {
	name := m.DisplayName
	if name == "" {
		name = m.UserName
	}
	return core.Target{Kind: "user", ID: m.User, Name: name}
}

const selectMembers = `
select m.user_id, u.user_name, u.display_name, m.suspended
from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
where m.workspace_id = @workspace and m.team_id = @team and u.deleted is null
order by m.added, m.user_id limit @limit offset @offset`

// Members lists who is in a team, suspended members too, in the order they were added. A limit of
// zero or less means all.
func (d *Directory) Members(ctx context.Context, q postgres.Querier, workspace, team core.ID, offset, limit int) ([]Member, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "team": team, "offset": max(offset, 0), "limit": nil}
	if limit > 0 {
		args["limit"] = limit
	}
	return postgres.Many[Member](ctx, q, selectMembers, args)
}

const selectTeamsOf = `
select t.id, t.workspace_id, t.connection_id, t.display_name, t.external_id, t.attributes, t.version, t.created, t.updated
from team_members m join teams t on t.workspace_id = m.workspace_id and t.id = m.team_id
where m.workspace_id = @workspace and m.user_id = @user and t.deleted is null
order by t.created, t.id`

// TeamsOf lists the teams a user is in, those where the membership is suspended too.
func (d *Directory) TeamsOf(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]Team, error) {
	return postgres.Many[Team](ctx, q, selectTeamsOf, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
}

// The key-share lock waits for a deprovision of the same person to end, so that active is the truth
// until this transaction ends. The order keeps two adds from waiting for each other. To a connection's
// team only its own people exist.
const lockMembers = `
select u.id, u.active from users u
join teams t on t.workspace_id = u.workspace_id and t.id = @team
where u.workspace_id = @workspace and u.id = any(@users::uuid[]) and u.deleted is null
	and (t.connection_id is null or t.connection_id = u.connection_id)
order by u.id for key share of u`

// Somebody inactive is listed at once as suspended: coming back is not being added again.
const insertMembers = `
insert into team_members (workspace_id, team_id, user_id, added, suspended)
select @workspace::uuid, @team::uuid, u.id, @now::timestamptz, case when u.active then null else @now::timestamptz end
from users u
where u.workspace_id = @workspace and u.id = any(@users::uuid[])
order by u.id
on conflict (workspace_id, team_id, user_id) do update set suspended = null, added = excluded.added
where team_members.suspended is not null and excluded.suspended is null
returning user_id`

// AddMembers puts users into a team and returns those it added: the ones who were not in it, and the
// ones whose suspended membership it lifted. An inactive user's membership is, or stays, suspended.
// An id of no user of the workspace is Invalid on "members", and so is one of a user whom another
// connection than the team's provisioned. Call it with the team locked.
func (d *Directory) AddMembers(ctx context.Context, tx pgx.Tx, workspace, team core.ID, users []core.ID) ([]core.ID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "team": team, "users": users}
	known, err := postgres.Many[struct {
		ID     core.ID `db:"id"`
		Active bool    `db:"active"`
	}](ctx, tx, lockMembers, args)
	if err != nil {
		return nil, err
	}
	found := make(map[core.ID]bool, len(known))
	for _, user := range known {
		found[user.ID] = true
	}
	for _, user := range users {
		if !found[user] {
			return nil, core.Invalid("members", "there is no user %s", user)
		}
	}
	rows, err := tx.Query(ctx, insertMembers, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "users": users, "now": d.now()})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[core.ID])
}

const holdUsers = `
select id from users where workspace_id = @workspace and id = any(@users::uuid[]) order by id for key share`

// HoldUsers keeps users from leaving until the transaction ends. A command that goes on to lock what
// they own does it first, for who leaves is locked before what they own.
func (d *Directory) HoldUsers(ctx context.Context, tx pgx.Tx, workspace core.ID, users []core.ID) error {
	if len(users) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, holdUsers, pgx.StrictNamedArgs{"workspace": workspace, "users": users})
	return err
}

const deleteMembers = `
delete from team_members where workspace_id = @workspace and team_id = @team and user_id = any(@users::uuid[])
returning user_id`

// RemoveMembers takes users out of a team and returns those who were in it. Call it with the team
// locked.
func (d *Directory) RemoveMembers(ctx context.Context, tx pgx.Tx, workspace, team core.ID, users []core.ID) ([]core.ID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, deleteMembers, pgx.StrictNamedArgs{"workspace": workspace, "team": team, "users": users})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[core.ID])
}

const suspendMemberships = `
update team_members set suspended = @now where workspace_id = @workspace and user_id = @user and suspended is null`

// SuspendMemberships keeps a user listed in their teams but lets the teams give them nothing, until
// they are added anew. It returns how many memberships gave something before. Call it with the user
// locked.
func (d *Directory) SuspendMemberships(ctx context.Context, tx pgx.Tx, workspace, user core.ID) (int, error) {
	done, err := tx.Exec(ctx, suspendMemberships, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": d.now()})
	return int(done.RowsAffected()), err
}
