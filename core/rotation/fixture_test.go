package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
)

// house is a database with two workspaces that hold the same app.
type house struct {
	db        *postgres.DB
	clock     *coretest.Clock
	accounts  *accounts.Accounts
	queue     *jobs.Queue
	workspace [2]core.ID
	app       [2]core.ID
	owner     [2]core.ID
	number    atomic.Int64
}

var system = core.NewCause(core.System, time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))

func build(t testing.TB) *house {
	t.Helper()
	config, err := pgxpool.ParseConfig(postgrestest.URL(t, jobs.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = tracer{}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.MaxConns = 12
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h := &house{db: &postgres.DB{Pool: pool}, clock: coretest.NewClock(system.Received)}
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	people := &directory.Directory{DB: h.db, Now: h.clock.Now}
	h.accounts = &accounts.Accounts{DB: h.db, Vault: &vault.Vault{DB: h.db, Keys: key}, Directory: people, Now: h.clock.Now}
	if h.queue, err = jobs.NewQueue(h.db, nil); err != nil {
		t.Fatal(err)
	}
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		for i := range h.workspace {
			made, err := people.CreateWorkspace(ctx, tx, system, fmt.Sprintf("ws-%d", i), "Workspace")
			if err != nil {
				return err
			}
			h.workspace[i] = made.ID
			user, err := people.InsertUser(ctx, tx, directory.User{Workspace: made.ID, UserName: "ana", DisplayName: "Ana", Active: true, Role: directory.RoleOwner})
			if err != nil {
				return err
			}
			h.owner[i] = user.ID
			app, err := h.accounts.CreateApp(ctx, tx, system, made.ID, accounts.NewApp{
				Name: "Wiki", Domains: []string{"app.example"}, SignInURL: "https://app.example/", Connector: "simulated",
			})
			if err != nil {
				return err
			}
			h.app[i] = app.ID
		}
		return nil
	})
	return h
}

func (h *house) tx(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	ctx := context.Background()
	if err := h.db.Tx(ctx, func(tx pgx.Tx) error { return work(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

// subject is one account and its app's side of it.
type subject struct {
	*house
	t         testing.TB
	workspace core.ID
	account   core.ID
	app       *application
	connector *simulated
	talks     rotation.Connector // to the app; nil: connector does
	inbox     rotation.Inbox     // where the app's mails come to; nil: nowhere
	options   rotation.Options
	original  string
	admin     core.ID // the app's reconcile account, if it was given one
	elsewhere string  // what somebody set at the app, if they did
}

// open makes an account in workspace i whose stored password is the app's, unless given another.
func (h *house) open(t testing.TB, i int, behaves ...behaviour) *subject {
	t.Helper()
	number := h.number.Add(1)
	s := &subject{house: h, t: t, workspace: h.workspace[i], original: fmt.Sprintf("Original-%d", number)}
	s.app = &application{t: t, clock: h.clock, password: s.original, had: []string{s.original}, behaviour: behaves}
	s.connector = &simulated{app: s.app}
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := h.accounts.CreateAccount(ctx, tx, system, s.workspace, accounts.NewAccount{
			App: h.app[i], Username: fmt.Sprintf("shared-%d", number), Password: seal.NewSecret(s.original), Owner: h.owner[i],
		})
		if err != nil {
			return err
		}
		s.account = made.ID
		return h.accounts.MarkProven(ctx, tx, s.workspace, s.account, 1, h.clock.Now())
	})
	s.app.check = func(password string) {
		if !slices.Contains(s.stored(), password) {
			t.Errorf("the app got a password that is not in the vault")
		}
	}
	return s
}

// administered has the app name an account that sets the others' passwords.
func (s *subject) administered() {
	s.t.Helper()
	number := s.number.Add(1)
	s.app.admin = fmt.Sprintf("Administrator-%d", number)
	at := slices.Index(s.house.workspace[:], s.workspace)
	s.tx(s.t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := s.accounts.CreateAccount(ctx, tx, system, s.workspace, accounts.NewAccount{
			App: s.house.app[at], Username: fmt.Sprintf("admin-%d", number), Password: seal.NewSecret(s.app.admin), Owner: s.owner[at],
		})
		if err != nil {
			return err
		}
		s.admin = made.ID
		return nil
	})
	s.administer(s.admin)
}

// administer names the account that sets the others' passwords; zero: none.
func (s *subject) administer(account core.ID) {
	s.t.Helper()
	app := s.house.app[slices.Index(s.house.workspace[:], s.workspace)]
	s.tx(s.t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.accounts.SetReconcileAccount(ctx, tx, system, s.workspace, app, account)
		return err
	})
}

// lost has somebody set a password at the app that is in no vault.
func (s *subject) lost() {
	s.app.lock.Lock()
	defer s.app.lock.Unlock()
	s.elsewhere = s.original + " at the app"
	s.app.password = s.elsewhere
}

// engine is the rotations of one process.
func (s *subject) engine() *rotation.Rotations {
	talks := s.talks
	if talks == nil {
		talks = s.connector
	}
	return &rotation.Rotations{
		DB: s.db, Accounts: s.accounts, Queue: s.queue, Now: s.clock.Now, Options: s.options,
		Connectors: rotation.Connectors{"simulated": talks}, Inbox: s.inbox,
	}
}

