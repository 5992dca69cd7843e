package console_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/postgres"
)

const (
	many = 100_000

	// Every tenth account is one of ten apps', each of which has thousands; the rest is spread over a thousand.
	manyApps = `
insert into apps (id, workspace_id, name, domains, sign_in_url, connector)
select gen_random_uuid(), $1, 'Many ' || to_char(n, 'FM0000'), '{many.example.com}', 'https://many.example.com', 'browser' from generate_series(1, 1000) n`
	manyAccounts = `
insert into accounts (id, workspace_id, app_id, vault_id, username)
select gen_random_uuid(), $1, p.id, (select vault_id from accounts where workspace_id = $1 limit 1), 'Login-' || n || '@example.com'
from generate_series(1, $2::int) n join (select id, row_number() over (order by name) as at from apps where workspace_id = $1 and name like 'Many %') p
	on p.at = case when n % 10 = 0 then 1 + n / 10 % 10 else 1 + n % 1000 end`
	manyUsers = `
insert into users (id, workspace_id, connection_id, user_name, email, display_name)
select gen_random_uuid(), $1, $3, 'person-' || n || '@example.com', 'mail-' || n || '@example.com', 'Person ' || n from generate_series(1, $2::int) n`
	manyTeams = `
insert into teams (id, workspace_id, connection_id, display_name) select gen_random_uuid(), $1, $3, 'Crew ' || n from generate_series(1, $2::int / 10) n`
	manyMembers = `
insert into team_members (workspace_id, team_id, user_id)
select $1, (select id from teams where workspace_id = $1 and display_name = 'Crew 1'), id from users where workspace_id = $1 and user_name like 'person-%'`
	manyGrants = `
insert into grants (id, workspace_id, account_id, user_id, role)
select gen_random_uuid(), $1, $2, id, 'collaborator' from users where workspace_id = $1 and user_name like 'person-%'`
	manyGiven = `
insert into grants (id, workspace_id, account_id, team_id, role)
select gen_random_uuid(), $1, id, (select id from teams where workspace_id = $1 and display_name = 'Crew 1'), 'collaborator'
from accounts where workspace_id = $1 and username like 'Login-%'`
	manyRotations = `
insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, created, updated, finished)
select gen_random_uuid(), $1, a.id, 'manual', '{"actor":{"kind":"system","name":"system"},"correlation":"0192f3a4-5b6c-7d8e-9f01-23456789abcd","received":"2026-11-21T00:00:00Z"}',
	1, case when round = 1 then 'planned' else 'done' end, now() - (row_number() over ()) * interval '1 second', now(), case when round > 1 then now() end
from accounts a cross join generate_series(1, 2) round where a.workspace_id = $1 and a.username like 'Login-%'`
)

// reading asks PostgreSQL, before it asks for the rows themselves, how many rows a statement goes through.
type reading struct {
	postgres.Querier
	t    testing.TB
	rows float64
	plan string // of the statement that went through most
	most float64
}

func (r *reading) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	r.explain(ctx, query, args...)
	return r.Querier.Query(ctx, query, args...)
}

func (r *reading) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	r.explain(ctx, query, args...)
	return r.Querier.QueryRow(ctx, query, args...)
}

func (r *reading) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	r.t.Fatal("a list writes")
	return pgconn.CommandTag{}, nil
}

