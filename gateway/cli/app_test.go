package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppsAreAddedFromAfar(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	f.denied(4, "postern app add", "acme", "app", "show", "Wiki")
	if out := f.ask("acme", "app", "add", "Wiki", "--sign-in-url", "https://wiki.example.com:8443/login"); !strings.Contains(out, "wiki.example.com:8443") || !strings.Contains(out, "browser") {
		t.Errorf("added\n%s", out)
	}
	f.denied(5, "another app", "acme", "app", "add", "Wiki", "--sign-in-url", "https://wiki.example.com/login")
	f.denied(2, "whole address", "acme", "app", "add", "Shop", "--sign-in-url", "shop.example.com")
	f.denied(2, "one of the app's domains", "acme", "app", "add", "Shop", "--sign-in-url", "https://shop.example.com", "--domains", "elsewhere.example.com")
	f.denied(2, "not both", "acme", "app", "add", "Shop", "--sign-in-url", "https://shop.example.com", "--definition", "x", "--settings-file", "y")
	f.denied(2, "cannot be read", "acme", "app", "add", "Shop", "--sign-in-url", "https://shop.example.com", "--definition", "@/nowhere")

	file := filepath.Join(t.TempDir(), "crm.yaml")
	if err := os.WriteFile(file, []byte("name: CRM\nsign_in: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.ask("acme", "app", "add", "CRM", "--sign-in-url", "https://crm.example.com/api", "--connector", "http", "--definition", "@"+file)
	if out := f.ask("acme", "app", "show", "crm"); !strings.Contains(out, `{"definition":"name: CRM\nsign_in: []\n"}`) {
		t.Errorf("shown\n%s", out)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 70_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	f.denied(2, "longer than", "acme", "app", "add", "Long", "--sign-in-url", "https://crm.example.com/api", "--settings-file", file)
	if out := f.ask("acme", "app", "list"); !strings.Contains(out, "Wiki") || !strings.Contains(out, "http ") || strings.Contains(out, "Long") {
		t.Errorf("listed\n%s", out)
	}
	f.denied(2, "no rule", "acme", "app", "add", "Short", "--sign-in-url", "https://short.example.com", "--password-rules", "length: 8")
	f.ask("acme", "app", "add", "Short", "--sign-in-url", "https://short.example.com", "--password-rules", "maxlength:16; required:digit; allowed:lower")
	if out := f.ask("acme", "app", "show", "Short"); !strings.Contains(out, "maxlength: 16; required: digit; allowed: lower, digit") {
		t.Errorf("shown\n%s", out)
	}
	f.denied(4, "there is none yet", "other", "app", "show", "Wiki")
}

func TestAppsAreUpdatedFromAfar(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	f := d.far("acme")
	f.ask("acme", "app", "add", "Wiki", "--sign-in-url", "https://wiki.example.com/login", "--password-rules", "minlength: 12")
	f.denied(2, "say what to change", "acme", "app", "update", "Wiki")
	f.denied(2, "one of the app's domains", "acme", "app", "update", "Wiki", "--change-url", "https://elsewhere.example.com/")

	if out := f.ask("acme", "app", "update", "Wiki", "--change-url", "https://wiki.example.com/me"); !strings.Contains(out, "wiki.example.com/me") || !strings.Contains(out, "minlength: 12") {
		t.Errorf("updated\n%s", out)
	}
	if out := f.ask("acme", "app", "update", "Wiki", "--risk", "5"); !strings.Contains(out, "risk                       5") {
		t.Errorf("updated\n%s", out)
	}
	// The only host there was goes with the sign-in address, and the change address has to as well.
	f.denied(2, "one of the app's domains", "acme", "app", "update", "Wiki", "--sign-in-url", "https://notes.example.com/")
	out := f.ask("acme", "app", "update", "Wiki", "--sign-in-url", "https://notes.example.com/", "--change-url", "", "--name", "Notes", "--password-rules", "")
	if strings.Contains(out, "wiki.example.com") || strings.Contains(out, "minlength") || !strings.Contains(out, "Notes") {
		t.Errorf("updated\n%s", out)
	}
	// Where there are more, they stay.
	f.ask("acme", "app", "update", "Notes", "--domains", "notes.example.com", "--domains", "in.example.com")
	if out := f.ask("acme", "app", "update", "Notes", "--sign-in-url", "https://in.example.com/"); !strings.Contains(out, "notes.example.com in.example.com") {
		t.Errorf("updated\n%s", out)
	}
	f.denied(4, "there is Notes", "acme", "app", "update", "Wiki", "--change-url", "")
}
