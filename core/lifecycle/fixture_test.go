package lifecycle_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
)

// world is a whole lifecycle on a real database, without workers: what is planned stays planned.
type world struct {
	*lifecycle.Lifecycle
	core  *coretest.Core
	woken atomic.Int64
}

// house is one workspace: an app with three accounts, Ana who owns them all, Bob, and a team.
type house struct {
	*world
	workspace  core.ID
	connection directory.Connection
	cause      core.Cause // the connection's
	system     core.Cause
	ana, bob   directory.User
	team       directory.Team
	accounts   []accounts.Account
}

func open(t testing.TB) *world {
	t.Helper()
	return on(t, postgrestest.Open(t, jobs.Migrate))
}

func on(t testing.TB, db *postgres.DB) *world {
	t.Helper()
	w := &world{core: coretest.On(t, db, nil)}
	w.Lifecycle = w.core.Lifecycle
	w.Wake = func() { w.woken.Add(1) }
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
	made, connection := w.core.Workspace(t, slug, directory.NewConnection{Name: "Okta", Kind: directory.Okta, Provisioning: directory.Provisioning{GuardFloor: -1}})
	h.workspace, h.connection = made.ID, connection
	h.cause = core.NewCause(h.connection.Actor(), time.Now())
	h.ana, h.bob = h.join(t, "ana@example.com"), h.join(t, "bob@example.com")
	var err error
	h.team, err = w.CreateTeam(t.Context(), h.cause, directory.Team{
		Workspace: h.workspace, Connection: h.connection.ID, DisplayName: "Sales", ExternalID: "00g1",
	}, []core.ID{h.bob.ID})
	coretest.Must(t, err)
	h.accounts = w.core.SharedAccounts(t, h.ana)
	return h
}

func (h house) join(t testing.TB, name string) directory.User {
	t.Helper()
	user, err := h.Provision(t.Context(), h.cause, directory.User{
		Workspace: h.workspace, Connection: h.connection.ID, UserName: name, ExternalID: "ext-" + name, Email: name, Active: true,
	})
	coretest.Must(t, err)
	return user
}

// read is the user as stored.
func (h house) read(t testing.TB, user core.ID) directory.User {
	t.Helper()
	found, err := h.Directory.User(t.Context(), h.DB, h.workspace, user)
	coretest.Must(t, err)
	return found
}

// own makes a user an owner of the workspace, which only a person or the system can.
func (h house) own(t testing.TB, user core.ID) {
	t.Helper()
	_, err := h.Change(t.Context(), h.system, h.workspace, user, func(u *directory.User) error {
		u.Role = directory.RoleOwner
		return nil
	})
	coretest.Must(t, err)
}

func (h house) share(t testing.TB, account int, subject accounts.Subject) {
	t.Helper()
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Accounts.Share(t.Context(), tx, h.system, h.workspace, h.accounts[account].ID, accounts.Sharing{Subject: subject, Role: accounts.Collaborator})
		return err
	}))
}

func (h house) fill(t testing.TB, user directory.User, account int) error {
	t.Helper()
	_, _, err := h.Accounts.Fill(t.Context(), core.NewCause(user.Actor(), time.Now()), h.workspace, user.ID, h.accounts[account].ID)
	return err
}

func (h house) signIn(t testing.TB, user core.ID, authenticated time.Time) (seal.Secret, error) {
	t.Helper()
	var token seal.Secret
	err := h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		_, token, err = h.Directory.StartSession(t.Context(), tx, h.system, directory.NewSession{
			Workspace: h.workspace, User: user, Connection: h.connection.ID, Authenticated: authenticated,
		})
		return err
	})
	return token, err
}

func (h house) count(t testing.TB, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	return h.core.Count(t, h.workspace, query, args)
}

func (h house) events(t testing.TB, kind core.EventType) int {
	t.Helper()
	return h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type`,
		pgx.StrictNamedArgs{"type": kind})
}

func (h house) rotations(t testing.TB) int {
	t.Helper()
	return h.count(t, `select count(*) from rotations where workspace_id = @workspace`, nil)
}

// kept are the tables a command may write to.
var kept = []string{"users", "sessions", "team_members", "teams", "grants", "accounts", "rotations", "rotation_steps", "audit_outbox", "holds", "departures", "leavers"}

// snapshot is everything the workspace holds, table by table, and how many jobs there are in all.
func (h house) snapshot(t testing.TB) map[string]string {
	t.Helper()
	found := h.core.Snapshot(t, h.workspace, kept...)
	for _, table := range []string{"river_job", "signed_token_uses"} {
		var rows string
		coretest.Must(t, h.DB.QueryRow(t.Context(), `select count(*)::text from `+table).Scan(&rows))
		found[table] = rows
	}
	return found
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

var errEdit = errors.New("the edit failed")

func (h house) newPassword() seal.Secret { return seal.GeneratePassword(seal.PasswordPolicy{}) }

// guard sets how many people may leave the house's connection; zeros are the defaults.
func (h house) guard(t testing.TB, share, floor int) {
	t.Helper()
	_, err := h.DB.Exec(t.Context(), `update connections set provisioning = @settings where workspace_id = @workspace and id = @connection`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "settings": directory.Provisioning{GuardShare: share, GuardFloor: floor}})
	coretest.Must(t, err)
}

// carry carries out all that was decided.
func (h house) carry(t testing.TB) int {
	t.Helper()
	done, err := h.Carry(t.Context())
	coretest.Must(t, err)
	return done
}

// take takes from everybody who is leaving.
func (h house) take(t testing.TB) int {
	t.Helper()
	done, err := h.Take(t.Context())
	coretest.Must(t, err)
	return done
}
