package accounts_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/vault"
)

// world is one database with any number of workspaces that look alike.
type world struct {
	*accounts.Accounts
	clock *coretest.Clock
}

// side is one workspace: the same names in each, so that a query that forgets its workspace finds
// the neighbour's rows.
type side struct {
	w         *world
	workspace core.ID
	cause     core.Cause // the system's
	users     map[string]directory.User
	teams     map[string]directory.Team
	app       accounts.App
}

func open(t testing.TB) *world {
	t.Helper()
	db := postgrestest.Open(t)
	local, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	c := coretest.NewClock(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC))
	return &world{clock: c, Accounts: &accounts.Accounts{
		DB: db, Now: c.Now, Vault: &vault.Vault{DB: db, Keys: local, Now: c.Now}, Directory: &directory.Directory{DB: db, Now: c.Now},
	}}
}

func (w *world) tx(t coretest.T, work func(tx pgx.Tx) error) {
	t.Helper()
	if err := w.DB.Tx(ctx(t), work); err != nil {
		t.Fatal(err)
	}
}

// side adds a workspace with the users ana, ben, cleo and the guest gus, an administrator ada, the
// teams wiki and ops (empty), and the app Wiki.
func (w *world) side(t coretest.T) *side {
	t.Helper()
	s := &side{w: w, users: map[string]directory.User{}, teams: map[string]directory.Team{}, cause: core.NewCause(core.System, w.clock.Now())}
	w.tx(t, func(tx pgx.Tx) error {
		made, err := w.Directory.CreateWorkspace(ctx(t), tx, s.cause, "w-"+core.NewID().String(), "Acme")
		if err != nil {
			return err
		}
		s.workspace = made.ID
		for name, role := range map[string]directory.Role{
			"ana": directory.RoleUser, "ben": directory.RoleUser, "cleo": directory.RoleUser, "gus": directory.RoleGuest, "ada": directory.RoleAdmin,
		} {
			user, err := w.Directory.InsertUser(ctx(t), tx, directory.User{
				ID: core.NewID(), Workspace: made.ID, UserName: name + "@example.com", DisplayName: name, Active: true, Role: role,
			})
			if err != nil {
				return err
			}
			s.users[name] = user
		}
		for _, name := range []string{"wiki", "ops"} {
			team, err := w.Directory.InsertTeam(ctx(t), tx, directory.Team{ID: core.NewID(), Workspace: made.ID, DisplayName: name})
			if err != nil {
				return err
			}
			s.teams[name] = team
		}
		s.app, err = w.CreateApp(ctx(t), tx, s.cause, made.ID, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/login", Connector: "browser",
		})
		return err
	})
	return s
}

func (s *side) user(name string) core.ID { return s.users[name].ID }

func (s *side) as(name string) core.Cause {
	return core.NewCause(s.users[name].Actor(), s.w.clock.Now())
}

func (s *side) account(t coretest.T, username, owner string) accounts.Account {
	t.Helper()
	var made accounts.Account
	s.w.tx(t, func(tx pgx.Tx) (err error) {
		made, err = s.w.CreateAccount(ctx(t), tx, s.cause, s.workspace, accounts.NewAccount{
			App: s.app.ID, Username: username, Password: seal.NewSecret("first password of " + username), Owner: s.user(owner),
		})
		return err
	})
	return made
}

func (s *side) share(t coretest.T, cause core.Cause, account core.ID, subject accounts.Subject, role accounts.Role, expires *time.Time) (grant accounts.Grant, err error) {
	t.Helper()
	err = s.w.DB.Tx(ctx(t), func(tx pgx.Tx) (err error) {
		grant, err = s.w.Share(ctx(t), tx, cause, s.workspace, account, accounts.Sharing{Subject: subject, Role: role, Expires: expires})
		return err
	})
	return grant, err
}

func (s *side) unshare(t coretest.T, cause core.Cause, grant core.ID) error {
	return s.w.DB.Tx(ctx(t), func(tx pgx.Tx) error { return s.w.Unshare(ctx(t), tx, cause, s.workspace, grant) })
}

