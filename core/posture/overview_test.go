package posture_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/posture"
)

// login is an account as a naive reader sees it.
type login struct {
	state   accounts.State
	rotated *time.Time
	people  int // live grants
	teams   int
	codes   bool
	address bool
}

func (l login) meets(now time.Time) map[posture.Milestone]bool {
	return map[posture.Milestone]bool{
		posture.Correct:      l.state == accounts.Validated,
		posture.ManagedEmail: l.address,
		posture.ManagedMFA:   l.codes,
		posture.Shared:       l.teams > 0 || l.people > 1,
		posture.Rotated:      l.rotated != nil && l.rotated.After(now.Add(-posture.StaleAfter)),
	}
}

// For any accounts, states, rotations, grants, ends and revocations, what SQL counts is what a naive reader counts.
func TestMilestonesAgainstAModel(t *testing.T) {
	w := open(t)
	neighbour := w.house(t, "neighbour")
	neighbour.faulty(t)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		number++
		h := w.house(t, fmt.Sprint("house", number))
		now := w.clock.Now()
		model := map[core.ID]login{}
		states := []accounts.State{accounts.Validated, accounts.Validated, accounts.Unvalidated, accounts.Desynced, accounts.AtRisk}
		for range rapid.IntRange(0, 6).Draw(rt, "accounts") {
			made := h.account(t, strong())
			one := login{state: rapid.SampledFrom(states).Draw(rt, "state"), people: 1}
			if age := rapid.IntRange(-1, 300).Draw(rt, "rotated days ago"); age >= 0 {
				one.rotated = new(now.AddDate(0, 0, -age))
			}
			h.exec(t, `update accounts set state = @state, rotated = @rotated where workspace_id = @workspace and id = @account`,
				pgx.StrictNamedArgs{"state": string(one.state), "rotated": one.rotated, "account": made.ID})
			switch rapid.SampledFrom([]string{"none", "stored", "removed"}).Draw(rt, "totp") {
			case "stored":
				one.codes = true
				h.enrol(t, made.ID, nil)
			case "removed":
				h.enrol(t, made.ID, new(now))
			}
			switch kind := rapid.SampledFrom([]string{"none", "phone", "given", "removed"}).Draw(rt, "mailbox"); kind {
			case "phone":
				h.mailbox(t, made.ID, nil)
			case "given", "removed":
				h.mailbox(t, made.ID, new(made.ID.String()+"@in.example.com"))
				if one.address = kind == "given"; !one.address {
					h.exec(t, `update mailboxes set address = null where workspace_id = @workspace and account_id = @account`, pgx.StrictNamedArgs{"account": made.ID})
				}
			}
			for _, grantee := range []string{"ben", "ada", "gus", "ops", "empty"} {
				kind := rapid.SampledFrom([]string{"none", "live", "ends", "ended", "revoked"}).Draw(rt, grantee)
				if kind == "none" {
					continue
				}
				expires, revoked := (*time.Time)(nil), (*time.Time)(nil)
				switch kind {
				case "ends":
					expires = new(now.Add(time.Hour))
				case "ended":
					expires = new(now)
				case "revoked":
					revoked = new(now)
				}
				h.exec(t, `insert into grants (id, workspace_id, account_id, user_id, team_id, role, expires, revoked)
					values (gen_random_uuid(), @workspace, @account, @user, @team, 'collaborator', @expires, @revoked)`,
					pgx.StrictNamedArgs{"account": made.ID, "user": h.people[grantee].ID, "team": h.teams[grantee], "expires": expires, "revoked": revoked})
				if kind == "live" || kind == "ends" {
					if h.teams[grantee].IsZero() {
						one.people++
					} else {
						one.teams++
					}
				}
			}
			model[made.ID] = one
		}
		h.Mail = rapid.Bool().Draw(rt, "e-mail is received")
		met, complete := map[posture.Milestone]int{}, 0
		for _, one := range model {
			whole := true
			for name, is := range one.meets(now) {
				if is {
					met[name]++
				}
				whole = whole && (is || name == posture.ManagedEmail && !h.Mail)
			}
			if whole {
				complete++
			}
		}
		found, err := h.Overview(t.Context(), h.DB, h.id)
		coretest.Must(t, err)
		if found.Accounts != len(model) || found.Complete != complete {
			rt.Fatalf("%d accounts, %d complete; want %d, %d", found.Accounts, found.Complete, len(model), complete)
		}
		for _, one := range found.Milestones {
			if one.Met != met[one.Milestone] || one.Of != len(model) {
				rt.Fatalf("%s: %d of %d, want %d of %d", one.Milestone, one.Met, one.Of, met[one.Milestone], len(model))
			}
			lacking, err := h.Standings(t.Context(), h.DB, h.id, posture.StandingQuery{Missing: one.Milestone})
			coretest.Must(t, err)
			if len(lacking) != len(model)-one.Met {
				rt.Fatalf("%d accounts lack %s, %d are listed", len(model)-one.Met, one.Milestone, len(lacking))
			}
		}
		all, err := h.Standings(t.Context(), h.DB, h.id, posture.StandingQuery{})
		coretest.Must(t, err)
		for _, one := range all {
			wants := model[one.ID].meets(now)
			for _, step := range one.Steps {
				counts := h.Mail || step.Milestone != posture.ManagedEmail
				if step.Available != counts || step.Met != (wants[step.Milestone] && counts) || step.Why == "" || step.Met == (step.Next != "") && step.Available {
					rt.Fatalf("%s of %+v: %+v", step.Milestone, model[one.ID], step)
				}
			}
		}
	})
}

