package signals_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
)

// crowd lets so many people in, each with access to one account.
func (h house) crowd(t testing.TB, count int) []directory.User {
	t.Helper()
	var people []directory.User
	for i := range count {
		person := h.join(t, fmt.Sprint("crowd", i))
		h.share(t, 0, person.ID)
		people = append(people, person)
	}
	return people
}

// strike says of everybody, at once, that they are logged out, and returns what waits.
func (h house) strike(t testing.TB, people []directory.User) (done, held int, hold core.ID) {
	t.Helper()
	receipts := make([]signals.Receipt, len(people))
	failures := make([]error, len(people))
	var group sync.WaitGroup
	for i, person := range people {
		group.Go(func() { receipts[i], failures[i] = h.Receive(t.Context(), h.cause, h.about(person), nil) })
	}
	group.Wait()
	for i, receipt := range receipts {
		coretest.Must(t, failures[i])
		switch receipt.Outcome {
		case signals.Done:
			done++
		case signals.Held:
			held++
			if !hold.IsZero() && hold != receipt.Hold {
				t.Fatal("two holds at once")
			}
			hold = receipt.Hold
		default:
			t.Fatalf("%+v", receipt)
		}
	}
	return done, held, hold
}

func TestCrowdIsHeldButItsSessionsDie(t *testing.T) {
	h, other := pair(t)
	people := h.crowd(t, 20)
	var tokens []seal.Secret
	for _, person := range people {
		tokens = append(tokens, h.signIn(t, person, ""))
	}
	untouched := other.snapshot(t)
	done, held, hold := h.strike(t, people)
	if done != 10 || held != 10 {
		t.Fatalf("%d done, %d held; the guard lets 10 people through", done, held)
	}
	for _, token := range tokens {
		if h.alive(t, token) {
			t.Fatal("a session lives on")
		}
	}
	if asked := h.planned(t); asked != 10 {
		t.Fatalf("%d rotations were asked for, want 10", asked)
	}
	open, err := h.Holds(t.Context(), h.DB, h.workspace, true)
	coretest.Must(t, err)
	if len(open) != 1 || open[0].ID != hold || open[0].Waiting != 10 || open[0].LetGo != 10 || open[0].Active != 23 || h.events(t, core.SignalsHeld) != 1 {
		t.Fatalf("%+v", open)
	}
	// A second telling by another door adds nothing.
	signal := h.about(people[0])
	signal.Door = signals.SSFPush
	if receipt := h.receive(t, signal); receipt.Outcome != signals.Duplicate {
		t.Fatalf("%+v", receipt)
	}
	coretest.Wants(t, h.ApproveHold(t.Context(), core.NewCause(h.bob.Actor(), h.Now()), h.workspace, hold), core.KindDenied, "not_administrator")
	coretest.Wants(t, h.ApproveHold(t.Context(), h.system, other.workspace, hold), core.KindNotFound, "")
	coretest.Must(t, h.ApproveHold(t.Context(), h.system, h.workspace, hold))
	coretest.Wants(t, h.RejectHold(t.Context(), h.system, h.workspace, hold), core.KindConflict, "already_decided")
	second := h.second(t)
	carried := make([]int, 4)
	var group sync.WaitGroup
	for i := range carried {
		group.Go(func() {
			at := h
			if i%2 == 1 {
				at = second
			}
			done, err := at.Carry(t.Context())
			if err != nil {
				t.Error(err)
			}
			carried[i] = done
		})
	}
	group.Wait()
	if total := carried[0] + carried[1] + carried[2] + carried[3]; total != 10 || h.planned(t) != 20 {
		t.Fatalf("%d were carried out, %d rotations asked for; want 10 and 20", total, h.planned(t))
	}
	if again, err := h.Carry(t.Context()); err != nil || again != 0 {
		t.Fatal(again, err)
	}
	kept, err := h.List(t.Context(), h.DB, h.workspace, signals.Query{Hold: hold})
	coretest.Must(t, err)
	for _, one := range kept {
		if one.Outcome != signals.Done || len(one.Waiting) != 0 || len(one.Rotations) != 1 {
			t.Fatalf("%+v", one)
		}
	}
	// Counted anew from the decision.
	if receipt := h.receive(t, h.about(h.bob)); receipt.Outcome != signals.Done {
		t.Fatalf("%+v", receipt)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
}

func TestRejectedCrowdLosesNothing(t *testing.T) {
	h, _ := pair(t)
	_, held, hold := h.strike(t, h.crowd(t, 14))
	if held != 4 {
		t.Fatalf("%d held", held)
	}
	coretest.Must(t, h.RejectHold(t.Context(), h.system, h.workspace, hold))
	if done, err := h.Carry(t.Context()); err != nil || done != 4 {
		t.Fatal(done, err)
	}
	kept, err := h.List(t.Context(), h.DB, h.workspace, signals.Query{Outcome: signals.Rejected})
	coretest.Must(t, err)
	if len(kept) != 4 || h.planned(t) != 10 {
		t.Fatalf("%d rejected, %d rotations asked for", len(kept), h.planned(t))
	}
	found, err := h.Hold(t.Context(), h.DB, h.workspace, hold)
	coretest.Must(t, err)
	if found.Waiting != 0 || found.Decision != "rejected" {
		t.Fatalf("%+v", found)
	}
}

func TestPeopleWithoutAccountsWaitForNobody(t *testing.T) {
	h, _ := pair(t)
	var people []directory.User
	for i := range 14 {
		people = append(people, h.join(t, fmt.Sprint("plain", i)))
	}
	if done, held, _ := h.strike(t, people); done != 14 || held != 0 {
		t.Fatalf("%d done, %d held", done, held)
	}
	// But they are a crowd all the same, for who comes next and would lose something.
	if receipt := h.receive(t, h.about(h.ana)); receipt.Outcome != signals.Held {
		t.Fatalf("%+v", receipt)
	}
	if receipt := h.receive(t, h.about(h.eve)); receipt.Outcome != signals.Done {
		t.Fatalf("%+v", receipt)
	}
}

// A signal that means several people is held for those about whom it says something new: approved, it does nothing
// again for whom the incident was told, done or held before.
func TestApprovedSignalDoesEachPersonOnce(t *testing.T) {
	h, other := pair(t)
	people := h.crowd(t, 12)
	h.share(t, 1, people[0].ID)
	h.share(t, 2, people[10].ID)
	untouched := other.snapshot(t)
	for _, person := range people[:10] {
		if receipt := h.receive(t, h.about(person)); receipt.Outcome != signals.Done {
			t.Fatalf("%+v", receipt)
		}
	}
	first := h.receive(t, h.about(people[10]))
	several := h.about(people[0])
	several.Subject = signals.Subject{Format: signals.FormatAliases}
	for _, at := range []int{0, 10, 11} {
		several.Subject.Aliases = append(several.Subject.Aliases, signals.EmailSubject(people[at].Email))
	}
	second := h.receive(t, several)
	if first.Outcome != signals.Held || second.Outcome != signals.Held || len(second.Users) != 3 || first.Hold != second.Hold {
		t.Fatalf("%+v\n%+v", first, second)
	}
	asked := h.planned(t)
	coretest.Must(t, h.ApproveHold(t.Context(), h.system, h.workspace, first.Hold))
	if done, err := h.Carry(t.Context()); err != nil || done != 2 {
		t.Fatal(done, err)
	}
	for _, want := range []struct {
		receipt   core.ID
		rotations int
	}{{first.ID, 2}, {second.ID, 1}} {
		kept, err := h.Read(t.Context(), h.DB, h.workspace, want.receipt)
		coretest.Must(t, err)
		if kept.Outcome != signals.Done || len(kept.Rotations) != want.rotations || len(kept.Waiting) != 0 {
			t.Fatalf("%d rotations, want %d: %+v", len(kept.Rotations), want.rotations, kept)
		}
	}
	if again := h.planned(t) - asked; again != 3 {
		t.Fatalf("%d rotations were asked for, want 3", again)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
}
