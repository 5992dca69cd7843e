package lifecycle_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
)

// TestMain keeps the histories few enough for every run; -rapid.checks=1000 asks for more.
func TestMain(m *testing.M) {
	if checks := flag.Lookup("rapid.checks"); checks != nil {
		_ = checks.Value.Set("30")
	}
	os.Exit(m.Run())
}

// expect ends the history for an error the model did not expect.
func expect(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Any history of commands leaves no inactive user with a session or an account to use, nor, unless their
// departure waits for an administrator or a taker, with a grant or a membership that counts, and no
// account they were exposed to without a rotation since. Everything is taken once from everybody who
// leaves, whatever happens to them before it is.
func TestHistories(t *testing.T) {
	w := open(t)
	other := w.house(t, "other")
	// Everybody the histories know is at the other workspace too, and leaves into a hold there.
	other.guard(t, 1, 1)
	for _, user := range other.crowd(t, "x", 3) {
		other.deactivate(t, other.cause, user.ID)
	}
	untouched := other.snapshot(t)
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		_, _ = w.Take(t.Context()) // whom the history before left behind
		s := &history{house: w.house(t, "acme-"+strconv.Itoa(histories)), t: t, teamHas: map[int]bool{}}
		s.generation = make([]int, len(s.accounts))
		s.people = []*person{s.meet(s.bob)}
		s.people[0].member, s.people[0].counts = true, true
		s.floor = rapid.SampledFrom([]int{-1, 1, 2}).Draw(rt, "floor")
		s.guard(t, share, s.floor)
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
			"decide":      s.decides,
			"carry":       s.carries,
			"take":        s.takesAll,
		})
	})
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
	t.Logf("%d histories", histories)
}

// shutOut is what somebody who is inactive must not do, though nothing was taken from them yet.
func (s *history) shutOut(t *rapid.T, p *person) {
	if p.active || p.removed {
		return
	}
	if live, err := s.Directory.Sessions(t.Context(), s.DB, s.workspace, p.user.ID); err != nil || len(live) != 0 {
		t.Fatalf("%s is inactive with %d sessions, %v", p.user.UserName, len(live), err)
	}
	usable, err := s.Accounts.Usable(t.Context(), s.DB, s.workspace, p.user.ID, accounts.UsableQuery{})
	if err != nil || len(usable) != 0 {
		t.Fatalf("%s is inactive and may use %d accounts, %v", p.user.UserName, len(usable), err)
	}
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
		s.shutOut(t, p)
		if !p.active && p.waits == nil && !p.leaving && sessions+grants+counting != 0 {
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
	if got := s.events(s.t, core.DeparturesHeld); got != s.holds {
		t.Fatalf("%d events of %d holds", got, s.holds)
	}
}
