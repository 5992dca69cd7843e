package cli_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
)

func TestReconcileAccountsFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	made := map[string]string{}
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		dana, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "dana", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		system := core.NewCause(core.System, dana.Created)
		app, err := f.logins.CreateApp(t.Context(), tx, system, acme, accounts.NewApp{Name: "Ledger", Domains: []string{"db.example.com"}, SignInURL: "postgres://db.example.com/ledger", Connector: "postgresql"})
		if err != nil {
			return err
		}
		for _, name := range []string{"team", "boss"} {
			account, err := f.logins.CreateAccount(t.Context(), tx, system, acme, accounts.NewAccount{App: app.ID, Username: name, Password: seal.NewSecret("canary-Pa55word!"), Owner: dana.ID})
			if err != nil {
				return err
			}
			made[name] = account.ID.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := f.ask("acme", "app", "connectors"); !strings.Contains(out, "postgresql") || !strings.Contains(out, "verify, change, reset") {
		t.Errorf("listed\n%s", out)
	}
	f.denied(5, "names no account", "acme", "account", "reset", made["team"])
	f.denied(2, "--none", "acme", "app", "reconcile", "Ledger")
	f.denied(2, "id of an account", "acme", "app", "reconcile", "Ledger", "--account", "boss")
	f.denied(4, "there is none yet", "other", "app", "reconcile", "Ledger", "--account", made["boss"])
	if out := f.ask("acme", "app", "reconcile", "Ledger", "--account", made["boss"]); !strings.Contains(out, made["boss"]) {
		t.Errorf("set\n%s", out)
	}
	if out := f.ask("acme", "account", "reset", made["team"]); !strings.Contains(out, "sets a new password") || !strings.Contains(out, made["team"]) {
		t.Errorf("reset\n%s", out)
	}
	f.denied(5, "nobody sets its own", "acme", "account", "reset", made["boss"])
	if out := f.ask("acme", "account", "disable", made["team"]); !strings.Contains(out, "will prove that") || !strings.Contains(out, made["team"]) {
		t.Errorf("disabled\n%s", out)
	}
	if out := f.ask("acme", "account", "enable", made["team"]); !strings.Contains(out, "is rotated") {
		t.Errorf("enabled\n%s", out)
	}
	if out := f.ask("acme", "account", "switches", made["team"]); strings.Count(out, "wanted") != 1 || !strings.Contains(out, "enabled") {
		t.Errorf("listed\n%s", out)
	}
	if out := f.ask("acme", "app", "logins", "Ledger", "--refresh"); !strings.Contains(out, "is asked") {
		t.Errorf("refreshed\n%s", out)
	}
	if _, err := d.db.Exec(t.Context(), `insert into app_logins (workspace_id, app_id, username, name, disabled, first_seen, seen)
		select $1, apps.id, one.name, '', false, now(), now() from apps, unnest(array['team', 'backdoor']) as one (name) where workspace_id = $1`, acme); err != nil {
		t.Fatal(err)
	}
	if out := f.ask("acme", "app", "logins", "Ledger", "--unmanaged"); !strings.Contains(out, "backdoor") || strings.Contains(out, "team") {
		t.Errorf("listed\n%s", out)
	}
	f.denied(4, "no such", "other", "account", "disable", made["team"])
	if out := f.ask("acme", "app", "leavers", "Ledger", "--disable"); !strings.Contains(out, "theirs alone") {
		t.Errorf("set\n%s", out)
	}
	if out := f.ask("acme", "app", "pace", "Ledger", "--at-once", "1", "--spacing", "10s"); !strings.Contains(out, "10s") {
		t.Errorf("got %s", out)
	}
	if out := f.ask("acme", "app", "pace", "Ledger"); !strings.Contains(out, "10s") || strings.Contains(out, "the default") {
		t.Errorf("got %s", out)
	}
	if out := f.ask("acme", "app", "leavers", "Ledger", "--keep"); strings.Contains(out, "theirs alone") {
		t.Errorf("taken back\n%s", out)
	}
	f.denied(4, "no such", "other", "account", "reset", made["team"])
	if out := f.ask("acme", "app", "reconcile", "Ledger", "--none"); strings.Contains(out, "reconcile account") {
		t.Errorf("taken back\n%s", out)
	}
}