// enrol has an account have a TOTP secret, or have had one.
func (h *house) enrol(t *testing.T, account core.ID, removed *time.Time) {
	t.Helper()
	h.exec(t, `insert into account_totps (workspace_id, account_id, version, stored, removed) values (@workspace, @account, 1, @now, @removed)`,
		pgx.StrictNamedArgs{"account": account, "now": h.clock.Now(), "removed": removed})
}

// mailbox has an account have an address, or a number alone.
func (h *house) mailbox(t *testing.T, account core.ID, address *string) {
	t.Helper()
	h.exec(t, `insert into mailboxes (workspace_id, account_id, address, phone) values (@workspace, @account, @address, '+49' || (random() * 1e10)::bigint)`,
		pgx.StrictNamedArgs{"account": account, "address": address})
}

// perfect makes an account that meets every milestone there is.
func (h *house) perfect(t *testing.T) {
	t.Helper()
	account := h.account(t, strong()).ID
	h.state(t, account, accounts.Validated)
	h.enrol(t, account, nil)
	h.mailbox(t, account, new(account.String()+"@in.example.com"))
	h.share(t, account, accounts.Subject{Team: h.teams["ops"]}, accounts.Collaborator, nil)
	h.exec(t, `update accounts set rotated = @now where workspace_id = @workspace and id = @account`, pgx.StrictNamedArgs{"account": account, "now": h.clock.Now()})
}

func TestTheScoreIsExplained(t *testing.T) {
	h, _ := pair(t)
	empty, err := h.Overview(t.Context(), h.DB, h.id)
	coretest.Must(t, err)
	if empty.Score != nil || len(empty.Parts) != 0 || len(empty.Milestones) != 5 {
		t.Fatalf("of nothing: %+v", empty)
	}
	h.perfect(t)
	score := func() posture.Overview {
		t.Helper()
		found, err := h.Overview(t.Context(), h.DB, h.id)
		coretest.Must(t, err)
		points, worth, address := 0.0, 0.0, false
		for i, part := range found.Parts {
			points, worth = points+part.Points, worth+part.Points+part.Lost
			if i > 0 && part.Lost > found.Parts[i-1].Lost {
				t.Errorf("%s comes after less", part.Name)
			}
			address = address || part.Name == string(posture.ManagedEmail)
		}
		if address != h.Mail {
			t.Errorf("addresses count: %t; e-mail is received: %t", address, h.Mail)
		}
		if found.Score == nil || *found.Score != int(points+1e-9) || worth < 99.999 || worth > 100.001 {
			t.Fatalf("the score is %v, its parts make %f of %f", found.Score, points, worth)
		}
		return found
	}
	if found := score(); *found.Score != 100 || found.Complete != 1 || found.Parts[0].Lost != 0 {
		t.Fatalf("a perfect workspace has %d: %+v", *found.Score, found.Parts)
	}
	h.exec(t, `update mailboxes set address = null where workspace_id = @workspace`, nil)
	if found := score(); *found.Score != 91 || found.Complete != 0 || found.Parts[0].Name != string(posture.ManagedEmail) || found.Parts[0].Next == "" {
		t.Fatalf("without an address it has %d: %+v", *found.Score, found.Parts)
	}
	h.Mail = false
	if found := score(); *found.Score != 100 || found.Complete != 1 {
		t.Fatalf("where none can be had it has %d: %+v", *found.Score, found.Parts)
	}
	h.faulty(t)
	found := score()
	if *found.Score >= 100 || found.Parts[0].Lost <= 0 || found.Parts[0].Next == "" {
		t.Fatalf("a faulty one has %d: %+v", *found.Score, found.Parts)
	}
	for _, one := range found.Milestones {
		if one.Why == "" || one.Available == strings.Contains(one.Why, "receives no e-mail") {
			t.Errorf("%+v", one)
		}
	}
}

