package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
)

func (h house) edit(t testing.TB, edit func(*lifecycle.TeamEdit)) directory.Team {
	t.Helper()
	after, err := h.ChangeTeam(t.Context(), h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error { edit(e); return nil })
	coretest.Must(t, err)
	return after
}

func (h house) members(t testing.TB) map[core.ID]bool {
	t.Helper()
	found, err := h.Directory.Members(t.Context(), h.DB, h.workspace, h.team.ID, 0, 0)
	coretest.Must(t, err)
	set := map[core.ID]bool{}
	for _, member := range found {
		set[member.User] = true
	}
	return set
}

func TestCreateTeam(t *testing.T) {
	h, other := pair(t)
	create := func(name string, members ...core.ID) error {
		_, err := h.CreateTeam(t.Context(), h.cause, directory.Team{Workspace: h.workspace, Connection: h.connection.ID, DisplayName: name}, members)
		return err
	}
	coretest.Wants(t, create("SALES"), core.KindConflict, "displayName")
	before := h.snapshot(t)
	coretest.Wants(t, create("Support", h.ana.ID, other.bob.ID), core.KindInvalid, "members")
	coretest.Wants(t, create("Support", core.NewID()), core.KindInvalid, "members")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	coretest.Must(t, create("Support", h.ana.ID, h.bob.ID, h.ana.ID))
	if h.events(t, core.TeamCreated) != 2 || h.events(t, core.TeamMemberAdded) != 3 {
		t.Fatal("the events do not tell the story")
	}
}

func TestChangeTeam(t *testing.T) {
	h, other := pair(t)
	untouched := other.snapshot(t)
	eve, fay := h.join(t, "eve@example.com"), h.join(t, "fay@example.com")
	version := h.team.Version
	for _, step := range []struct {
		name    string
		edit    func(*lifecycle.TeamEdit)
		changes bool
		want    []core.ID
	}{
		{"nothing", func(*lifecycle.TeamEdit) {}, false, []core.ID{h.bob.ID}},
		{"who is there, who is not", func(e *lifecycle.TeamEdit) {
			e.Add, e.Remove = []core.ID{h.bob.ID}, []core.ID{eve.ID, core.NewID()}
		}, false, []core.ID{h.bob.ID}},
		{"the same list", func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{h.bob.ID, h.bob.ID} }, false, []core.ID{h.bob.ID}},
		{"the same attributes", func(e *lifecycle.TeamEdit) { e.Attributes = json.RawMessage(` { } `) }, false, []core.ID{h.bob.ID}},
		{"come and go", func(e *lifecycle.TeamEdit) {
			e.Add, e.Remove = []core.ID{eve.ID, fay.ID}, []core.ID{h.bob.ID}
		}, true, []core.ID{eve.ID, fay.ID}},
		{"another list", func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{h.ana.ID, eve.ID} }, true, []core.ID{h.ana.ID, eve.ID}},
		{"a list, less one, and one more", func(e *lifecycle.TeamEdit) {
			e.Replace, e.Remove, e.Add = &[]core.ID{h.ana.ID, h.bob.ID}, []core.ID{h.bob.ID}, []core.ID{fay.ID}
		}, true, []core.ID{h.ana.ID, fay.ID}},
		{"removed and added is there", func(e *lifecycle.TeamEdit) {
			e.Remove, e.Add = []core.ID{h.ana.ID}, []core.ID{h.ana.ID}
		}, false, []core.ID{h.ana.ID, fay.ID}},
		{"another name", func(e *lifecycle.TeamEdit) { e.DisplayName = "Field" }, true, []core.ID{h.ana.ID, fay.ID}},
		{"an empty list", func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{} }, true, nil},
	} {
		before := h.snapshot(t)
		after := h.edit(t, step.edit)
		if step.changes {
			version++
		} else if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
			t.Errorf("%s: nothing differed, but %s", step.name, diff)
		}
		want := map[core.ID]bool{}
		for _, id := range step.want {
			want[id] = true
		}
		if got := h.members(t); after.Version != version || !cmp.Equal(got, want) {
			t.Errorf("%s: version %d, want %d; %s", step.name, after.Version, version, cmp.Diff(want, got))
		}
	}
	if added, removed := h.events(t, core.TeamMemberAdded), h.events(t, core.TeamMemberRemoved); added != 1+2+1+1 || removed != 1+1+1+2 || h.events(t, core.TeamUpdated) != 1 {
		t.Fatalf("%d added, %d removed", added, removed)
	}
	before := h.snapshot(t)
	for field, edit := range map[string]func(*lifecycle.TeamEdit) error{
		"members":     func(e *lifecycle.TeamEdit) error { e.DisplayName, e.Add = "x", []core.ID{other.ana.ID}; return nil },
		"displayName": func(e *lifecycle.TeamEdit) error { e.DisplayName, e.Add = "", []core.ID{h.ana.ID}; return nil },
	} {
		_, err := h.ChangeTeam(t.Context(), h.cause, h.workspace, h.team.ID, edit)
		coretest.Wants(t, err, core.KindInvalid, field)
	}
	_, err := h.ChangeTeam(t.Context(), h.cause, h.workspace, other.team.ID, func(*lifecycle.TeamEdit) error { return nil })
	coretest.Wants(t, err, core.KindNotFound, "")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}

