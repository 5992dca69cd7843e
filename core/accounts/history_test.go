package accounts_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
)

// model is what access should be, in a few maps: one workspace's truth without SQL.
type model struct {
	active   map[string]bool
	left     map[string]bool                  // and did not come back yet
	member   map[[2]string]bool               // (team, user) → gives access
	grants   map[string]map[string]modelGrant // account → subject → grant, unrevoked
	orphaned map[string]bool                  // as it was last looked at
	role     map[string]directory.Role        // in the workspace
	due      map[string]int                   // account → grants that ended by the clock, of which nobody was told
	told     int                              // of those there were
}

type modelGrant struct {
	role    accounts.Role
	expires time.Time // zero: never
	purpose string
}

func (g modelGrant) live(now time.Time) bool { return g.expires.IsZero() || g.expires.After(now) }

func newModel(people []string) *model {
	m := &model{active: map[string]bool{}, left: map[string]bool{}, member: map[[2]string]bool{}, grants: map[string]map[string]modelGrant{}, orphaned: map[string]bool{}, role: map[string]directory.Role{}, due: map[string]int{}}
	for _, person := range people {
		m.active[person], m.role[person] = true, directory.RoleUser
	}
	m.role["gus"] = directory.RoleGuest
	return m
}

func (m *model) mayOwn(user string) bool {
	return m.role[user] != directory.RoleGuest && m.role[user] != directory.RoleLoginOnly
}

func (m *model) may(user, account string, now time.Time) accounts.Role {
	role, _, _ := m.how(user, account, now)
	return role
}

// how is the strongest role somebody has, by what, and when it ends.
func (m *model) how(user, account string, now time.Time) (best accounts.Role, ways []string, ends time.Time) {
	if !m.active[user] {
		return "", nil, ends
	}
	var given []modelGrant
	for subject, grant := range m.grants[account] {
		if grant.live(now) && (subject == user || m.member[[2]string{subject, user}]) {
			given = append(given, grant)
			if subject == user {
				subject = "" // their own comes first
			}
			ways = append(ways, subject)
			if best = accounts.Collaborator; m.mayOwn(user) && slices.ContainsFunc(given, func(g modelGrant) bool { return g.role == accounts.Owner }) {
				best = accounts.Owner
			}
		}
	}
	sort.Strings(ways)
	never := false
	for _, grant := range given {
		if best == accounts.Collaborator || grant.role == accounts.Owner {
			never = never || grant.expires.IsZero()
			if grant.expires.After(ends) {
				ends = grant.expires
			}
		}
	}
	if never {
		ends = time.Time{}
	}
	return best, ways, ends
}

// words are how in the words of side.how.
func (m *model) words(user, account string, now time.Time) string {
	role, ways, ends := m.how(user, account, now)
	if role == "" {
		return ""
	}
	if ways[0] == "" {
		ways[0] = "own"
	}
	text := ":" + string(role) + ":" + strings.Join(ways, "+")
	if !ends.IsZero() {
		text += ":+" + ends.Sub(now).String()
	}
	return text + " "
}

// pass is what time alone changes: what ends is to be told of once, whatever happens to it after.
func (m *model) pass(from, to time.Time) {
	for account, grants := range m.grants {
		for _, grant := range grants {
			if grant.live(from) && !grant.live(to) {
				m.due[account]++
			}
		}
	}
}

// sweep is the telling.
func (m *model) sweep(now time.Time) {
	for account, many := range m.due {
		m.told += many
		for subject, grant := range m.grants[account] {
			if !grant.live(now) {
				delete(m.grants[account], subject)
			}
		}
		m.orphaned[account] = !m.owned(account, now)
	}
	m.due = map[string]int{}
}

