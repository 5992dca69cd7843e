package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecipesAreImportedFromAfar(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, fresh := write("old", "Canary-typed-old-1\n"), write("new", "Canary-typed-new-2\n")
	file := "../../connectors/recipe/testdata/harbour.json"
	typed := []string{"--username", "quay", "--password-file", old, "--new-password-file", fresh}
	importing := append([]string{"recipe", "import", file, "--app", "Harbour"}, typed...)

	f.denied(4, "postern app add", "acme", importing...)
	f.ask("acme", "app", "add", "Harbour", "--sign-in-url", "https://harbour.example/sign-in")
	f.denied(4, "recipe", "acme", "recipe", "show", "Harbour")
	f.denied(2, "--keep", "acme", "recipe", "import", file, "--app", "Harbour")
	f.denied(2, "step 8", "acme", "recipe", "import", file, "--app", "Harbour", "--username", "quay")
	out := f.ask("acme", importing...)
	if !strings.Contains(out, "1  goes to https://harbour.example/sign-in") || !strings.Contains(out, "types {{new_password}} into aria/New password") || !strings.Contains(out, "step 18 sends the new password") {
		t.Errorf("imported\n%s", out)
	}
	shown, exported, app := f.ask("acme", "recipe", "show", "harbour"), f.ask("acme", "recipe", "export", "Harbour"), f.ask("acme", "app", "show", "Harbour")
	if strings.Contains(out+shown+exported+app, "Canary") || strings.Contains(exported, "quay") {
		t.Errorf("what was typed shows\n%s\n%s", exported, app)
	}
	if !strings.Contains(shown, "Changes the password:") {
		t.Errorf("shown\n%s", shown)
	}

	// What is exported can be edited, and is imported again without any password.
	again := write("again.json", strings.Replace(exported, `"#new"`, `"#pw1"`, 1))
	f.ask("acme", "recipe", "import", again, "--app", "Harbour")
	if out := f.ask("acme", "recipe", "export", "Harbour"); !strings.Contains(out, `"#pw1"`) {
		t.Errorf("exported\n%s", out)
	}

	f.ask("acme", "app", "add", "Ledger", "--sign-in-url", "postgres://db.example.com/ledger", "--connector", "postgresql")
	f.denied(2, "leads to harbour.example", "acme", append([]string{"recipe", "import", file, "--app", "Ledger"}, typed...)...)
	f.ask("acme", "app", "add", "Elsewhere", "--sign-in-url", "https://elsewhere.example/")
	f.denied(2, "step 2 leads to harbour.example", "acme", append([]string{"recipe", "import", file, "--app", "Elsewhere"}, typed...)...)
	f.denied(4, "there is no", "other", "recipe", "show", "Harbour")

	f.denied(4, "dry run", "acme", "app", "dry-run", "Ledger", "--last")
	if out := f.ask("acme", "app", "dry-run", "Harbour", "--wait", "0s"); !strings.Contains(out, "under way") {
		t.Errorf("a dry run\n%s", out)
	}

	f.ask("acme", "recipe", "remove", "Harbour")
	f.denied(4, "recipe", "acme", "recipe", "show", "Harbour")
	f.denied(4, "recipe", "acme", "recipe", "remove", "Harbour")

	// Without a recipe it is the way that a dry run found.
	f.denied(4, "recipe", "acme", "recipe", "export", "Harbour")
	if _, err := d.db.Exec(t.Context(), `update dry_runs set result = 'passed', finished = now(), model = '{"forms": [], "recipe": {"title": "found", "steps": [
		{"type": "change", "value": "{{current_password}}", "selectors": [["#p"]]}, {"type": "keyDown", "key": "Enter"}]}}'`); err != nil {
		t.Fatal(err)
	}
	found := f.ask("acme", "recipe", "export", "Harbour")
	f.ask("acme", "recipe", "import", write("found.json", found), "--app", "Harbour")
	if out := f.ask("acme", "recipe", "show", "Harbour"); !strings.Contains(out, "types {{current_password}} into #p") || !strings.Contains(out, "form that is detected") {
		t.Errorf("found\n%s", out)
	}
}
