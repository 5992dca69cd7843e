package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// crowd provisions people who each have a session, a grant on the first account and a place in the team.
func (h house) crowd(t testing.TB, prefix string, many int) []directory.User {
	t.Helper()
	var people []directory.User
	var ids []core.ID
	for i := range many {
		user := h.join(t, fmt.Sprintf("%s%02d@example.com", prefix, i))
		h.share(t, 0, accounts.Subject{User: user.ID})
		_, err := h.signIn(t, user.ID, time.Now())
		coretest.Must(t, err)
		people, ids = append(people, user), append(ids, user.ID)
	}
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = ids })
	return people
}

func (h house) deactivate(t testing.TB, cause core.Cause, user core.ID) {
	t.Helper()
	_, err := h.Change(t.Context(), cause, h.workspace, user, func(u *directory.User) error { u.Active = false; return nil })
	coretest.Must(t, err)
	h.take(t)
}

// has is what a user has left: sessions, grants, memberships that count.
func (h house) has(t testing.TB, user core.ID) string {
	t.Helper()
	var text strings.Builder
	for _, query := range []string{
		`select count(*) from sessions where workspace_id = @workspace and user_id = @user and ended is null`,
		`select count(*) from grants where workspace_id = @workspace and user_id = @user and revoked is null`,
		`select count(*) from team_members where workspace_id = @workspace and user_id = @user and suspended is null`,
	} {
		fmt.Fprint(&text, h.count(t, query, pgx.StrictNamedArgs{"user": user}))
	}
	return text.String()
}

func (h house) holds(t testing.TB, open bool) []lifecycle.Hold {
	t.Helper()
	found, err := h.Holds(t.Context(), h.DB, h.workspace, open)
	coretest.Must(t, err)
	return found
}

// states is what became of each user of a hold.
func (h house) states(t testing.TB, hold core.ID) map[string]lifecycle.State {
	t.Helper()
	users, err := h.HeldUsers(t.Context(), h.DB, h.workspace, hold, 0)
	coretest.Must(t, err)
	found := map[string]lifecycle.State{}
	for _, user := range users {
		found[user.UserName] = user.State
	}
	return found
}