// looked notes what is found when somebody's role in the workspace, or in a team, comes to be worth
// more or less.
func (m *model) looked(user string, now time.Time) {
	for account, grants := range m.grants {
		for subject, grant := range grants {
			if _, in := m.member[[2]string{subject, user}]; grant.role == accounts.Owner && (subject == user || in) {
				m.orphaned[account] = !m.owned(account, now)
			}
		}
	}
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
	now := h.w.clock.Now()
	user := rapid.SampledFrom(h.people).Draw(t, "user")
	team := rapid.SampledFrom(h.teams).Draw(t, "team")
	login := rapid.SampledFrom(h.logins).Draw(t, "account")
	account := h.accounts[where][login]
	subject, name := accounts.Subject{User: s.user(user)}, user
	if rapid.Bool().Draw(t, "to a team") {
		subject, name = accounts.Subject{Team: s.teams[team].ID}, team
	}
	switch action := rapid.SampledFrom([]string{"share", "share", "share", "unshare", "join", "join", "part", "suspend", "leave", "switch off", "return", "role", "role", "wait", "wait", "sweep", "check"}).Draw(t, "action"); action {
	case "share":
		grant := modelGrant{role: rapid.SampledFrom([]accounts.Role{accounts.Owner, accounts.Collaborator}).Draw(t, "role")}
		var expires *time.Time
		if minutes := rapid.SampledFrom([]int{0, 0, 30, 90}).Draw(t, "minutes"); minutes > 0 {
			grant.expires = now.Add(time.Duration(minutes) * time.Minute)
			expires = &grant.expires
		}
		grant.purpose = rapid.SampledFrom([]string{"", "on call"}).Draw(t, "purpose")
		err := h.w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := h.w.Share(t.Context(), tx, s.cause, s.workspace, account.ID, accounts.Sharing{Subject: subject, Role: grant.role, Expires: expires, Purpose: grant.purpose})
			return err
		})
		switch {
		case !subject.User.IsZero() && (!m.active[user] || (!m.mayOwn(user) && grant.role == accounts.Owner)):
			if core.KindOf(err) != core.KindInvalid { // for one reason or the other
				t.Fatalf("shared with whoever may not have it: %v", err)
			}
		case !h.same(m, login, name, grant, now) && !m.set(login, name, grant, now):
			coretest.Wants(t, err, core.KindConflict, "last_owner")
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
			coretest.Wants(t, err, core.KindConflict, "last_owner")
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
	case "role":
		// What lifecycle does about a role that is worth more or less.
		role := rapid.SampledFrom([]directory.Role{directory.RoleAdmin, directory.RoleUser, directory.RoleLoginOnly, directory.RoleGuest}).Draw(t, "workspace role")
		h.w.tx(t, func(tx pgx.Tx) error {
			found, err := h.w.Directory.LockUser(t.Context(), tx, s.workspace, s.user(user))
			if err != nil {
				return err
			}
			found.Role = role
			if _, err := h.w.Directory.UpdateUser(t.Context(), tx, found); err != nil {
				return err
			}
			events, err := h.w.CheckOwned(t.Context(), tx, s.cause, s.workspace, accounts.Subject{User: s.user(user)})
			if err != nil {
				return err
			}
			return audit.Append(t.Context(), tx, events...)
		})
		m.role[user] = role
		m.looked(user, now)
	case "wait":
		h.w.clock.Pass(time.Hour)
		for _, m := range h.models {
			m.pass(now, h.w.clock.Now())
		}
	case "sweep":
		h.w.sweep(t)
		for _, m := range h.models {
			m.sweep(now)
		}
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
	return has && held.live(now) && held.role == wanted.role && held.expires.Equal(wanted.expires) && held.purpose == wanted.purpose
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
	now := h.w.clock.Now()
	for where, s := range h.sides {
		m, other := h.models[where], h.sides[1-where]
		for _, user := range h.people {
			want, limit := "", rapid.IntRange(0, 3).Draw(t, "limit")
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
					want += login + m.words(user, login, now)
				}
			}
			if got := s.usable(t, s.user(user), accounts.UsableQuery{Limit: limit}); got != want {
				t.Fatalf("%s can use %q; the model says %q", user, got, want)
			}
			if got := s.usable(t, other.user(user), accounts.UsableQuery{}); got != "" {
				t.Fatalf("%s of next door can use %q", user, got)
			}
		}
		if got := s.events(t, core.AccountGrantExpired); got != m.told {
			t.Fatalf("%d ends were told, the model says %d", got, m.told)
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
				got = append(got, fmt.Sprint(grant.Name, " ", grant.Role, " ", grant.Purpose))
			}
			for subject, grant := range m.grants[login] {
				if grant.live(now) {
					want = append(want, fmt.Sprint(subject, " ", grant.role, " ", grant.purpose))
				}
			}
			sort.Strings(got)
			sort.Strings(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%s is shared with %v; the model says %v", login, got, want)
			}
			who := ""
			for _, user := range h.people { // in the order of their names
				if how := m.words(user, login, now); how != "" {
					who += user + how
				}
			}
			if got := s.access(t, account.ID, accounts.AccessQuery{Limit: rapid.IntRange(0, 3).Draw(t, "limit")}); got != who {
				t.Fatalf("%s can be used by %q; the model says %q", login, got, who)
			}
			if got := other.access(t, account.ID, accounts.AccessQuery{}); got != "" {
				t.Fatalf("next door, %s can be used by %q", login, got)
			}
		}
	}
}
