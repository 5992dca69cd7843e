package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/directory"
)

// backAgain has somebody leave and come back: their certificate, signed, and the grant that is proposed.
func (w *world) backAgain(t *testing.T, account, name string) (certificate, proposal string) {
	t.Helper()
	ctx, cause := t.Context(), core.NewCause(core.System, time.Now())
	id, err := core.ParseID(account)
	if err != nil {
		t.Fatal(err)
	}
	var user directory.User
	err = w.db.Tx(ctx, func(tx pgx.Tx) error {
		if user, err = w.directory.InsertUser(ctx, tx, directory.User{Workspace: w.acme.ID, UserName: name + " leaver", Active: true, Role: directory.RoleUser}); err != nil {
			return err
		}
		_, err := w.accounts.Share(ctx, tx, cause, w.acme.ID, id, accounts.Sharing{Subject: accounts.Subject{User: user.ID}, Role: accounts.Collaborator})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.lifecycle.Deprovision(ctx, cause, w.acme.ID, user.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.lifecycle.Reactivate(ctx, cause, w.acme.ID, user.ID); err != nil {
		t.Fatal(err)
	}
	// The deadline passes: it is signed as it is.
	if _, err := w.db.Exec(ctx, `update certificates set deadline = departed where workspace_id = @workspace and user_id = @user`,
		pgx.StrictNamedArgs{"workspace": w.acme.ID, "user": user.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.certificates.IssueDue(ctx); err != nil {
		t.Fatal(err)
	}
	proposed := items(w.must(t, 200, "GET", "/users/"+user.ID.String()+"/proposals", ""))
	listed := items(w.must(t, 200, "GET", "/users/"+user.ID.String()+"/certificates", ""))
	if len(proposed) != 1 || len(listed) != 1 {
		t.Fatalf("got %v and %v", proposed, listed)
	}
	return listed[0]["id"].(string), proposed[0]["id"].(string)
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	id, proposal := w.backAgain(t, account, "only")
	listed := items(w.must(t, 200, "GET", "/certificates?state=incomplete", ""))
	if len(listed) != 1 || listed[0]["id"] != id || listed[0]["number"] != 1.0 || len(items(w.must(t, 200, "GET", "/certificates?state=complete", ""))) != 0 {
		t.Fatalf("got %v", listed)
	}
	got := w.must(t, 200, "GET", "/certificates/"+id, "")
	now := got["now"].(map[string]any)
	if now["state"] != "incomplete" || now["number"] != 1.0 || len(got["issues"].([]any)) != 1 || len(now["credentials"].([]any)) != 1 {
		t.Fatalf("got %v", got)
	}
	text, err := json.Marshal(w.must(t, 200, "GET", "/certificates/"+id+"/document", ""))
	if err != nil {
		t.Fatal(err)
	}
	document, err := certificates.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	said, _, err := document.Verify(document.Keys.Keys)
	if err != nil || said.ID.String() != id || said.Count(certificates.Open) != 1 {
		t.Fatalf("got %+v, %v", said, err)
	}
	if status, got := w.ask(t, "acme", "GET", "/certificates/"+id+"/document?number=2", ""); status != 404 {
		t.Fatalf("got %d %v", status, got)
	}
	w.must(t, 200, "PUT", "/certificate-settings", `{"deadline_seconds":3600}`)
	if got := w.must(t, 200, "GET", "/certificate-settings", ""); got["deadline_seconds"] != 3600.0 {
		t.Fatalf("got %v", got)
	}
	if status, got := w.ask(t, "acme", "PUT", "/certificate-settings", `{"deadline_seconds":59}`); status != 400 {
		t.Fatalf("got %d %v", status, got)
	}
	given := w.must(t, 201, "POST", "/proposals/"+proposal+"/accept", "")
	if given["role"] != "collaborator" || given["account"] != account {
		t.Fatalf("got %v", given)
	}
	if status, got := w.ask(t, "acme", "POST", "/proposals/"+proposal+"/decline", ""); status != 404 {
		t.Fatalf("got %d %v", status, got)
	}
	w.must(t, 200, "PUT", "/accounts/"+account+"/succession", `{"successors":[{"manager":true},{"user":"`+w.ben.ID.String()+`"}]}`)
	list := w.must(t, 200, "GET", "/accounts/"+account+"/succession", "")["successors"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["manager"] != true || list[1].(map[string]any)["name"] != "Ben" {
		t.Fatalf("got %v", list)
	}
	if status, got := w.ask(t, "acme", "PUT", "/succession", `{"successors":[{"user":"`+w.gus.ID.String()+`"}]}`); status != 400 {
		t.Fatalf("got %d %v", status, got)
	}
}
