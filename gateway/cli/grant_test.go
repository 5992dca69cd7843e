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
	in := func(words ...string) []string {
		return append([]string{"grant"}, append(words, "--workspace", "acme")...)
	}
	id := account.String()
	made := d.json(in("add", id, "--user", "dana", "--role", "owner", "--purpose", "on call", "--days", "7")...)
	if made["role"] != "owner" || made["purpose"] != "on call" || made["expires"] == nil {
		t.Errorf("made %v", made)
	}
	d.do(in("add", id, "--team", "ops")...)
	d.do(in("add", id, "--user", "gus")...)
	d.refused(2, "collaborators only", in("add", id, "--user", "gus", "--role", "owner")...)
	d.refused(4, "no team is called", in("add", id, "--team", "nobody")...)
	d.refused(4, "no such account", "grant", "add", id, "--team", "ops", "--workspace", "other")
	out := d.do(in("list", "--account", id)...)
	for _, want := range []string{"user dana", "team Ops", "on call", "own grant", "gus"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if used := d.json(in("list", "--user", "dana", "--search", "wi")...)["accounts"].([]any); len(used) != 1 {
		t.Errorf("dana uses %v", used)
	}
	d.do(in("remove", d.json(in("list", "--account", id)...)["grants"].([]any)[1].(map[string]any)["id"].(string))...)
	d.refused(4, "no such grant", in("remove", core.NewID().String())...)
}