func TestADayHasOneRow(t *testing.T) {
	h, other := pair(t)
	h.account(t, strong())
	days := func(h *house) []posture.Day {
		t.Helper()
		found, err := h.History(t.Context(), h.DB, h.id, 1000)
		coretest.Must(t, err)
		return found
	}
	if len(days(h)) != 0 {
		t.Fatal("there is a history before the first day")
	}
	// Three processes at once, twice.
	total := make(chan int, 6)
	for range 2 {
		together(func() { total <- take(t, h.Posture) }, func() { total <- take(t, h.another(t)) }, func() { total <- take(t, h.another(t)) })
	}
	close(total)
	sum := 0
	for one := range total {
		sum += one
	}
	if sum != 2 {
		t.Errorf("%d rows are taken of 2 workspaces", sum)
	}
	first := days(h)
	if len(first) != 1 || first[0].Score == nil || first[0].Accounts != 1 || first[0].Findings[posture.Unvalidated] != 1 || first[0].Milestones[posture.Shared] != 0 || !first[0].Day.Equal(morning.Truncate(24*time.Hour)) {
		t.Fatalf("the first day: %+v", first)
	}
	if _, counted := first[0].Milestones[posture.ManagedEmail]; !counted {
		t.Error("managed addresses are not counted")
	}
	h.clock.Pass(24 * time.Hour)
	h.Mail = false
	take(t, h.Posture)
	if found := days(h); len(found) != 2 || len(found[1].Milestones) != 4 {
		t.Errorf("what Postern cannot do is counted: %+v", found)
	}
	h.clock.Pass(posture.KeptDays * 24 * time.Hour)
	take(t, h.Posture)
	if found := days(h); len(found) != 1 || found[0].Day.Equal(first[0].Day) {
		t.Errorf("after more days than are kept: %+v", found)
	}
	if kept := h.count(t, `select count(*) from posture_days where workspace_id = @workspace`, nil); kept != 1 {
		t.Errorf("%d days are kept", kept)
	}
	if found := days(other); len(found) != 1 || found[0].Accounts == 1 {
		t.Errorf("the neighbour's day: %+v", found)
	}
}

func take(t testing.TB, p *posture.Posture) int {
	t.Helper()
	taken, err := p.Take(t.Context())
	if err != nil {
		t.Error(err)
	}
	return taken
}

// A workspace that somebody else holds is passed over, and taken the next time; the others are taken.
func TestTakingWaitsForNobody(t *testing.T) {
	h, _ := pair(t)
	held, err := h.DB.Begin(t.Context())
	coretest.Must(t, err)
	_, err = held.Exec(t.Context(), `select id from workspaces where id = $1 for no key update`, h.id)
	coretest.Must(t, err)
	if taken := take(t, h.Posture); taken != 1 {
		t.Errorf("%d are taken beside the one that is held", taken)
	}
	coretest.Must(t, held.Rollback(context.WithoutCancel(t.Context())))
	if taken := take(t, h.Posture); taken != 1 {
		t.Errorf("%d are taken afterwards", taken)
	}
}
