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
	left    int  // how often everything was taken

	// waits is the departure of which nothing was taken yet, if there is one.
	waits *wait

	saw map[int]int // account to the generation of the password that was seen
	// owed is which accounts must have been rotated since when, because the person left exposed to them.
	owed map[int]time.Time
}

// wait is a departure that is, or was, held.
type wait struct {
	state   lifecycle.State
	deleted bool
	hold    int // number of the hold
	counted int // how many decisions there had been
	number  int // in the order of departures
}

// decision is what was decided about a hold and is to be carried out.
type decision struct {
	hold     int
	approved bool
}

// String keeps a failed history readable.
func (p *person) String() string {
	return fmt.Sprintf("%s active=%t removed=%t grants=%v member=%t counts=%t live=%d saw=%v waits=%+v",
		p.user.UserName, p.active, p.removed, p.grants, p.member, p.counts, p.live, p.saw, p.waits)
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

	floor     int // of the guard; negative: off
	taken     int // departures the connection caused since the latest decision, of which everything was taken
	decisions int
	holds     int // opened so far
	open      bool
	pending   []decision
	numbered  int
}

// share is the guard's, in percent: with so few people it is reached together with the floor, or later.
const share = 40

// could is which accounts a person can look at now.
func (s *history) could(p *person) map[int]bool {
	if !p.active || p.removed {
		return nil
	}
	return s.given(p)
}

// given is what was given to a person and not taken back.
func (s *history) given(p *person) map[int]bool {
	found := maps.Clone(p.grants)
	if p.member && p.counts {
		maps.Copy(found, s.teamHas)
	}
	return found
}

// behind is given, and what the person knows the present password of.
func (s *history) behind(p *person) map[int]bool {
	found := s.given(p)
	for account, generation := range p.saw {
		if generation == s.generation[account] {
			found[account] = true
		}
	}
	return found
}

// counted is how many departures the guard counts.
func (s *history) counted() int {
	held := 0
	for _, p := range s.people {
		if p.waits != nil && p.waits.state == lifecycle.Held && p.waits.counted == s.decisions {
			held++
		}
	}
	return s.taken + held
}

// isHeld decides as the guard does, before the departure changes anything.
func (s *history) isHeld() bool {
	if s.floor < 0 {
		return false
	}
	if s.open {
		return true
	}
	active, counted := 1, s.counted() // Ana, whom no history touches
	for _, p := range s.people {
		if p.active {
			active++
		}
	}
	if counted+1 <= s.floor || (counted+1)*100 <= share*(active+counted) {
		return false
	}
	s.open = true
	s.holds++
	return true
}

// leaves is what the model expects of somebody told to leave: asked is for those requests that mean
// something of an inactive person too. It returns what the person was exposed to if all was taken.
func (s *history) leaves(p *person, at time.Time, by core.Cause, deleted, asked bool) (exposed map[int]bool, ended int) {
	connection := by.Actor.Kind == core.ActorConnection
	switch {
	case p.active:
	case !asked || p.waits == nil:
		return nil, 0
	case connection && p.waits.state == lifecycle.Held:
		p.waits.deleted = p.waits.deleted || deleted
		return nil, 0
	}
	ended = p.live
	held := connection && s.isHeld()
	before := p.waits
	p.live = 0
	if held {
		s.numbered++
		p.waits = &wait{state: lifecycle.Held, deleted: deleted, hold: s.holds, counted: s.decisions, number: s.numbered}
		if before != nil {
			p.waits.number = before.number
		}
		p.active = false
		return nil, ended
	}
	if connection || before != nil && before.state == lifecycle.Held && before.counted == s.decisions {
		s.taken++
	}
	return s.take(p, at), ended
}

// take takes everything from somebody.
func (s *history) take(p *person, at time.Time) map[int]bool {
	exposed := s.behind(p)
	for account := range exposed {
		p.owed[account] = at
	}
	p.active, p.counts, p.waits = false, false, nil
	p.grants = map[int]bool{}
	p.left++
	return exposed
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

// Any history of commands leaves no inactive user with a session, nor, unless their departure waits for
// an administrator, with a grant or a membership that counts, and no account they were exposed to
// without a rotation since. Everything is taken once from everybody who leaves.
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
	if len(s.people) == 7 {
		t.Skip("enough people")
	}
	name := fmt.Sprintf("p%d@example.com", len(s.people))
	for _, p := range s.people {
		// The name of somebody deleted is free.
		taken := slices.ContainsFunc(s.people, func(other *person) bool { return !other.removed && other.user.UserName == p.user.UserName })
		if p.removed && !taken && rapid.Bool().Draw(t, "again") {
			name = p.user.UserName
			break
		}
	}
	s.people = append(s.people, s.meet(s.join(s.t, name)))
}

