package signals_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/signals"
)

const (
	issuer = "https://idp.example.com"
	alias  = "https://login.example.com/"
	public = "https://postern.example.com"
)

// world is one process: the slices over a real database, without workers. What is planned stays planned.
type world struct {
	*signals.Signals
	core  *coretest.Core
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
	w := &world{}
	w.core = coretest.On(t, db, func() time.Time { return time.Now().Add(w.ahead) })
	w.Signals = w.core.Signals
	w.PublicURL = public
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
	h := house{world: w, system: coretest.System()}
	made, connection := w.core.Workspace(t, slug, directory.NewConnection{
		Name: "Okta", Kind: directory.Okta, Issuer: issuer, ClientID: "client", LogoutIssuers: []string{alias},
	})
	h.workspace, h.connection = made.ID, connection
	h.cause = core.NewCause(h.connection.Actor(), time.Now())
	h.ana, h.bob, h.eve = h.join(t, "ana"), h.join(t, "bob"), h.join(t, "eve")
	h.accounts = w.core.SharedAccounts(t, h.ana)
	for i := range 2 {
		h.share(t, i, h.bob.ID)
	}
	return h
}

func (h house) join(t testing.TB, name string) directory.User {
	t.Helper()
	user, err := h.Lifecycle.Provision(t.Context(), h.cause, directory.User{
		Workspace: h.workspace, Connection: h.connection.ID, UserName: name, ExternalID: "ext-" + name, DisplayName: name,
		Email: name + "@example.com", Active: true,
	})
	coretest.Must(t, err)
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return h.Directory.LinkIdentity(t.Context(), tx, h.workspace, h.connection.ID, issuer, "sub-"+name, user.ID)
	}))
	return user
}

func (h house) share(t testing.TB, account int, user core.ID) {
	t.Helper()
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Accounts.Share(t.Context(), tx, h.system, h.workspace, h.accounts[account].ID, accounts.Sharing{Subject: accounts.Subject{User: user}, Role: accounts.Owner})
		return err
	}))
}

// signIn starts a session that the identity provider calls by sid.
func (h house) signIn(t testing.TB, user directory.User, sid string) seal.Secret {
	t.Helper()
	token, err := h.trySignIn(t, user, sid, h.Now())
	coretest.Must(t, err)
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
	coretest.Must(t, err)
	return receipt
}

func (h house) count(t testing.TB, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	return h.core.Count(t, h.workspace, query, args)
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
	return h.core.Snapshot(t, h.workspace, "users", "sessions", "rotations", "audit_outbox", "identities", "signals", "signal_incidents", "signal_counts", "signal_holds",
		"signal_policies", "user_restrictions", "signal_refusals", "ended_sign_ins")
}
