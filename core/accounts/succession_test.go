package accounts_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
)

func (s *side) succession(t coretest.T, cause core.Cause, account core.ID, list ...accounts.Successor) error {
	return s.w.DB.Tx(ctx(t), func(tx pgx.Tx) error { return s.w.SetSuccession(ctx(t), tx, cause, s.workspace, account, list) })
}

func (s *side) next(name string) accounts.Successor {
	if team, ok := s.teams[name]; ok {
		return accounts.Successor{Team: team.ID}
	}
	return accounts.Successor{User: s.user(name)}
}

// owners are the names of whom an account has as owners.
func (s *side) owners(t coretest.T, account core.ID) string {
	t.Helper()
	grants, err := s.w.Grants(ctx(t), s.w.DB, s.workspace, account)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, grant := range grants {
		if grant.Role == accounts.Owner {
			names = append(names, grant.Name)
		}
	}
	return strings.Join(names, " ")
}

func (s *side) orphaned(t coretest.T, account core.ID) bool {
	t.Helper()
	found, err := s.w.Account(ctx(t), s.w.DB, s.workspace, account)
	if err != nil {
		t.Fatal(err)
	}
	return found.Orphaned
}

func TestSuccession(t *testing.T) {
	w := open(t)
	w.side(t)
	s := w.side(t)
	account := s.account(t, "one", "ana")
	// Inactive, not allowed to own, an empty team: each is passed over. Ben has it already, with less.
	s.activate(t, "cleo", false)
	if _, err := s.share(t, s.cause, account.ID, accounts.Subject{User: s.user("ben")}, accounts.Collaborator, nil); err != nil {
		t.Fatal(err)
	}
	coretest.Must(t, s.succession(t, s.as("ana"), account.ID, s.next("cleo"), s.next("gus"), s.next("ops"), s.next("ana"), s.next("ben"), s.next("ada")))
	if _, err := s.leave(t, "ana"); err != nil {
		t.Fatal(err)
	}
	equal(t, "owner", s.owners(t, account.ID), "ben")
	equal(t, "orphaned", s.orphaned(t, account.ID), false)
	equal(t, "succeeded", s.events(t, core.AccountOwnerSucceeded), 1)
	equal(t, "orphaned", s.events(t, core.AccountOrphaned), 0)
	equal(t, "changed", s.events(t, core.AccountSuccessionChanged), 1)
	var reason, list string
	err := w.DB.QueryRow(t.Context(), `select event ->> 'reason', event -> 'data' ->> 'list' from audit_outbox where workspace_id = @workspace and event ->> 'type' = 'account.owner_succeeded'`,
		pgx.StrictNamedArgs{"workspace": s.workspace}).Scan(&reason, &list)
	if err != nil || list != "account" || reason != "its last owner left; ben is next on the account's succession list" {
		t.Fatalf("%q, %q, %v", reason, list, err)
	}
	// And on: after the account's own list the workspace's; Ben's team with somebody in it is alive.
	s.add(t, "ops", "ada")
	coretest.Must(t, s.succession(t, s.as("ada"), account.ID, s.next("ana")))
	coretest.Must(t, s.succession(t, s.as("ada"), core.ID{}, s.next("ops")))
	if _, err := s.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	equal(t, "owner", s.owners(t, account.ID), "ops")
	// The team is deleted: it is not its own successor.
	w.tx(t, func(tx pgx.Tx) error {
		if _, err := w.Directory.LockTeam(t.Context(), tx, s.workspace, s.teams["ops"].ID); err != nil {
			return err
		}
		_, err := w.RevokeTeam(t.Context(), tx, s.cause, s.workspace, s.teams["ops"].ID)
		return err
	})
	equal(t, "orphaned", s.orphaned(t, account.ID), true)
	// A list for an account that is orphaned takes effect at once.
	coretest.Must(t, s.succession(t, s.as("ada"), account.ID, s.next("ada")))
	equal(t, "owner", s.owners(t, account.ID), "ada")
	equal(t, "orphaned", s.orphaned(t, account.ID), false)
}

