package line

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/deploy/local"
)

// departures is a hold as the API tells of it.
type departures struct {
	ID       core.ID `json:"id"`
	LetGo    int     `json:"let_go"`
	People   int     `json:"people"`
	Waiting  int     `json:"waiting"`
	Decision string  `json:"decision"`
	Users    []struct {
		User  core.ID `json:"user"`
		State string  `json:"state"`
	} `json:"users"`
}

// states is what became of those in a hold, in the order they left.
func (s *stage) states(t testing.TB, id core.ID) string {
	t.Helper()
	var found []string
	for _, one := range ask[departures](t, s.API, "/holds/"+id.String()).Users {
		found = append(found, one.State)
	}
	return strings.Join(found, " ")
}

// kept is states, read where a dead process cannot hide them.
func (s *stage) kept(t testing.TB, id core.ID) string {
	t.Helper()
	var found string
	const states = `select string_agg(state, ' ' order by id) from departures where hold_id = $1`
	if err := s.DB.QueryRow(t.Context(), states, id).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAHoldIsCarriedOnOverAKill has more people leave than the guard lets through, approves that, and
// kills postern between the first and the last of them. Each is deprovisioned once, each password is
// rotated once, whoever carries it on.
func TestAHoldIsCarriedOnOverAKill(t *testing.T) {
	s := open(t, worldOptions{})
	if _, err := s.DB.Exec(t.Context(), installHolds); err != nil {
		t.Fatal(err)
	}
	owner := s.inside(t, "okta", local.OwnerName)
	all := s.berths(t, "mizzen", "topsail", "spanker", "jib")
	s.guard(t, map[string]any{"share": 1, "floor": 1})
	for _, one := range all {
		one.leaves()
	}
	open := ask[listed[departures]](t, s.API, "/holds?open=true").Items
	if len(open) != 1 || open[0].LetGo != 1 || open[0].People != 3 || open[0].Waiting != 3 {
		t.Fatalf("the guard holds %+v", open)
	}
	id := open[0].ID
	banner := func() bool {
		status, body := owner.with(t, http.MethodGet, "/", nil)
		if status != http.StatusOK {
			t.Fatalf("the console answers %d", status)
		}
		return strings.Contains(body, "4 people of") && strings.Contains(body, "1 was let go, 3 wait.") && strings.Contains(body, "/holds/"+id.String())
	}
	if !banner() {
		t.Error("no banner tells of the hold")
	}
	for _, one := range all[1:] {
		if found := one.turns(); len(found) != 1 || found[0].Reason != "verify" {
			t.Fatalf("%s: rotated before anybody decided: %+v", one.username, found)
		}
	}

	second := all[2].holdDeparture()
	tell[departures](t, s.API, "/holds/"+id.String()+"/approval", nil)
	if banner() {
		t.Error("the banner outlives the decision")
	}
	second.caught()
	if got := s.states(t, id); got != "done held held" {
		t.Fatalf("postern is caught at the second, and they are %s", got)
	}
	s.kill()
	second.release()
	if got := s.kept(t, id); got != "done held held" {
		t.Fatalf("postern is dead, and they are %s", got)
	}
	s.serve()
	s.eventually(time.Minute, "the hold is carried on", func() bool { return s.states(t, id) == "done done done" })
	for _, one := range all {
		one.rests(settling)
		one.isLockedOut(owner)
	}
	for i, one := range all {
		if turns := one.turns(); len(turns) != 2 || turns[0].Reason != "deprovision" || turns[0].Receipt == nil {
			t.Errorf("%s: %+v", one.username, turns)
		}
		told := map[core.EventType]int{}
		for _, target := range []string{one.id, one.account.String()} {
			for _, event := range events(t, s.API, map[string][]string{"target": {target}}) {
				if target == one.id || event.Event.Type == core.AccountPasswordRotated {
					told[event.Event.Type]++
				}
			}
		}
		held := 1
		if i == 0 {
			held = 0
		}
		for kind, want := range map[core.EventType]int{
			core.UserDepartureHeld: held, core.UserDeprovisioned: 1, core.AccountPasswordRotated: 1, core.AccountUnshared: 1,
		} {
			if told[kind] != want {
				t.Errorf("%s: %s is told %d times, want %d", one.username, kind, told[kind], want)
			}
		}
	}
	for kind, want := range map[core.EventType]int{core.DeparturesHeld: 1, core.DeparturesApproved: 1} {
		if found := events(t, s.API, map[string][]string{"type": {string(kind)}}); len(found) != want {
			t.Errorf("%s is told %d times: %d wanted", kind, len(found), want)
		}
	}
}
