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
