package directory

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Team is a group of people as the identity provider describes it.
type Team struct {
	ID          core.ID         `db:"id"`
	Workspace   core.ID         `db:"workspace_id"`
	Connection  core.ID         `db:"connection_id"` // zero: made in Postern
	DisplayName string          `db:"display_name"`  // unique in the connection, whatever its case
	ExternalID  string          `db:"external_id"`
	Attributes  json.RawMessage `db:"attributes"` // the rest of the IdP's resource, a JSON object
	Version     int64           `db:"version"`    // grows with every change, of members too
	Created     time.Time       `db:"created"`
	Updated     time.Time       `db:"updated"`
}

// Target is the team as what something happened to.
func (t Team) Target() core.Target { return core.Target{Kind: "team", ID: t.ID, Name: t.DisplayName} }

func (t Team) check() (Team, error) {
	if err := present("displayName", t.DisplayName); err != nil {
		return Team{}, err
	}
	if err := short("externalId", t.ExternalID); err != nil {
		return Team{}, err
	}
	attributes, err := object(t.Attributes)
	t.Attributes = attributes
	return t, err
}

const selectTeam = `
select id, workspace_id, connection_id, display_name, external_id, attributes, version, created, updated
from teams where workspace_id = @workspace and id = @id and deleted is null`

// Team reads one team.
func (d *Directory) Team(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Team, error) {
	return postgres.One[Team](ctx, q, "team", selectTeam, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectTeamForUpdate = selectTeam + ` for no key update`

// LockTeam reads one team and holds it until the transaction ends: changes of a team, its members
// included, happen one after the other.
func (d *Directory) LockTeam(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Team, error) {
	return postgres.One[Team](ctx, tx, "team", selectTeamForUpdate, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

// TeamQuery selects teams; a zero field does not narrow. DisplayName matches whatever the case,
// ExternalID exactly, Member the teams that list this user.
type TeamQuery struct {
	Connection  core.ID
	DisplayName string
	ExternalID  string
	Member      core.ID
	Offset      int
	Limit       int // 0 means DefaultLimit; a negative one only counts
}

const selectTeams = `
select id, workspace_id, connection_id, display_name, external_id, attributes, version, created, updated
from teams`

const countTeams = `select count(*) from teams`

const teamHasMember = `exists (
	select from team_members m where m.workspace_id = @workspace and m.team_id = teams.id and m.user_id = @member)`

// Teams is one page of the teams that match, in the order they were created, and how many match in
// all.
func (d *Directory) Teams(ctx context.Context, q postgres.Querier, workspace core.ID, query TeamQuery) ([]Team, int, error) {
	c := inWorkspace(workspace)
	if !query.Connection.IsZero() {
		c.and("connection_id = @connection", "connection", query.Connection)
	}
	if query.DisplayName != "" {
		c.and(`fold(display_name) collate "C" = fold(@display_name) and display_name <> ''`, "display_name", query.DisplayName)
	}
	if query.ExternalID != "" {
		c.and("external_id = @external_id and external_id <> ''", "external_id", query.ExternalID)
	}
	if !query.Member.IsZero() {
		c.and(teamHasMember, "member", query.Member)
	}
	return pageOf[Team](ctx, q, c, selectTeams, countTeams, query.Offset, query.Limit)
}

const insertTeam = `
with counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, teams)
	select @workspace::uuid, @connection::uuid, count_slot(), 1 where @connection::uuid is not null
	on conflict (workspace_id, connection_id, slot) do update set teams = c.teams + excluded.teams
)
insert into teams (id, workspace_id, connection_id, display_name, external_id, attributes, version, created, updated)
values (@id, @workspace, @connection, @display_name, @external_id, @attributes, 1, @now, @now)`

// InsertTeam adds a team to team.Workspace and returns it as stored, with an id unless one was given
// and version 1. A taken name is a Conflict on "displayName".
func (d *Directory) InsertTeam(ctx context.Context, tx pgx.Tx, team Team) (Team, error) {
	if team.ID.IsZero() {
		team.ID = core.NewID()
	}
	team, err := team.check()
	if err != nil {
		return Team{}, err
	}
	now := d.now()
	team.Version, team.Created, team.Updated = 1, now, now
	_, err = tx.Exec(ctx, insertTeam, pgx.StrictNamedArgs{
		"id": team.ID, "workspace": team.Workspace, "connection": team.Connection, "display_name": team.DisplayName,
		"external_id": team.ExternalID, "attributes": team.Attributes, "now": now,
	})
	if err != nil {
		return Team{}, collision(err)
	}
	return team, nil
}

const updateTeam = `
update teams
set display_name = @display_name, external_id = @external_id, attributes = @attributes, version = version + 1, updated = @now
where workspace_id = @workspace and id = @id and version = @version and deleted is null
returning version`

// UpdateTeam writes the name, external id and attributes of a team and returns it as stored, one
// version on. A team that changed since team.Version was read is Stale.
func (d *Directory) UpdateTeam(ctx context.Context, tx pgx.Tx, team Team) (Team, error) {
	team, err := team.check()
	if err != nil {
		return Team{}, err
	}
	team.Updated = d.now()
	err = tx.QueryRow(ctx, updateTeam, pgx.StrictNamedArgs{
		"id": team.ID, "workspace": team.Workspace, "display_name": team.DisplayName, "external_id": team.ExternalID,
		"attributes": team.Attributes, "version": team.Version, "now": team.Updated,
	}).Scan(&team.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := d.Team(ctx, tx, team.Workspace, team.ID); err != nil {
			return Team{}, err
		}
		return Team{}, stale("team")
	}
	if err != nil {
		return Team{}, collision(err)
	}
	return team, nil
}

const deleteTeam = `
with gone as (
	update teams set deleted = @now, updated = @now, version = version + 1
	where workspace_id = @workspace and id = @id and deleted is null
	returning connection_id
), counted as (
	insert into directory_counts as c (workspace_id, connection_id, slot, teams)
	select @workspace::uuid, connection_id, count_slot(), -1 from gone where connection_id is not null
	on conflict (workspace_id, connection_id, slot) do update set teams = c.teams + excluded.teams
)
select from gone`

const deleteTeamMembers = `delete from team_members where workspace_id = @workspace and team_id = @id`

// DeleteTeam removes a team and everybody from it, and returns how many that were; whatever the team
// was granted, nobody has through it any more. The row stays for its history; its name is free again.
func (d *Directory) DeleteTeam(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (members int, err error) {
	done, err := tx.Exec(ctx, deleteTeam, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": d.now()})
	if err != nil {
		return 0, err
	}
	if done.RowsAffected() == 0 {
		return 0, core.NotFound("team")
	}
	done, err = tx.Exec(ctx, deleteTeamMembers, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	return int(done.RowsAffected()), err
}
