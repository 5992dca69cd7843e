package lifecycle_test

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// holder is what the model of owners knows of a person.
type holder struct {
	id              core.ID
	active, removed bool
	member, counts  bool // of the team; whether the membership gives anything
	capped          bool // login-only: owns nothing
	owns            map[int]bool
}

// ownership is a model of who owns what beside a workspace.
type ownership struct {
	house
	t        *testing.T
	people   []*holder
	teamOwns map[int]bool
	orphans  map[int]bool
	reported int
}

// An account is never without an owner unless it is marked as orphaned, and each time it loses its
// last one that is told once, whatever happens to people, teams, roles and grants.
func TestHistoriesOfOwners(t *testing.T) {
	w := open(t)
	histories, reported := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		s := &ownership{house: w.house(t, "owners-"+strconv.Itoa(histories)), t: t, teamOwns: map[int]bool{}, orphans: map[int]bool{}}
		s.guard(t, share, -1)
		all := map[int]bool{}
		for account := range s.accounts {
			all[account] = true
		}
		// Ana owns everything, as the house was made, and may go like everybody else.
		s.people = []*holder{{id: s.ana.ID, active: true, owns: all}, {id: s.bob.ID, active: true, member: true, counts: true, owns: map[int]bool{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"":           s.check,
			"join":       s.joins,
			"leave":      s.leaves,
			"remove":     s.removes,
			"come back":  s.returns,
			"role":       s.changesRole,
			"share":      s.shares,
			"share team": s.sharesTeam,
			"unshare":    s.unshares,
			"list":       s.lists,
			"unlist":     s.unlists,
		})
		reported += s.reported
	})
	t.Logf("%d histories, %d accounts lost their last owner", histories, reported)
}

// owned is whether the model has a living owner of an account.
func (s *ownership) owned(account int) bool {
	return slices.ContainsFunc(s.people, func(p *holder) bool {
		return p.active && !p.removed && !p.capped && (p.owns[account] || p.member && p.counts && s.teamOwns[account])
	})
}

func (s *ownership) check(t *rapid.T) {
	for number := range s.accounts {
		account, err := s.Accounts.Account(t.Context(), s.DB, s.workspace, s.accounts[number].ID)
		expect(t, err)
		orphaned := !s.owned(number)
		if account.Orphaned != orphaned {
			t.Fatalf("account %d is marked as orphaned: %t; the model says %t", number, account.Orphaned, orphaned)
		}
		if orphaned && !s.orphans[number] {
			s.reported++
		}
		s.orphans[number] = orphaned
	}
	if events := s.events(s.t, core.AccountOrphaned); events != s.reported {
		t.Fatalf("%d reports of %d losses", events, s.reported)
	}
}

// there are those who were not removed: one at least.
func (s *ownership) there() []*holder {
	return slices.DeleteFunc(slices.Clone(s.people), func(p *holder) bool { return p.removed })
}

func (s *ownership) somebody(t *rapid.T) *holder {
	there := s.there()
	return there[rapid.IntRange(0, len(there)-1).Draw(t, "person")]
}

func (s *ownership) account(t *rapid.T) int {
	return rapid.IntRange(0, len(s.accounts)-1).Draw(t, "account")
}

func (s *ownership) joins(t *rapid.T) {
	if len(s.people) == 5 {
		t.Skip("enough people")
	}
	made := s.join(s.t, "owner"+strconv.Itoa(len(s.people))+"@example.com")
	s.people = append(s.people, &holder{id: made.ID, active: true, owns: map[int]bool{}})
}

// gone takes from somebody what nobody gives back.
func (p *holder) gone() {
	p.active, p.counts, p.owns = false, false, map[int]bool{}
}

func (s *ownership) leaves(t *rapid.T) {
	p := s.somebody(t)
	_, err := s.Deprovision(t.Context(), s.cause, s.workspace, p.id)
	expect(t, err)
	p.gone()
}

