package cli_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

func TestGrants(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	account, app, vault := core.NewID(), core.NewID(), core.NewID()
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		for _, name := range []string{"dana", "gus"} {
			role := map[string]directory.Role{"dana": directory.RoleUser, "gus": directory.RoleGuest}[name]
			if _, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: name, Active: true, Role: role}); err != nil {
				return err
			}
		}
		if _, err := d.people.InsertTeam(t.Context(), tx, directory.Team{Workspace: acme, DisplayName: "Ops"}); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `insert into apps (id, workspace_id, name, domains, sign_in_url, connector) values ($1, $2, 'Wiki', '{wiki.example.com}', 'https://wiki.example.com/', 'browser')`, app, acme); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `set local session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `insert into accounts (id, workspace_id, app_id, vault_id, username) values ($1, $2, $3, $4, 'shared')`, account, acme, app, vault)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f := d.far("acme", "other")
	id := account.String()
	made := f.rows("acme", "grant", "add", id, "--user", "dana", "--role", "owner", "--purpose", "on call", "--days", "7")[0]
	if made["role"] != "owner" || made["purpose"] != "on call" || made["expires"] == nil {
		t.Errorf("made %v", made)
	}
	f.ask("acme", "grant", "add", id, "--team", "ops")
	f.ask("acme", "grant", "add", id, "--user", "gus")
	f.denied(2, "collaborators only", "acme", "grant", "add", id, "--user", "gus", "--role", "owner")
	f.denied(4, "no team is called", "acme", "grant", "add", id, "--team", "nobody")
	f.denied(4, "no team is called", "other", "grant", "add", id, "--team", "ops")
	f.denied(4, "no such account", "other", "grant", "list", "--account", id)
	out := f.ask("acme", "grant", "list", "--account", id) + f.ask("acme", "grant", "list", "--account", id, "--given")
	for _, want := range []string{"user dana", "team Ops", "on call", "own grant", "gus"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if used := f.rows("acme", "grant", "list", "--user", "dana", "--search", "wi"); len(used) != 1 {
		t.Errorf("dana uses %v", used)
	}
	grant := f.rows("acme", "grant", "list", "--account", id, "--given")[1]["id"].(string)
	f.denied(4, "no such grant", "other", "grant", "remove", grant)
	f.ask("acme", "grant", "remove", grant)
	f.denied(4, "no such grant", "acme", "grant", "remove", grant)
}
