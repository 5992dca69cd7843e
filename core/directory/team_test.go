package directory_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
)

func TestTeamRoundTrip(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	got, err := w.Team(ctx, w.DB, acme, w.acme.team.ID)
	if err != nil || !cmp.Equal(got, w.acme.team) {
		t.Fatal(err, cmp.Diff(w.acme.team, got))
	}
	w.tx(t, func(tx pgx.Tx) error {
		team, err := w.LockTeam(ctx, tx, acme, w.acme.team.ID)
		if err != nil {
			return err
		}
		team.DisplayName, team.Attributes = "Marketing", json.RawMessage(`{"a":1}`)
		got, err = w.UpdateTeam(ctx, tx, team)
		return err
	})
	if got.Version != 2 || got.DisplayName != "Marketing" {
		t.Fatalf("got %+v", got)
	}
	w.refused(t, core.KindStale, "", func(tx pgx.Tx) error {
		_, err := w.UpdateTeam(ctx, tx, w.acme.team)
		return err
	})
	w.refused(t, core.KindConflict, "displayName", func(tx pgx.Tx) error {
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, Connection: w.acme.connection.ID, DisplayName: "MARKETING"})
		return err
	})
	w.tx(t, func(tx pgx.Tx) error { // made in Postern, it is beside the connection's
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, DisplayName: "Marketing"})
		return err
	})
	w.refused(t, core.KindConflict, "displayName", func(tx pgx.Tx) error {
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, DisplayName: "marketing"})
		return err
	})
	w.refused(t, core.KindInvalid, "displayName", func(tx pgx.Tx) error {
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme})
		return err
	})
	w.tx(t, func(tx pgx.Tx) error { // the old name is free
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, Connection: w.acme.connection.ID, DisplayName: "sales"})
		return err
	})
}

func TestTeamQueries(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	for name, c := range map[string]struct {
		query directory.TeamQuery
		want  int
	}{
		"all":           {directory.TeamQuery{}, 1},
		"name":          {directory.TeamQuery{DisplayName: "SALES"}, 1},
		"unknown":       {directory.TeamQuery{DisplayName: "x"}, 0},
		"external":      {directory.TeamQuery{ExternalID: "00g1", Connection: w.acme.connection.ID}, 1},
		"member":        {directory.TeamQuery{Member: w.acme.ana.ID}, 1},
		"not a member":  {directory.TeamQuery{Member: w.other.ana.ID}, 0},
		"not mine":      {directory.TeamQuery{Connection: w.other.connection.ID}, 0},
		"a page beyond": {directory.TeamQuery{Offset: 1, Limit: 1}, 0},
	} {
		page, total, err := w.Teams(ctx, w.DB, acme, c.query)
		wantTotal := c.want
		if name == "a page beyond" {
			wantTotal = 1
		}
		if err != nil || len(page) != c.want || total != wantTotal {
			t.Errorf("%s: got %d of %d, %v", name, len(page), total, err)
		}
	}
}

