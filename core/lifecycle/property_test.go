package lifecycle_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// TestMain keeps the histories few enough for every run; -rapid.checks=1000 asks for more.
func TestMain(m *testing.M) {
	if checks := flag.Lookup("rapid.checks"); checks != nil {
		_ = checks.Value.Set("30")
	}
	os.Exit(m.Run())
}

// person is what the model knows of a user.
type person struct {
	user    directory.User
	active  bool
	removed bool
	grants  map[int]bool // accounts
	member  bool
	counts  bool // the membership gives something
	live    int  // sessions
	left    int  // how often deprovisioned

	saw map[int]int // account to the generation of the password that was seen
	// owed is which accounts must have been rotated since when, because the person left exposed to them.
	owed map[int]time.Time
}

// String keeps a failed history readable.
func (p *person) String() string {
	return fmt.Sprintf("%s active=%t removed=%t grants=%v member=%t counts=%t live=%d saw=%v",
		p.user.UserName, p.active, p.removed, p.grants, p.member, p.counts, p.live, p.saw)
}

// GoString is String: rapid prints what it drew with %#v.
func (p *person) GoString() string { return p.String() }

// history is a model of one workspace beside the real one.
type history struct {
	house
	t          *testing.T
	people     []*person
	teamHas    map[int]bool // accounts the team was given
	generation []int        // of each account's password
}

// could is which accounts a person can look at now.
func (s *history) could(p *person) map[int]bool {
	found := map[int]bool{}
	if p.active && !p.removed {
		maps.Copy(found, p.grants)
		if p.member && p.counts {
			maps.Copy(found, s.teamHas)
		}
	}
	return found
}

// exposed is could, and what the person knows the present password of.
func (s *history) exposed(p *person) map[int]bool {
	found := s.could(p)
	for account, generation := range p.saw {
		if generation == s.generation[account] {
			found[account] = true
		}
	}
	return found
}

func (s *history) left(p *person, at time.Time) {
	if !p.active {
		return
	}
	for account := range s.exposed(p) {
		p.owed[account] = at
	}
	p.active, p.counts, p.live = false, false, 0
	p.grants = map[int]bool{}
	p.left++
}

func (s *history) present(t *rapid.T) *person {
	var there []*person
	for _, p := range s.people {
		if !p.removed {
			there = append(there, p)
		}
	}
	if len(there) == 0 {
		t.Skip("nobody is there")
	}
	return rapid.SampledFrom(there).Draw(t, "person")
}

func (s *history) account(t *rapid.T) int {
	return rapid.IntRange(0, len(s.accounts)-1).Draw(t, "account")
}

// expect ends the history for an error the model did not expect.
func expect(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Any history of commands leaves no inactive user with a session, a grant or a membership that
// counts, and no account they were exposed to without a rotation since.
func TestHistories(t *testing.T) {
	w := open(t)
	other := w.house(t, "other")
	untouched := other.snapshot(t)
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		s := &history{house: w.house(t, "acme-"+strconv.Itoa(histories)), t: t, teamHas: map[int]bool{}}
		s.generation = make([]int, len(s.accounts))
		s.people = []*person{s.meet(s.bob)}
		s.people[0].member, s.people[0].counts = true, true
		rt.Repeat(map[string]func(*rapid.T){
			"":            s.check,
			"join":        s.joins,
			"deprovision": s.deprovision,
			"put":         s.put,
			"reactivate":  s.reactivate,
			"remove":      s.remove,
			"logout":      s.logout,
			"sign in":     s.signsIn,
			"share":       s.shares,
			"share team":  s.sharesTeam,
			"look":        s.looks,
			"list":        s.lists,
			"unlist":      s.unlists,
			"rotate":      s.rotates,
		})
	})
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
	t.Logf("%d histories", histories)
}

func (s *history) meet(user directory.User) *person {
	return &person{user: user, active: true, grants: map[int]bool{}, saw: map[int]int{}, owed: map[int]time.Time{}}
}

