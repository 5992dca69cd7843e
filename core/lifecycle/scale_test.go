package lifecycle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

// crowded is a house of 1,000,000 users in 50,000 teams, with 5,000,000 memberships, 300,000 accounts in 100
// apps and 1,500,000 grants, on a PostgreSQL of its own that waits for the disk as it does in production.
func crowded(b *testing.B) house {
	b.Helper()
	folder, err := os.MkdirTemp("", "postern-bench-postgresql-")
	coretest.Must(b, err)
	coretest.Must(b, os.Chmod(folder, 0o711))
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	server, err := postgresql.Start(context.Background(), postgresql.Options{Folder: filepath.Join(folder, "data"), Settings: map[string]string{
		"shared_buffers": "3GB", "max_wal_size": "8GB", "autovacuum": "off",
	}})
	partstest.Need(b, "PostgreSQL", err)
	b.Cleanup(func() { _ = server.Stop() })
	db, err := postgres.Open(b.Context(), server.URL, postgres.Options{Name: "bench"})
	coretest.Must(b, err)
	b.Cleanup(db.Close)
	_, err = postgres.Migrate(b.Context(), db)
	coretest.Must(b, err)
	coretest.Must(b, jobs.Migrate(b.Context(), db))
	h := on(b, db).house(b, "acme")
	began := time.Now()
	coretest.Must(b, pgx.BeginFunc(b.Context(), db.Pool, func(tx pgx.Tx) error {
		for _, statement := range crowd {
			if _, err := tx.Exec(b.Context(), statement, pgx.NamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "account": h.accounts[0].ID}); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}))
	b.Logf("filled in %s", time.Since(began).Round(time.Second))
	return h
}

// numbered is the id of the n-th row of a kind: in the order of their making, as ours are.
const numbered = `create function pg_temp.numbered(kind text, n bigint) returns uuid language sql immutable
return (kind || '0000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`

var crowd = []string{
	`set local synchronous_commit = off`,
	`set local session_replication_role = replica`, // what is made up here refers to what is there
	`set local work_mem = '256MB'`,
	`set local maintenance_work_mem = '1GB'`,
	numbered,
	// Indexes are built faster than they grow.
	`create temp table rebuilt on commit drop as select schemaname, indexname, indexdef from pg_indexes
		where tablename in ('team_members', 'grants') and indexname not like '%pkey' and indexname not like '%_key'`,
	`do $$ declare one record; begin for one in select * from rebuilt loop execute format('drop index %I', one.indexname); end loop; end $$`,
	`alter table team_members drop constraint team_members_pkey`,
	`insert into users (id, workspace_id, connection_id, user_name, external_id, email)
		select pg_temp.numbered('a', n), @workspace, @connection, 'crowd' || n || '@example.com', 'crowd' || n, 'crowd' || n || '@example.com' from generate_series(1, 1000000) n`,
	`insert into teams (id, workspace_id, display_name) select pg_temp.numbered('b', n), @workspace, 'crowd' || n from generate_series(1, 50000) n`,
	`insert into team_members (workspace_id, team_id, user_id)
		select @workspace, pg_temp.numbered('b', 1 + (n::bigint * 7919 + k * 10007) % 50000), pg_temp.numbered('a', n)
		from generate_series(1, 1000000) n, generate_series(0, 4) k`,
	`insert into apps (id, workspace_id, name, domains, sign_in_url, connector)
		select pg_temp.numbered('c', n), @workspace, 'Crowd ' || n, '{crowd.example.com}', 'https://crowd.example.com/', 'browser' from generate_series(1, 100) n`,
	`insert into accounts (id, workspace_id, app_id, vault_id, username)
		select pg_temp.numbered('d', n), @workspace, pg_temp.numbered('c', 1 + n % 100), (select vault_id from accounts where id = @account), 'crowd' || n from generate_series(1, 300000) n`,
	`insert into grants (id, workspace_id, account_id, user_id, role)
		select pg_temp.numbered('e', n * 4 + k), @workspace, pg_temp.numbered('d', n), pg_temp.numbered('a', 1 + (n * 31 + k * 250007) % 1000000), case k when 0 then 'owner' else 'collaborator' end
		from generate_series(1, 300000) n, generate_series(0, 3) k`,
	`insert into grants (id, workspace_id, account_id, team_id, role)
		select pg_temp.numbered('f', n), @workspace, pg_temp.numbered('d', n), pg_temp.numbered('b', 1 + n % 50000), 'collaborator' from generate_series(1, 300000) n`,
	`alter table team_members add primary key (workspace_id, team_id, user_id)`,
	`do $$ declare one record; begin for one in select * from rebuilt loop execute one.indexdef; end loop; end $$`,
}

// floor is one row by its key: what a database answers at all.
const floor = `select id, app_id, username, state from accounts where workspace_id = $1 and id = $2`

// one reads the floor's row.
func (h house) one(b *testing.B, accounts []core.ID) func(i int) {
	return func(i int) {
		var id, app core.ID
		var username, state string
		coretest.Must(b, h.DB.QueryRow(b.Context(), floor, h.workspace, accounts[i%len(accounts)]).Scan(&id, &app, &username, &state))
	}
}

// floorMany is a page of rows by their keys.
const floorMany = `select id, app_id, username, state from accounts where workspace_id = $1 and id = any($2)`

// many reads a page of rows, of accounts one after the other.
func (h house) many(b *testing.B, accounts []core.ID, page int) func(i int) {
	return func(i int) {
		rows, err := h.DB.Query(b.Context(), floorMany, h.workspace, accounts[i%(len(accounts)-page):][:page])
		coretest.Must(b, err)
		var id, app core.ID
		var username, state string
		_, err = pgx.ForEachRow(rows, []any{&id, &app, &username, &state}, func() error { return nil })
		coretest.Must(b, err)
	}
}

