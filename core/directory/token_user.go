package directory

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// TeamName is a team as it is listed with its members.
type TeamName struct {
	ID          core.ID
	Connection  core.ID // zero: made in Postern
	DisplayName string
}

// Name is the team in short.
func (t Team) Name() TeamName {
	return TeamName{ID: t.ID, Connection: t.Connection, DisplayName: t.DisplayName}
}

// Sought names a user of a token's connection: by the first of ID, UserName and ExternalID that is
// given.
type Sought struct {
	ID         core.ID
	UserName   string // whatever its case
	ExternalID string
	Teams      bool // tell the user's teams, too
}

// Sight is a user as the owner of a connection's token sees them.
type Sight struct {
	User  *User      // nil: the connection has no such user
	Teams []TeamName // of the connection, as TeamsOf lists them; none unless they were asked for
}

// The token is looked up and the user with it. Where there is no user, the columns are null.
const (
	sightOf = `
select t.id, t.last_used, c.workspace_id, c.id, c.xmin,
       u.id, u.user_name, u.external_id, u.display_name, u.given_name, u.family_name, u.email, u.active, u.role, u.attributes, u.version,
       u.epoch, u.created, u.updated, `
	sightFrom = `
from connection_tokens t
join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
left join users u on u.workspace_id = t.workspace_id and u.connection_id = t.connection_id and u.deleted is null and `
	sightWhere = `
where t.hash = @hash and (t.expires is null or t.expires > @now)`

	// An id, a space and a name for each.
	sightTeams = `array(
	select g.id || ' ' || g.display_name from team_members m join teams g on g.workspace_id = m.workspace_id and g.id = m.team_id
	where m.workspace_id = t.workspace_id and m.user_id = u.id and g.connection_id = t.connection_id and g.deleted is null
	order by g.created, g.id)`
	sightNoTeams = `null::text[]`

	soughtID         = `u.id = @sought`
	soughtUserName   = `fold(u.user_name) collate "C" = fold(@sought) and u.user_name <> ''`
	soughtExternalID = `u.external_id = @sought and u.external_id <> ''`

	sightByID              = sightOf + sightNoTeams + sightFrom + soughtID + sightWhere
	sightByUserName        = sightOf + sightNoTeams + sightFrom + soughtUserName + sightWhere
	sightByExternalID      = sightOf + sightNoTeams + sightFrom + soughtExternalID + sightWhere
	sightByIDTeams         = sightOf + sightTeams + sightFrom + soughtID + sightWhere
	sightByUserNameTeams   = sightOf + sightTeams + sightFrom + soughtUserName + sightWhere
	sightByExternalIDTeams = sightOf + sightTeams + sightFrom + soughtExternalID + sightWhere
)

// query is how a user is looked for, and by what.
func (s Sought) query() (query string, sought any) {
	switch {
	case !s.ID.IsZero() && s.Teams:
		return sightByIDTeams, s.ID
	case !s.ID.IsZero():
		return sightByID, s.ID
	case s.UserName != "" && s.Teams:
		return sightByUserNameTeams, s.UserName
	case s.UserName != "":
		return sightByUserName, s.UserName
	case s.Teams:
		return sightByExternalIDTeams, s.ExternalID
	default:
		return sightByExternalID, s.ExternalID
	}
}

// AuthenticateConnectionAndSee is AuthenticateConnection, and a user of that connection and the teams
// they are in, in one round trip to the database instead of three, whether there is such a user or not.
// A revoked token sees nothing from the moment it is revoked.
func (d *Directory) AuthenticateConnectionAndSee(ctx context.Context, token seal.Secret, sought Sought) (Connection, Sight, error) {
	now := d.now()
	query, by := sought.query()
	hash := seal.HashToken(token.Reveal())
	rows, err := d.DB.Query(ctx, query, pgx.StrictNamedArgs{"hash": hash, "now": now, "sought": by})
	if err != nil {
		return Connection{}, Sight{}, postgres.Classify(err)
	}
	defer rows.Close()
	var shown bearer
	var found struct {
		User
		teams []string
	}
	if !rows.Next() {
		rows.Close()
		if err := rows.Err(); err != nil {
			return Connection{}, Sight{}, postgres.Classify(err)
		}
		d.claims.drop(hash)
		return Connection{}, Sight{}, unknownToken()
	}
	into := shown.columns()
	there := rows.RawValues()[len(into)] != nil
	u := &found.User
	if there {
		into = append(into, (*[16]byte)(&u.ID), &u.UserName, &u.ExternalID, &u.DisplayName, &u.GivenName, &u.FamilyName, &u.Email, &u.Active,
			(*string)(&u.Role), &u.Attributes, &u.Version, &u.Epoch, &u.Created, &u.Updated, &found.teams)
	} else {
		into = append(into, make([]any, len(rows.RawValues())-len(into))...) // nowhere
	}
	err = rows.Scan(into...)
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return Connection{}, Sight{}, postgres.Classify(err)
	}
	d.claims.put(hash, shown, now)
	connection, err := d.admit(ctx, shown, now)
	if err != nil || !there {
		return connection, Sight{}, err
	}
	u.Workspace, u.Connection = shown.workspace, shown.connection
	sight := Sight{User: u}
	for _, team := range found.teams {
		id, name, _ := strings.Cut(team, " ")
		parsed, err := core.ParseID(id)
		if err != nil {
			return Connection{}, Sight{}, core.Internal(err)
		}
		sight.Teams = append(sight.Teams, TeamName{ID: parsed, Connection: shown.connection, DisplayName: name})
	}
	return connection, sight, nil
}