func (s *history) joins(t *rapid.T) {
	if len(s.people) == 5 {
		t.Skip("enough people")
	}
	s.people = append(s.people, s.meet(s.join(s.t, fmt.Sprintf("p%d@example.com", len(s.people)))))
}

func (s *history) deprovision(t *rapid.T) {
	p, at := s.present(t), time.Now()
	want := lifecycle.Effect{}
	if p.active {
		want = lifecycle.Effect{SessionsEnded: p.live, GrantsRevoked: len(p.grants), Rotations: make([]core.ID, len(s.exposed(p)))}
	}
	got, err := s.Deprovision(t.Context(), s.cause, s.workspace, p.user.ID)
	expect(t, err)
	if got.SessionsEnded != want.SessionsEnded || got.GrantsRevoked != want.GrantsRevoked || len(got.Rotations) != len(want.Rotations) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	s.left(p, at)
}

func (s *history) put(t *rapid.T) {
	p, active, at := s.present(t), rapid.Bool().Draw(t, "active"), time.Now()
	name := rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "name")
	after, err := s.Change(t.Context(), s.cause, s.workspace, p.user.ID, func(u *directory.User) error {
		u.Active, u.DisplayName = active, name
		return nil
	})
	expect(t, err)
	changed := p.user.DisplayName != name || p.active != active
	if before := p.user.Version; (after.Version > before) != changed {
		t.Fatalf("version %d after %d, changed %t", after.Version, before, changed)
	}
	if !active {
		s.left(p, at)
	}
	p.active = active
}

func (s *history) reactivate(t *rapid.T) {
	p := s.present(t)
	expect(t, s.Reactivate(t.Context(), s.cause, s.workspace, p.user.ID))
	p.active = true
}

func (s *history) remove(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") != 0 {
		t.Skip("not now")
	}
	p, at := s.present(t), time.Now()
	expect(t, s.Remove(t.Context(), s.cause, s.workspace, p.user.ID))
	s.left(p, at)
	p.removed = true
}

func (s *history) logout(t *rapid.T) {
	p, at := s.present(t), time.Now()
	got, err := s.Logout(t.Context(), s.cause, s.workspace, p.user.ID, nil)
	expect(t, err)
	exposed := s.exposed(p)
	if got.SessionsEnded != p.live || len(got.Rotations) != len(exposed) {
		t.Fatalf("got %+v, want %d sessions and %d rotations", got, p.live, len(exposed))
	}
	for account := range exposed {
		p.owed[account] = at
	}
	p.live = 0
}

func (s *history) signsIn(t *rapid.T) {
	p := s.present(t)
	_, err := s.signIn(s.t, p.user.ID, time.Now())
	if p.active != (err == nil) {
		t.Fatalf("active %t, but %v", p.active, err)
	}
	if err == nil {
		p.live++
	}
}

func (s *history) shares(t *rapid.T) {
	p, account := s.present(t), s.account(t)
	if !p.active {
		t.Skip("nobody shares with whoever is gone")
	}
	s.share(s.t, account, accounts.Subject{User: p.user.ID})
	p.grants[account] = true
}

func (s *history) sharesTeam(t *rapid.T) {
	account := s.account(t)
	s.share(s.t, account, accounts.Subject{Team: s.team.ID})
	s.teamHas[account] = true
}

func (s *history) looks(t *rapid.T) {
	p, account := s.present(t), s.account(t)
	err := s.fill(s.t, p.user, account)
	if may := s.could(p)[account]; may != (err == nil) {
		t.Fatalf("may look: %t, but %v", may, err)
	}
	if err == nil {
		p.saw[account] = s.generation[account]
	}
}

func (s *history) lists(t *rapid.T) {
	p := s.present(t)
	replace := rapid.Bool().Draw(t, "whole list")
	s.edit(s.t, func(e *lifecycle.TeamEdit) {
		if !replace {
			e.Add = []core.ID{p.user.ID}
			return
		}
		all := []core.ID{p.user.ID}
		for _, one := range s.people {
			if one != p && one.member && !one.removed {
				all = append(all, one.user.ID)
			}
		}
		e.Replace = &all
	})
	for _, one := range s.people {
		if !one.removed && (one == p || replace && one.member) {
			one.member, one.counts = true, one.counts || one.active
		}
	}
}

