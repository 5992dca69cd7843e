package idp_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/conformance/idp"
	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/scim"
)

func init() { gin.SetMode(gin.ReleaseMode) }

// world is a SCIM endpoint on a real database: a workspace to play in, with shared accounts, and
// another one nothing may touch.
type world struct {
	*lifecycle.Lifecycle
	url        string
	token      string
	workspace  core.ID
	connection directory.Connection
	other      core.ID
	system     core.Cause
	accounts   []core.ID
	shared     map[core.ID][]core.ID // user to accounts
}

func open(t testing.TB, kind directory.ConnectionKind, sharedAccounts int) *world {
	t.Helper()
	ctx := t.Context()
	db := postgrestest.Open(t, jobs.Migrate)
	statistics, stop := context.WithCancel(ctx)
	kept := make(chan error, 1)
	go func() { kept <- postgres.KeepStatistics(statistics, db, slog.New(slog.DiscardHandler)) }() // as a worker does
	t.Cleanup(func() { stop(); <-kept })
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	people := &directory.Directory{DB: db}
	logins := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: people}
	w := &world{system: core.NewCause(core.System, time.Now()), shared: map[core.ID][]core.ID{}}
	takers := &lifecycle.Takers{}
	w.Lifecycle = &lifecycle.Lifecycle{
		DB: db, Directory: people, Accounts: logins, Rotations: &rotation.Rotations{DB: db, Accounts: logins, Queue: queue}, Left: takers.Wake,
	}
	takers.Lifecycle = w.Lifecycle
	taken := make(chan error, 1)
	go func() { taken <- takers.Run(statistics) }()
	t.Cleanup(func() { stop(); <-taken })
	engine := gin.New()
	server := httptest.NewUnstartedServer(engine)
	w.url = "http://" + server.Listener.Addr().String()
	(&scim.Service{DB: db, Directory: people, Lifecycle: w.Lifecycle, PublicURL: w.url}).Mount(engine)
	server.Start()
	t.Cleanup(server.Close)
	w.url += "/scim/v2"

	w.other = w.house(t, "other", kind)
	w.workspace = w.house(t, "acme", kind)
	must(t, db.Tx(ctx, func(tx pgx.Tx) error {
		w.accounts = nil
		owner, err := people.InsertUser(ctx, tx, directory.User{ID: core.NewID(), Workspace: w.workspace, UserName: "owner@acme", Active: true, Role: directory.RoleOwner})
		if err != nil {
			return err
		}
		app, err := logins.CreateApp(ctx, tx, w.system, w.workspace, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		for i := range sharedAccounts {
			account, err := logins.CreateAccount(ctx, tx, w.system, w.workspace, accounts.NewAccount{
				App: app.ID, Username: fmt.Sprint("shared", i), Password: seal.NewSecret(fmt.Sprint("first password ", i)), Owner: owner.ID,
			})
			if err != nil {
				return err
			}
			w.accounts = append(w.accounts, account.ID)
		}
		return nil
	}))
	return w
}

// house makes a workspace with a connection, and keeps the last one's token.
func (w *world) house(t testing.TB, slug string, kind directory.ConnectionKind) core.ID {
	t.Helper()
	ctx := t.Context()
	var workspace core.ID
	must(t, w.DB.Tx(ctx, func(tx pgx.Tx) error {
		made, err := w.Directory.CreateWorkspace(ctx, tx, w.system, slug, slug)
		if err != nil {
			return err
		}
		workspace = made.ID
		if _, err := w.Accounts.Vault.Prepare(ctx, tx, workspace); err != nil {
			return err
		}
		if w.connection, err = w.Directory.CreateConnection(ctx, tx, w.system, workspace, directory.NewConnection{Name: "IdP", Kind: kind}); err != nil {
			return err
		}
		token, err := w.Directory.CreateConnectionToken(ctx, tx, w.system, workspace, w.connection.ID, nil)
		w.token = token.Reveal()
		return err
	}))
	return workspace
}

// share gives two accounts each to half of those who are about to leave, and to some who stay.
func (w *world) share(ctx context.Context, people []idp.Known) error {
	return w.DB.Tx(ctx, func(tx pgx.Tx) error {
		for _, p := range people {
			if p.ID != "" && (p.Leaves && p.Key%2 == 0 || !p.Leaves && p.Key%50 == 0) {
				user, err := core.ParseID(p.ID)
				if err != nil {
					return err
				}
				w.shared[user] = nil
				for i := range min(2, len(w.accounts)) {
					account := w.accounts[(p.Key/2+i)%len(w.accounts)]
					if _, err := w.Accounts.Share(ctx, tx, w.system, w.workspace, account, accounts.Sharing{Subject: accounts.Subject{User: user}, Role: accounts.Collaborator}); err != nil {
						return err
					}
					w.shared[user] = append(w.shared[user], account)
				}
			}
		}
		return nil
	})
}

// events are those of the workspace, of the types a run compares.
func (w *world) events(ctx context.Context) ([]core.Event, error) {
	types := []string{
		string(core.UserProvisioned), string(core.UserDeprovisioned), string(core.UserReactivated), string(core.UserDeleted),
		string(core.AccountUnshared), string(core.RotationPlanned),
	}
	rows, err := w.DB.Query(ctx, `select event from audit_outbox where workspace_id = @workspace and event ->> 'type' = any(@types) order by number`,
		pgx.StrictNamedArgs{"workspace": w.workspace, "types": types})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[core.Event])
}

func (w *world) options(shape idp.Shape, size idp.Size, seed uint64) idp.Options {
	return idp.Options{
		URL: w.url, Token: w.token, Shape: shape, Size: size, Seed: seed, Chaos: idp.Rough(), Pause: 20 * time.Millisecond,
		After: func(ctx context.Context, cycle int, people []idp.Known) error {
			if cycle > 0 {
				return nil
			}
			return w.share(ctx, people)
		},
		Events: w.events, EventsWithin: time.Minute,
		Shared: func() map[core.ID][]core.ID { return w.shared },
	}
}

func (w *world) count(t testing.TB, query string, workspace core.ID) int {
	t.Helper()
	var number int
	must(t, w.DB.QueryRow(t.Context(), query, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&number))
	return number
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
