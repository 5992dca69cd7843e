package signals_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/vault"
)

const (
	issuer = "https://idp.example.com"
	alias  = "https://login.example.com/"
	public = "https://postern.example.com"
)

// world is one process: the slices over a real database, without workers. What is planned stays planned.
type world struct {
	*signals.Signals
	ahead time.Duration // how far its clock is ahead
}

// house is one workspace: a connection, Ana who owns three accounts, Bob to whom they are shared, and Eve with none.
type house struct {
	*world
	workspace     core.ID
	connection    directory.Connection
	cause         core.Cause // the connection's
	system        core.Cause
	ana, bob, eve directory.User
	accounts      []accounts.Account
}

func open(t testing.TB) *world {
	t.Helper()
	return on(t, postgrestest.Open(t, jobs.Migrate))
}

// on is a process over a database that may have others.
func on(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	w := &world{}
	now := func() time.Time { return time.Now().Add(w.ahead) }
	people := &directory.Directory{DB: db, Now: now}
	logins := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key, Now: now}, Directory: people, Now: now}
	rotations := &rotation.Rotations{DB: db, Accounts: logins, Queue: queue, Now: now}
	w.Signals = &signals.Signals{
		DB: db, Directory: people, Accounts: logins, Rotations: rotations, PublicURL: public, Now: now,
		Lifecycle: &lifecycle.Lifecycle{DB: db, Directory: people, Accounts: logins, Rotations: rotations, Now: now},
	}
	return w
}

// pair is a workspace to work in and another one, with the same names in it, that nothing may touch.
func pair(t testing.TB) (house, house) {
	t.Helper()
	w := open(t)
	other := w.house(t, "other")
	return w.house(t, "acme"), other
}

func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	ctx := t.Context()
	h := house{world: w, system: core.NewCause(core.System, time.Now())}
	must(t, w.DB.Tx(ctx, func(tx pgx.Tx) error {
		made, err := w.Directory.CreateWorkspace(ctx, tx, h.system, slug, slug)
		if err != nil {
			return err
		}
		h.workspace = made.ID
		if _, err := w.Accounts.Vault.Prepare(ctx, tx, h.workspace); err != nil {
			return err
		}
		h.connection, err = w.Directory.CreateConnection(ctx, tx, h.system, h.workspace, directory.NewConnection{
			Name: "Okta", Kind: directory.Okta, Issuer: issuer, ClientID: "client", LogoutIssuers: []string{alias},
		})
		return err
	}))
	h.cause = core.NewCause(h.connection.Actor(), time.Now())
	h.ana, h.bob, h.eve = h.join(t, "ana"), h.join(t, "bob"), h.join(t, "eve")
	must(t, w.DB.Tx(ctx, func(tx pgx.Tx) error {
		h.accounts = nil
		app, err := w.Accounts.CreateApp(ctx, tx, h.system, h.workspace, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		for i := range 3 {
			account, err := w.Accounts.CreateAccount(ctx, tx, h.system, h.workspace, accounts.NewAccount{
				App: app.ID, Username: fmt.Sprint("shared", i), Password: seal.NewSecret(fmt.Sprint("first password ", i)), Owner: h.ana.ID,
			})
			if err != nil {
				return err
			}
			h.accounts = append(h.accounts, account)
		}
		return nil
	}))
	for i := range 2 {
		h.share(t, i, h.bob.ID)
	}
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind core.Kind, code string) {
	t.Helper()
	if err == nil {
		t.Fatalf("nothing was refused, want %v %q", kind, code)
	}
	if got := core.AsError(err); got.Kind != kind || (code != "" && got.Code != code) {
		t.Fatalf("got %v %q (%v), want %v %q", got.Kind, got.Code, err, kind, code)
	}
}

func (h house) join(t testing.TB, name string) directory.User {
	t.Helper()
	user, err := h.Lifecycle.Provision(t.Context(), h.cause, directory.User{
		Workspace: h.workspace, Connection: h.connection.ID, UserName: name, ExternalID: "ext-" + name, DisplayName: name,
		Email: name + "@example.com", Active: true,
	})
	must(t, err)
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return h.Directory.LinkIdentity(t.Context(), tx, h.workspace, h.connection.ID, issuer, "sub-"+name, user.ID)
	}))
	return user
}

func (h house) share(t testing.TB, account int, user core.ID) {
	t.Helper()
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Accounts.Share(t.Context(), tx, h.system, h.workspace, h.accounts[account].ID, accounts.Sharing{Subject: accounts.Subject{User: user}, Role: accounts.Owner})
		return err
	}))
}

// signIn starts a session that the identity provider calls by sid.
func (h house) signIn(t testing.TB, user directory.User, sid string) seal.Secret {
	t.Helper()
	token, err := h.trySignIn(t, user, sid, h.Now())
	must(t, err)
	return token
}

func (h house) trySignIn(t testing.TB, user directory.User, sid string, begun time.Time) (seal.Secret, error) {
	t.Helper()
	var token seal.Secret
	err := h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		_, token, err = h.Directory.StartSession(t.Context(), tx, h.system, directory.NewSession{
			Workspace: h.workspace, User: user.ID, Connection: h.connection.ID, Issuer: issuer, Subject: "sub-" + user.UserName, SID: sid,
			Authenticated: begun, Begun: begun,
		})
		return err
	})
	return token, err
}

// alive reports whether a session is recognised.
func (h house) alive(t testing.TB, token seal.Secret) bool {
	t.Helper()
	_, _, err := h.Directory.Recognise(t.Context(), token)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

// about is a logout of a user, by Universal Logout.
func (h house) about(user directory.User) signals.Signal {
	return signals.Signal{
		Workspace: h.workspace, Connection: h.connection.ID, ConnectionName: h.connection.Name, Door: signals.UniversalLogout, Kind: signals.Logout,
		Subject: signals.EmailSubject(user.UserName + "@example.com"), Evidence: signals.Evidence{Issuer: issuer, TokenID: core.NewID().String(), Digest: []byte("digest")},
	}
}

func (h house) receive(t testing.TB, signal signals.Signal) signals.Receipt {
	t.Helper()
	receipt, err := h.Receive(t.Context(), h.cause, signal, nil)
	must(t, err)
	return receipt
}

// count runs a query whose parameters are @workspace and whatever args add.
func (h house) count(t testing.TB, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	all := pgx.StrictNamedArgs{"workspace": h.workspace}
	for name, value := range args {
		all[name] = value
	}
	var number int
	must(t, h.DB.QueryRow(t.Context(), query, all).Scan(&number))
	return number
}

func (h house) events(t testing.TB, kind core.EventType) int {
	t.Helper()
	return h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and type = @type`, pgx.StrictNamedArgs{"type": string(kind)})
}

// planned is how often a rotation was asked for.
func (h house) planned(t testing.TB) int { return h.events(t, core.RotationPlanned) }

// snapshot is everything of a workspace that signals write.
func (h house) snapshot(t testing.TB) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, table := range []string{
		"users", "sessions", "rotations", "audit_outbox", "identities", "signals", "signal_incidents", "signal_counts", "signal_holds",
		"signal_policies", "user_restrictions", "signal_refusals", "ended_sign_ins",
	} {
		var text *string
		err := h.DB.QueryRow(t.Context(), `select string_agg(r::text, chr(10) order by r::text) from `+table+` r where workspace_id = @workspace`,
			pgx.StrictNamedArgs{"workspace": h.workspace}).Scan(&text)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		if text != nil {
			state[table] = *text
		}
	}
	return state
}