// The eleventh of too many keeps what they have, the ten before do not. Defaults: more than 20 percent,
// and more than ten.
func TestTooManyDeparturesAreHeld(t *testing.T) {
	h, other := pair(t)
	h.guard(t, 0, 0)
	other.guard(t, 0, 0)
	people, others := h.crowd(t, "u", 20), other.crowd(t, "u", 12)
	before := other.snapshot(t)
	for _, user := range people[:12] {
		h.deactivate(t, h.cause, user.ID)
	}
	for i, user := range people[:12] {
		want := "000"
		if i >= 10 {
			want = "011"
		}
		if got := h.has(t, user.ID); got != want {
			t.Errorf("the %d. has %s, want %s", i+1, got, want)
		}
		if err := h.fill(t, user, 0); core.KindOf(err) != core.KindDenied {
			t.Errorf("the %d. may still fill: %v", i+1, err)
		}
		if h.read(t, user.ID).Epoch == nil {
			t.Errorf("the %d. could finish a sign-in", i+1)
		}
	}
	if got := h.has(t, people[12].ID); got != "111" {
		t.Errorf("who did not leave has %s", got)
	}
	open := h.holds(t, true)
	if len(open) != 1 {
		t.Fatalf("%d holds", len(open))
	}
	want := lifecycle.Hold{
		ID: open[0].ID, Workspace: h.workspace, Connection: h.connection.ID, ConnectionName: "Okta", Opened: open[0].Opened,
		Share: 20, Floor: 10, Active: 22, LetGo: 10, People: 2, Waiting: 2,
	}
	if diff := cmp.Diff(want, open[0]); diff != "" {
		t.Error(diff)
	}
	for kind, want := range map[core.EventType]int{
		core.DeparturesHeld: 1, core.UserDepartureHeld: 2, core.UserDeprovisioned: 10, core.SessionEnded: 12,
	} {
		if got := h.events(t, kind); got != want {
			t.Errorf("%d events %s, want %d", got, kind, want)
		}
	}
	var told string
	coretest.Must(t, h.DB.QueryRow(t.Context(), `select event ->> 'data' from audit_outbox where workspace_id = @workspace and type = 'connection.departures_held'`,
		pgx.StrictNamedArgs{"workspace": h.workspace}).Scan(&told))
	for _, fact := range []string{`"people":"11"`, `"active":"22"`, `"share":"20"`, `"floor":"10"`} {
		if !strings.Contains(told, fact) {
			t.Errorf("%s lacks %s", told, fact)
		}
	}
	if diff := cmp.Diff(before, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
	// What the neighbours' people do is their own matter, and what an administrator does is meant.
	other.deactivate(t, other.cause, others[0].ID)
	h.deactivate(t, h.system, people[12].ID)
	for _, got := range []string{other.has(t, others[0].ID), h.has(t, people[12].ID)} {
		if got != "000" {
			t.Errorf("somebody has %s", got)
		}
	}
}

func TestAnApprovedHoldGoesOn(t *testing.T) {
	h, other := pair(t)
	h.guard(t, 1, 1)
	people := h.crowd(t, "u", 8)
	h.deactivate(t, h.cause, people[0].ID)
	for _, user := range people[1:4] {
		h.deactivate(t, h.cause, user.ID)
	}
	coretest.Must(t, h.Remove(t.Context(), h.cause, h.workspace, people[4].ID, nil)) // and a deletion
	coretest.Must(t, h.Remove(t.Context(), h.cause, h.workspace, people[1].ID, nil)) // of somebody who waits already
	h.deactivate(t, h.cause, people[2].ID)                                           // a repetition
	if _, err := h.Directory.User(t.Context(), h.DB, h.workspace, people[4].ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("a deleted user is found: %v", err)
	}
	coretest.Must(t, h.Reactivate(t.Context(), h.cause, h.workspace, people[3].ID)) // and a mistake
	if got := h.has(t, people[3].ID); got != "011" {
		t.Errorf("who is back has %s", got)
	}
	coretest.Must(t, h.fill(t, people[3], 0))
	hold := h.holds(t, true)[0]
	if hold.LetGo != 1 || hold.People != 4 || hold.Waiting != 3 || hold.Deleted != 2 {
		t.Errorf("%+v", hold)
	}
	if n := h.carry(t); n != 0 {
		t.Errorf("%d were done unasked", n)
	}
	coretest.Wants(t, other.ApproveHold(t.Context(), other.system, other.workspace, hold.ID), core.KindNotFound, "")
	coretest.Wants(t, h.ApproveHold(t.Context(), h.cause, h.workspace, hold.ID), core.KindDenied, "")
	coretest.Wants(t, h.ApproveHold(t.Context(), core.NewCause(h.ana.Actor(), time.Now()), h.workspace, hold.ID), core.KindDenied, "")
	h.own(t, h.ana.ID)
	coretest.Must(t, h.ApproveHold(t.Context(), core.NewCause(h.ana.Actor(), time.Now()), h.workspace, hold.ID))
	coretest.Wants(t, h.RejectHold(t.Context(), h.system, h.workspace, hold.ID), core.KindConflict, "")
	// The approval covers what came before it: the next departures are counted from one.
	h.deactivate(t, h.cause, people[5].ID)
	if got := h.has(t, people[5].ID); got != "000" {
		t.Errorf("the first after the approval has %s", got)
	}
	done := make([]int, 4)
	work := make([]func(), len(done))
	for i := range work {
		work[i] = func() { done[i], _ = h.Carry(t.Context()) }
	}
	together(work...)
	if total := done[0] + done[1] + done[2] + done[3]; total != 3 {
		t.Errorf("%d were done", total)
	}
	for i, want := range []string{"000", "000", "000", "011", "000"} {
		if got := h.has(t, people[i].ID); got != want {
			t.Errorf("the %d. has %s, want %s", i+1, got, want)
		}
	}
	wantStates := map[string]lifecycle.State{
		"u01@example.com": lifecycle.Done, "u02@example.com": lifecycle.Done, "u03@example.com": lifecycle.Withdrawn, "u04@example.com": lifecycle.Done,
	}
	if diff := cmp.Diff(wantStates, h.states(t, hold.ID)); diff != "" {
		t.Error(diff)
	}
	for kind, want := range map[core.EventType]int{
		core.DeparturesApproved: 1, core.UserDeprovisioned: 5, core.UserDepartureWithdrawn: 1, core.UserReactivated: 0, core.UserDeleted: 2,
	} {
		if got := h.events(t, kind); got != want {
			t.Errorf("%d events %s, want %d", got, kind, want)
		}
	}
	if n := h.count(t, `select count(*) from holds where workspace_id = @workspace and finished is not null`, nil); n != 1 || h.carry(t) != 0 {
		t.Errorf("%d holds are finished", n)
	}
	all := h.holds(t, false)
	if len(h.holds(t, true)) != 0 || len(all) != 1 || all[0].Decision != lifecycle.Approved || all[0].DecidedBy != h.ana.Name() {
		t.Errorf("%+v", all)
	}
}

func TestARejectedHoldTakesNothing(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.guard(t, 1, 1)
	people := h.crowd(t, "u", 8)
	for _, user := range people[:3] {
		h.deactivate(t, h.cause, user.ID)
	}
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, people[3].ID, nil))
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, people[4].ID, nil))
	again := h.join(t, people[4].UserName) // the name is free
	hold := h.holds(t, true)[0]
	coretest.Must(t, h.RejectHold(ctx, h.system, h.workspace, hold.ID))
	h.carry(t)
	want := map[string]lifecycle.State{
		"u01@example.com": lifecycle.Kept, "u02@example.com": lifecycle.Kept, "u03@example.com": lifecycle.Restored, "u04@example.com": lifecycle.NameTaken,
	}
	if diff := cmp.Diff(want, h.states(t, hold.ID)); diff != "" {
		t.Error(diff)
	}
	if total, active, err := h.Directory.CountUsers(ctx, h.DB, h.workspace, h.connection.ID); err != nil || total != 10 || active != 6 {
		t.Errorf("%d users, %d active, %v", total, active, err)
	}
	for _, user := range people[1:5] {
		if got := h.has(t, user.ID); got != "011" {
			t.Errorf("%s has %s", user.UserName, got)
		}
	}
	if back := h.read(t, people[3].ID); back.Active || back.UserName != people[3].UserName {
		t.Errorf("restored as %+v", back)
	}
	coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, people[1].ID))
	coretest.Must(t, h.fill(t, people[1], 0))
	// Who leaves after all is a departure as any other: the first since the decision is not held.
	if _, err := h.Deprovision(ctx, h.cause, h.workspace, people[2].ID); err != nil || h.has(t, people[2].ID) != "000" {
		t.Errorf("%v, has %s", err, h.has(t, people[2].ID))
	}
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, people[3].ID, nil)) // the second is
	if got := h.has(t, people[3].ID); got != "011" || len(h.holds(t, true)) != 1 {
		t.Errorf("has %s", got)
	}
	coretest.Must(t, h.Remove(ctx, h.system, h.workspace, again.ID, nil))
	if got := h.events(t, core.UserDeprovisioned); got != 3 {
		t.Errorf("%d deprovisions", got)
	}
	if h.events(t, core.DeparturesRejected) != 1 || h.events(t, core.UserRestored) != 1 || h.events(t, core.UserDepartureWithdrawn) != 1 {
		t.Error("events are missing")
	}
}