func (s *ownership) removes(t *rapid.T) {
	p := s.somebody(t)
	if len(s.people) < 5 || len(s.there()) == 1 { // without anybody a history could hardly go on
		t.Skip("not yet")
	}
	expect(t, s.Remove(t.Context(), s.cause, s.workspace, p.id, nil))
	_, err := s.Take(t.Context())
	expect(t, err)
	p.gone()
	p.removed, p.member = true, false
}

func (s *ownership) returns(t *rapid.T) {
	p := s.somebody(t)
	expect(t, s.Reactivate(t.Context(), s.cause, s.workspace, p.id))
	p.active = true
}

func (s *ownership) changesRole(t *rapid.T) {
	p, capped := s.somebody(t), rapid.Bool().Draw(t, "login-only")
	role := directory.RoleUser
	if capped {
		role = directory.RoleLoginOnly
	}
	_, err := s.Change(t.Context(), s.system, s.workspace, p.id, func(u *directory.User) error { u.Role = role; return nil })
	expect(t, err)
	p.capped = capped
}

// give shares an account, and tells whether that is refused because it would take its last owner.
func (s *ownership) give(t *rapid.T, account int, subject accounts.Subject, role accounts.Role) (refused bool) {
	err := s.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := s.Lifecycle.Share(t.Context(), tx, s.system, s.workspace, s.accounts[account].ID, accounts.Sharing{Subject: subject, Role: role})
		return err
	})
	if err != nil && core.AsError(err).Code == "last_owner" {
		return true
	}
	expect(t, err)
	return false
}

func (s *ownership) shares(t *rapid.T) {
	p, account, role := s.somebody(t), s.account(t), rapid.SampledFrom([]accounts.Role{accounts.Owner, accounts.Collaborator}).Draw(t, "role")
	if !p.active || p.capped {
		t.Skip("nobody makes them an owner")
	}
	before, had := s.owned(account), p.owns[account]
	p.owns[account] = role == accounts.Owner
	refused := before && !s.owned(account)
	if refused {
		p.owns[account] = had
	}
	if got := s.give(t, account, accounts.Subject{User: p.id}, role); got != refused {
		t.Fatalf("refused: %t; the model says %t", got, refused)
	}
}

func (s *ownership) sharesTeam(t *rapid.T) {
	account := s.account(t)
	s.give(t, account, accounts.Subject{Team: s.team.ID}, accounts.Owner)
	s.teamOwns[account] = true
}

const selectOwners = `
select id from grants where workspace_id = $1 and account_id = $2 and user_id = $3 and role = 'owner' and revoked is null`

func (s *ownership) unshares(t *rapid.T) {
	p := s.somebody(t)
	owned := slices.DeleteFunc(slices.Sorted(maps.Keys(p.owns)), func(account int) bool { return !p.owns[account] })
	if len(owned) == 0 {
		t.Skip("they own nothing")
	}
	account := owned[rapid.IntRange(0, len(owned)-1).Draw(t, "which")]
	var grant core.ID
	expect(t, s.DB.QueryRow(t.Context(), selectOwners, s.workspace, s.accounts[account].ID, p.id).Scan(&grant))
	before := s.owned(account)
	p.owns[account] = false
	refused := before && !s.owned(account)
	if refused {
		p.owns[account] = true
	}
	err := s.DB.Tx(t.Context(), func(tx pgx.Tx) error { return s.Lifecycle.Unshare(t.Context(), tx, s.system, s.workspace, grant) })
	if got := err != nil; got != refused || got && core.AsError(err).Code != "last_owner" {
		t.Fatalf("%v; the model says refused: %t", err, refused)
	}
}

func (s *ownership) lists(t *rapid.T) {
	p := s.somebody(t)
	s.edit(s.t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{p.id} })
	p.member, p.counts = true, p.counts || p.active
}

func (s *ownership) unlists(t *rapid.T) {
	p := s.somebody(t)
	s.edit(s.t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{p.id} })
	p.member, p.counts = false, false
}
