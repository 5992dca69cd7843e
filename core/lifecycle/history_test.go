package lifecycle_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// there are those who are not deleted: one at least.
func (s *history) there() []*person {
	return slices.DeleteFunc(slices.Clone(s.people), func(p *person) bool { return p.removed })
}

// present is somebody who is not deleted, to be in a step of the history.
func (s *history) present(t *rapid.T) *person { return rapid.SampledFrom(s.there()).Draw(t, "person") }

func (s *history) account(t *rapid.T) int {
	return rapid.IntRange(0, len(s.accounts)-1).Draw(t, "account")
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
	got, err := s.Deprovision(t.Context(), by, s.workspace, p.user.ID)
	expect(t, err)
	ended := s.leaves(p, by, false, true)
	want := s.take(p, at)
	want.SessionsEnded += ended
	if got.SessionsEnded != want.SessionsEnded || got.GrantsRevoked != want.GrantsRevoked || len(got.Rotations) != len(want.Rotations) {
		t.Fatalf("got %+v, want %+v", got, want)
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
	switch {
	case !active:
		s.leaves(p, s.cause, false, false)
	case !p.active:
		s.returns(p, at)
	}
}

func (s *history) reactivate(t *rapid.T) {
	p, at := s.present(t), time.Now()
	expect(t, s.Reactivate(t.Context(), s.cause, s.workspace, p.user.ID))
	if !p.active {
		s.returns(p, at)
	}
}

func (s *history) remove(t *rapid.T) {
	if len(s.there()) == 1 || rapid.IntRange(0, 1).Draw(t, "rarely") != 0 { // without anybody a history could hardly go on
		t.Skip("not now")
	}
	p, by := s.present(t), s.by(t)
	expect(t, s.Remove(t.Context(), by, s.workspace, p.user.ID, nil))
	s.leaves(p, by, true, true)
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
				p.waits = nil
				p.left++
				s.takes(p, at)
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

// takesAll does what a taker would.
func (s *history) takesAll(t *rapid.T) {
	at, leaving := time.Now(), 0
	got, err := s.Take(t.Context())
	expect(t, err)
	for _, p := range s.people {
		if p.leaving {
			leaving++
			s.take(p, at)
		}
	}
	if got != leaving {
		t.Fatalf("%d were taken from, %d were leaving", got, leaving)
	}
}

func (s *history) logout(t *rapid.T) {
	p, at := s.present(t), time.Now()
	got, err := s.core.Signals.LogOut(t.Context(), s.system, s.workspace, p.user.ID)
	expect(t, err)
	if p.loggedOut && p.live == 0 { // said twice
		if got.Duplicate.IsZero() || len(got.Rotations) != 0 {
			t.Fatalf("said twice: %+v", got)
		}
		return
	}
	exposed := s.behind(p)
	if got.Sessions != p.live || len(got.Rotations) != len(exposed) || !got.Duplicate.IsZero() {
		t.Fatalf("got %+v, want %d sessions and %d rotations", got, p.live, len(exposed))
	}
	p.loggedOut = true
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
	p, at := s.present(t), time.Now()
	s.edit(s.t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{p.user.ID} })
	// What they could see through the team is known only until they are out of it.
	s.take(p, at)
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
