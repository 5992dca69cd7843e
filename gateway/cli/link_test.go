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

func TestLinksAndGuests(t *testing.T) {
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
	id := account.ID.String()
	out := f.ask("acme", "link", "create", id, "--owner", "dana", "--for", "ada@example.com,@partner.example.org", "--once", "--life", "24h", "--purpose", "the audit")
	if !strings.Contains(out, "https://postern.example.com/l/pst_link_") || !strings.Contains(out, "@partner.example.org") || strings.Contains(out, "canary") {
		t.Errorf("made\n%s", out)
	}
	f.denied(4, "no such user", "other", "link", "create", id, "--owner", id, "--for", "ada@example.com")
	f.denied(2, "everybody can have a mailbox", "acme", "link", "create", id, "--owner", "dana", "--for", "@gmail.com")
	listed := f.rows("acme", "link", "list", "--live")
	if len(listed) != 1 || listed[0]["purpose"] != "the audit" || listed[0]["url"] != nil {
		t.Fatalf("links %v", listed)
	}
	link := listed[0]["id"].(string)
	f.denied(4, "no such link", "other", "link", "show", link)
	if out := f.ask("acme", "link", "show", link); !strings.Contains(out, "active") || !strings.Contains(out, "Link to Wiki (shared)") {
		t.Errorf("shown\n%s", out)
	}
	f.denied(4, "no such link", "other", "link", "revoke", link)
	f.ask("acme", "link", "revoke", link)
	if out := f.ask("acme", "link", "show", link); !strings.Contains(out, "ended: revoked") {
		t.Errorf("afterwards\n%s", out)
	}

	if out := f.ask("acme", "guest", "invite", "gus@example.com", "--name", "Gus"); !strings.Contains(out, "Gus <gus@example.com>") || !strings.Contains(out, "invited") {
		t.Errorf("invited\n%s", out)
	}
	f.denied(5, "invited already", "acme", "guest", "invite", "gus@example.com")
	if out := f.ask("acme", "guest", "resend", "gus@example.com"); !strings.Contains(out, "invited") {
		t.Errorf("sent again\n%s", out)
	}
	f.denied(4, "nobody is called", "other", "guest", "remove", "gus@example.com")
	f.ask("acme", "grant", "add", id, "--user", "gus@example.com")
	f.denied(2, "collaborators only", "acme", "grant", "add", id, "--user", "gus@example.com", "--role", "owner")
	f.ask("acme", "guest", "remove", "gus@example.com")
	if found := f.rows("acme", "guest", "list"); len(found) != 1 || found[0]["state"] != "removed" {
		t.Errorf("guests %v", found)
	}
}
