package policies_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
)

// world is policies on a real database, without workers: what is planned stays planned.
type world struct {
	*policies.Policies
	clock *coretest.Clock
	key   seal.KeyProvider
}

// house is a workspace with two apps, some accounts in each, and Ana who owns them.
type house struct {
	*world
	workspace core.ID
	system    core.Cause
	ana       directory.User
	apps      []accounts.App
	accounts  []accounts.Account // those of the first app first
}

// morning is when the worlds begin: a Saturday, 12:00 in Berlin.
var morning = time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)

func open(t testing.TB) *world {
	t.Helper()
	return on(t, postgrestest.Open(t, jobs.Migrate))
}

func on(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	coretest.Must(t, err)
	w := &world{clock: coretest.NewClock(morning), key: key}
	w.Policies = w.another(t, db)
	return w
}

// another is what another process would use.
func (w *world) another(t testing.TB, db *postgres.DB) *policies.Policies {
	t.Helper()
	queue, err := jobs.NewQueue(db, nil)
	coretest.Must(t, err)
	people := &directory.Directory{DB: db, Now: w.clock.Now}
	logins := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: w.key, Now: w.clock.Now}, Directory: people, Now: w.clock.Now}
	made := &policies.Policies{
		DB: db, Accounts: logins, Rotations: &rotation.Rotations{DB: db, Accounts: logins, Queue: queue, Now: w.clock.Now}, Now: w.clock.Now,
	}
	logins.Used = made.SignedIn
	return made
}

// pair is a workspace to work in and another one, with the same names in it, that nothing may touch.
func pair(t testing.TB) (house, house) {
	t.Helper()
	w := open(t)
	other := w.house(t, "other", 3)
	return w.house(t, "acme", 3), other
}

func (w *world) house(t testing.TB, slug string, each int) house {
	t.Helper()
	ctx := t.Context()
	h := house{world: w, system: core.NewCause(core.System, w.clock.Now())}
	coretest.Must(t, w.DB.Tx(ctx, func(tx pgx.Tx) error {
		h.apps, h.accounts = nil, nil
		made, err := w.Accounts.Directory.CreateWorkspace(ctx, tx, h.system, slug, slug)
		if err != nil {
			return err
		}
		h.workspace = made.ID
		if _, err := w.Accounts.Vault.Prepare(ctx, tx, h.workspace); err != nil {
			return err
		}
		h.ana, err = w.Accounts.Directory.InsertUser(ctx, tx, directory.User{Workspace: h.workspace, UserName: "ana", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		for _, name := range []string{"Harbour", "Wiki"} {
			app, err := w.Accounts.CreateApp(ctx, tx, h.system, h.workspace, accounts.NewApp{
				Name: name, Domains: []string{"app.example.com"}, SignInURL: "https://app.example.com/", Connector: "browser",
			})
			if err != nil {
				return err
			}
			h.apps = append(h.apps, app)
			for i := range each {
				account, err := w.Accounts.CreateAccount(ctx, tx, h.system, h.workspace, accounts.NewAccount{
					App: app.ID, Username: fmt.Sprint("shared", i), Password: seal.NewSecret("first password"), Owner: h.ana.ID,
				})
				if err != nil {
					return err
				}
				h.accounts = append(h.accounts, account)
			}
		}
		return nil
	}))
	return h
}

// add makes a policy.
func (h house) add(t testing.TB, wanted policies.Policy) policies.Policy {
	t.Helper()
	made, err := h.Create(t.Context(), h.system, h.workspace, wanted)
	coretest.Must(t, err)
	return made
}

// nightly rotates every day between two and four in Berlin.
func nightly(t testing.TB) *policies.Schedule {
	t.Helper()
	schedule, err := policies.ParseSchedule(1, "", nil, nil, "Europe/Berlin", "02:00", "04:00")
	coretest.Must(t, err)
	return schedule
}

// tick does what is due, and returns how many rotations that were.
func (h house) tick(t testing.TB) int {
	t.Helper()
	done, err := h.Tick(t.Context())
	coretest.Must(t, err)
	return done
}

// finish ends the open rotations of the house as if workers had carried them out.
func (h house) finish(t testing.TB) {
	t.Helper()
	for _, query := range []string{
		`update accounts a set rotated = @now from rotations r
		where r.workspace_id = @workspace and r.account_id = a.id and r.finished is null and r.reason <> 'verify'`,
		`update rotations set state = 'done', finished = @now where workspace_id = @workspace and finished is null`,
	} {
		_, err := h.DB.Exec(t.Context(), query, pgx.StrictNamedArgs{"workspace": h.workspace, "now": h.clock.Now()})
		coretest.Must(t, err)
	}
}

// count runs a query whose parameters are @workspace and whatever args add.
func (h house) count(t testing.TB, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	all := pgx.StrictNamedArgs{"workspace": h.workspace}
	for name, value := range args {
		all[name] = value
	}
	var number int
	coretest.Must(t, h.DB.QueryRow(t.Context(), query, all).Scan(&number))
	return number
}

// planned is how many rotations an account has had.
func (h house) planned(t testing.TB, account core.ID) int {
	t.Helper()
	return h.count(t, `select count(*) from rotations where workspace_id = @workspace and account_id = @account`, pgx.StrictNamedArgs{"account": account})
}

func (h house) rotations(t testing.TB) int {
	t.Helper()
	return h.count(t, `select count(*) from rotations where workspace_id = @workspace`, nil)
}

func (h house) events(t testing.TB, kind core.EventType) int {
	t.Helper()
	return h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type`, pgx.StrictNamedArgs{"type": kind})
}

func (h house) state(t testing.TB, account int, state accounts.State) {
	t.Helper()
	_, err := h.DB.Exec(t.Context(), `update accounts set state = @state where workspace_id = @workspace and id = @account`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "account": h.accounts[account].ID, "state": string(state)})
	coretest.Must(t, err)
}

// fill has Ana sign in with an account.
func (h house) fill(t testing.TB, account int) {
	t.Helper()
	_, _, err := h.Accounts.Fill(t.Context(), core.NewCause(h.ana.Actor(), h.clock.Now()), h.workspace, h.ana.ID, h.accounts[account].ID)
	coretest.Must(t, err)
}

// exposed are accounts somebody leaves with; known says whose password they saw.
func (h house) exposed(known ...int) []accounts.Exposed {
	var all []accounts.Exposed
	for i, account := range h.accounts {
		one := accounts.Exposed{Account: account.ID, AppName: account.AppName, Username: account.Username}
		for _, which := range known {
			one.SawVersionCurrent = one.SawVersionCurrent || which == i
		}
		all = append(all, one)
	}
	return all
}

// chosen are the places in house.accounts of what is rotated upon a trigger.
func (h house) chosen(t testing.TB, trigger policies.Trigger, known ...int) []int {
	t.Helper()
	var places []int
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		places = nil
		found, err := h.Choose(t.Context(), tx, h.workspace, trigger, h.exposed(known...))
		for _, one := range found {
			for i, account := range h.accounts {
				if account.ID == one.Account {
					places = append(places, i)
				}
			}
		}
		return err
	}))
	return places
}

// together starts all functions at once and waits for them.
func together(work ...func()) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, one := range work {
		all.Go(func() { <-start; one() })
	}
	close(start)
	all.Wait()
}
