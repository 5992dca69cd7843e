package replay

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// person is a user as far as provisioning decides it.
type person struct {
	ID          core.ID         `db:"id"`
	UserName    string          `db:"user_name"`
	ExternalID  string          `db:"external_id"`
	DisplayName string          `db:"display_name"`
	GivenName   string          `db:"given_name"`
	FamilyName  string          `db:"family_name"`
	Email       string          `db:"email"`
	Active      bool            `db:"active"`
	Role        string          `db:"role"`
	Attributes  json.RawMessage `db:"attributes"`
	Deleted     bool            `db:"deleted"`
}

// group is a team.
type group struct {
	ID          core.ID         `db:"id"`
	DisplayName string          `db:"display_name"`
	ExternalID  string          `db:"external_id"`
	Attributes  json.RawMessage `db:"attributes"`
	Deleted     bool            `db:"deleted"`
}

// membership is a person in a group.
type membership struct {
	Group core.ID `db:"team_id"`
	User  core.ID `db:"user_id"`
}

// entitlement is an account somebody has by a grant of their own, in a role.
type entitlement struct {
	User    core.ID       `db:"user_id"`
	Account core.ID       `db:"account_id"`
	Role    accounts.Role `db:"role"`
}

// state is what there is of some users and groups.
type state struct {
	people  map[core.ID]person
	groups  map[core.ID]group
	members map[membership]bool
	holds   map[entitlement]bool
}

func newState() state {
	return state{people: map[core.ID]person{}, groups: map[core.ID]group{}, members: map[membership]bool{}, holds: map[entitlement]bool{}}
}

// Deleted ones are among them: a stretch may tell of their time.
const selectPeople = `
select id, user_name, external_id, display_name, given_name, family_name, email, active, role, attributes, deleted is not null as deleted
from users where workspace_id = @workspace and connection_id = @connection and id = any(@ids)`

const selectGroups = `
select id, display_name, external_id, attributes, deleted is not null as deleted
from teams where workspace_id = @workspace and connection_id = @connection and id = any(@ids)`

const selectMemberships = `
select m.team_id, m.user_id
from team_members m
join teams t on t.workspace_id = m.workspace_id and t.id = m.team_id
join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
where m.workspace_id = @workspace and t.connection_id = @connection and t.id = any(@ids) and t.deleted is null and u.deleted is null`

const selectEntitlements = `
select g.user_id, g.account_id, g.role
from grants g join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
where g.workspace_id = @workspace and u.connection_id = @connection and u.id = any(@ids) and u.active and u.deleted is null
	and g.revoked is null and (g.expires is null or g.expires > now())`

// read is what a connection's users and groups with these ids are.
func read(ctx context.Context, q postgres.Querier, workspace, connection core.ID, ids []core.ID) (state, error) {
	found := newState()
	args := pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "ids": ids}
	people, err := rows[person](ctx, q, selectPeople, args)
	if err != nil {
		return found, err
	}
	groups, err := rows[group](ctx, q, selectGroups, args)
	if err != nil {
		return found, err
	}
	members, err := rows[membership](ctx, q, selectMemberships, args)
	if err != nil {
		return found, err
	}
	holds, err := rows[entitlement](ctx, q, selectEntitlements, args)
	for _, one := range people {
		found.people[one.ID] = one
	}
	for _, one := range groups {
		found.groups[one.ID] = one
	}
	for _, one := range members {
		found.members[one] = true
	}
	for _, one := range holds {
		found.holds[one] = true
	}
	return found, err
}

func rows[Row any](ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]Row, error) {
	found, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByName[Row])
	return list, postgres.Classify(err)
}