// take unshares an account from a user by name.
func (s *side) take(t coretest.T, account core.ID, user string) {
	t.Helper()
	grants, err := s.w.Grants(ctx(t), s.w.DB, s.workspace, account)
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range grants {
		if grant.User == s.user(user) {
			if err := s.unshare(t, s.cause, grant.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (s *side) add(t coretest.T, team, user string) {
	t.Helper()
	s.w.tx(t, func(tx pgx.Tx) error {
		_, err := s.w.Directory.AddMembers(ctx(t), tx, s.workspace, s.teams[team].ID, []core.ID{s.user(user)})
		return err
	})
}

// leave does in one transaction what a deprovision does to a user's access.
func (s *side) leave(t coretest.T, name string) (exposed []accounts.Exposed, err error) {
	t.Helper()
	return s.leaveIn(ctx(t), name)
}

func (s *side) leaveIn(ctx context.Context, name string) (exposed []accounts.Exposed, err error) {
	return s.leaveSlowly(ctx, name, func() {})
}

// leaveSlowly calls wait between the look at what they own and the end of it.
func (s *side) leaveSlowly(ctx context.Context, name string, wait func()) (exposed []accounts.Exposed, err error) {
	err = s.w.DB.Tx(ctx, func(tx pgx.Tx) error {
		user, err := s.w.Directory.LockUser(ctx, tx, s.workspace, s.user(name))
		if err != nil {
			return err
		}
		if exposed, err = s.w.RevokeAll(ctx, tx, s.cause, s.workspace, user.ID); err != nil {
			return err
		}
		wait()
		user.Active = false
		if _, err := s.w.Directory.UpdateUser(ctx, tx, user); err != nil {
			return err
		}
		_, err = s.w.Directory.SuspendMemberships(ctx, tx, s.workspace, user.ID)
		return err
	})
	return exposed, err
}

func (s *side) activate(t coretest.T, name string, active bool) {
	t.Helper()
	s.w.tx(t, func(tx pgx.Tx) error {
		user, err := s.w.Directory.LockUser(ctx(t), tx, s.workspace, s.user(name))
		if err != nil {
			return err
		}
		user.Active = active
		_, err = s.w.Directory.UpdateUser(ctx(t), tx, user)
		return err
	})
}

// may is MayUse as a word: owner, collaborator, or "" when it is denied.
func (s *side) may(t coretest.T, user, account core.ID) accounts.Role {
	t.Helper()
	role, err := s.w.MayUse(ctx(t), s.w.DB, s.workspace, user, account)
	if err != nil && core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	return role
}

// sweep tells, in all workspaces, of what ended by the clock.
func (w *world) sweep(t coretest.T) {
	t.Helper()
	last, found := accounts.Grant{}, true
	for found {
		w.tx(t, func(tx pgx.Tx) (err error) {
			last, found, err = w.EndNext(ctx(t), tx, core.NewCause(core.System, w.clock.Now()), last)
			return err
		})
	}
}

// events counts a workspace's events of a type.
func (s *side) events(t coretest.T, kind core.EventType) (count int) {
	t.Helper()
	err := s.w.DB.QueryRow(ctx(t), `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type`,
		pgx.StrictNamedArgs{"workspace": s.workspace, "type": string(kind)}).Scan(&count)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func equal[V comparable](t coretest.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

func names(list []accounts.Account) string {
	text := ""
	for _, account := range list {
		text += account.Username + " "
	}
	return text
}

// usable is what somebody can use, page by page, as words: account:role:how:until.
func (s *side) usable(t coretest.T, user core.ID, query accounts.UsableQuery) string {
	t.Helper()
	text := ""
	for {
		found, err := s.w.Usable(ctx(t), s.w.DB, s.workspace, user, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range found {
			if one.Workspace != s.workspace {
				t.Fatalf("the neighbour's %s is listed", one.Name())
			}
			text += one.Username + ":" + s.how(one.Role, one.Direct, one.Teams, one.Expires)
		}
		if query.Limit == 0 || len(found) < query.Limit {
			return text
		}
		query.After = found[len(found)-1].ID
	}
}

// access is who has access to an account, page by page, in the same words, sorted.
func (s *side) access(t coretest.T, account core.ID, query accounts.AccessQuery) string {
	t.Helper()
	var words []string
	for {
		found, err := s.w.Access(ctx(t), s.w.DB, s.workspace, account, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range found {
			words = append(words, one.Name+":"+s.how(one.Role, one.Direct(), one.Teams, one.Expires))
		}
		if query.Limit == 0 || len(found) < query.Limit {
			slices.Sort(words)
			return strings.Join(words, "")
		}
		query.After = found[len(found)-1].User
	}
}

// how says how somebody has access: collaborator:own+wiki:+30m.
func (s *side) how(role accounts.Role, direct bool, teams []accounts.Via, expires *time.Time) string {
	var ways []string
	if direct {
		ways = append(ways, "own")
	}
	for _, team := range teams {
		ways = append(ways, team.Name)
	}
	text := string(role) + ":" + strings.Join(ways, "+")
	if expires != nil {
		text += ":+" + expires.Sub(s.w.clock.Now()).String()
	}
	return text + " "
}

// ctx is the test's context where it has one. rapid's T gives one that ends with the check.
func ctx(t coretest.T) context.Context {
	if with, ok := t.(interface{ Context() context.Context }); ok {
		return with.Context()
	}
	return context.Background()
}
