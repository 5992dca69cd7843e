package lifecycle_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/deploy/local/postgresql"
)

// trips counts how often the program waited for the database: turns from writing to reading.
type trips struct {
	net.Conn
	count *atomic.Int64
	wrote atomic.Bool
}

func (c *trips) Write(p []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

func (c *trips) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.wrote.Swap(false) {
		c.count.Add(1)
	}
	return n, err
}

// durable is a house on a PostgreSQL that waits for the disk, as it does in production.
func durable(b *testing.B) (house, *atomic.Int64) {
	b.Helper()
	folder, err := os.MkdirTemp("", "postern-bench-postgresql-")
	coretest.Must(b, err)
	coretest.Must(b, os.Chmod(folder, 0o711))
	b.Cleanup(func() { _ = os.RemoveAll(folder) })
	server, err := postgresql.Start(context.Background(), postgresql.Options{Folder: filepath.Join(folder, "data")})
	partstest.Need(b, "PostgreSQL", err)
	b.Cleanup(func() { _ = server.Stop() })
	config, err := pgxpool.ParseConfig(server.URL)
	coretest.Must(b, err)
	config.MaxConns = 32
	count := &atomic.Int64{}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &trips{Conn: connection, count: count}, err
	}
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	coretest.Must(b, err)
	b.Cleanup(pool.Close)
	db := &postgres.DB{Pool: pool}
	_, err = postgres.Migrate(b.Context(), db)
	coretest.Must(b, err)
	coretest.Must(b, jobs.Migrate(b.Context(), db))
	return on(b, db).house(b, "acme"), count
}

// batch runs work many times in each of several goroutines, and says how long one took on average, at
// the 99th percentile, and how often it waited for the database.
func batch(concurrency, many int, count *atomic.Int64, work func()) (mean, p99 time.Duration, waits float64) {
	took := make([]time.Duration, concurrency*many)
	var next atomic.Int64
	var each []func()
	for range concurrency {
		each = append(each, func() {
			for range many {
				began := time.Now()
				work()
				took[next.Add(1)-1] = time.Since(began)
			}
		})
	}
	before, began := count.Load(), time.Now()
	together(each...)
	mean = time.Since(began) / time.Duration(len(took))
	slices.Sort(took)
	return mean, took[len(took)*99/100], float64(count.Load()-before) / float64(len(took))
}

const bareInsert = `
insert into users (id, workspace_id, connection_id, user_name, external_id, email) values ($1, $2, $3, $4, $4, $4)`

const bareUpdate = `update users set active = false, version = version + 1 where workspace_id = $1 and id = $2`

// BenchmarkCommands measures a join, and the departure of somebody with five accounts, beside a bare
// transaction that writes the same user row. What counts are the ratios: the floor's time divided by
// ours.
func BenchmarkCommands(b *testing.B) {
	h, count := durable(b)
	ctx := b.Context()
	for len(h.accounts) < 5 {
		h.account(b)
	}
	var number atomic.Int64
	name := func() string { return fmt.Sprintf("n%d@example.com", number.Add(1)) }
	for _, concurrency := range []int{1, 8, 32} {
		b.Run(fmt.Sprint("concurrency-", concurrency), func(b *testing.B) {
			many := 200 / concurrency
			var times [4]struct{ mean, p99 time.Duration }
			var waits [4]float64
			rounds := 0
			for b.Loop() {
				leavers := make(chan core.ID, 2*many*concurrency)
				for range cap(leavers) {
					leavers <- h.leaver(b, name())
				}
				work := [4]func(){
					func() {
						coretest.Must(b, pgx.BeginFunc(ctx, h.DB.Pool, func(tx pgx.Tx) error {
							_, err := tx.Exec(ctx, bareInsert, core.NewID(), h.workspace, h.connection.ID, name())
							return err
						}))
					},
					func() { h.join(b, name()) },
					func() {
						coretest.Must(b, pgx.BeginFunc(ctx, h.DB.Pool, func(tx pgx.Tx) error {
							_, err := tx.Exec(ctx, bareUpdate, h.workspace, <-leavers)
							return err
						}))
					},
					func() {
						_, err := h.Change(ctx, h.cause, h.workspace, <-leavers, func(u *directory.User) error { u.Active = false; return nil })
						coretest.Must(b, err)
					},
				}
				for i, one := range work {
					mean, p99, each := batch(concurrency, many, count, one)
					times[i].mean += mean
					times[i].p99 += p99
					waits[i] += each
				}
				rounds++
			}
			for i, what := range []string{"join", "leave"} {
				floor, ours := times[2*i], times[2*i+1]
				b.ReportMetric(float64(floor.mean)/float64(ours.mean), what+"-ratio")
				b.ReportMetric(float64(ours.p99)/float64(floor.p99), what+"-p99")
				b.ReportMetric(waits[2*i+1]/float64(rounds), what+"-waits")
				b.ReportMetric(float64(ours.mean.Microseconds())/float64(rounds), what+"-µs")
			}
		})
	}
}

