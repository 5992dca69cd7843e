package accounts_test

import (
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
)

// model is what access should be, in a few maps: one workspace's truth without SQL.
type model struct {
	active   map[string]bool
	left     map[string]bool                  // and did not come back yet
	member   map[[2]string]bool               // (team, user) → gives access
	grants   map[string]map[string]modelGrant // account → subject → grant, unrevoked
	orphaned map[string]bool                  // as it was last looked at
	guest    string
}

type modelGrant struct {
	role    accounts.Role
	expires time.Time // zero: never
}

func (g modelGrant) live(now time.Time) bool { return g.expires.IsZero() || g.expires.After(now) }

func newModel(people []string) *model {
	m := &model{active: map[string]bool{}, left: map[string]bool{}, member: map[[2]string]bool{}, grants: map[string]map[string]modelGrant{}, orphaned: map[string]bool{}, guest: "gus"}
	for _, person := range people {
		m.active[person] = true
	}
	return m
}

func (m *model) may(user, account string, now time.Time) accounts.Role {
	best := accounts.Role("")
	if !m.active[user] {
		return best
	}
	for subject, grant := range m.grants[account] {
		if grant.live(now) && (subject == user || m.member[[2]string{subject, user}]) && best != accounts.Owner {
			best = grant.role
		}
	}
	if best == accounts.Owner && user == m.guest {
		return accounts.Collaborator
	}
	return best
}

func (m *model) owned(account string, now time.Time) bool {
	for user := range m.active {
		if m.may(user, account, now) == accounts.Owner {
			return true
		}
	}
	return false
}

// set gives or (zero role) takes a subject's grant, unless that takes the last owner. It reports
// whether it did.
func (m *model) set(account, subject string, grant modelGrant, now time.Time) bool {
	before := m.owned(account, now)
	old, had := m.grants[account][subject]
	delete(m.grants[account], subject)
	if grant.role != "" {
		m.grants[account][subject] = grant
	}
	after := m.owned(account, now)
	if before && !after {
		delete(m.grants[account], subject)
		if had {
			m.grants[account][subject] = old
		}
		return false
	}
	m.orphaned[account] = !after
	return true
}

// leave takes a user's own grants and what their teams gave them, and notes the accounts that lost
// their last owner.
func (m *model) leave(user string, now time.Time) {
	var held []string
	for account, grants := range m.grants {
		for subject, grant := range grants {
			_, in := m.member[[2]string{subject, user}] // suspended or not
			if grant.role == accounts.Owner && (subject == user || in) {
				held = append(held, account)
			}
		}
	}
	m.active[user] = false
	for account := range m.grants {
		delete(m.grants[account], user)
	}
	for place := range m.member {
		if place[1] == user {
			m.member[place] = false
		}
	}
	for _, account := range held {
		m.orphaned[account] = !m.owned(account, now)
	}
}

// history plays random histories in two workspaces that look alike and compares what PostgreSQL says
// with what the model says.
type history struct {
	w                     *world
	sides                 []*side
	models                []*model
	accounts              []map[string]accounts.Account
	people, teams, logins []string
}

func TestHistories(t *testing.T) {
	w := open(t)
	rapid.Check(t, func(t *rapid.T) {
		h := &history{w: w, people: []string{"ana", "ben", "cleo", "gus"}, teams: []string{"wiki", "ops"}, logins: []string{"one", "two"}}
		for range 2 {
			s, m, made := w.side(t), newModel(h.people), map[string]accounts.Account{}
			for _, login := range h.logins {
				made[login] = s.account(t, login, "ana")
				m.grants[login] = map[string]modelGrant{"ana": {role: accounts.Owner}}
			}
			// Most of what can go wrong begins with a team that owns something.
			if _, err := s.share(t, s.cause, made["two"].ID, accounts.Subject{Team: s.teams["wiki"].ID}, accounts.Owner, nil); err != nil {
				t.Fatal(err)
			}
			s.add(t, "wiki", "ben")
			m.member[[2]string{"wiki", "ben"}] = true
			s.take(t, made["two"].ID, "ana")
			m.grants["two"] = map[string]modelGrant{"wiki": {role: accounts.Owner}}
			h.sides, h.models, h.accounts = append(h.sides, s), append(h.models, m), append(h.accounts, made)
		}
		steps := rapid.IntRange(1, 30).Draw(t, "steps")
		for range steps {
			h.step(t)
		}
		h.compare(t)
	})
}

