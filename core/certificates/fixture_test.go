package certificates_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/signing"
	"postern/core/vault"
)

// world is a whole Postern without a network: departures, rotations, the log and certificates.
type world struct {
	*certificates.Certificates
	clock     *coretest.Clock
	apps      *coretest.Apps
	people    *directory.Directory
	logins    *accounts.Accounts
	rotations *rotation.Rotations
	lifecycle *lifecycle.Lifecycle
	signals   *signals.Signals
}

// house is a workspace with an app, an owner, and people.
type house struct {
	*world
	workspace core.ID
	app       core.ID
	broken    core.ID // an app that has no connector
	ana       directory.User
	number    *int
}

func open(t testing.TB) *world {
	t.Helper()
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	coretest.Must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	coretest.Must(t, err)
	w := &world{clock: coretest.NewClock(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))}
	now := w.clock.Now
	safe := &vault.Vault{DB: db, Keys: key, Now: now}
	w.apps = coretest.NewApps(w.clock)
	w.people = &directory.Directory{DB: db, Now: now}
	w.logins = &accounts.Accounts{DB: db, Vault: safe, Directory: w.people, Now: now}
	w.rotations = &rotation.Rotations{DB: db, Accounts: w.logins, Queue: queue, Now: now, Connectors: rotation.Connectors{"simulated": w.apps}}
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.people, Accounts: w.logins, Rotations: w.rotations, Now: now}
	w.signals = &signals.Signals{DB: db, Directory: w.people, Accounts: w.logins, Rotations: w.rotations, Lifecycle: w.lifecycle, Now: now}
	w.Certificates = &certificates.Certificates{DB: db, Signing: &signing.Signing{DB: db, Vault: safe, Now: now}, Now: now}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = (&audit.Sequencer{DB: db, Now: now, Log: slog.New(slog.DiscardHandler)}).Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

func (w *world) system() core.Cause { return core.NewCause(core.System, w.clock.Now()) }

func (w *world) tx(t coretest.T, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	ctx := context.Background()
	coretest.Must(t, w.DB.Tx(ctx, func(tx pgx.Tx) error { return work(ctx, tx) }))
}

func (w *world) house(t coretest.T) house {
	t.Helper()
	h := house{world: w, number: new(int)}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := w.people.CreateWorkspace(ctx, tx, w.system(), "w-"+core.NewID().String(), "Acme")
		if err != nil {
			return err
		}
		h.workspace = made.ID
		for connector, into := range map[string]*core.ID{"simulated": &h.app, "missing": &h.broken} {
			app, err := w.logins.CreateApp(ctx, tx, w.system(), made.ID, accounts.NewApp{
				Name: "Wiki " + connector, Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: connector,
			})
			if err != nil {
				return err
			}
			*into = app.ID
		}
		return nil
	})
	h.ana = h.join(t, "ana")
	return h
}

func (h house) join(t coretest.T, name string) directory.User {
	t.Helper()
	var made directory.User
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.people.InsertUser(ctx, tx, directory.User{
			ID: core.NewID(), Workspace: h.workspace, UserName: name + "@example.com", DisplayName: name, Active: true, Role: directory.RoleUser,
		})
		return err
	})
	return made
}

// account adds one of Ana's, whose stored password is the app's.
func (h house) account(t coretest.T, app core.ID) accounts.Account {
	t.Helper()
	*h.number++
	password := fmt.Sprintf("Original-%d", *h.number)
	var made accounts.Account
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.logins.CreateAccount(ctx, tx, h.system(), h.workspace, accounts.NewAccount{
			App: app, Username: fmt.Sprintf("shared-%03d", *h.number), Password: seal.NewSecret(password), Owner: h.ana.ID,
		})
		return err
	})
	h.apps.Set(made.ID, password, "")
	return made
}

func (h house) share(t coretest.T, account core.ID, with accounts.Subject, role accounts.Role) {
	t.Helper()
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.logins.Share(ctx, tx, h.system(), h.workspace, account, accounts.Sharing{Subject: with, Role: role})
		return err
	})
}

func (h house) fill(t coretest.T, user directory.User, account core.ID) error {
	t.Helper()
	_, _, err := h.logins.Fill(context.Background(), core.NewCause(user.Actor(), h.clock.Now()), h.workspace, user.ID, account)
	return err
}

func (h house) leave(t coretest.T, user directory.User) lifecycle.Effect {
	t.Helper()
	effect, err := h.lifecycle.Deprovision(context.Background(), h.system(), h.workspace, user.ID)
	coretest.Must(t, err)
	return effect
}

// work drives every rotation of the workspace that is due, until each rests.
func (h house) work(t coretest.T) {
	t.Helper()
	ctx := context.Background()
	for range 50 {
		rows, err := h.DB.Query(ctx, `select id from rotations where workspace_id = @workspace and finished is null and next_attempt <= @now order by id`,
			pgx.StrictNamedArgs{"workspace": h.workspace, "now": h.clock.Now()})
		coretest.Must(t, err)
		due, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
		coretest.Must(t, err)
		if len(due) == 0 {
			return
		}
		for _, id := range due {
			_ = h.rotations.Advance(ctx, h.workspace, id)
		}
	}
	t.Fatal("rotations never come to rest")
}

// settle lets everything that happened be told, and what follows from it be issued. It returns how many
// certificates were.
func (w *world) settle(t coretest.T) int {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	for waiting := 1; waiting > 0; {
		coretest.Must(t, w.DB.QueryRow(ctx, `select count(*) from audit_outbox`).Scan(&waiting))
		if ctx.Err() != nil {
			t.Fatal("the log stands still")
		}
	}
	_, err := w.Follow(ctx)
	coretest.Must(t, err)
	issued, err := w.IssueDue(ctx)
	coretest.Must(t, err)
	return issued
}

// only is the certificate of a user.
func (h house) only(t coretest.T, user directory.User) certificates.View {
	t.Helper()
	found, err := h.List(context.Background(), h.DB, h.workspace, certificates.Query{User: user.ID})
	coretest.Must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s has %d certificates", user.UserName, len(found))
	}
	view, err := h.View(context.Background(), h.DB, h.workspace, found[0].ID)
	coretest.Must(t, err)
	return view
}

// verified is what the latest issue says, by the workspace's keys alone.
func (h house) verified(t coretest.T, view certificates.View) certificates.Certificate {
	t.Helper()
	document, err := view.Issues[len(view.Issues)-1].Document()
	coretest.Must(t, err)
	text, err := json.Marshal(document)
	coretest.Must(t, err)
	read, err := certificates.Read(text)
	coretest.Must(t, err)
	keys, err := h.Signing.PublicKeys(context.Background(), h.workspace)
	coretest.Must(t, err)
	said, _, err := read.Verify(keys)
	coretest.Must(t, err)
	return said
}

// rotate has an account's password changed, and waits for it.
func (h house) rotate(t coretest.T, account core.ID) {
	t.Helper()
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.rotations.Plan(ctx, tx, h.system(), h.workspace, account, rotation.ReasonManual, 0)
		return err
	})
	h.work(t)
	h.clock.Pass(time.Hour) // past the budget of failed sign-ins
}
