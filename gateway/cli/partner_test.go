package cli_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
)

func TestPartners(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		for _, name := range []string{"dana", "ben"} {
			if _, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: name, Active: true, Role: directory.RoleUser}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := f.ask("acme", "partner", "add", "Auditors & Co", "--domain", "auditors.example", "--domain", "audit.example", "--sponsor", "dana", "--ends", "2099-12-31T00:00:00Z")
	if !strings.Contains(out, "Auditors & Co") || !strings.Contains(out, "audit.example auditors.example") || !strings.Contains(out, "2099-12-31") {
		t.Errorf("made\n%s", out)
	}
	f.denied(5, "another partner has one of these domains", "acme", "partner", "add", "More", "--domain", "audit.example", "--sponsor", "dana")
	f.denied(2, "a time is written like", "acme", "partner", "add", "More", "--domain", "more.example", "--sponsor", "dana", "--ends", "tomorrow")
	listed := f.rows("acme", "partner", "list")
	if len(listed) != 1 || listed[0]["sponsor_name"] != "dana" || len(f.rows("other", "partner", "list")) != 0 {
		t.Fatalf("partners %v", listed)
	}
	id := listed[0]["id"].(string)
	f.denied(4, "no such partner", "other", "partner", "change", id, "--name", "Mine")
	f.denied(4, "no such partner", "other", "partner", "end", id, "--yes")
	if out := f.ask("acme", "partner", "change", id, "--sponsor", "ben", "--endless"); !strings.Contains(out, "ben") || strings.Contains(out, "ends (UTC)") || !strings.Contains(out, "audit.example auditors.example") {
		t.Errorf("changed\n%s", out)
	}
	f.ask("acme", "guest", "invite", "gus@audit.example")
	if out := f.ask("acme", "partner", "end", id); !strings.Contains(out, "would send away 1 guests") || !strings.Contains(out, "gus@audit.example") || !strings.Contains(out, "Nothing was done") {
		t.Errorf("what it would do\n%s", out)
	}
	if out := f.ask("acme", "partner", "end", id, "--yes"); !strings.Contains(out, "ended (UTC)") {
		t.Errorf("ended\n%s", out)
	}
	if found := f.rows("acme", "guest", "list"); len(found) != 1 || found[0]["state"] != "removed" || found[0]["partner"] != id {
		t.Errorf("guests %v", found)
	}
}
