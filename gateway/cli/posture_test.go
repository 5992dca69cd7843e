package cli_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
)

func TestPosture(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	if out := f.ask("acme", "posture"); !strings.Contains(out, "no account yet") {
		t.Errorf("of nothing: %s", out)
	}
	system := core.NewCause(core.System, time.Now())
	var made []accounts.Account
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		made = nil
		dana, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "dana", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		if _, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "kim", Active: true, Role: directory.RoleUser}); err != nil {
			return err
		}
		app, err := f.logins.CreateApp(t.Context(), tx, system, acme, accounts.NewApp{Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser"})
		if err != nil {
			return err
		}
		for _, name := range []string{"one", "two"} {
			account, err := f.logins.CreateAccount(t.Context(), tx, system, acme, accounts.NewAccount{App: app.ID, Username: name, Password: seal.NewSecret("Summer2026!"), Owner: dana.ID})
			if err != nil {
				return err
			}
			made = append(made, account)
		}
		if _, err := tx.Exec(t.Context(), `update grants set revoked = now(), revoke_cause = 'left' where workspace_id = $1`, acme); err != nil {
			return err
		}
		_, err = f.logins.CheckOwners(t.Context(), tx, system, acme)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out := f.ask("acme", "posture")
	for _, want := range []string{"Score: ", "of 100", "credentials are correct", "receives no e-mail", "orphaned", "password_reused", "password_weak"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if found := f.rows("acme", "posture", "findings", "--kind", "orphaned", "--app", "Wiki"); len(found) != 2 || found[0]["severity"] != "high" {
		t.Errorf("orphans: %v", found)
	}
	if out := f.ask("acme", "posture", "findings", "--severity", "high"); !strings.Contains(out, "Wiki (one)") || strings.Contains(out, "Summer") {
		t.Errorf("%s", out)
	}
	if found := f.rows("other", "posture", "findings"); len(found) != 0 {
		t.Errorf("another workspace has %v", found)
	}
	rows, err := csv.NewReader(strings.NewReader(f.ask("acme", "posture", "export", "--kind", "orphaned"))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Errorf("%v, %v", rows, err)
	}
	if lines := f.ask("acme", "posture", "export", "--kind", "orphaned", "--format", "jsonl"); strings.Count(lines, "\n") != 2 {
		t.Errorf("%s", lines)
	}
	if found := f.rows("acme", "posture", "accounts", "--missing", "rotated"); len(found) != 2 {
		t.Errorf("%v", found)
	}
	f.ask("acme", "posture", "accounts")
	f.ask("acme", "posture", "history")
	if out := f.ask("acme", "posture", "reassign", "--orphaned", "--to", "kim"); !strings.Contains(out, "2 accounts would be given to kim") || !strings.Contains(out, "Nothing was done") {
		t.Errorf("%s", out)
	}
	f.denied(2, "say which accounts", "acme", "posture", "reassign", "--to", "kim")
	f.denied(2, "no accounts of this workspace", "other", "posture", "reassign", "--account", made[0].ID.String(), "--to", f.user("other", "lee"))
	done := f.rows("acme", "posture", "reassign", "--orphaned", "--to", "kim", "--yes")[0]
	if done["done"] != 2.0 || done["finished"] == nil {
		t.Fatalf("%v", done)
	}
	if out := f.ask("acme", "posture", "report", done["id"].(string)); !strings.Contains(out, "2 given") || !strings.Contains(out, "Wiki (two)") {
		t.Errorf("%s", out)
	}
	f.denied(4, "no such reassignment", "other", "posture", "report", done["id"].(string))
	f.denied(2, "no such account without an owner", "acme", "posture", "reassign", "--orphaned", "--to", "kim", "--yes")
}

// user adds somebody to a workspace, and gives their name.
func (f *far) user(slug, name string) string {
	f.t.Helper()
	workspace, err := f.people.WorkspaceBySlug(f.t.Context(), f.db, slug)
	if err != nil {
		f.t.Fatal(err)
	}
	err = f.db.Tx(f.t.Context(), func(tx pgx.Tx) error {
		_, err := f.people.InsertUser(f.t.Context(), tx, directory.User{Workspace: workspace.ID, UserName: name, Active: true, Role: directory.RoleUser})
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return name
}
