package api_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// suspended puts ana into a team that counts for her no more, and gives its id.
func (w *world) suspended(t *testing.T) string {
	t.Helper()
	team, err := w.lifecycle.CreateTeam(t.Context(), core.NewCause(core.System, time.Now()), directory.Team{Workspace: w.acme.ID, DisplayName: "Was " + core.NewID().String()}, []core.ID{w.ana.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Exec(t.Context(), `update team_members set suspended = now() where workspace_id = $1 and team_id = $2`, w.acme.ID, team.ID); err != nil {
		t.Fatal(err)
	}
	return team.ID.String()
}

func TestReactivateByHand(t *testing.T) {
	w := newWorld(t)
	w.account(t)
	team := w.suspended(t)
	of := "/users/" + w.ana.ID.String()
	w.must(t, 200, "POST", of+"/deprovision", "")
	if found := items(w.must(t, 200, "GET", of+"/team-proposals", "")); len(found) != 0 {
		t.Errorf("proposed to somebody who is away: %v", found)
	}
	for who, path := range map[string]string{"globex": of + "/reactivate", "acme": "/users/" + w.gus.ID.String() + "/reactivate"} {
		if status, _ := w.ask(t, who, "POST", path, ""); status != 404 {
			t.Errorf("%s %s: %d", who, path, status)
		}
	}
	if got := w.must(t, 200, "POST", of+"/reactivate", ""); got["active"] != true || got["user_name"] != "ana" {
		t.Errorf("back: %v", got)
	}
	if found := items(w.must(t, 200, "GET", of+"/proposals", "")); len(found) != 1 {
		t.Errorf("proposed: %v", found)
	}
	found := items(w.must(t, 200, "GET", of+"/team-proposals", ""))
	if len(found) != 1 || found[0]["team"] != team || found[0]["accounts"] != 0.0 || found[0]["suspended"] == nil {
		t.Fatalf("teams proposed: %v", found)
	}
	for _, status := range []int{204, 404} {
		if got, body := w.ask(t, "acme", "POST", of+"/team-proposals/"+team+"/accept", ""); got != status {
			t.Errorf("accepted with %d %v, want %d", got, body, status)
		}
	}
	if found := items(w.must(t, 200, "GET", of+"/team-proposals", "")); len(found) != 0 {
		t.Errorf("still proposed: %v", found)
	}
	var guest directory.User
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		guest, err = w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.ID, UserName: "guest", Role: directory.RoleGuest})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if status, got := w.ask(t, "acme", "POST", "/users/"+guest.ID.String()+"/reactivate", ""); status != 403 || got["code"] != "guest" {
		t.Errorf("a guest: %d %v", status, got)
	}
}

func TestDeprovisionByHand(t *testing.T) {
	w := newWorld(t)
	w.account(t)
	path := "/users/" + w.ana.ID.String() + "/deprovision"
	if status, got := w.ask(t, "directory:read", "POST", path, ""); status != 403 || got["code"] != "missing_scope" {
		t.Errorf("without the scope: %d %v", status, got)
	}
	for who, path := range map[string]string{"globex": path, "acme": "/users/" + w.gus.ID.String() + "/deprovision", "directory:write": "/users/" + core.NewID().String() + "/deprovision"} {
		if status, _ := w.ask(t, who, "POST", path, ""); status != 404 {
			t.Errorf("%s %s: %d", who, path, status)
		}
	}
	got := w.must(t, 200, "POST", path, "")
	if got["user_name"] != "ana" || got["active"] != false || got["grants_revoked"] != 1.0 || len(got["rotations"].([]any)) != 1 {
		t.Errorf("took %v", got)
	}
	got = w.must(t, 200, "POST", path, "")
	if got["grants_revoked"] != 0.0 || got["sessions_ended"] != 0.0 || len(got["rotations"].([]any)) != 0 {
		t.Errorf("again %v", got)
	}
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `update users set role = 'owner' where workspace_id = $1 and id = $2`, w.acme.ID, w.ben.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, got := w.ask(t, "acme", "POST", "/users/"+w.ben.ID.String()+"/deprovision", ""); status != 403 || got["code"] != "last_owner" {
		t.Errorf("the last owner: %d %v", status, got)
	}
	// A guest has no identity provider that could say so.
	var guest directory.User
	err = w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		guest, err = w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.ID, UserName: "guest-" + time.Now().Format("150405"), Active: true, Role: directory.RoleGuest})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.must(t, 200, "POST", "/users/"+guest.ID.String()+"/deprovision", "")
}