func (s *history) unlists(t *rapid.T) {
	p := s.present(t)
	s.edit(s.t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{p.user.ID} })
	p.member, p.counts = false, false
}

// rotates does what a worker would: the app takes the new password and refuses the old one.
func (s *history) rotates(t *rapid.T) {
	account := s.account(t)
	id := s.accounts[account].ID
	if s.count(s.t, `select count(*) from rotations where workspace_id = @workspace and account_id = @account and finished is null`,
		pgx.StrictNamedArgs{"account": id}) == 0 {
		t.Skip("nothing is planned")
	}
	expect(t, s.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		versions, err := s.Accounts.Versions(t.Context(), tx, s.workspace, id)
		if err != nil {
			return err
		}
		now := time.Now()
		candidate, err := s.Accounts.AddCandidate(t.Context(), tx, s.workspace, id, s.newPassword())
		if err != nil {
			return err
		}
		if err := s.Accounts.MarkProven(t.Context(), tx, s.workspace, id, candidate, now); err != nil {
			return err
		}
		if err := s.Accounts.Promote(t.Context(), tx, s.workspace, id, candidate); err != nil {
			return err
		}
		for _, version := range versions {
			if err := s.Accounts.MarkRefused(t.Context(), tx, s.workspace, id, version.Version, now); err != nil {
				return err
			}
		}
		_, err = tx.Exec(t.Context(), `update rotations set state = 'done', finished = @now
			where workspace_id = @workspace and account_id = @account and finished is null`,
			pgx.StrictNamedArgs{"workspace": s.workspace, "account": id, "now": now})
		return err
	}))
	s.generation[account]++
}

// check compares the workspace with the model and requires what must always hold.
func (s *history) check(t *rapid.T) {
	deprovisioned := 0
	for _, p := range s.people {
		deprovisioned += p.left
		args := pgx.StrictNamedArgs{"user": p.user.ID}
		sessions := s.count(s.t, `select count(*) from sessions where workspace_id = @workspace and user_id = @user and ended is null`, args)
		grants := s.count(s.t, `select count(*) from grants where workspace_id = @workspace and user_id = @user and revoked is null`, args)
		counting := s.count(s.t, `select count(*) from team_members where workspace_id = @workspace and user_id = @user and suspended is null`, args)
		if !p.active && sessions+grants+counting != 0 {
			t.Fatalf("%s is inactive with %d sessions, %d grants, %d teams", p.user.UserName, sessions, grants, counting)
		}
		if sessions != p.live || grants != len(p.grants) || (counting == 1) != (p.member && p.counts) {
			t.Fatalf("%s has %d sessions, %d grants, %d teams; the model says %+v", p.user.UserName, sessions, grants, counting, p)
		}
		if p.removed {
			if _, err := s.Directory.User(t.Context(), s.DB, s.workspace, p.user.ID); core.KindOf(err) != core.KindNotFound {
				t.Fatalf("a removed user is found: %v", err)
			}
		} else {
			p.user = s.read(s.t, p.user.ID)
			if p.user.Active != p.active {
				t.Fatalf("%s is active: %t", p.user.UserName, p.user.Active)
			}
		}
		for _, account := range slices.Sorted(maps.Keys(p.owed)) {
			if s.count(s.t, `select count(*) from rotations where workspace_id = @workspace and account_id = @account
				and (finished is null or finished >= @since)`,
				pgx.StrictNamedArgs{"account": s.accounts[account].ID, "since": p.owed[account]}) == 0 {
				t.Fatalf("%s was exposed to account %d, which has no rotation since", p.user.UserName, account)
			}
		}
	}
	if got := s.events(s.t, core.UserDeprovisioned); got != deprovisioned {
		t.Fatalf("%d events of %d deprovisions", got, deprovisioned)
	}
}
