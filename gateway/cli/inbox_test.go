package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/mailbox"
	"postern/core/seal"
)

func TestTheInboxOfAnAccount(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	var account accounts.Account
	coretest.Must(t, d.db.Tx(t.Context(), func(tx pgx.Tx) error {
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
	}))
	id := account.ID.String()
	f.denied(4, "no such", "other", "account", "mailbox", "create", id)
	f.denied(4, "no such", "acme", "account", "mailbox", "remove", id)
	address := regexp.MustCompile(`[a-z2-7]{16}@in\.example\.com`).FindString(f.ask("acme", "account", "mailbox", "create", id))
	if address == "" || !strings.Contains(f.ask("acme", "account", "mailbox", "show", id), address) {
		t.Fatal("no address is shown")
	}
	if out := f.ask("acme", "account", "mailbox", "phone", id, "+49 30 123456"); !strings.Contains(out, "+4930123456") {
		t.Errorf("assigned\n%s", out)
	}
	f.denied(2, "with its country", "acme", "account", "mailbox", "phone", id, "030")
	boxes := &mailbox.Mailboxes{DB: d.db, Accounts: f.logins, Vault: f.logins.Vault}
	to, err := boxes.Expected(t.Context(), address)
	coretest.Must(t, err)
	came, err := boxes.Receive(t.Context(), to, mailbox.Incoming{Sender: "no-reply@wiki.example.com", Subject: seal.NewSecret("Signing in 778899"), Text: seal.NewSecret("Hello\n\x1b[31mYour code is 778899.")})
	coretest.Must(t, err)
	if out := f.ask("acme", "account", "inbox", "list", id); !strings.Contains(out, came.ID.String()) || !strings.Contains(out, "Signing in") || strings.Contains(out, "778899") {
		t.Errorf("listed\n%s", out)
	}
	if out := f.ask("acme", "account", "inbox", "read", id, came.ID.String(), "--for", "dana"); !strings.Contains(out, "778899") || !strings.Contains(out, "Hello\n") || strings.Contains(out, "\x1b") {
		t.Errorf("read\n%s", out)
	}
	f.denied(3, "not shared", "acme", "account", "inbox", "read", id, came.ID.String(), "--for", "eve")
	f.denied(4, "no such", "other", "account", "inbox", "list", id)
	if out := f.ask("acme", "account", "mailbox", "remove", id) + f.ask("acme", "account", "mailbox", "remove", id, "--phone"); !strings.Contains(out, "the address of "+id) || !strings.Contains(out, "the number of "+id) {
		t.Errorf("removed\n%s", out)
	}
}
