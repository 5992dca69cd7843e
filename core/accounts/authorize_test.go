package accounts_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

var errUndone = errors.New("undone")

// Every command asked by everybody: passed, or denied with the code of the rule that says no.
func TestWhoMayDoWhat(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	people := acme.people(t, map[string]directory.Role{
		"an owner of the workspace": directory.RoleOwner, "a super admin": directory.RoleSuperAdmin, "an admin": directory.RoleAdmin,
		"an owner of it": directory.RoleUser, "a collaborator": directory.RoleUser, "a stranger": directory.RoleUser,
		"login-only with an owner's grant": directory.RoleUser, "a guest": directory.RoleGuest, "one whose grant expired": directory.RoleUser,
		"one suspended in the team": directory.RoleUser, "a deactivated owner": directory.RoleUser, "a restricted owner": directory.RoleUser,
	})
	own := map[string]core.ID{} // grants
	give := func(name string, role accounts.Role, expires *time.Time) {
		grant, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: people[name]}, role, expires)
		if err != nil {
			t.Fatal(err)
		}
		own[name] = grant.ID
	}
	give("an owner of it", accounts.Owner, nil)
	give("a collaborator", accounts.Collaborator, nil)
	give("a guest", accounts.Collaborator, nil)
	give("login-only with an owner's grant", accounts.Owner, nil)
	give("a deactivated owner", accounts.Owner, nil)
	give("a restricted owner", accounts.Owner, nil)
	give("one whose grant expired", accounts.Owner, new(w.clock.Now().Add(time.Minute)))
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{Team: acme.teams["wiki"].ID}, accounts.Owner, nil); err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(time.Minute)
	w.tx(t, func(tx pgx.Tx) error {
		suspended := people["one suspended in the team"]
		if _, err := w.Directory.AddMembers(t.Context(), tx, acme.workspace, acme.teams["wiki"].ID, []core.ID{suspended}); err != nil {
			return err
		}
		if _, err := w.Directory.SuspendMemberships(t.Context(), tx, acme.workspace, suspended); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		w.Directory.QueueRestrict(batch, acme.workspace, people["a restricted owner"], core.NewID(), "risk")
		return tx.SendBatch(t.Context(), batch).Close()
	})
	acme.edit(t, people["login-only with an owner's grant"], func(u *directory.User) { u.Role = directory.RoleLoginOnly })
	acme.edit(t, people["a deactivated owner"], func(u *directory.User) { u.Active = false })

	asked := map[string]core.Cause{
		"a neighbour's administrator": other.as("ada"), "the system": acme.cause, "nobody": {},
		"a service account": core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, w.clock.Now()),
		"a connection":      core.NewCause(core.Actor{Kind: core.ActorConnection, ID: core.NewID()}, w.clock.Now()),
	}
	for name, id := range people {
		asked[name] = core.NewCause(core.Actor{Kind: core.ActorUser, ID: id, Name: name}, w.clock.Now())
	}

	stranger, anas := accounts.Subject{User: acme.user("ben")}, acme.grantOf(t, account.ID, "ana")
	commands := map[string]func(tx pgx.Tx, who string, cause core.Cause) error{
		"add an app": func(tx pgx.Tx, _ string, cause core.Cause) error {
			_, err := w.CreateApp(t.Context(), tx, cause, acme.workspace, accounts.NewApp{Name: "Mail", Domains: []string{"mail.example.com"}, SignInURL: "https://mail.example.com/", Connector: "browser"})
			return err
		},
		"add an account of another's": func(tx pgx.Tx, _ string, cause core.Cause) error {
			_, err := w.CreateAccount(t.Context(), tx, cause, acme.workspace, accounts.NewAccount{App: acme.app.ID, Username: "new", Password: seal.NewSecret("p"), Owner: acme.user("ana")})
			return err
		},
		"add an account of one's own": func(tx pgx.Tx, who string, cause core.Cause) error {
			owner := people[who]
			if owner.IsZero() {
				owner = acme.user("ana")
			}
			_, err := w.CreateAccount(t.Context(), tx, cause, acme.workspace, accounts.NewAccount{App: acme.app.ID, Username: "new", Password: seal.NewSecret("p"), Owner: owner})
			return err
		},
		"share": func(tx pgx.Tx, _ string, cause core.Cause) error {
			_, err := w.Share(t.Context(), tx, cause, acme.workspace, account.ID, accounts.Sharing{Subject: stranger, Role: accounts.Collaborator})
			return err
		},
		"unshare": func(tx pgx.Tx, _ string, cause core.Cause) error {
			return w.Unshare(t.Context(), tx, cause, acme.workspace, anas)
		},
		"give up one's own": func(tx pgx.Tx, who string, cause core.Cause) error {
			grant, has := own[who]
			if !has {
				grant = anas
			}
			return w.Unshare(t.Context(), tx, cause, acme.workspace, grant)
		},
		"fill": func(_ pgx.Tx, who string, cause core.Cause) error {
			user := cause.Actor.ID
			if cause.Actor.Kind != core.ActorUser {
				user = people["an owner of it"]
			}
			_, _, err := w.Fill(t.Context(), cause, acme.workspace, user, account.ID)
			return err
		},
		"reveal": func(_ pgx.Tx, who string, cause core.Cause) error {
			user := cause.Actor.ID
			if cause.Actor.Kind != core.ActorUser {
				user = people["an owner of it"]
			}
			_, _, err := w.Reveal(t.Context(), cause, acme.workspace, user, account.ID)
			return err
		},
		"entitle": func(tx pgx.Tx, _ string, cause core.Cause) error {
			user, err := w.Directory.LockUser(t.Context(), tx, acme.workspace, people["a stranger"])
			if err != nil {
				return err
			}
			_, err = w.Entitle(t.Context(), tx, cause, user, []accounts.Entitlement{{Account: account.ID, Role: accounts.Collaborator}})
			return err
		},
		"reach into the neighbour's": func(tx pgx.Tx, _ string, cause core.Cause) error {
			_, err := w.Share(t.Context(), tx, cause, acme.workspace, twin.ID, accounts.Sharing{Subject: stranger, Role: accounts.Collaborator})
			return err
		},
	}
	order := []string{"add an app", "add an account of another's", "add an account of one's own", "share", "unshare", "give up one's own", "fill", "reveal", "entitle", "reach into the neighbour's"}
	const pass, none = "", "no_entitlements"
	table := map[string][]string{
		"an owner of the workspace":        {pass, pass, pass, pass, pass, pass, "not_shared", "not_shared", none, "not_found"},
		"a super admin":                    {pass, pass, pass, pass, pass, pass, "not_shared", "not_shared", none, "not_found"},
		"an admin":                         {pass, pass, pass, pass, pass, pass, "not_shared", "not_shared", none, "not_found"},
		"an owner of it":                   {"not_administrator", "not_administrator", pass, pass, pass, pass, pass, pass, none, "not_shared"},
		"a collaborator":                   {"not_administrator", "not_administrator", pass, "not_owner", "not_owner", pass, pass, "not_owner", none, "not_shared"},
		"a stranger":                       {"not_administrator", "not_administrator", pass, "not_shared", "not_shared", "not_shared", "not_shared", "not_shared", none, "not_shared"},
		"login-only with an owner's grant": {"not_administrator", "not_administrator", "capped", "capped", "capped", pass, pass, "capped", none, "not_shared"},
		"a guest":                          {"not_administrator", "not_administrator", "capped", "not_owner", "not_owner", pass, pass, "not_owner", none, "not_shared"},
		"one whose grant expired":          {"not_administrator", "not_administrator", pass, "expired", "expired", "not_found", "expired", "expired", none, "not_shared"},
		"one suspended in the team":        {"not_administrator", "not_administrator", pass, "suspended", "suspended", "suspended", "suspended", "suspended", none, "not_shared"},
		"a deactivated owner":              {"inactive", "inactive", "inactive", "inactive", "inactive", "inactive", "inactive", "inactive", none, "inactive"},
		"a restricted owner":               {"not_administrator", "not_administrator", pass, pass, pass, pass, "restricted", "restricted", none, "not_shared"},
		"a neighbour's administrator":      {"not_a_member", "not_a_member", "not_a_member", "not_a_member", "not_a_member", "not_a_member", "not_shared", "not_shared", none, "not_a_member"},
		"a service account":                {pass, pass, pass, pass, pass, pass, pass, pass, none, "not_found"},
		"the system":                       {pass, pass, pass, pass, pass, pass, pass, pass, none, "not_found"},
		"a connection":                     {"not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_you", "not_you", none, "not_a_user"},
		"nobody":                           {"not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_a_user", "not_you", "not_you", none, "not_a_user"},
	}
	if len(table) != len(asked) || len(order) != len(commands) {
		t.Fatalf("the table has %d of %d actors and %d of %d commands", len(table), len(asked), len(order), len(commands))
	}
	for who, cause := range asked {
		for i, what := range order {
			err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				if err := commands[what](tx, who, cause); err != nil {
					return err
				}
				return errUndone
			})
			code := ""
			if classified := core.AsError(err); !errors.Is(err, errUndone) {
				if code = classified.Code; classified.Kind == core.KindNotFound {
					code = "not_found"
				} else if classified.Kind != core.KindDenied && code != "capped" || classified.Message == "" {
					t.Errorf("%s wants to %s: %v", who, what, err)
				}
			}
			if code != table[who][i] {
				t.Errorf("%s wants to %s: %q (%v), want %q", who, what, code, err, table[who][i])
			}
		}
	}
}