// turns runs ours and a floor in turns, several at a time, and reports their rates.
func (h house) turns(b *testing.B, ours, bare func(i int)) {
	b.Helper()
	const many, concurrency = 500, 4
	var took [2][]time.Duration
	var spent [2]time.Duration
	count := 0
	for i := range many { // every connection knows the statements
		together(func() { ours(i) }, func() { ours(i) }, func() { ours(i) }, func() { ours(i) }, func() { bare(i) })
	}
	for b.Loop() {
		for which, work := range []func(int){ours, bare} {
			times := make([]time.Duration, many*concurrency)
			var each []func()
			for at := range concurrency {
				each = append(each, func() {
					for i := range many {
						began := time.Now()
						work(count + at*many + i)
						times[at*many+i] = time.Since(began)
					}
				})
			}
			began := time.Now()
			together(each...)
			spent[which] += time.Since(began)
			took[which] = append(took[which], times...)
		}
		count += many * concurrency
	}
	for which, what := range []string{"ours", "floor"} {
		slices.Sort(took[which])
		b.ReportMetric(float64(len(took[which]))/spent[which].Seconds(), what+"/s")
		b.ReportMetric(float64(took[which][len(took[which])*99/100].Microseconds())/1000, what+"-p99-ms")
	}
}

// BenchmarkCrowd asks who may use what among a million people, beside one select by its key, and
// takes 200 accounts from somebody who leaves, beside 200 updates of a row each in one transaction.
func BenchmarkCrowd(b *testing.B) {
	h := crowded(b)
	ctx := b.Context()
	_, err := h.DB.Exec(ctx, `vacuum analyze`, pgx.QueryExecModeSimpleProtocol)
	coretest.Must(b, err)
	ask := func(query string) (users, given []core.ID) {
		rows, err := h.DB.Query(ctx, query, h.workspace)
		coretest.Must(b, err)
		var user, account core.ID
		_, err = pgx.ForEachRow(rows, []any{&user, &account}, func() error {
			users, given = append(users, user), append(given, account)
			return nil
		})
		coretest.Must(b, err)
		rand.Shuffle(len(users), func(i, j int) {
			users[i], users[j], given[i], given[j] = users[j], users[i], given[j], given[i]
		})
		return users, given
	}
	direct, own := ask(`select user_id, account_id from grants tablesample system (1) where workspace_id = $1 and user_id is not null`)
	members, through := ask(`select m.user_id, g.account_id from grants g tablesample system (1) join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id where g.workspace_id = $1`)
	b.Run("may_use,_own_grant", func(b *testing.B) {
		h.turns(b, func(i int) {
			_, err := h.Accounts.MayUse(ctx, h.DB, h.workspace, direct[i%len(direct)], own[i%len(own)])
			coretest.Must(b, err)
		}, h.one(b, own))
	})
	b.Run("may_use,_by_team", func(b *testing.B) {
		h.turns(b, func(i int) {
			_, err := h.Accounts.MayUse(ctx, h.DB, h.workspace, members[i%len(members)], through[i%len(through)])
			coretest.Must(b, err)
		}, h.one(b, through))
	})
	usable := func(i int) {
		found, err := h.Accounts.Usable(ctx, h.DB, h.workspace, members[i%len(members)], accounts.UsableQuery{})
		coretest.Must(b, err)
		if len(found) < 20 {
			b.Errorf("only %d accounts", len(found))
		}
	}
	b.Run("what_can_I_use", func(b *testing.B) { h.turns(b, usable, h.one(b, through)) })
	b.Run("what_can_I_use,_beside_as_many_rows", func(b *testing.B) { h.turns(b, usable, h.many(b, through, 30)) })
	b.Run("leave_with_200_accounts", h.leaves)
}

const (
	insertHeld = `
insert into grants (id, workspace_id, account_id, user_id, role)
select gen_random_uuid(), $1, id, $2, 'collaborator' from (select id from accounts where workspace_id = $1 and id > $3 order by id limit 200) a returning id`
	updateHeld = `update grants set purpose = 'floor' where workspace_id = $1 and id = $2`
)

func (h house) leaves(b *testing.B) {
	ctx := b.Context()
	after := core.ID{0xd0, 0, 0, 0, 0, 0, 0x70, 0, 0x80}
	var ours, bare time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		after[14], after[15] = byte(rounds>>2), byte(rounds<<6)
		user := h.join(b, fmt.Sprint("leaver", core.NewID(), "@example.com"))
		rows, err := h.DB.Query(ctx, insertHeld, h.workspace, user.ID, after)
		coretest.Must(b, err)
		held, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
		coretest.Must(b, err)
		began := time.Now()
		coretest.Must(b, h.DB.Tx(ctx, func(tx pgx.Tx) error {
			for _, grant := range held {
				if _, err := tx.Exec(ctx, updateHeld, h.workspace, grant); err != nil {
					return err
				}
			}
			return nil
		}))
		bare += time.Since(began)
		began = time.Now()
		effect, err := h.Deprovision(ctx, h.cause, h.workspace, user.ID)
		ours += time.Since(began)
		if coretest.Must(b, err); effect.GrantsRevoked != 200 || len(effect.Rotations) != 200 {
			b.Fatalf("%d grants, %d rotations", effect.GrantsRevoked, len(effect.Rotations))
		}
	}
	b.ReportMetric(float64(ours.Microseconds())/1000/float64(rounds), "ours-ms")
	b.ReportMetric(float64(bare.Microseconds())/1000/float64(rounds), "floor-ms")
}