// Many cross the limit at once: one hold, and exactly those beyond the limit in it.
func TestOneHoldForAllWhoLeaveAtOnce(t *testing.T) {
	h, _ := pair(t)
	for round := range 5 {
		h.guard(t, 1, 4)
		people := h.crowd(t, fmt.Sprintf("r%d-", round), 12)
		var work []func()
		for _, user := range people {
			work = append(work, func() {
				if _, err := h.Deprovision(t.Context(), h.cause, h.workspace, user.ID); err != nil {
					t.Error(err)
				}
			})
		}
		together(work...)
		open := h.holds(t, true)
		if len(open) != 1 || open[0].People != 8 {
			t.Fatalf("%+v", open)
		}
		held := 0
		for _, user := range people {
			if h.has(t, user.ID) == "011" {
				held++
			}
		}
		if held != 8 {
			t.Fatalf("%d kept what they have", held)
		}
		coretest.Must(t, h.RejectHold(t.Context(), h.system, h.workspace, open[0].ID))
	}
	if got := h.events(t, core.DeparturesHeld); got != 5 {
		t.Errorf("%d holds told of", got)
	}
}

// A decision and everything that can happen to somebody held at the same moment leave one truth.
func TestADecisionRacesWithThoseItIsAbout(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	for round := range often(20) {
		h.guard(t, 1, 1)
		people := h.crowd(t, fmt.Sprintf("r%d-", round), 6)
		for _, user := range people[:4] {
			h.deactivate(t, h.cause, user.ID)
		}
		hold := h.holds(t, true)[0].ID
		decide := h.ApproveHold
		if round%2 == 0 {
			decide = h.RejectHold
		}
		fine := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		together(
			func() { fine(decide(ctx, h.system, h.workspace, hold)); _, err := h.Carry(ctx); fine(err) },
			func() { fine(h.Reactivate(ctx, h.cause, h.workspace, people[1].ID)) },
			func() { fine(h.Remove(ctx, h.cause, h.workspace, people[2].ID, nil)) },
			func() { h.deactivate(t, h.cause, people[4].ID) },
			func() { _, err := h.Carry(ctx); fine(err) },
		)
		h.carry(t)
		h.take(t)
		if n := h.count(t, `select count(*) from users u join grants g on g.workspace_id = u.workspace_id and g.user_id = u.id and g.revoked is null
			where u.workspace_id = @workspace and not u.active and u.id = any(@people) and not exists (
				select from departures d where d.workspace_id = u.workspace_id and d.user_id = u.id and d.state in ('held', 'kept', 'restored'))`,
			pgx.StrictNamedArgs{"people": []core.ID{people[0].ID, people[1].ID, people[2].ID, people[3].ID, people[4].ID}}); n != 0 {
			t.Fatalf("round %d: %d have a grant and do not wait", round, n)
		}
		if states := h.states(t, hold); round%2 == 1 && slices.Contains([]lifecycle.State{lifecycle.Held, lifecycle.Kept}, states[people[3].UserName]) {
			t.Fatalf("round %d: %v", round, states)
		}
		for _, open := range h.holds(t, true) {
			coretest.Must(t, h.RejectHold(ctx, h.system, h.workspace, open.ID))
		}
	}
}