// people adds users of roles, by what they are.
func (s *side) people(t coretest.T, roles map[string]directory.Role) map[string]core.ID {
	t.Helper()
	made := map[string]core.ID{}
	s.w.tx(t, func(tx pgx.Tx) error {
		for name, role := range roles {
			user, err := s.w.Directory.InsertUser(ctx(t), tx, directory.User{Workspace: s.workspace, UserName: name, Active: true, Role: role})
			if err != nil {
				return err
			}
			made[name] = user.ID
		}
		return nil
	})
	return made
}

// edit changes a user, and nothing that follows from it.
func (s *side) edit(t coretest.T, user core.ID, change func(*directory.User)) {
	t.Helper()
	s.w.tx(t, func(tx pgx.Tx) error {
		found, err := s.w.Directory.LockUser(ctx(t), tx, s.workspace, user)
		if err != nil {
			return err
		}
		change(&found)
		_, err = s.w.Directory.UpdateUser(ctx(t), tx, found)
		return err
	})
}

// grantOf finds the live grant of a user by name.
func (s *side) grantOf(t coretest.T, account core.ID, name string) core.ID {
	t.Helper()
	grants, err := s.w.Grants(ctx(t), s.w.DB, s.workspace, account)
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range grants {
		if grant.Name == name {
			return grant.ID
		}
	}
	t.Fatalf("%s has no grant", name)
	return core.ID{}
}
