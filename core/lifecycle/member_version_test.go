package lifecycle_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
)

func (h house) version(t testing.TB, team core.ID) int64 {
	t.Helper()
	found, err := h.Directory.Team(t.Context(), h.DB, h.workspace, team)
	coretest.Must(t, err)
	return found.Version
}

// A team is another when its list of members is: without somebody who was deleted. Who is inactive is
// listed as before.
func TestADeletedUserChangesTheirTeams(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	untouched := other.snapshot(t)
	eve := h.join(t, "eve@example.com")
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{eve.ID} })
	without, err := h.CreateTeam(ctx, h.cause, directory.Team{Workspace: h.workspace, Connection: h.connection.ID, DisplayName: "Without"}, nil)
	coretest.Must(t, err)
	before := h.version(t, h.team.ID)
	_, err = h.Deprovision(ctx, h.cause, h.workspace, eve.ID)
	coretest.Must(t, err)
	if got := h.version(t, h.team.ID); got != before {
		t.Errorf("inactive: version %d became %d", before, got)
	}
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, eve.ID, nil))
	if got := h.version(t, h.team.ID); got != before+1 {
		t.Errorf("deleted: version %d became %d", before, got)
	}
	if got := h.version(t, without.ID); got != without.Version {
		t.Errorf("a team without them: version %d became %d", without.Version, got)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Error(diff)
	}
}

// What a check refuses does not happen, and the check sees what is there.
func TestRemoveUnderACondition(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	no := errors.New("no")
	before := h.snapshot(t)
	if err := h.Remove(ctx, h.cause, h.workspace, h.bob.ID, func(user directory.User) error {
		if user.ID != h.bob.ID || user.Version != h.bob.Version {
			t.Errorf("the check saw %v", user)
		}
		return no
	}); err == nil {
		t.Error("a refused removal passed")
	}
	if err := h.DeleteTeam(ctx, h.cause, h.workspace, h.team.ID, func(team directory.Team) error {
		if team.ID != h.team.ID {
			t.Errorf("the check saw %v", team)
		}
		return no
	}); err == nil {
		t.Error("a refused deletion passed")
	}
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Error(diff)
	}
}

// People are deleted while their team changes: nobody waits for the other for ever, and each deletion
// is a version of its own.
func TestDeletingMembersOfATeamThatChanges(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.guard(t, 100, 1000)
	var people []core.ID
	for _, name := range []string{"p1", "p2", "p3", "p4", "p5", "p6"} {
		people = append(people, h.join(t, name+"@example.com").ID)
	}
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = people })
	before := h.version(t, h.team.ID)
	var all sync.WaitGroup
	for _, person := range people {
		all.Go(func() {
			if err := h.Remove(ctx, h.cause, h.workspace, person, nil); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			_, err := h.ChangeTeam(ctx, h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error {
				e.DisplayName = "Team " + person.String()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := h.version(t, h.team.ID); got != before+int64(2*len(people)) {
		t.Errorf("version %d became %d", before, got)
	}
}
