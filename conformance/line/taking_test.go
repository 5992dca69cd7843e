package line

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local"
	"postern/oidc/devidp/push"
)

// strike is one death of postern between a departure's commit and the commit that takes the rest.
type strike struct {
	username string
	at       string // for a person: when postern dies
	hold     func(b *berth) string
	lingers  bool // the dead process's transaction is still open when the next process is at work
	takes    bool // it had sent its commit: PostgreSQL carries it out for the dead
}

func ofPerson(what string) func(b *berth) string {
	return func(b *berth) string { return b.id + "/" + what }
}

func ofAccount(what string) func(b *berth) string {
	return func(b *berth) string { return b.account.String() + "/" + what }
}

var strikes = []strike{
	{username: "bilge", at: "committed, nothing is taken", hold: ofPerson("leaver")},
	{username: "bowline", at: "the session is being ended", hold: ofPerson("session")},
	{username: "bulwark", at: "the grant is being revoked", hold: ofPerson("grant")},
	{username: "capstan", at: "the rotation is being planned", hold: ofAccount("rotation")},
	{username: "dinghy", at: "the events are being told", hold: ofAccount("events"), takes: true},
	{username: "fender", at: "committed, and the dead one lingers", hold: ofPerson("leaver"), lingers: true},
	{username: "gangway", at: "planning, and the dead one lingers", hold: ofAccount("rotation"), lingers: true},
}

// TestNoKillLosesADeparture kills postern after it answered that somebody has left, and before it took
// what they have: at each step of that. The person is out all the while, the next process takes
// everything, and everything is taken and told once.
func TestNoKillLosesADeparture(t *testing.T) {
	s := open(t, worldOptions{})
	if _, err := s.DB.Exec(t.Context(), installHolds); err != nil {
		t.Fatal(err)
	}
	owner := s.inside(t, "okta", local.OwnerName)
	var names []string
	for _, one := range strikes {
		names = append(names, one.username)
	}
	all := s.berths(t, names...)
	crew := make([]push.Member, len(all))
	for i, b := range all {
		crew[i] = push.Member{ID: b.id, UserName: b.username + "@acme.example"}
	}
	result, err := s.idp("okta", push.Okta).PushTeam(t.Context(), push.Team{ID: core.NewID().String(), DisplayName: "Deckhands"}, crew)
	answered(t, result, err)
	var table strings.Builder
	for i, one := range strikes {
		fmt.Fprintln(&table, s.strike(t, one, all[i], owner))
	}
	for _, b := range all {
		b.lostOnce(1)
	}
	t.Logf("%d deaths\n%-38s %-9s %s\n%s", len(strikes), "killed when", "ready", "taken, after the restart or the end of who lingered", table.String())
	s.stop()
}

// strike plays one death. It returns a line for the table.
func (s *stage) strike(t *testing.T, one strike, b *berth, owner *guest) string {
	t.Helper()
	g := s.inside(t, "okta", b.username+"@acme.example")
	if seen := g.filled(t, b.account); seen != b.password {
		t.Fatalf("%s: another password is given than the app has", b.username)
	}
	if had := b.has(); had != (belongings{Sessions: 1, Grants: 1, Memberships: 1}) {
		t.Fatalf("%s: before anything happened: %+v", b.username, had)
	}
	grip := b.grip(one.hold(b))
	b.leaves()
	grip.caught()
	if g.alive(t, b.account) {
		t.Errorf("%s: the session opens the account after the answer", b.username)
	}
	s.kill()
	if had := b.has(); had != (belongings{Leaving: 1, Sessions: 1, Grants: 1, Memberships: 1}) {
		t.Fatalf("%s, postern dead: %+v", b.username, had)
	}
	if !one.lingers {
		grip.release()
	}
	from := time.Now()
	s.serve()
	ready := time.Since(from)
	if g.alive(t, b.account) {
		t.Errorf("%s: the session opens the account after the restart", b.username)
	}
	if one.lingers {
		if had := b.has(); had.Leaving != 1 || had.Grants != 1 {
			t.Fatalf("%s: taken twice over: %+v", b.username, had)
		}
		from = time.Now()
		grip.release()
	}
	if newest := b.rests(settling); newest.Reason != "deprovision" || newest.State != "done" {
		t.Fatalf("%s: the rotation is %s for %s: %s", b.username, newest.State, newest.Reason, newest.Detail)
	}
	if had := b.has(); had != (belongings{}) {
		t.Fatalf("%s: in the end: %+v", b.username, had)
	}
	b.isLockedOut(owner)
	if again := s.enter(t, "okta", b.username+"@acme.example"); again.cookie != "" {
		t.Errorf("%s signs in again", b.username)
	}
	after := b.turns()[0].Created.Sub(from)
	if one.takes != (after < 0) {
		t.Errorf("%s: planned %s after the restart; by the dead process: %t", b.username, after, one.takes)
	}
	took := fmt.Sprintf("%.2f s", after.Seconds())
	if one.takes {
		took = "by PostgreSQL, for the dead"
	}
	return fmt.Sprintf("%-38s %6.2f s  %s", one.at, ready.Seconds(), took)
}