// leaver is somebody with a session and five accounts.
func (h house) leaver(b testing.TB, name string) core.ID {
	b.Helper()
	user := h.join(b, name)
	_, err := h.signIn(b, user.ID, time.Now())
	coretest.Must(b, err)
	for i := range 5 {
		_, err := h.DB.Exec(b.Context(), `insert into grants (id, workspace_id, account_id, user_id, role) values ($1, $2, $3, $4, 'collaborator')`,
			core.NewID(), h.workspace, h.accounts[i].ID, user.ID)
		coretest.Must(b, err)
	}
	return user.ID
}

// BenchmarkTeams measures adding 100 people to a team of 100,000 beside the same on a team of 1,000.
func BenchmarkTeams(b *testing.B) {
	h, _ := durable(b)
	ctx := b.Context()
	small, large := h.filled(b, "small", 1_000), h.filled(b, "large", 100_000)
	var ids []core.ID
	for i := range 100 {
		ids = append(ids, h.join(b, fmt.Sprintf("new%d@example.com", i)).ID)
	}
	var times [2]time.Duration
	for b.Loop() {
		for i, team := range []core.ID{small, large} {
			began := time.Now()
			_, err := h.ChangeTeam(ctx, h.cause, h.workspace, team, func(e *lifecycle.TeamEdit) error { e.Add = ids; return nil })
			coretest.Must(b, err)
			times[i] += time.Since(began)
			_, err = h.ChangeTeam(ctx, h.cause, h.workspace, team, func(e *lifecycle.TeamEdit) error { e.Remove = ids; return nil })
			coretest.Must(b, err)
		}
	}
	b.ReportMetric(float64(times[1])/float64(times[0]), "large/small")
	b.ReportMetric(float64(times[0].Microseconds())/float64(b.N), "small-µs")
}

// filled is a team that owns an account.
func (h house) filled(b testing.TB, name string, many int) core.ID {
	b.Helper()
	ctx := b.Context()
	team, err := h.CreateTeam(ctx, h.cause, directory.Team{Workspace: h.workspace, Connection: h.connection.ID, DisplayName: name}, nil)
	coretest.Must(b, err)
	_, err = h.DB.Exec(ctx, `
		with people as (
			insert into users (id, workspace_id, connection_id, user_name, external_id)
			select gen_random_uuid(), $1, $2, $3 || n, $3 || n from generate_series(1, $4::int) n returning id
		)
		insert into team_members (workspace_id, team_id, user_id) select $1, $5, id from people`,
		h.workspace, h.connection.ID, name, many, team.ID)
	coretest.Must(b, err)
	_, err = h.DB.Exec(ctx, `insert into grants (id, workspace_id, account_id, team_id, role) values ($1, $2, $3, $4, 'owner')`,
		core.NewID(), h.workspace, h.accounts[0].ID, team.ID)
	coretest.Must(b, err)
	_, err = h.DB.Exec(ctx, `analyze`)
	coretest.Must(b, err)
	return team.ID
}

// account adds one more account to the house.
func (h *house) account(b testing.TB) {
	b.Helper()
	coretest.Must(b, h.DB.Tx(b.Context(), func(tx pgx.Tx) error {
		made, err := h.Accounts.CreateAccount(b.Context(), tx, h.system, h.workspace, accounts.NewAccount{
			App: h.accounts[0].App, Username: fmt.Sprint("shared", len(h.accounts)), Password: h.newPassword(), Owner: h.ana.ID,
		})
		h.accounts = append(h.accounts, made)
		return err
	}))
}
