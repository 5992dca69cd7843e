package directory

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
)

const manyUsers = `
insert into users (id, workspace_id, connection_id, user_name, external_id, email, attributes, created, updated)
select gen_random_uuid(), @workspace, @connection, 'User' || n || '@example.com', 'ext-' || n, 'user' || n || '@example.com',
       case when n % 10 = 0 then jsonb_build_object('emails', jsonb_build_array(jsonb_build_object('value', 'user' || n || '@example.com', 'primary', true), jsonb_build_object('value', 'second' || n || '@example.com')))
            else jsonb_build_object('emails', jsonb_build_array(jsonb_build_object('value', 'user' || n || '@example.com', 'type', 'work', 'primary', true))) end,
       @now::timestamptz + n * interval '1 second', @now::timestamptz + n * interval '1 second'
from generate_series(@first::int, @last::int) n`

const manyTeams = `
insert into teams (id, workspace_id, connection_id, display_name, created, updated)
select gen_random_uuid(), @workspace, @connection, 'Team ' || n, @now::timestamptz + n * interval '1 second', @now from generate_series(@first::int, @last::int) n`

const manyTokens = `
insert into connection_tokens (id, workspace_id, connection_id, hash)
select gen_random_uuid(), @workspace, @connection, sha256(gen_random_uuid()::text::bytea) from generate_series(1, 30)`

const manyMembers = `
insert into team_members (workspace_id, team_id, user_id)
select @workspace, t.id, u.id from (select id, row_number() over () n from teams where workspace_id = @workspace) t
join (select id, row_number() over () n from users where workspace_id = @workspace) u on u.n % 50 = t.n % 50 and t.n <= 50
on conflict do nothing`

