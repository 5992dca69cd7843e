package rotation_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
	"postern/core/rotation"
)

// left is all that a death leaves behind: the rotation and the account's passwords in the database, the budget, and the app.
// Times are told from now. What leaves the same behind goes on in the same way.
func (s *subject) left(id core.ID) string {
	s.t.Helper()
	var row, passwords, budget string
	err := s.db.QueryRow(context.Background(), `
		select concat_ws(' ', r.state, r.candidate, r.previous, r.answer, r.refusals, r.rung, r.pass, r.attempts, r.parked, r.delay, r.reason, r.follow,
				r.submitted - $3, r.probed - $3, r.new_accepted - $3, r.old_refused - $3, r.next_attempt - $3, r.lease_until - $3, r.finished - $3),
			(select string_agg(concat_ws(' ', c.version, c.label, c.proven - $3, c.refused - $3), ',' order by c.version) from credential_versions c where c.account_id = r.account_id),
			coalesce((select string_agg((b.at - $3)::text, ',' order by b.at, b.id) from sign_in_attempts b where b.account_id = r.account_id), '')
		from rotations r where r.workspace_id = $1 and r.id = $2`, s.workspace, id, s.clock.Now()).Scan(&row, &passwords, &budget)
	if err != nil {
		s.t.Fatal(err)
	}
	stored := map[string]int{}
	for i, password := range s.stored() {
		stored[password] = i + 1
	}
	s.app.lock.Lock()
	defer s.app.lock.Unlock()
	app := fmt.Sprint(stored[s.app.password], s.app.behaviour)
	for _, change := range s.app.pending {
		app += fmt.Sprint(" ", stored[change.current], stored[change.next], change.due.Sub(s.clock.Now()))
	}
	for _, failure := range s.app.failures {
		app += fmt.Sprint(" ", s.clock.Now().Sub(failure))
	}
	return fmt.Sprint(row, "; ", passwords, "; ", budget, "; ", app)
}

// TestNoTwoDeathsLoseAPassword goes depth first through the histories of two deaths over an app that treats two changes in
// any two ways, and has a third process go on. A second way is taken only where there is a second change, and what leaves
// behind what another history left is not gone on with again. Every history is one of the engine itself over a database.
//
// By default, so that it takes seconds, the first death is at every 17th point, from one that differs by behaviour, and the second
// at every 7th. POSTERN_TEST_HISTORIES=all has both be at every point, which takes an hour.
func TestNoTwoDeathsLoseAPassword(t *testing.T) {
	var histories, alike atomic.Int64
	first, second := 17, 7
	if os.Getenv("POSTERN_TEST_HISTORIES") == "all" {
		first, second = 1, 1
	}
	t.Cleanup(func() { t.Logf("%d histories, of which %d left what another had left", histories.Load(), alike.Load()) })
	for number, behaves := range behaviours {
		t.Run(string(behaves), func(t *testing.T) {
			t.Parallel()
			h := build(t)
			open, finished := map[string]bool{}, map[string]bool{} // what the first and the second death left
			for at := 1 + number%first; ; at += first {
				died, changes := false, 0
				for _, then := range behaviours {
					for again := 0; ; again += second { // 0: the second process lives
						s := h.open(t, again%2, behaves, then)
						id := s.plan(rotation.ReasonDeprovision).ID
						one, other := &life{endsAt: at}, &life{endsAt: again}
						name := fmt.Sprintf("%s, %s: killed at %d and %d", behaves, then, at, again)
						s.advance(id, one)
						died = one.dead
						if err := s.sound(); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						changes = max(changes, 2-len(s.app.behaviour))
						if left := s.left(id); again == 0 && open[left] {
							alike.Add(1)
							break
						} else if again == 0 {
							open[left] = true
						}
						s.advance(id, other)
						if err := s.sound(); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						histories.Add(1)
						if left := s.left(id); finished[left] {
							alike.Add(1)
						} else {
							finished[left] = true
							s.advance(id, &life{})
							if err := s.rotated(id); err != nil {
								t.Fatalf("%s, then finished: %v (%v)", name, err, s.states(id))
							}
						}
						changes = max(changes, 2-len(s.app.behaviour))
						h.clock.Pass(time.Hour)
						if again > 0 && !other.dead {
							break
						}
					}
					if changes < 2 || !died {
						break
					}
				}
				if !died {
					break
				}
			}
		})
	}
}
