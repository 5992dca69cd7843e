package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
)

func TestOneTimeCodes(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	var account accounts.Account
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		dana, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "dana", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		if _, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "eve", Active: true, Role: directory.RoleUser}); err != nil {
			return err
		}
		system := core.NewCause(core.System, account.Created)
		app, err := f.logins.CreateApp(t.Context(), tx, system, acme, accounts.NewApp{Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser"})
		if err != nil {
			return err
		}
		account, err = f.logins.CreateAccount(t.Context(), tx, system, acme, accounts.NewAccount{App: app.ID, Username: "shared", Password: seal.NewSecret("canary-Pa55word!"), Owner: dana.ID})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const seed = "CANARYGEZDGNBVGY3TQOJQGEZDGNBVGY"
	id, file := account.ID.String(), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("otpauth://totp/Wiki:shared?secret="+seed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.denied(4, "TOTP secret", "acme", "account", "code", id, "--for", "dana")
	f.denied(4, "no such", "other", "account", "totp", "set", id, "--secret-file", file)
	for _, out := range []string{f.ask("acme", "account", "totp", "set", id, "--secret-file", file), f.ask("acme", "account", "totp", "show", id)} {
		if !strings.Contains(out, "version 1") || strings.Contains(out, "CANARY") {
			t.Errorf("stored\n%s", out)
		}
	}
	if out := f.ask("acme", "account", "code", id, "--for", "dana"); !strings.Contains(out, "good for") || strings.Contains(out, "CANARY") {
		t.Errorf("given\n%s", out)
	}
	f.denied(3, "not shared", "acme", "account", "code", id, "--for", "eve")
	if out := f.ask("acme", "account", "totp", "remove", id); !strings.Contains(out, "No more one-time codes") {
		t.Errorf("removed\n%s", out)
	}
	f.denied(4, "TOTP secret", "acme", "account", "totp", "show", id)
}
