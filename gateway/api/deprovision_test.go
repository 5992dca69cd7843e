package api_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

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