// belongings are what a person still has, read where a dead process cannot hide it.
type belongings struct{ Leaving, Sessions, Grants, Memberships int }

func (b *berth) has() (had belongings) {
	b.t.Helper()
	err := b.DB.QueryRow(b.t.Context(), `
select (select count(*) from leavers where user_id = $1), (select count(*) from sessions where user_id = $1 and ended is null),
	(select count(*) from grants where user_id = $1 and revoked is null), (select count(*) from team_members where user_id = $1 and suspended is null)`,
		b.id).Scan(&had.Leaving, &had.Sessions, &had.Grants, &had.Memberships)
	if err != nil {
		b.t.Fatal(err)
	}
	return had
}

// lostOnce checks what is on record of somebody who left: everything, and once.
func (b *berth) lostOnce(rotations int) {
	b.t.Helper()
	told := map[core.EventType]int{}
	seen := map[core.ID]bool{}
	for _, target := range []string{b.id, b.account.String()} {
		for _, one := range events(b.t, b.API, map[string][]string{"target": {target}}) {
			if !seen[one.Event.ID] && one.Event.Data["reason"] != "verify" {
				told[one.Event.Type]++
			}
			seen[one.Event.ID] = true
		}
	}
	for kind, want := range map[core.EventType]int{
		core.UserDeprovisioned: 1, core.SessionEnded: 1, core.AccountUnshared: 1,
		core.RotationPlanned: rotations, core.RotationStarted: rotations, core.AccountPasswordRotated: rotations,
	} {
		if told[kind] != want {
			b.t.Errorf("%s: %s is told %d times, want %d", b.username, kind, told[kind], want)
		}
	}
	receipts := 0
	for _, turn := range b.turns() {
		if turn.Receipt != nil {
			receipts++
		}
	}
	if receipts != rotations {
		b.t.Errorf("%s: %d receipts, want %d", b.username, receipts, rotations)
	}
}

// TestAKillAmongManyLeavers has a crew leave at once, kills postern while every taker is in the middle of
// somebody, and lets the next process take from all of them. What they share is given a new password.
func TestAKillAmongManyLeavers(t *testing.T) {
	const crew = 60
	s := open(t, worldOptions{})
	if _, err := s.DB.Exec(t.Context(), installHolds); err != nil {
		t.Fatal(err)
	}
	owner := s.inside(t, "okta", local.OwnerName)
	b := s.berths(t, "long-boat")[0]
	people := []string{b.id}
	for i := 1; i < crew; i++ {
		pushed, err := b.idp.PushUser(t.Context(), newcomer(fmt.Sprintf("hand-%02d", i)))
		id := answered(t, pushed, err).ID
		tell[any](t, s.API, "/accounts/"+b.account.String()+"/grants", map[string]any{"user": id, "role": "collaborator"})
		people = append(people, id)
	}
	held := []*hold{s.grip(people[0] + "/leaver"), s.grip(people[1] + "/grant")} // two takers, and both are caught
	for _, id := range people {
		pushed, err := b.idp.Deactivate(t.Context(), id)
		answered(t, pushed, err)
	}
	for _, one := range held {
		one.caught()
	}
	if left := s.leaving(t); left != crew {
		t.Fatalf("every taker is caught, and %d of %d wait", left, crew)
	}
	s.kill()
	for _, one := range held {
		one.release()
	}
	if left := s.leaving(t); left != crew {
		t.Fatalf("postern is dead, and %d of %d wait", left, crew)
	}
	restarted := time.Now()
	s.serve()
	ready := time.Since(restarted)
	s.eventually(time.Minute, "everything is taken from everybody", func() bool { return s.leaving(t) == 0 })
	var last time.Time
	if err := s.DB.QueryRow(t.Context(), `select max(revoked) from grants where user_id = any($1::uuid[])`, people).Scan(&last); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d people: postern is ready after %s, the last is taken %s after the restart", crew, ready.Round(time.Millisecond), last.Sub(restarted).Round(time.Millisecond))
	if newest := b.rests(settling); newest.State != "done" {
		t.Fatalf("the rotation is %s: %s", newest.State, newest.Detail)
	}
	b.isLockedOut(owner)
	for _, kind := range []core.EventType{core.UserDeprovisioned, core.AccountUnshared} {
		told := map[string]int{}
		for _, one := range events(t, s.API, map[string][]string{"type": {string(kind)}}) {
			for _, target := range one.Event.Targets {
				told[target.ID.String()]++
			}
		}
		for _, id := range people {
			if told[id] != 1 {
				t.Errorf("%s: %s is told %d times", id, kind, told[id])
			}
		}
	}
	// One rotation for all, or more: who is taken after one has begun may have another begin.
	receipts := 0
	for _, turn := range b.turns() {
		if turn.Finished == nil {
			t.Errorf("a rotation is still open: %s", turn.State)
		}
		if turn.Receipt != nil {
			receipts++
		}
	}
	if receipts == 0 {
		t.Error("no rotation has a receipt")
	}
	s.stop()
}

// leaving is how many people wait until what they have is taken.
func (s *stage) leaving(t testing.TB) (count int) {
	t.Helper()
	if err := s.DB.QueryRow(t.Context(), `select count(*) from leavers`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}