func TestSuccessionByManager(t *testing.T) {
	w := open(t)
	s := w.side(t)
	manager := func(of, value string) {
		text, err := json.Marshal(map[string]any{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": map[string]any{"manager": map[string]string{"value": value}}})
		coretest.Must(t, err)
		if _, err := w.DB.Exec(t.Context(), `update users set attributes = @text where workspace_id = @workspace and id = @id`,
			pgx.StrictNamedArgs{"workspace": s.workspace, "id": s.user(of), "text": text}); err != nil {
			t.Fatal(err)
		}
	}
	coretest.Must(t, s.succession(t, s.cause, core.ID{}, accounts.Successor{Manager: true}, s.next("ada")))
	manager("ana", s.user("ben").String())
	manager("ben", "none of us")
	left, expired := s.account(t, "left", "ana"), s.account(t, "expired", "ana")
	if _, err := s.share(t, s.cause, expired.ID, accounts.Subject{User: s.user("cleo")}, accounts.Owner, new(w.clock.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	s.take(t, expired.ID, "ana")
	manager("cleo", s.user("ana").String())
	w.clock.Pass(2 * time.Hour)
	w.tx(t, func(tx pgx.Tx) error {
		_, found, err := w.EndNext(t.Context(), tx, s.cause, accounts.Grant{})
		equal(t, "found", found, true)
		return err
	})
	equal(t, "owner of what expired", s.owners(t, expired.ID), "ana")
	if _, err := s.leave(t, "ana"); err != nil {
		t.Fatal(err)
	}
	equal(t, "owner", s.owners(t, left.ID), "ben")
	equal(t, "owner", s.owners(t, expired.ID), "ben")
	if _, err := s.leave(t, "ben"); err != nil { // whose manager nobody knows
		t.Fatal(err)
	}
	equal(t, "owner", s.owners(t, left.ID), "ada")
}

func TestSuccessionRefuses(t *testing.T) {
	w := open(t)
	other, s := w.side(t), w.side(t)
	account := s.account(t, "one", "ana")
	coretest.Wants(t, s.succession(t, s.as("ben"), account.ID, s.next("ben")), core.KindDenied, "")
	coretest.Wants(t, s.succession(t, s.as("ana"), core.ID{}, s.next("ana")), core.KindDenied, "not_administrator")
	coretest.Wants(t, s.succession(t, s.cause, account.ID, other.next("ana")), core.KindInvalid, "successors")
	coretest.Wants(t, s.succession(t, s.cause, account.ID, other.next("ops")), core.KindInvalid, "successors")
	coretest.Wants(t, s.succession(t, s.cause, account.ID, s.next("ana"), s.next("ana")), core.KindInvalid, "successors")
	coretest.Wants(t, s.succession(t, s.cause, account.ID, accounts.Successor{}), core.KindInvalid, "successors")
	coretest.Wants(t, s.succession(t, s.cause, account.ID, make([]accounts.Successor, accounts.MaxSuccessors+1)...), core.KindInvalid, "successors")
	coretest.Wants(t, other.succession(t, other.cause, account.ID, other.next("ana")), core.KindNotFound, "")
	coretest.Must(t, s.succession(t, s.as("ana"), account.ID, s.next("ops"), accounts.Successor{Manager: true}, s.next("ben")))
	coretest.Must(t, s.succession(t, s.as("ana"), account.ID, s.next("ops"), accounts.Successor{Manager: true}, s.next("ben")))
	equal(t, "changed", s.events(t, core.AccountSuccessionChanged), 1)
	list, err := w.Succession(t.Context(), w.DB, s.workspace, account.ID)
	if err != nil || len(list) != 3 || list[0].Name != "ops" || !list[1].Manager || list[2].Name != "ben" {
		t.Fatalf("got %+v, %v", list, err)
	}
	coretest.Must(t, s.succession(t, s.as("ana"), account.ID))
	if list, err := w.Succession(t.Context(), w.DB, s.workspace, account.ID); err != nil || len(list) != 0 {
		t.Fatalf("got %+v, %v", list, err)
	}
}

// TestATeamComesToOwnAsItsPeopleLeave has one of two leave the team while it is given an account: she looked
// at what the team owns before, and he is not its last when he leaves.
func TestATeamComesToOwnAsItsPeopleLeave(t *testing.T) {
	for name, give := range map[string]func(s *side, account core.ID) error{
		"by succession": func(s *side, account core.ID) error {
			_, err := s.leaveIn(context.Background(), "ana")
			return err
		},
		"by sharing": func(s *side, account core.ID) error {
			err := s.w.DB.Tx(context.Background(), func(tx pgx.Tx) error {
				_, err := s.w.Share(context.Background(), tx, s.as("ana"), s.workspace, account, accounts.Sharing{Subject: accounts.Subject{Team: s.next("ops").Team}, Role: accounts.Owner})
				return err
			})
			if err == nil {
				_, err = s.leaveIn(context.Background(), "ana")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.side(t)
			s := w.side(t)
			s.add(t, "ops", "ben")
			s.add(t, "ops", "cleo")
			account := s.account(t, "one", "ana")
			if name == "by succession" {
				coretest.Must(t, s.succession(t, s.cause, account.ID, s.next("ops")))
			}
			others := make(chan error, 1)
			_, err := s.leaveSlowly(t.Context(), "cleo", func() {
				go func() {
					err := give(s, account.ID)
					if err == nil {
						_, err = s.leaveIn(context.Background(), "ben")
					}
					others <- err
				}()
				for waiting := 0; waiting == 0 && len(others) == 0; {
					if err := w.DB.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
						t.Error(err)
						return
					}
				}
			})
			coretest.Must(t, err)
			coretest.Must(t, <-others)
			equal(t, "orphaned", s.orphaned(t, account.ID), true)
		})
	}
}

// TestSuccessionsAtOnce has several people leave at the same moment, each next in line after another:
// whatever order that happens in, no account ends with an owner who left, and none is orphaned while
// somebody in line is alive.
func TestSuccessionsAtOnce(t *testing.T) {
	w := open(t)
	w.side(t)
	rapid.Check(t, func(t *rapid.T) {
		s := w.side(t)
		people := []string{"ana", "ben", "cleo", "ada"}
		member := map[string]bool{}
		for _, person := range people[:3] {
			if rapid.Bool().Draw(t, "in the team "+person) {
				s.add(t, "ops", person)
				member[person] = true
			}
		}
		in := []string{"ana", "ben", "cleo", "ada", "gus", "ops"}
		type owned struct {
			accounts.Account
			line []string
		}
		var all []owned
		for i, owner := range people[:3] {
			line := rapid.SliceOfNDistinct(rapid.SampledFrom(in), 0, 4, rapid.ID).Draw(t, "line")
			one := owned{s.account(t, owner, owner), line}
			var list []accounts.Successor
			for _, name := range line {
				list = append(list, s.next(name))
			}
			if err := s.succession(t, s.cause, one.ID, list...); err != nil {
				t.Fatal(i, err)
			}
			all = append(all, one)
		}
		leavers := rapid.SliceOfNDistinct(rapid.SampledFrom(people), 1, 4, rapid.ID).Draw(t, "leavers")
		var going sync.WaitGroup
		failed := make(chan error, len(leavers))
		for _, name := range leavers {
			going.Go(func() {
				_, err := s.leaveIn(context.Background(), name)
				failed <- err
			})
		}
		going.Wait()
		close(failed)
		for err := range failed {
			if err != nil {
				t.Fatal(err)
			}
		}
		gone := map[string]bool{"gus": true} // may not own
		for _, name := range leavers {
			gone[name] = true
		}
		for _, one := range all {
			alive := !gone[one.Username]
			for _, name := range one.line {
				if name != "ops" {
					alive = alive || !gone[name]
					continue
				}
				for person := range member {
					alive = alive || !gone[person]
				}
			}
			var owner bool
			for _, person := range people {
				owner = owner || s.may(t, s.user(person), one.ID) == accounts.Owner
			}
			if orphaned := s.orphaned(t, one.ID); orphaned == owner {
				t.Fatalf("account of %s, then %v: orphaned %v, has a living owner %v (%s)", one.Username, one.line, orphaned, owner, s.owners(t, one.ID))
			} else if orphaned && alive {
				t.Fatalf("account of %s is orphaned though somebody of %v is alive; %v left", one.Username, one.line, leavers)
			} else if !orphaned && !alive {
				t.Fatalf("account of %s has an owner out of %v, who are all gone; %v left", one.Username, one.line, leavers)
			}
		}
	})
}

func TestProposals(t *testing.T) {
	w := open(t)
	other, s := w.side(t), w.side(t)
	own, used, ended := s.account(t, "own", "ana"), s.account(t, "used", "ana"), s.account(t, "ended", "ana")
	coretest.Must(t, s.succession(t, s.cause, own.ID, s.next("ada")))
	for account, expires := range map[core.ID]*time.Time{own.ID: nil, used.ID: new(w.clock.Now().Add(24 * time.Hour)), ended.ID: new(w.clock.Now().Add(time.Hour))} {
		role := accounts.Collaborator
		if account == own.ID {
			role = accounts.Owner
		}
		if _, err := s.share(t, s.cause, account, accounts.Subject{User: s.user("ben")}, role, expires); err != nil {
			t.Fatal(err)
		}
	}
	proposals := func() []accounts.Proposal {
		t.Helper()
		found, err := w.Proposals(t.Context(), w.DB, s.workspace, s.user("ben"))
		coretest.Must(t, err)
		return found
	}
	if _, err := s.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	equal(t, "proposals of somebody who is gone", len(proposals()), 0)
	s.activate(t, "ben", true)
	equal(t, "proposals", len(proposals()), 3)
	equal(t, "what came back by itself", s.may(t, s.user("ben"), own.ID), "")
	w.clock.Pass(2 * time.Hour)
	found := proposals()
	if len(found) != 2 || found[0].Account != own.ID || found[0].Role != accounts.Owner || found[1].Account != used.ID || found[1].Expires == nil {
		t.Fatalf("got %+v", found)
	}
	accept := func(cause core.Cause, grant core.ID) error {
		return w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := w.AcceptProposal(t.Context(), tx, cause, s.workspace, grant)
			return err
		})
	}
	coretest.Wants(t, accept(s.as("ben"), found[0].Grant), core.KindDenied, "")
	coretest.Wants(t, accept(s.as("ada"), core.ID{}), core.KindNotFound, "")
	coretest.Wants(t, accept(other.as("ada"), found[0].Grant), core.KindDenied, "")
	coretest.Must(t, accept(s.as("ada"), found[0].Grant))
	coretest.Wants(t, accept(s.as("ada"), found[0].Grant), core.KindNotFound, "")
	equal(t, "given anew", s.may(t, s.user("ben"), own.ID), accounts.Owner)
	decline := func() error {
		return w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			return w.DeclineProposal(t.Context(), tx, s.as("ana"), s.workspace, found[1].Grant)
		})
	}
	coretest.Must(t, decline())
	coretest.Wants(t, decline(), core.KindNotFound, "")
	equal(t, "proposals left", len(proposals()), 0)
	equal(t, "declined", s.events(t, core.AccountProposalDeclined), 1)
}
