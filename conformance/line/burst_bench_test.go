package line

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/connectors/postgresql"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
)

const (
	// leavers is how many people leave at once in BenchmarkBurst; POSTERN_LEAVERS says otherwise.
	leavers = 100
	// possessions is how many accounts each of them knows, and nobody else.
	possessions = 5
	// hands is how many accounts are worked on at once, on either side.
	hands = 8
)

// BenchmarkBurst has a crowd leave at once, each with accounts of a real PostgreSQL of its own, and takes how many accounts
// are dead per second: from the first departure until the last old password was refused, through lifecycle, takers, jobs
// and the rotations' workers, on a database that waits for its disk. Beside it, before and after, a bare loop makes
// the same calls of that PostgreSQL for as many accounts, as many at once: sign in, set the password, sign in with the new
// one, be refused with the old one. It stores nothing and tells nobody.
func BenchmarkBurst(b *testing.B) {
	people := leavers
	if text := os.Getenv("POSTERN_LEAVERS"); text != "" {
		var err error
		people, err = strconv.Atoi(text)
		coretest.Must(b, err)
	}
	target := postgrestest.Server(b, map[string]string{"password_encryption": "scram-sha-256"})
	admin, err := pgx.Connect(b.Context(), target.URL)
	coretest.Must(b, err)
	b.Cleanup(func() { _ = admin.Close(context.Background()) })
	address, err := url.Parse(target.URL)
	coretest.Must(b, err)
	crowd := newCrowd(b, address)
	var ours, bare time.Duration
	round := 0
	for b.Loop() {
		round++
		many := people * possessions
		roles := func(kind string) []string {
			names := make([]string, many)
			verifier, err := postgresql.Verifier(seal.NewSecret(oldPassword))
			coretest.Must(b, err)
			for i := range names {
				names[i] = fmt.Sprintf("%s-%d-%d", kind, round, i)
			}
			// Each in a transaction costs more the more there were before it.
			for some := range slices.Chunk(names, 100) {
				batch := &pgx.Batch{}
				for _, name := range some {
					batch.Queue("create role " + pgx.Identifier{name}.Sanitize() + " login password '" + verifier + "'")
				}
				coretest.Must(b, admin.SendBatch(b.Context(), batch).Close())
			}
			return names
		}
		mine, others := roles("ours"), roles("bare")
		bare += crowd.bare(b, others[:many/2])
		ours += crowd.leaves(b, mine)
		bare += crowd.bare(b, others[many/2:])
	}
	total := float64(round * people * possessions)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total/ours.Seconds(), "dead/s")
	b.ReportMetric(total/bare.Seconds(), "bare-dead/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "ratio")
}

const oldPassword = "First-voyage-1912"

// crowd is a workspace whose people leave, and the PostgreSQL their accounts are of.
type crowd struct {
	*coretest.Core
	address    *url.URL
	connection directory.Connection
	app        core.ID
	owner      directory.User
}