// node is a part of a plan.
type node struct {
	Type    string  `json:"Node Type"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Recheck float64 `json:"Rows Removed by Index Recheck"`
	Plans   []node  `json:"Plans"`
}

// read is how many rows of tables and indexes a part goes through.
func (n node) read() float64 {
	sum := 0.0
	if strings.Contains(n.Type, "Scan") && n.Type != "Subquery Scan" && n.Type != "Function Scan" && n.Type != "CTE Scan" {
		sum = (n.Rows + n.Removed + n.Recheck) * n.Loops
	}
	for _, part := range n.Plans {
		sum += part.read()
	}
	return sum
}

func (r *reading) explain(ctx context.Context, query string, args ...any) {
	r.t.Helper()
	var text string
	if err := r.Querier.QueryRow(ctx, "explain (analyze, format json) "+query, args...).Scan(&text); err != nil {
		r.t.Fatalf("%v: %s", err, query)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 {
		r.t.Fatal(err, text)
	}
	rows := plans[0].Plan.read()
	r.rows += rows
	if rows > r.most {
		r.most, r.plan = rows, text
	}
}

// TestAListCostsWhatItShows: with a hundred thousand of everything, no page reads more than a few rows for each that it
// shows, be it the first, one in the middle, or one of a search; and a page of the console is made of such lists alone.
func TestAListCostsWhatItShows(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: a hundred thousand accounts: -short")
	}
	w := newWorld(t)
	ctx, acme := t.Context(), w.acme.ID
	for _, one := range []struct {
		statement string
		args      []any
	}{
		{manyApps, []any{acme}}, {manyAccounts, []any{acme, many}}, {manyUsers, []any{acme, many, w.okta.ID}}, {manyTeams, []any{acme, many, w.okta.ID}},
		{manyMembers, []any{acme}}, {manyGrants, []any{acme, w.wiki.ID}}, {manyGiven, []any{acme}}, {manyRotations, []any{acme}}, {"analyze", nil},
	} {
		if _, err := w.db.Exec(ctx, one.statement, one.args...); err != nil {
			t.Fatal(err, one.statement)
		}
	}
	const size = 50
	q := &reading{Querier: w.db, t: t}
	crew, err := w.directory.NamedTeams(ctx, w.db, acme, directory.NamedQuery{Search: "crew 1", Limit: 1})
	if err != nil || len(crew) != 1 || crew[0].DisplayName != "Crew 1" {
		t.Fatal(crew, err)
	}
	zoe := w.people["zoe"].ID
	var middle core.ID
	if err := w.db.QueryRow(ctx, `select id from accounts where workspace_id = $1 and username = 'Login-50000@example.com'`, acme).Scan(&middle); err != nil {
		t.Fatal(err)
	}
	rotations, err := w.rotations.List(ctx, w.db, acme, core.ID{}, 500)
	if err != nil {
		t.Fatal(err)
	}
	somebody, err := w.directory.NamedUsers(ctx, w.db, acme, directory.NamedQuery{Search: "person-5000", Limit: 1})
	if err != nil || len(somebody) != 1 {
		t.Fatal(somebody, err)
	}
	named := func(query accounts.NamedQuery) func() (int, error) {
		return func() (int, error) {
			query.Limit = size
			page, err := w.accounts.Named(ctx, q, acme, query)
			return len(page.Accounts), err
		}
	}
	for name, list := range map[string]func() (int, error){
		"accounts":                 named(accounts.NamedQuery{}),
		"accounts from the middle": named(accounts.NamedQuery{After: middle}),
		"accounts of an app":       named(accounts.NamedQuery{Search: "MANY 0007"}),
		"accounts by username":     named(accounts.NamedQuery{Search: "login-9"}),
		"accounts by username, on": named(accounts.NamedQuery{Search: "login-5", After: middle, ByUsername: true}),
		"one account":              named(accounts.NamedQuery{Search: "login-77777@"}),
		"no account":               named(accounts.NamedQuery{Search: "nothing like it"}),
		"what somebody may use": func() (int, error) {
			page, err := w.accounts.Usable(ctx, q, acme, somebody[0].ID, accounts.UsableQuery{Limit: size})
			return len(page), err
		},
		"who may use an account": func() (int, error) {
			page, err := w.accounts.Access(ctx, q, acme, w.wiki.ID, accounts.AccessQuery{Limit: size})
			return len(page), err
		},
		"grants of an account": func() (int, error) {
			page, err := w.accounts.GrantsBehind(ctx, q, acme, w.wiki.ID, core.ID{}, size)
			return len(page), err
		},
		"grants from the middle": func() (int, error) {
			page, err := w.accounts.GrantsBehind(ctx, q, acme, w.wiki.ID, somebody[0].ID, size)
			return len(page), err
		},
		"what a team is given": func() (int, error) {
			page, err := w.accounts.GivenTo(ctx, q, acme, crew[0].ID, middle, size)
			return len(page), err
		},
		"people": func() (int, error) {
			page, err := w.directory.NamedUsers(ctx, q, acme, directory.NamedQuery{Limit: size})
			return len(page), err
		},
		"people from the middle": func() (int, error) {
			page, err := w.directory.NamedUsers(ctx, q, acme, directory.NamedQuery{After: somebody[0].ID, Limit: size})
			return len(page), err
		},
		"people by name": func() (int, error) {
			page, err := w.directory.NamedUsers(ctx, q, acme, directory.NamedQuery{Search: "PERSON-9", Limit: size})
			return len(page), err
		},
		"people by address": func() (int, error) {
			page, err := w.directory.AddressedUsers(ctx, q, acme, directory.NamedQuery{Search: "mail-9", Limit: size})
			return len(page), err
		},
		"teams": func() (int, error) {
			page, err := w.directory.NamedTeams(ctx, q, acme, directory.NamedQuery{Limit: size})
			return len(page), err
		},
		"teams by name": func() (int, error) {
			page, err := w.directory.NamedTeams(ctx, q, acme, directory.NamedQuery{Search: "crew 9", After: core.ID{}, Limit: size})
			return len(page), err
		},
		"members of a team": func() (int, error) {
			page, err := w.directory.MembersBehind(ctx, q, acme, crew[0].ID, somebody[0].ID, size)
			return len(page), err
		},
		"rotations": func() (int, error) {
			page, err := w.rotations.List(ctx, q, acme, core.ID{}, size)
			return len(page), err
		},
		"earlier rotations": func() (int, error) {
			page, err := w.rotations.Earlier(ctx, q, acme, rotations[499].Place(), size)
			return len(page), err
		},
		"rotations under way": func() (int, error) {
			page, err := w.rotations.Open(ctx, q, acme, core.ID{}, size)
			return len(page), err
		},
		"rotations under way, on": func() (int, error) { page, err := w.rotations.Open(ctx, q, acme, middle, size); return len(page), err },
		"the latest rotations of some": func() (int, error) {
			page, err := w.rotations.Latest(ctx, q, acme, []core.ID{middle, w.wiki.ID})
			return len(page), err
		},
		"roles on some accounts": func() (int, error) {
			roles, err := w.accounts.RolesOn(ctx, q, acme, zoe, []core.ID{middle, w.mail.ID})
			return len(roles), err
		},
	} {
		q.rows, q.most, q.plan = 0, 0, ""
		shown, err := list()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if q.rows > 10*size {
			t.Errorf("%s: %d are shown, %.0f rows are read: %s", name, shown, q.rows, q.plan)
		}
		if (shown == 0) != (name == "no account") {
			t.Errorf("%s: %d are shown", name, shown)
		}
	}
	for _, path := range []string{"/", "/?q=login-5", "/?show=mine", "/users", "/users?q=person", "/teams", "/rotations", "/accounts/" + w.wiki.ID.String(), "/teams/" + crew[0].ID.String()} {
		answer, body := w.ask(t, "zoe", http.MethodGet, path, nil)
		if answer.StatusCode != http.StatusOK || len(body) > 512<<10 {
			t.Errorf("%s: %d, %d bytes", path, answer.StatusCode, len(body))
		}
	}
}