// stored lists every password in the vault, by version.
func (s *subject) stored() []string {
	s.t.Helper()
	ctx := context.Background()
	versions, err := s.accounts.Versions(ctx, s.db, s.workspace, s.account)
	if err != nil {
		s.t.Fatal(err)
	}
	var passwords []string
	for _, version := range slices.Backward(versions) {
		password, err := s.accounts.Password(ctx, s.db, s.workspace, s.account, version.Version)
		if err != nil {
			s.t.Fatal(err)
		}
		passwords = append(passwords, password.Reveal())
	}
	return passwords
}

// current is the password the vault calls current.
func (s *subject) current() string {
	s.t.Helper()
	versions, err := s.accounts.Versions(context.Background(), s.db, s.workspace, s.account)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, version := range versions {
		if version.Label == accounts.LabelCurrent {
			return s.stored()[version.Version-1]
		}
	}
	s.t.Fatal("no version is current")
	return ""
}

func (s *subject) plan(reason rotation.Reason) rotation.Rotation {
	s.t.Helper()
	var planned rotation.Rotation
	cause := core.NewCause(core.System, s.clock.Now())
	s.tx(s.t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = s.engine().Plan(ctx, tx, cause, s.workspace, s.account, reason, 0)
		return err
	})
	return planned
}

// advance runs one process until the rotation rests for good, or the process dies. Waiting costs no
// time.
func (s *subject) advance(id core.ID, l *life) {
	s.t.Helper()
	ctx := context.WithValue(context.Background(), lifeKey{}, l)
	engine := s.engine()
	for range 500 {
		err := engine.Advance(ctx, s.workspace, id)
		after, snoozed := jobs.SnoozeOf(err)
		switch {
		case l.dead:
			return
		case err == nil:
			return
		case !snoozed:
			s.t.Fatalf("advance: %v", err)
		}
		s.clock.Pass(max(after, 0))
	}
	s.t.Fatalf("the rotation never comes to rest: %+v", s.rotation(id))
}

func (s *subject) rotation(id core.ID) rotation.Rotation {
	s.t.Helper()
	found, err := s.engine().Rotation(context.Background(), s.db, s.workspace, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

func (s *subject) states(id core.ID) []rotation.State {
	s.t.Helper()
	steps, err := s.engine().Steps(context.Background(), s.db, s.workspace, id)
	if err != nil {
		s.t.Fatal(err)
	}
	var states []rotation.State
	for _, step := range steps {
		states = append(states, step.State)
	}
	return states
}

// events lists the types of this account's events, in order.
func (s *subject) events() []core.EventType {
	s.t.Helper()
	rows, err := s.db.Query(context.Background(), `select event->>'type' from audit_outbox
		where workspace_id = $1 and event::jsonb->'targets' @> jsonb_build_array(jsonb_build_object('id', $2::text)) order by xid, number`, s.workspace, s.account.String())
	if err != nil {
		s.t.Fatal(err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[core.EventType])
	if err != nil {
		s.t.Fatal(err)
	}
	return types
}

func (s *subject) state() accounts.State {
	s.t.Helper()
	found, err := s.accounts.Account(context.Background(), s.db, s.workspace, s.account)
	if err != nil {
		s.t.Fatal(err)
	}
	return found.State
}

// sound checks what must hold at every moment.
func (s *subject) sound() error {
	s.app.lock.Lock()
	password, failures := s.app.password, s.app.worstFailures(15*time.Minute)
	s.app.lock.Unlock()
	if password != s.elsewhere && !slices.Contains(s.stored(), password) {
		return errors.New("the app's password is stored nowhere")
	}
	if failures > 2 {
		return fmt.Errorf("%d failed sign-ins within the window", failures)
	}
	return nil
}

// rotated checks the end of a rotation that worked.
func (s *subject) rotated(id core.ID) error {
	if err := s.sound(); err != nil {
		return err
	}
	end := s.rotation(id)
	switch {
	case end.State != rotation.StateDone || end.Finished == nil || end.Receipt == nil:
		return fmt.Errorf("it ended %s: %s", end.State, end.Detail)
	case s.app.password == s.original, s.app.password == s.elsewhere:
		return errors.New("the old password still works")
	case s.current() != s.app.password:
		return errors.New("the current password is not the app's")
	case s.state() != accounts.Validated:
		return fmt.Errorf("the account is %s", s.state())
	case !end.Receipt.NewAccepted.Before(end.Receipt.OldRefused), end.Receipt.OldRefused.Sub(end.Receipt.NewAccepted) > 3*time.Minute:
		return fmt.Errorf("the proofs do not belong together: %+v", end.Receipt)
	}
	return nil
}

// tracer has a dead process's statements never reach the database. A process may die at a
// transaction's begin, which is after all before it, and at its commit, which is without all of it;
// any statement in between is the same as its commit.
type tracer struct{}

func (tracer) observe(ctx context.Context, sql string) context.Context {
	l, ok := ctx.Value(lifeKey{}).(*life)
	if !ok {
		return ctx
	}
	alive := false
	if sql == "begin" || sql == "commit" {
		alive = l.tick()
	} else {
		alive = l.stands()
	}
	if alive {
		return ctx
	}
	ctx, stop := context.WithCancel(ctx)
	stop()
	return ctx
}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return t.observe(ctx, data.SQL)
}
func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.observe(ctx, "")
}
func (tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