func TestDeleteTeam(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{Team: h.team.ID})
	coretest.Must(t, h.fill(t, h.bob, 0))
	coretest.Wants(t, h.DeleteTeam(ctx, h.cause, h.workspace, other.team.ID, nil), core.KindNotFound, "")
	coretest.Must(t, h.DeleteTeam(ctx, h.cause, h.workspace, h.team.ID, nil))
	coretest.Wants(t, h.DeleteTeam(ctx, h.cause, h.workspace, h.team.ID, nil), core.KindNotFound, "")
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "")
	if h.events(t, core.TeamDeleted) != 1 || h.events(t, core.AccountUnshared) != 1 {
		t.Fatal("the events do not tell the story")
	}
	_, err := h.CreateTeam(ctx, h.cause, directory.Team{Workspace: h.workspace, Connection: h.connection.ID, DisplayName: "Sales"}, nil)
	coretest.Must(t, err)
	// What he saw through the team is still his to know.
	effect, err := h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID)
	if err != nil || len(effect.Rotations) != 1 {
		t.Fatalf("got %+v, %v", effect, err)
	}
}

// Many editors add and remove different people of one team at once: every one of the changes is there
// in the end, and counted in the version.
func TestParallelTeamChangesLoseNothing(t *testing.T) {
	h, _ := pair(t)
	const people = 24
	var stay, leave []core.ID
	for i := range people {
		stay = append(stay, h.join(t, fmt.Sprintf("stay%02d@example.com", i)).ID)
		leave = append(leave, h.join(t, fmt.Sprintf("leave%02d@example.com", i)).ID)
	}
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = leave })
	version := h.edit(t, func(*lifecycle.TeamEdit) {}).Version
	var work []func()
	for i := range people {
		work = append(work,
			func() { h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{stay[i]} }) },
			func() { h.edit(t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{leave[i]} }) },
		)
	}
	together(work...)
	want := map[core.ID]bool{h.bob.ID: true}
	for _, id := range stay {
		want[id] = true
	}
	if diff := cmp.Diff(want, h.members(t)); diff != "" {
		t.Fatal(diff)
	}
	if got := h.edit(t, func(*lifecycle.TeamEdit) {}).Version; got != version+2*people {
		t.Fatalf("version %d, want %d", got, version+2*people)
	}
	if removed := h.events(t, core.TeamMemberRemoved); removed != people {
		t.Fatalf("%d removed", removed)
	}
}