// TestStatementsFollowAnIndex asks PostgreSQL how it goes about what identity providers send all day,
// in the plan it keeps for whatever values come: with statistics of a few, of a few that became many,
// of many, and with none at all.
func TestStatementsFollowAnIndex(t *testing.T) {
	h := &crowd{db: postgrestest.Open(t), now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
	h.exec(t, "alter table users set (autovacuum_enabled = off)")
	h.exec(t, "alter table teams set (autovacuum_enabled = off)")
	h.exec(t, "alter table team_members set (autovacuum_enabled = off)")
	check := func(stage string) {
		t.Run(stage, func(t *testing.T) { h.check(t) })
	}
	h.build(t)
	h.grow(t, 60, 20)
	h.exec(t, "analyze")
	check("few, analyzed")
	h.grow(t, 4000, 1000)
	check("many, with the statistics of few")
	h.exec(t, "vacuum analyze")
	check("many, analyzed")

	fresh := &crowd{db: postgrestest.Open(t), now: h.now}
	fresh.exec(t, "alter table users set (autovacuum_enabled = off)")
	fresh.exec(t, "alter table teams set (autovacuum_enabled = off)")
	fresh.exec(t, "alter table team_members set (autovacuum_enabled = off)")
	fresh.build(t)
	fresh.grow(t, 4000, 1000)
	t.Run("many, without statistics", func(t *testing.T) { fresh.check(t) })
	fresh.grow(t, 16000, 10)
	t.Run("very many, without statistics", func(t *testing.T) { fresh.check(t) })
}

// crowd is a database that is being filled.
type crowd struct {
	db                    *postgres.DB
	now                   time.Time
	workspace, connection core.ID
	users                 int
}

func (h *crowd) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := h.db.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (h *crowd) build(t *testing.T) {
	t.Helper()
	d := &Directory{DB: h.db}
	for _, slug := range []string{"other", "acme"} {
		err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
			cause := core.NewCause(core.System, h.now)
			made, err := d.CreateWorkspace(t.Context(), tx, cause, slug, slug)
			if err != nil {
				return err
			}
			connected, err := d.CreateConnection(t.Context(), tx, cause, made.ID, NewConnection{Name: "Okta", Kind: Okta})
			h.workspace, h.connection = made.ID, connected.ID
			if err == nil {
				_, err = tx.Exec(t.Context(), manyTokens, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (h *crowd) grow(t *testing.T, users, teams int) {
	t.Helper()
	h.exec(t, manyUsers, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection, "now": h.now, "first": h.users + 1, "last": h.users + users})
	h.exec(t, manyTeams, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection, "now": h.now, "first": h.users + 1, "last": h.users + teams})
	h.exec(t, manyMembers, pgx.StrictNamedArgs{"workspace": h.workspace})
	h.users += users
}

// planner gives the plan that is kept for a statement, whatever values come.
func (h *crowd) planner(t *testing.T) func(query string, args pgx.StrictNamedArgs) string {
	t.Helper()
	ctx := t.Context()
	connection, err := pgx.ConnectConfig(ctx, h.db.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(ctx)) })
	if _, err := connection.Exec(ctx, "set plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	number := 0
	return func(query string, args pgx.StrictNamedArgs) string {
		t.Helper()
		text, values, err := args.RewriteQuery(ctx, connection, query, []any{args})
		if err != nil {
			t.Fatal(err)
		}
		number++
		name := fmt.Sprint("planned", number)
		if _, err := connection.PgConn().Prepare(ctx, name, text, nil); err != nil {
			t.Fatal(err)
		}
		execute := "explain execute " + name
		if len(values) > 0 {
			execute += "(null" + strings.Repeat(", null", len(values)-1) + ")"
		}
		result := connection.PgConn().Exec(ctx, execute)
		all, err := result.ReadAll()
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var lines strings.Builder
		for _, row := range all[0].Rows {
			lines.WriteString("\n" + string(row[0]))
		}
		return lines.String()
	}
}

func (h *crowd) check(t *testing.T) {
	ctx, planned := t.Context(), h.planner(t)
	follows := func(name, plan string, indexes ...string) {
		t.Helper()
		for _, index := range indexes {
			if !strings.Contains(plan, index) {
				t.Errorf("%s does not follow %s: %s", name, index, plan)
				return
			}
		}
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s reads everything: %s", name, plan)
		}
	}
	user, team := "users", "teams"
	at := &Position{Created: h.now.Add(2000 * time.Second), ID: core.NewID()}
	for name, c := range map[string]struct {
		table  string
		search Search
		index  string
	}{
		"first page":             {user, Search{}, "users_page"},
		"next page":              {user, Search{After: at}, "users_page"},
		"page before":            {user, Search{Before: at}, "users_page"},
		"id":                     {user, Search{Where: Identity{FieldID, core.NewID()}}, "users_"},
		"one of some ids":        {user, Search{Where: Any{Identity{FieldID, core.NewID()}, Identity{FieldID, core.NewID()}}}, "users_"},
		"userName":               {user, Search{Where: Text{Of: FieldUserName, Is: Equal, With: "USER5@example.com"}}, "user_name"},
		"userName among others":  {user, Search{Where: All{Text{Of: FieldUserName, Is: Equal, With: "USER5@example.com"}, Active(true)}}, "user_name"},
		"one of some userNames":  {user, Search{Where: Any{Text{Of: FieldUserName, Is: Equal, With: "a"}, Text{Of: FieldUserName, Is: Equal, With: "b"}}}, "user_name"},
		"sorted by userName":     {user, Search{Order: Order{By: FieldUserName}}, "user_name"},
		"sorted, next page":      {user, Search{Order: Order{By: FieldUserName, Descending: true}, After: &Position{Key: new("user3@example.com"), Created: h.now, ID: core.NewID()}}, "user_name"},
		"externalId":             {user, Search{Where: Text{Of: FieldExternalID, Is: Equal, With: "ext-7", Exact: true}}, "user_external_id"},
		"userName or externalId": {user, Search{Where: Any{Text{Of: FieldExternalID, Is: Equal, With: "ext-7", Exact: true}, Text{Of: FieldUserName, Is: Equal, With: "a"}}}, "user_external_id"},
		"of a group":             {user, Search{Where: Linked{Identity{LinkedID, core.NewID()}}}, "team_members_"},
		"group's name":           {team, Search{Where: Text{Of: FieldDisplayName, Is: Equal, With: "team 5"}}, "team_display_name"},
		"group of a member":      {team, Search{Where: Linked{Identity{LinkedID, core.NewID()}}}, "team_members_"},
		"this group of a member": {team, Search{Where: All{Identity{FieldID, core.NewID()}, Linked{Identity{LinkedID, core.NewID()}}}}, "team_members_"},
		"page of groups":         {team, Search{}, "teams_page"},
	} {
		c.search.Connection, c.search.Limit = h.connection, 100
		columns := map[string]string{user: userColumns, team: teamColumns}[c.table]
		query, args := searching{c.search, c.table, h.workspace}.page(columns)
		follows(name, planned(query, args), c.index)
	}
	for name, search := range map[string]struct {
		Search
		index string
	}{
		"address":         {Search{Where: All{Address("user7@example.com"), Scalar{Is: Exists}}}, "users_more_emails"},
		"userName begins": {Search{Where: Text{Of: FieldUserName, Is: StartsWith, With: "user399"}}, "user_name"},
	} {
		// How many these find, only statistics can tell.
		if !strings.HasSuffix(t.Name(), "many,_analyzed") {
			break
		}
		search.Connection, search.Limit = h.connection, 100
		query, args := searching{search.Search, user, h.workspace}.page(userColumns)
		follows(name, explained(ctx, t, h.db.Pool, query, args), search.index)
	}
	query, args := searching{Search{Connection: h.connection}, user, h.workspace}.total()
	follows("the total", planned(query, args), "directory_counts")
	for _, one := range []struct {
		name, query string
		args        []string
		indexes     []string
	}{
		{"token and user", sightByIDTeams, []string{"hash", "now", "sought"}, []string{"connection_tokens_hash_key", "users_", "team_members_user"}},
		{"token and userName", sightByUserName, []string{"hash", "now", "sought"}, []string{"connection_tokens_hash_key", "user_name"}},
		{"token and userName, with teams", sightByUserNameTeams, []string{"hash", "now", "sought"}, []string{"connection_tokens_hash_key", "user_name", "team_members_user"}},
		{"token and externalId", sightByExternalID, []string{"hash", "now", "sought"}, []string{"connection_tokens_hash_key", "user_external_id"}},
		{"token", selectConnectionByToken, []string{"hash", "now"}, []string{"connection_tokens_hash_key"}},
		{"user", selectUserForUpdate, []string{"workspace", "id"}, []string{"users_"}},
		{"user by name", selectUserByName, []string{"workspace", "connection", "name"}, []string{"user_name"}},
		{"users by address", selectUsersByEmail, []string{"workspace", "email"}, []string{"users_email"}},
		{"user by externalId", selectUserByExternalID, []string{"workspace", "connection", "external"}, []string{"user_external_id"}},
		{"team", selectTeamForUpdate, []string{"workspace", "id"}, []string{"teams_"}},
		{"teams of a user", selectTeamsOf, []string{"workspace", "user"}, []string{"team_members_user", "teams_"}},
		{"teams of users", selectTeamNames, []string{"workspace", "users", "connection"}, []string{"team_members_user", "teams_"}},
		{"members of teams", selectMembersOf, []string{"workspace", "teams", "limit"}, []string{"team_members_pkey", "users_"}},
		{"members to add, locked", lockMembers, []string{"workspace", "team", "users"}, []string{"users_"}},
		{"members added", insertMembers, []string{"workspace", "team", "users", "now"}, []string{"users_"}},
		{"members removed", deleteMembers, []string{"workspace", "team", "users"}, []string{"team_members_"}},
		{"memberships suspended", suspendMemberships, []string{"workspace", "user", "now"}, []string{"team_members_user"}},
	} {
		args := pgx.StrictNamedArgs{}
		for _, name := range one.args {
			args[name] = nil
		}
		follows(one.name, planned(one.query, args), one.indexes...)
	}
}

func explained(ctx context.Context, t *testing.T, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, query string, args pgx.StrictNamedArgs) string {
	t.Helper()
	rows, err := q.Query(ctx, "explain "+query, args)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v: %s", err, query)
	}
	return fmt.Sprint("\n", strings.Join(lines, "\n"))
}
