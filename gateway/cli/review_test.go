package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/lifecycle"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signing"
)

func TestReview(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	app, ana := f.app(acme, "Harbour"), f.member(acme, "ana")
	ben := f.member(acme, "ben")
	if err := f.db.Tx(t.Context(), func(tx pgx.Tx) error {
		made, err := f.logins.CreateAccount(t.Context(), tx, core.NewCause(core.System, ana.Created), acme, accounts.NewAccount{App: app.ID, Username: "team", Password: seal.NewSecret("first password"), Owner: ana.ID})
		if err != nil {
			return err
		}
		_, err = f.logins.Share(t.Context(), tx, core.NewCause(core.System, ana.Created), acme, made.ID, accounts.Sharing{Subject: accounts.Subject{User: ben.ID}, Role: accounts.Collaborator})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	says := func(out string, all ...string) {
		t.Helper()
		for _, one := range all {
			if !strings.Contains(out, one) {
				t.Errorf("%q is not in\n%s", one, out)
			}
		}
	}
	says(f.ask("acme", "review", "campaigns"), "There is none yet")
	says(f.ask("acme", "review", "preview", "--app", "harbour"), "It would ask about 2 items", "ben")
	says(f.ask("acme", "review", "create", "Quarterly", "--role", "collaborator", "--months", "3"), "Quarterly", "Every collaborator's access.", "14 days", "revoke")
	f.denied(2, "2027-01-04", "acme", "review", "create", "x", "--months", "3", "--begins", "soon")
	f.denied(4, "Quarterly", "acme", "review", "start", "Monthly")
	review := f.rows("acme", "review", "start", "quarterly")[0]["id"].(string)
	f.denied(4, "no such review", "globex", "review", "show", review)
	item := f.rows("acme", "review", "items", review)[0]["id"].(string)
	says(f.ask("acme", "review", "items", review, "--undecided"), "Harbour (team)", "ben", "ana")
	says(f.ask("acme", "review", "reassign", review, "--from", ana.UserName, "--to", f.member(acme, "eve").UserName), "1 item now")
	says(f.ask("acme", "review", "decide", review, "revoke", item, "--reason", "left"), item+"  revoke")
	if code, out, _ := run(f.words("acme", []string{"review", "decide", review, "keep", item, "--reason", "no"})...); code != 5 || !strings.Contains(out, "decided already: revoke") {
		t.Errorf("%d %s", code, out)
	}
	says(f.ask("acme", "review", "settings", "--trigger", "unused", "--begin", "--days", "7"), "unused", "on", "7 days")

	rotations := &rotation.Rotations{DB: d.db, Accounts: f.logins}
	keeper := &reviews.Reviews{DB: d.db, Directory: d.people, Accounts: f.logins, Signing: &signing.Signing{DB: d.db, Vault: f.logins.Vault},
		Lifecycle: &lifecycle.Lifecycle{DB: d.db, Directory: d.people, Accounts: f.logins, Rotations: rotations}}
	for range 3 {
		if _, err := keeper.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	says(f.ask("acme", "review", "show", review), "closed, 1 of 1 items decided", "1 revoked", "Signed (issue 1)")
	file := filepath.Join(t.TempDir(), "review.json")
	text := f.ask("acme", "review", "show", review, "--signed")
	for content, want := range map[string]int{text: 0, strings.Replace(text, "left", "none", 1): 3, "{}": 3} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, told := run("review", "verify", file)
		if code != want || (want == 0) != strings.Contains(out, "1 item: 0 kept, 1 revoked") || want != 0 && !strings.Contains(told, "cannot be believed") {
			t.Errorf("%d, want %d: %s %s", code, want, out, told)
		}
	}
	says(f.ask("acme", "review", "remove", "Quarterly"), "is removed")
}
