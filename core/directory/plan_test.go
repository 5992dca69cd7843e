package directory

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres/postgrestest"
)

const manyUsers = `
insert into users (id, workspace_id, connection_id, user_name, external_id, email, attributes, created, updated)
select gen_random_uuid(), @workspace, @connection, 'User' || n || '@example.com', 'ext-' || n, 'user' || n || '@example.com',
       case when n % 10 = 0 then jsonb_build_object('emails', jsonb_build_array(jsonb_build_object('value', 'user' || n || '@example.com', 'primary', true), jsonb_build_object('value', 'second' || n || '@example.com')))
            else jsonb_build_object('emails', jsonb_build_array(jsonb_build_object('value', 'user' || n || '@example.com', 'type', 'work', 'primary', true))) end,
       @now::timestamptz + n * interval '1 second', @now::timestamptz + n * interval '1 second'
from generate_series(1, @count::int) n`

const manyTeams = `
insert into teams (id, workspace_id, connection_id, display_name, created, updated)
select gen_random_uuid(), @workspace, @connection, 'Team ' || n, @now::timestamptz + n * interval '1 second', @now from generate_series(1, @count::int) n`

const manyMembers = `
insert into team_members (workspace_id, team_id, user_id)
select @workspace, t.id, u.id from (select id, row_number() over () n from teams where workspace_id = @workspace) t
join (select id, row_number() over () n from users where workspace_id = @workspace) u on u.n % 50 = t.n % 50 and t.n <= 50`

// TestSearchesFollowAnIndex asks PostgreSQL how it goes about the searches that identity providers
// send all day, with its own choice among its ways.
func TestSearchesFollowAnIndex(t *testing.T) {
	db := postgrestest.Open(t)
	d := &Directory{DB: db}
	ctx := t.Context()
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	var workspace, connection core.ID
	for _, slug := range []string{"other", "acme"} {
		err := db.Tx(ctx, func(tx pgx.Tx) error {
			cause := core.NewCause(core.System, now)
			made, err := d.CreateWorkspace(ctx, tx, cause, slug, slug)
			if err != nil {
				return err
			}
			connected, err := d.CreateConnection(ctx, tx, cause, made.ID, NewConnection{Name: "Okta", Kind: Okta})
			workspace, connection = made.ID, connected.ID
			for query, count := range map[string]int{manyUsers: 4000, manyTeams: 1000} {
				if err == nil {
					_, err = tx.Exec(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "now": now, "count": count})
				}
			}
			if err == nil {
				_, err = tx.Exec(ctx, manyMembers, pgx.StrictNamedArgs{"workspace": workspace})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(ctx, "vacuum analyze"); err != nil {
		t.Fatal(err)
	}
	user, team := "users", "teams"
	recently := now.Add(3990 * time.Second)
	for name, c := range map[string]struct {
		table  string
		search Search
		index  string
	}{
		"first page":              {user, Search{}, "users_page"},
		"next page":               {user, Search{After: &Position{Created: now.Add(2000 * time.Second), ID: core.NewID()}}, "users_page"},
		"page before":             {user, Search{Before: &Position{Created: now.Add(2000 * time.Second), ID: core.NewID()}}, "users_page"},
		"id":                      {user, Search{Where: Identity{FieldID, core.NewID()}}, "users_"},
		"userName":                {user, Search{Where: Text{Of: FieldUserName, Is: Equal, With: "USER5@example.com"}}, "user_name"},
		"userName among others":   {user, Search{Where: All{Text{Of: FieldUserName, Is: Equal, With: "USER5@example.com"}, Active(true)}}, "user_name"},
		"one of some userNames":   {user, Search{Where: Any{Text{Of: FieldUserName, Is: Equal, With: "a"}, Text{Of: FieldUserName, Is: Equal, With: "b"}}}, "user_name"},
		"userName begins":         {user, Search{Where: Text{Of: FieldUserName, Is: StartsWith, With: "user399"}}, "user_name"},
		"sorted by userName":      {user, Search{Order: Order{By: FieldUserName}}, "user_name"},
		"sorted, next page":       {user, Search{Order: Order{By: FieldUserName, Descending: true}, After: &Position{Key: new("user3@example.com"), Created: now, ID: core.NewID()}}, "user_name"},
		"externalId":              {user, Search{Where: Text{Of: FieldExternalID, Is: Equal, With: "ext-7", Exact: true}}, "user_external_id"},
		"userName or externalId":  {user, Search{Where: Any{Text{Of: FieldExternalID, Is: Equal, With: "ext-7", Exact: true}, Text{Of: FieldUserName, Is: Equal, With: "a"}}}, "user_external_id"},
		"address":                 {user, Search{Where: All{Address("user7@example.com"), Scalar{Is: Exists}}}, "users_more_emails"},
		"changed since":           {user, Search{Where: Time{FieldUpdated, Greater, recently}}, "users_updated"},
		"changed since, in order": {user, Search{Where: Time{FieldUpdated, GreaterOrEqual, recently}, Order: Order{By: FieldUpdated}}, "users_updated"},
		"last changed":            {user, Search{Order: Order{By: FieldUpdated, Descending: true}}, "users_updated"},
		"of a group":              {user, Search{Where: Linked{Identity{LinkedID, core.NewID()}}}, "team_members_"},
		"group's name":            {team, Search{Where: Text{Of: FieldDisplayName, Is: Equal, With: "team 5"}}, "team_display_name"},
		"group of a member":       {team, Search{Where: Linked{Identity{LinkedID, core.NewID()}}}, "team_members_user"},
		"this group of a member":  {team, Search{Where: All{Identity{FieldID, core.NewID()}, Linked{Identity{LinkedID, core.NewID()}}}}, "team_members_"},
		"page of groups":          {team, Search{}, "teams_page"},
	} {
		c.search.Connection, c.search.Limit = connection, 100
		columns := map[string]string{user: userColumns, team: teamColumns}[c.table]
		query, args := searching{c.search, c.table, workspace}.page(columns)
		plan := explained(ctx, t, db.Pool, query, args)
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "Seq Scan on "+c.table) {
			t.Errorf("%s: %s", name, plan)
		}
	}
	query, args := searching{Search{Connection: connection}, user, workspace}.total()
	if plan := explained(ctx, t, db.Pool, query, args); !strings.Contains(plan, "directory_counts") {
		t.Errorf("the total: %s", plan)
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