func TestMembers(t *testing.T) {
	w := open(t)
	ctx, acme, team := t.Context(), w.acme.workspace.ID, w.acme.team.ID
	bob, eve := w.user(t, w.acme, "bob@example.com"), w.user(t, w.acme, "eve@example.com")
	change := func(what func(tx pgx.Tx) ([]core.ID, error)) []core.ID {
		t.Helper()
		var changed []core.ID
		w.tx(t, func(tx pgx.Tx) (err error) { changed, err = what(tx); return err })
		return changed
	}
	add := func(users ...core.ID) []core.ID {
		t.Helper()
		return change(func(tx pgx.Tx) ([]core.ID, error) { return w.AddMembers(ctx, tx, acme, team, users) })
	}
	remove := func(users ...core.ID) []core.ID {
		t.Helper()
		return change(func(tx pgx.Tx) ([]core.ID, error) { return w.RemoveMembers(ctx, tx, acme, team, users) })
	}
	members := func() (list []core.ID, suspended int) {
		t.Helper()
		found, err := w.Members(ctx, w.DB, acme, team, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range found {
			list = append(list, member.User)
			if member.Suspended != nil {
				suspended++
			}
		}
		return list, suspended
	}

	w.clock.Pass(time.Second)
	if added := add(w.acme.ana.ID, bob.ID, bob.ID); !slices.Equal(added, []core.ID{bob.ID}) {
		t.Fatalf("added %v", added)
	}
	if removed := remove(eve.ID, w.acme.ana.ID); !slices.Equal(removed, []core.ID{w.acme.ana.ID}) {
		t.Fatalf("removed %v", removed)
	}
	if added := add(); len(added) != 0 {
		t.Fatal("nobody was added")
	}
	w.refused(t, core.KindInvalid, "members", func(tx pgx.Tx) error {
		_, err := w.AddMembers(ctx, tx, acme, team, []core.ID{eve.ID, w.other.ana.ID})
		return err
	})

	// Suspended when the person leaves, lifted only by an add after they are back.
	w.tx(t, func(tx pgx.Tx) error {
		suspended, err := w.SuspendMemberships(ctx, tx, acme, bob.ID)
		if err == nil && suspended != 1 {
			t.Errorf("%d suspended", suspended)
		}
		bob.Active = false
		if err == nil {
			bob, err = w.UpdateUser(ctx, tx, bob)
		}
		return err
	})
	if added := add(bob.ID); len(added) != 0 {
		t.Fatalf("an inactive member was added again: %v", added)
	}
	if list, suspended := members(); !slices.Equal(list, []core.ID{bob.ID}) || suspended != 1 {
		t.Fatalf("%v, %d suspended", list, suspended)
	}
	remove(bob.ID)
	if added := add(bob.ID); len(added) != 1 {
		t.Fatal("an inactive user is listed as the IdP says")
	}
	if _, suspended := members(); suspended != 1 {
		t.Fatal("an inactive user was given something")
	}
	w.tx(t, func(tx pgx.Tx) (err error) {
		bob.Active = true
		bob, err = w.UpdateUser(ctx, tx, bob)
		return err
	})
	if _, suspended := members(); suspended != 1 {
		t.Fatal("being active again lifted the suspension")
	}
	if added := add(bob.ID); !slices.Equal(added, []core.ID{bob.ID}) {
		t.Fatalf("added %v", added)
	}
	if _, suspended := members(); suspended != 0 {
		t.Fatal("the add did not lift the suspension")
	}
	if teams, err := w.TeamsOf(ctx, w.DB, acme, bob.ID); err != nil || len(teams) != 1 || teams[0].ID != team {
		t.Fatalf("got %v, %v", teams, err)
	}
	w.clock.Pass(time.Second)
	add(eve.ID)
	if page, err := w.Members(ctx, w.DB, acme, team, 1, 5); err != nil || len(page) != 1 || page[0].User != eve.ID {
		t.Fatalf("got %v, %v", page, err)
	}
	if list, err := w.Members(ctx, w.DB, w.other.workspace.ID, team, 0, 0); err != nil || len(list) != 0 {
		t.Fatalf("seen from another workspace: %v, %v", list, err)
	}
}

func TestDeleteTeam(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	remove := func(workspace core.ID) func(tx pgx.Tx) error {
		return func(tx pgx.Tx) error {
			members, err := w.DeleteTeam(ctx, tx, workspace, w.acme.team.ID)
			if err == nil && members != 1 {
				t.Errorf("%d members", members)
			}
			return err
		}
	}
	w.refused(t, core.KindNotFound, "", remove(w.other.workspace.ID))
	w.tx(t, remove(acme))
	w.refused(t, core.KindNotFound, "", remove(acme))
	_, err := w.Team(ctx, w.DB, acme, w.acme.team.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	if teams, err := w.TeamsOf(ctx, w.DB, acme, w.acme.ana.ID); err != nil || len(teams) != 0 {
		t.Fatalf("got %v, %v", teams, err)
	}
	w.tx(t, func(tx pgx.Tx) error { // its name is free again
		_, err := w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, Connection: w.acme.connection.ID, DisplayName: "Sales"})
		return err
	})
}

// A connection's team holds the people of that connection alone; a team made in Postern holds anybody.
func TestMembersOfAnotherConnection(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	var eve directory.User
	var own directory.Team
	w.tx(t, func(tx pgx.Tx) error {
		entra, err := w.CreateConnection(ctx, tx, w.acme.cause, acme, directory.NewConnection{Name: "Entra", Kind: directory.Entra})
		if err != nil {
			return err
		}
		if eve, err = w.InsertUser(ctx, tx, directory.User{Workspace: acme, Connection: entra.ID, UserName: "eve@example.com", Active: true}); err != nil {
			return err
		}
		own, err = w.InsertTeam(ctx, tx, directory.Team{Workspace: acme, DisplayName: "Everybody"})
		return err
	})
	w.refused(t, core.KindInvalid, "members", func(tx pgx.Tx) error {
		_, err := w.AddMembers(ctx, tx, acme, w.acme.team.ID, []core.ID{w.acme.ana.ID, eve.ID})
		return err
	})
	w.tx(t, func(tx pgx.Tx) error {
		added, err := w.AddMembers(ctx, tx, acme, own.ID, []core.ID{w.acme.ana.ID, eve.ID})
		if len(added) != 2 {
			t.Errorf("added %v", added)
		}
		return err
	})
}