func (s *history) by(t *rapid.T) core.Cause {
	return rapid.SampledFrom([]core.Cause{s.cause, s.cause, s.system}).Draw(t, "by")
}

func (s *history) deprovision(t *rapid.T) {
	p, by, at := s.present(t), s.by(t), time.Now()
	granted := len(p.grants)
	got, err := s.Deprovision(t.Context(), by, s.workspace, p.user.ID)
	expect(t, err)
	left := p.left
	exposed, ended := s.leaves(p, at, by, false, true)
	if p.left == left {
		granted = 0
	}
	if got.SessionsEnded != ended || got.GrantsRevoked != granted || len(got.Rotations) != len(exposed) {
		t.Fatalf("got %+v, want %d sessions, %d grants, %v", got, ended, granted, exposed)
	}
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
		s.leaves(p, at, s.cause, false, false)
	} else {
		p.active, p.waits = true, nil
	}
}

func (s *history) reactivate(t *rapid.T) {
	p := s.present(t)
	expect(t, s.Reactivate(t.Context(), s.cause, s.workspace, p.user.ID))
	p.active, p.waits = true, nil
}

func (s *history) remove(t *rapid.T) {
	if rapid.IntRange(0, 1).Draw(t, "rarely") != 0 {
		t.Skip("not now")
	}
	p, by, at := s.present(t), s.by(t), time.Now()
	expect(t, s.Remove(t.Context(), by, s.workspace, p.user.ID, nil))
	s.leaves(p, at, by, true, true)
	p.removed = true
}

// decides does what an administrator does about the open hold.
func (s *history) decides(t *rapid.T) {
	if !s.open {
		t.Skip("nothing waits")
	}
	found := s.house.holds(s.t, true)
	if len(found) != 1 {
		t.Fatalf("%d open holds", len(found))
	}
	approved := rapid.Bool().Draw(t, "approved")
	decide := s.RejectHold
	if approved {
		decide = s.ApproveHold
	}
	expect(t, decide(t.Context(), s.system, s.workspace, found[0].ID))
	if err := decide(t.Context(), s.system, s.workspace, found[0].ID); core.KindOf(err) != core.KindConflict {
		t.Fatalf("decided twice: %v", err)
	}
	s.pending = append(s.pending, decision{hold: s.holds, approved: approved})
	s.open, s.taken = false, 0
	s.decisions++
	for _, p := range s.people {
		if w := p.waits; !approved && w != nil && w.state == lifecycle.Held && w.hold == s.holds && !w.deleted {
			w.state = lifecycle.Kept
		}
	}
}

// carries does what was decided.
func (s *history) carries(t *rapid.T) {
	at := time.Now()
	_, err := s.Carry(t.Context())
	expect(t, err)
	for _, decided := range s.pending {
		var waiting []*person
		for _, p := range s.people {
			if w := p.waits; w != nil && w.state == lifecycle.Held && w.hold == decided.hold {
				waiting = append(waiting, p)
			}
		}
		slices.SortFunc(waiting, func(one, other *person) int { return one.waits.number - other.waits.number })
		for _, p := range waiting {
			if decided.approved {
				s.take(p, at)
				continue
			}
			p.waits.state = lifecycle.Restored
			if slices.ContainsFunc(s.people, func(other *person) bool { return !other.removed && other.user.UserName == p.user.UserName }) {
				p.waits.state = lifecycle.NameTaken
			} else {
				p.removed = false
			}
		}
	}
	s.pending = nil
}

func (s *history) logout(t *rapid.T) {
	p, at := s.present(t), time.Now()
	got, err := s.Logout(t.Context(), s.cause, s.workspace, p.user.ID, nil)
	expect(t, err)
	exposed := s.behind(p)
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
		if !p.active && p.waits == nil && sessions+grants+counting != 0 {
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
