package api_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// session signs ana in.
func (w *world) session(t *testing.T) string {
	t.Helper()
	var made directory.Session
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		all, err := w.directory.Connections(t.Context(), tx, w.acme.ID)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			made, err := w.directory.CreateConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.ID, directory.NewConnection{Name: "IdP", Kind: directory.Okta})
			if err != nil {
				return err
			}
			all = append(all, made)
		}
		cause := core.NewCause(w.ana.Actor(), time.Now())
		cause.Origin = core.Origin{Address: "192.0.2.7", UserAgent: "Firefox/1"}
		made, _, err = w.directory.StartSession(t.Context(), tx, cause, directory.NewSession{
			Workspace: w.ana.Workspace, User: w.ana.ID, Connection: all[0].ID, Authenticated: time.Now(), ACR: "urn:acr:1", AMR: []string{"pwd"},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID.String()
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	w := newWorld(t)
	first := w.session(t)
	w.session(t)
	address := "/users/" + w.ana.ID.String() + "/sessions"
	found := items(w.must(t, 200, "GET", address, ""))
	if len(found) != 2 || found[0]["id"] != first || found[0]["address"] != "192.0.2.7" || found[0]["acr"] != "urn:acr:1" {
		t.Fatalf("got %v", found)
	}
	w.must(t, 204, "DELETE", "/sessions/"+first, "")
	w.must(t, 404, "DELETE", "/sessions/"+core.NewID().String(), "")
	if found := items(w.must(t, 200, "GET", address, "")); len(found) != 1 || found[0]["id"] == first {
		t.Fatalf("after one was ended: %v", found)
	}
	if got := w.must(t, 200, "DELETE", address, ""); got["sessions_ended"] != 1.0 {
		t.Fatalf("got %v", got)
	}
	if found := items(w.must(t, 200, "GET", address, "")); len(found) != 0 {
		t.Fatalf("after all were ended: %v", found)
	}
}

func TestSessionSettings(t *testing.T) {
	w := newWorld(t)
	if got := w.must(t, 200, "GET", "/session-settings", ""); got["idle"] != 1800.0 || got["life"] != 43200.0 || got["reveal_age"] != 900.0 || got["admin_age"] != 1800.0 {
		t.Fatalf("the defaults: %v", got)
	}
	body := `{"idle":600,"life":3600,"reveal_age":0,"reveal_acr":[],"admin_age":60,"admin_acr":["urn:a"]}`
	w.must(t, 200, "PUT", "/session-settings", body)
	if got := w.must(t, 200, "GET", "/session-settings", ""); got["idle"] != 600.0 || got["admin_age"] != 60.0 {
		t.Fatalf("got %v", got)
	}
	w.must(t, 400, "PUT", "/session-settings", `{"idle":7200,"life":3600,"reveal_age":0,"reveal_acr":[],"admin_age":60,"admin_acr":[]}`)
	w.must(t, 400, "PUT", "/session-settings", `{"idle":600,"life":3600,"reveal_age":30,"reveal_acr":[],"admin_age":60,"admin_acr":[]}`)
	w.must(t, 400, "PUT", "/session-settings", `{"idle":600,"life":3600,"reveal_age":60,"reveal_acr":["a b"],"admin_age":60,"admin_acr":[]}`)
}