func (h *history) step(t *rapid.T) {
	where := rapid.IntRange(0, 1).Draw(t, "workspace")
	s, m := h.sides[where], h.models[where]
	now := h.w.clock.now()
	user := rapid.SampledFrom(h.people).Draw(t, "user")
	team := rapid.SampledFrom(h.teams).Draw(t, "team")
	login := rapid.SampledFrom(h.logins).Draw(t, "account")
	account := h.accounts[where][login]
	subject, name := accounts.Subject{User: s.user(user)}, user
	if rapid.Bool().Draw(t, "to a team") {
		subject, name = accounts.Subject{Team: s.teams[team].ID}, team
	}
	switch action := rapid.SampledFrom([]string{"share", "share", "share", "unshare", "join", "join", "part", "suspend", "leave", "switch off", "return", "wait", "check"}).Draw(t, "action"); action {
	case "share":
		grant := modelGrant{role: rapid.SampledFrom([]accounts.Role{accounts.Owner, accounts.Collaborator}).Draw(t, "role")}
		var expires *time.Time
		if minutes := rapid.SampledFrom([]int{0, 0, 30, 90}).Draw(t, "minutes"); minutes > 0 {
			grant.expires = now.Add(time.Duration(minutes) * time.Minute)
			expires = &grant.expires
		}
		_, err := s.share(t, s.cause, account.ID, subject, grant.role, expires)
		switch {
		case !subject.User.IsZero() && (!m.active[user] || (user == m.guest && grant.role == accounts.Owner)):
			wants(t, err, core.KindInvalid, "")
		case !h.same(m, login, name, grant, now) && !m.set(login, name, grant, now):
			wants(t, err, core.KindConflict, "last_owner")
		case err != nil:
			t.Fatalf("%s shared with %s: %v", login, name, err)
		}
	case "unshare":
		grants, err := h.w.Grants(t.Context(), h.w.DB, s.workspace, account.ID)
		if err != nil {
			t.Fatal(err)
		}
		place := slices.IndexFunc(grants, func(g accounts.Grant) bool { return g.Subject() == subject })
		held, has := m.grants[login][name]
		if has = has && held.live(now); has != (place >= 0) {
			t.Fatalf("%s has a grant on %s: model %v, PostgreSQL %v", name, login, has, place >= 0)
		}
		if !has {
			return
		}
		err = s.unshare(t, s.cause, grants[place].ID)
		if !m.set(login, name, modelGrant{}, now) {
			wants(t, err, core.KindConflict, "last_owner")
		} else if err != nil {
			t.Fatal(err)
		}
	case "join":
		s.add(t, team, user)
		place := [2]string{team, user}
		m.member[place] = m.active[user] || m.member[place]
	case "part":
		h.w.tx(t, func(tx pgx.Tx) error {
			_, err := h.w.Directory.RemoveMembers(t.Context(), tx, s.workspace, s.teams[team].ID, []core.ID{s.user(user)})
			return err
		})
		delete(m.member, [2]string{team, user})
	case "suspend":
		h.w.tx(t, func(tx pgx.Tx) error {
			_, err := h.w.Directory.SuspendMemberships(t.Context(), tx, s.workspace, s.user(user))
			return err
		})
		for place := range m.member {
			if place[1] == user {
				m.member[place] = false
			}
		}
	case "leave":
		if _, err := s.leave(t, user); err != nil {
			t.Fatal(err)
		}
		m.leave(user, now)
		h.nothingFor(t, s, where, user)
		m.left[user] = true
	case "switch off":
		// Inactive and nothing else, as an unfinished change elsewhere might leave it.
		s.activate(t, user, false)
		m.active[user] = false
		h.nothingFor(t, s, where, user)
	case "return":
		s.activate(t, user, true)
		m.active[user] = true
		if m.left[user] {
			h.nothingFor(t, s, where, user)
		}
		m.left[user] = false
	case "wait":
		h.w.clock.pass(time.Hour)
	case "check":
		h.w.tx(t, func(tx pgx.Tx) error {
			_, err := h.w.CheckOwners(t.Context(), tx, s.cause, s.workspace)
			return err
		})
		for _, login := range h.logins {
			m.orphaned[login] = !m.owned(login, now)
		}
	}
}

// same reports whether sharing would change nothing.
func (h *history) same(m *model, login, subject string, wanted modelGrant, now time.Time) bool {
	held, has := m.grants[login][subject]
	return has && held.live(now) && held.role == wanted.role && held.expires.Equal(wanted.expires)
}

// nothingFor fails where somebody who left, or only just came back, may use anything.
func (h *history) nothingFor(t *rapid.T, s *side, where int, user string) {
	for login, account := range h.accounts[where] {
		if role := s.may(t, s.user(user), account.ID); role != "" {
			t.Fatalf("%s left and is still %s of %s", user, role, login)
		}
	}
}

// compare asks PostgreSQL every question there is, in both directions, and across the workspaces.
func (h *history) compare(t *rapid.T) {
	now := h.w.clock.now()
	for where, s := range h.sides {
		m, other := h.models[where], h.sides[1-where]
		for _, user := range h.people {
			want := ""
			for _, login := range h.logins {
				account := h.accounts[where][login]
				role := m.may(user, login, now)
				if got := s.may(t, s.user(user), account.ID); got != role {
					t.Fatalf("%s on %s: PostgreSQL says %q, the model %q", user, login, got, role)
				}
				for what, crossed := range map[string]accounts.Role{
					"the neighbour's account":  s.may(t, s.user(user), h.accounts[1-where][login].ID),
					"the neighbour's user":     s.may(t, other.user(user), account.ID),
					"the neighbour's question": other.may(t, s.user(user), account.ID),
				} {
					if crossed != "" {
						t.Fatalf("%s: %s may use %s as %s", what, user, login, crossed)
					}
				}
				if role != "" {
					want += fmt.Sprintf("%s:%s ", login, role)
				}
			}
			list, err := h.w.List(t.Context(), h.w.DB, s.workspace, accounts.ListQuery{User: s.user(user)})
			if err != nil || names(list) != want {
				t.Fatalf("%s can use %q, %v; the model says %q", user, names(list), err, want)
			}
		}
		for _, login := range h.logins {
			account, err := h.w.Account(t.Context(), h.w.DB, s.workspace, h.accounts[where][login].ID)
			if err != nil || account.Orphaned != m.orphaned[login] {
				t.Fatalf("%s is orphaned: PostgreSQL says %v, %v; the model %v", login, account.Orphaned, err, m.orphaned[login])
			}
			grants, err := h.w.Grants(t.Context(), h.w.DB, s.workspace, account.ID)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, grant := range grants {
				got = append(got, fmt.Sprint(grant.Name, " ", grant.Role))
			}
			for subject, grant := range m.grants[login] {
				if grant.live(now) {
					want = append(want, fmt.Sprint(subject, " ", grant.role))
				}
			}
			sort.Strings(got)
			sort.Strings(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%s is shared with %v; the model says %v", login, got, want)
			}
		}
	}
}
