package services_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/services"
)

// refused wants an error with a code.
func refused(t coretest.T, err error, code string) {
	t.Helper()
	if err == nil || core.AsError(err).Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// world is every slice over one database, with service accounts.
type world struct {
	*coretest.Core
	*services.Services
	clock *coretest.Clock
}

func open(t testing.TB) *world {
	t.Helper()
	c := coretest.NewClock(time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC))
	w := &world{Core: coretest.Open(t, c.Now), clock: c}
	w.restart()
	return w
}

// restart is another process over the same database.
func (w *world) restart() {
	w.Services = &services.Services{DB: w.Core.DB, Directory: w.Core.Directory, Accounts: w.Core.Accounts, Rotations: w.Core.Rotations, Now: w.clock.Now}
}

var errKilled = errors.New("killed")

// killed is a context in which no transaction commits: the process dies before it.
func killed() context.Context {
	return postgres.BeforeCommit(context.Background(), func(context.Context, pgx.Tx) error { return errKilled })
}

// side is one workspace: the same names in each, so that a query that forgets its workspace finds the neighbour's rows.
type side struct {
	*world
	workspace core.ID
	users     map[string]directory.User
	team      directory.Team // ops, in which is dan
	account   services.Account
}

var background = context.Background()

// side adds a workspace with ana, ben, cleo, dan, the administrator ada, the guest gus, and a service account of ana's and ben's.
func (w *world) side(t coretest.T) *side {
	t.Helper()
	s := &side{world: w, users: map[string]directory.User{}}
	coretest.Must(t, w.Core.DB.Tx(background, func(tx pgx.Tx) error {
		made, err := w.Directory().CreateWorkspace(background, tx, w.system(), "w-"+core.NewID().String(), "Acme")
		if err != nil {
			return err
		}
		s.workspace = made.ID
		for name, role := range map[string]directory.Role{
			"ana": directory.RoleUser, "ben": directory.RoleUser, "cleo": directory.RoleUser, "dan": directory.RoleUser, "ada": directory.RoleAdmin, "gus": directory.RoleGuest,
		} {
			if s.users[name], err = w.Directory().InsertUser(background, tx, directory.User{
				ID: core.NewID(), Workspace: made.ID, UserName: name + "@example.com", DisplayName: name, Active: true, Role: role,
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	var err error
	s.team, err = w.Lifecycle.CreateTeam(background, w.system(), directory.Team{Workspace: s.workspace, DisplayName: "ops"}, []core.ID{s.user("dan")})
	coretest.Must(t, err)
	s.account = s.create(t, "ci", s.people("ana", "ben")...)
	return s
}

// Directory is the slice both parts have.
func (w *world) Directory() *directory.Directory { return w.Core.Directory }

func (w *world) system() core.Cause { return core.NewCause(core.System, w.clock.Now()) }

func (s *side) user(name string) core.ID { return s.users[name].ID }

func (s *side) as(name string) core.Cause { return core.NewCause(s.users[name].Actor(), s.clock.Now()) }

// itself is the service account as who asks.
func (s *side) itself() core.Cause {
	cause := core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: s.account.ID, Name: s.account.Name}, s.clock.Now())
	cause.Origin = core.Origin{Address: "192.0.2.7", UserAgent: "curl/8"}
	return cause
}

func (s *side) people(names ...string) []accounts.Subject {
	var all []accounts.Subject
	for _, name := range names {
		all = append(all, accounts.Subject{User: s.user(name)})
	}
	return all
}

func (s *side) create(t coretest.T, name string, owners ...accounts.Subject) services.Account {
	t.Helper()
	made, err := s.Create(background, s.as("ada"), s.workspace, settings(name), owners)
	coretest.Must(t, err)
	return made
}

func settings(name string, scopes ...string) services.Settings {
	return services.Settings{Name: name, Purpose: "deploys", Unit: "platform", Risk: 3, Sensitivity: 4, Scopes: scopes}
}

func (s *side) fresh(t coretest.T) services.Account {
	t.Helper()
	found, err := s.Account(background, s.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	return found
}

// findings are the kinds that are not resolved, and how often each was raised at all.
func (s *side) findings(t coretest.T) (live map[services.FindingKind]services.Finding, raised map[services.FindingKind]int) {
	t.Helper()
	found, err := s.Findings(background, s.Core.DB, s.workspace, services.FindingQuery{Account: s.account.ID})
	coretest.Must(t, err)
	live, raised = map[services.FindingKind]services.Finding{}, map[services.FindingKind]int{}
	for _, one := range found {
		if raised[one.Kind]++; one.State != services.Resolved {
			live[one.Kind] = one
		}
	}
	return live, raised
}

// owners names who answers for the service account.
func (s *side) owner(t coretest.T, name string) services.Owner {
	t.Helper()
	found, err := s.Owners(background, s.Core.DB, s.workspace, s.account.ID)
	coretest.Must(t, err)
	for _, one := range found {
		if one.Name == name {
			return one
		}
	}
	t.Fatalf("%s is no owner", name)
	return services.Owner{}
}

// sequence has events told in order from now on, to whoever follows them.
func (w *world) sequence(t *testing.T) {
	t.Helper()
	coretest.Run(t, (&audit.Sequencer{DB: w.Core.DB, Now: w.clock.Now}).Run)
}

// followed follows the log until something holds.
func (w *world) followed(t *testing.T, what string, holds func() bool) {
	t.Helper()
	coretest.Until(t, what, func() bool {
		_, err := w.Follow(background)
		coretest.Must(t, err)
		return holds()
	})
}
