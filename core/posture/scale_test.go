package posture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/posture"
)

// crowd adds accounts to a house: each with an owner, every third shared with two more, one in a hundred with each kind
// of fault.
func (h *house) crowd(t testing.TB, count int) {
	t.Helper()
	like := h.account(t, strong()).ID
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		for _, statement := range []string{
			`insert into accounts (id, workspace_id, app_id, vault_id, username, state, orphaned, rotated, created, state_since, tags)
			select gen_random_uuid(), @workspace, a.app_id, a.vault_id, 'crowd' || n,
				(array['validated', 'validated', 'validated', 'unvalidated', 'desynced', 'unmanaged'])[case when n % 100 < 6 then 1 + n % 6 else 1 end], n % 100 = 7,
				case when n % 5 > 0 then @now::timestamptz - n % 170 * interval '1 day' end, @now::timestamptz - case when n % 100 = 8 then 400 else 10 end * interval '1 day', @now,
				case when n % 10 = 0 then array['prod'] else '{}' end
			from accounts a, generate_series(1, @count) n where a.workspace_id = @workspace and a.id = @like`,
			`insert into grants (id, workspace_id, account_id, user_id, role, expires)
			select gen_random_uuid(), @workspace, a.id, u.id, case w.n when 0 then 'owner' else 'collaborator' end, case when w.n > 0 and right(a.username, 2) = '09' then @now::timestamptz + interval '1 day' end
			from accounts a
			join (select id, row_number() over (order by id) - 1 as n from users where workspace_id = @workspace and role in ('user', 'admin')) u on true
			join generate_series(0, 2) w (n) on w.n = u.n and (w.n = 0 or hashtext(a.username) % 3 = 0)
			where a.workspace_id = @workspace and a.id <> @like and not a.orphaned`,
			`insert into credential_versions (workspace_id, account_id, version, origin, label, fingerprint, fingerprint_epoch, strength)
			select @workspace, a.id, 1, 'imported', 'current', decode(md5(case when right(a.username, 2) = '10' then 'same' || left(a.username, 7) else a.username end), 'hex'), 1,
				case when right(a.username, 2) = '11' then 'weak' else 'strong' end
			from accounts a where a.workspace_id = @workspace and a.id <> @like`,
			`insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, detail)
			select gen_random_uuid(), @workspace, a.id, 'schedule', '{}', 4, case when right(a.username, 2) = '12' then 'blocked' else 'planned' end, ''
			from accounts a where a.workspace_id = @workspace and a.id <> @like and right(a.username, 1) = '2'`,
		} {
			if _, err := tx.Exec(ctx, statement, pgx.NamedArgs{"workspace": h.id, "count": count, "like": like, "now": h.clock.Now()}); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	for _, table := range []string{"accounts", "grants", "credential_versions", "rotations", "users", "links"} {
		_, err := h.DB.Exec(t.Context(), "vacuum analyze "+table)
		coretest.Must(t, err)
	}
}

// Nothing is read from end to end: neither by the first page nor by the next, nor by a count, with or without filters.
func TestEverythingFoundHasAnIndex(t *testing.T) {
	h, _ := pair(t)
	h.crowd(t, 5_000)
	for name, filter := range map[string]posture.Filter{
		"everything": {}, "an app": {App: h.apps[0].ID}, "a tag": {Tag: "prod"}, "an owner": {Owner: h.people["ana"].ID}, "a state": {State: "validated"},
	} {
		for what, one := range h.Statements(h.id, filter) {
			var text string
			coretest.Must(t, h.DB.QueryRow(t.Context(), "explain (format json) "+one.SQL, one.Args).Scan(&text))
			var plan []map[string]any
			coretest.Must(t, json.Unmarshal([]byte(text), &plan))
			for _, table := range scanned(plan[0]["Plan"]) {
				switch table {
				case "apps", "connections", "connection_clients", "service_accounts", "teams": // a handful of rows
				default:
					t.Errorf("%s, %s: reads all of %s", what, name, table)
				}
			}
		}
	}
}

// scanned lists the tables a plan reads from end to end.
func scanned(node any) (tables []string) {
	plan, ok := node.(map[string]any)
	if !ok {
		return nil
	}
	if plan["Node Type"] == "Seq Scan" {
		tables = append(tables, fmt.Sprint(plan["Relation Name"]))
	}
	children, _ := plan["Plans"].([]any)
	for _, child := range children {
		tables = append(tables, scanned(child)...)
	}
	return tables
}

// BenchmarkPosture reads a workspace of 100,000 accounts and 166,000 grants, beside one bare indexed select.
func BenchmarkPosture(b *testing.B) {
	w := open(b)
	h := w.house(b, "acme")
	h.crowd(b, 100_000)
	var account core.ID
	coretest.Must(b, h.DB.QueryRow(b.Context(), `select id from accounts where workspace_id = $1 order by id offset 50000 limit 1`, h.id).Scan(&account))
	page := func(query posture.Query) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				_, _, err := h.Findings(b.Context(), h.DB, h.id, query)
				coretest.Must(b, err)
			}
		}
	}
	b.Run("an indexed select", func(b *testing.B) {
		for b.Loop() {
			var name string
			coretest.Must(b, h.DB.QueryRow(b.Context(), `select username from accounts where workspace_id = $1 and id = $2`, h.id, account).Scan(&name))
		}
	})
	b.Run("the overview", func(b *testing.B) {
		for b.Loop() {
			_, err := h.Overview(b.Context(), h.DB, h.id)
			coretest.Must(b, err)
		}
	})
	b.Run("100 findings", page(posture.Query{}))
	for _, one := range posture.Kinds() {
		b.Run("100 of "+string(one.Kind), page(posture.Query{Filter: posture.Filter{Kind: one.Kind}}))
	}
	b.Run("100 with a tag", page(posture.Query{Filter: posture.Filter{Tag: "prod"}}))
	b.Run("100 of an owner", page(posture.Query{Filter: posture.Filter{Owner: h.people["ana"].ID}}))
	b.Run("100 accounts that lack a milestone", func(b *testing.B) {
		for b.Loop() {
			_, err := h.Standings(b.Context(), h.DB, h.id, posture.StandingQuery{Missing: posture.Rotated, After: account})
			coretest.Must(b, err)
		}
	})
	b.Run("all findings as a file", func(b *testing.B) {
		for b.Loop() {
			coretest.Must(b, h.Export(b.Context(), h.DB, h.id, posture.Filter{}, posture.CSV, io.Discard))
		}
	})
}