// Two connections of one workspace do not count for each other.
func TestAConnectionIsGuardedByItself(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.guard(t, 1, 2)
	var entra directory.Connection
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		entra, err = h.Directory.CreateConnection(ctx, tx, h.system, h.workspace, directory.NewConnection{
			Name: "Entra", Kind: directory.Entra, Provisioning: directory.Provisioning{GuardShare: 1, GuardFloor: 2},
		})
		return err
	}))
	second := h
	second.connection, second.cause = entra, core.NewCause(entra.Actor(), time.Now())
	for _, one := range []house{h, second} {
		for i := range 2 {
			user := one.join(t, fmt.Sprintf("leaver%d@example.com", i))
			one.share(t, 0, accounts.Subject{User: user.ID})
			one.deactivate(t, one.cause, user.ID)
			if got := one.has(t, user.ID); got != "000" {
				t.Errorf("has %s", got)
			}
		}
	}
	if open := h.holds(t, true); len(open) != 0 {
		t.Errorf("%+v", open)
	}
	third := second.join(t, "leaver2@example.com")
	second.deactivate(t, second.cause, third.ID)
	if open := h.holds(t, true); len(open) != 1 || open[0].ConnectionName != "Entra" {
		t.Errorf("%+v", open)
	}
}

// A departure that is held counts as one for the owners of the workspace: the last one stays, also if
// the other has only been shut out.
func TestAHoldKeepsTheLastOwner(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.guard(t, 1, 1)
	people := h.crowd(t, "u", 3)
	h.deactivate(t, h.cause, people[0].ID)
	h.own(t, people[1].ID)
	h.own(t, people[2].ID)
	h.deactivate(t, h.cause, people[1].ID)
	if got := h.has(t, people[1].ID); got != "011" {
		t.Fatalf("has %s", got)
	}
	last := people[2].ID
	for name, try := range map[string]func() error{
		"deprovision": func() error { _, err := h.Deprovision(ctx, h.cause, h.workspace, last); return err },
		"remove":      func() error { return h.Remove(ctx, h.cause, h.workspace, last, nil) },
		"change": func() error {
			_, err := h.Change(ctx, h.cause, h.workspace, last, func(u *directory.User) error { u.Active = false; return nil })
			return err
		},
		"demote": func() error {
			_, err := h.Change(ctx, h.cause, h.workspace, last, func(u *directory.User) error { u.Role = directory.RoleGuest; return nil })
			return err
		},
	} {
		if err := try(); core.AsError(err) == nil || core.AsError(err).Code != "last_owner" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := h.has(t, last); got != "111" || h.holds(t, true)[0].People != 1 {
		t.Errorf("has %s", got)
	}
	// Back, with the ownership: now the other may go.
	coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, people[1].ID))
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, last, nil))
}