func newCrowd(b *testing.B, address *url.URL) *crowd {
	b.Helper()
	house := postgrestest.Server(b, nil)
	c := &crowd{Core: coretest.On(b, postgrestest.Database(b, house, "house", jobs.Migrate), nil), address: address}
	workspace, connection := c.Workspace(b, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.com", Provisioning: directory.Provisioning{GuardFloor: -1}})
	c.connection = connection
	c.owner = c.Person(b, connection, directory.User{UserName: "ana@acme.example", DisplayName: "Ana"})
	c.Rotations.Connectors, c.Rotations.AllowPrivate = rotation.Connectors{"postgresql": postgresql.New(true)}, true
	c.Rotations.Options.PerApp = hands // there is only one app
	c.Tx(b, func(ctx context.Context, tx pgx.Tx) error {
		made, err := c.Accounts.CreateApp(ctx, tx, coretest.System(), workspace.ID, accounts.NewApp{
			Name: "Warehouse", Domains: []string{address.Host}, SignInURL: "postgres://" + address.Host + "/postgres?sslmode=disable", Connector: "postgresql",
		})
		c.app = made.ID
		return err
	})
	var handlers jobs.Handlers
	c.Rotations.Register(&handlers)
	worker, err := jobs.NewWorker(c.DB, &handlers, jobs.WorkerOptions{Concurrency: hands})
	coretest.Must(b, err)
	takers := &lifecycle.Takers{Lifecycle: c.Lifecycle}
	c.Lifecycle.Wake = takers.Wake
	coretest.Run(b, worker.Run)
	coretest.Run(b, takers.Run)
	return c
}

// leaves has people come who know the accounts of the names, and then leave, all at once. It returns how long it took until
// every old password was dead.
func (c *crowd) leaves(b *testing.B, names []string) time.Duration {
	b.Helper()
	workspace := c.connection.Workspace
	var people []core.ID
	for i := 0; i < len(names); i += possessions {
		person := c.Person(b, c.connection, directory.User{UserName: names[i] + "@acme.example", DisplayName: names[i]})
		people = append(people, person.ID)
		c.Tx(b, func(ctx context.Context, tx pgx.Tx) error {
			for _, name := range names[i : i+possessions] {
				account, err := c.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace, accounts.NewAccount{
					App: c.app, Username: name, Password: seal.NewSecret(oldPassword), Owner: c.owner.ID,
				})
				if err != nil {
					return err
				}
				if _, err := c.Accounts.Share(ctx, tx, coretest.System(), workspace, account.ID, accounts.Sharing{Subject: accounts.Subject{User: person.ID}, Role: accounts.Collaborator}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	_, err := c.DB.Exec(b.Context(), "analyze")
	coretest.Must(b, err)

	begun := time.Now()
	together(people, func(person core.ID) {
		if _, err := c.Lifecycle.Deprovision(b.Context(), core.NewCause(c.connection.Actor(), time.Now()), workspace, person); err != nil {
			b.Error(err)
		}
	})
	const dead = `
select count(*), coalesce(max(finished), now()) from rotations r join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
where r.workspace_id = @workspace and a.username = any(@names) and r.state = 'done' and r.receipt is not null`
	var last time.Time
	for deadline := time.Now().Add(20 * time.Minute); ; {
		var count int
		coretest.Must(b, c.DB.QueryRow(b.Context(), dead, pgx.StrictNamedArgs{"workspace": workspace, "names": names}).Scan(&count, &last))
		if count == len(names) {
			return last.Sub(begun)
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d accounts are dead", count, len(names))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// bare makes the same calls without Postern, and returns how long they took.
func (c *crowd) bare(b *testing.B, names []string) time.Duration {
	b.Helper()
	begun := time.Now()
	together(names, func(name string) {
		if err := c.rotate(b.Context(), name); err != nil {
			b.Error(err)
		}
	})
	return time.Since(begun)
}

func (c *crowd) rotate(ctx context.Context, name string) error {
	next := seal.GeneratePassword(seal.PasswordPolicy{})
	session, err := c.signIn(ctx, name, oldPassword)
	if err != nil {
		return err
	}
	verifier, err := postgresql.Verifier(next)
	if err == nil {
		_, err = session.Exec(ctx, "alter role "+pgx.Identifier{name}.Sanitize()+" password '"+verifier+"'").ReadAll()
	}
	if err := errors.Join(err, session.Close(ctx)); err != nil {
		return err
	}
	if session, err = c.signIn(ctx, name, next.Reveal()); err != nil {
		return err
	}
	_ = session.Close(ctx)
	if session, err = c.signIn(ctx, name, oldPassword); err == nil {
		return errors.Join(errors.New("the old password works"), session.Close(ctx))
	}
	return nil
}

func (c *crowd) signIn(ctx context.Context, name, password string) (*pgconn.PgConn, error) {
	at := url.URL{Scheme: "postgres", Host: c.address.Host, Path: "/postgres", RawQuery: "sslmode=disable", User: url.UserPassword(name, password)}
	return pgconn.Connect(ctx, at.String())
}

// together does work for each, with as many hands as there are.
func together[T any](all []T, work func(T)) {
	queue := make(chan T)
	var group sync.WaitGroup
	for range hands {
		group.Go(func() {
			for one := range queue {
				work(one)
			}
		})
	}
	for _, one := range all {
		queue <- one
	}
	close(queue)
	group.Wait()
}
