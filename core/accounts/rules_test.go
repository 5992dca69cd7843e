package accounts_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/passwordrules"
)

func TestAnAppLearnsRules(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	learn := func(app *accounts.App, text string) (bool, error) {
		t.Helper()
		said, err := passwordrules.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var news bool
		return news, w.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			news, err = w.LearnRules(t.Context(), tx, app, said)
			return err
		})
	}
	app := acme.app
	for _, step := range []struct {
		said, seen string
		news       bool
	}{
		{"minlength: 12", "minlength: 12", true},
		{"minlength: 12", "minlength: 12", false},
		{"maxlength: 20; required: digit; allowed: lower", "minlength: 12; maxlength: 20; required: digit; allowed: lower, digit", true},
		{"", "minlength: 12; maxlength: 20; required: digit; allowed: lower, digit", false},
		{"minlength: 30", "minlength: 30", true}, // it changed its mind
	} {
		news, err := learn(&app, step.said)
		if err != nil || news != step.news || app.SeenRules != step.seen {
			t.Errorf("%q: %t, %q, %v", step.said, news, app.SeenRules, err)
		}
		if stored, err := w.App(t.Context(), w.DB, acme.workspace, app.ID); err != nil || stored.SeenRules != step.seen {
			t.Errorf("%q: stored %q, %v", step.said, stored.SeenRules, err)
		}
	}
	if news, err := learn(&app, "maxlength: 5"); news || core.KindOf(err) != core.KindConflict || app.SeenRules != "minlength: 30" {
		t.Errorf("%t, %v, %q", news, err, app.SeenRules)
	}
	// Another workspace's app is another app, also to who knows its id.
	forged := accounts.App{ID: app.ID, Workspace: other.workspace}
	if _, err := learn(&forged, "minlength: 40"); err != nil {
		t.Error(err)
	}
	if stored, err := w.App(t.Context(), w.DB, acme.workspace, app.ID); err != nil || stored.SeenRules != "minlength: 30" {
		t.Errorf("stored %q, %v", stored.SeenRules, err)
	}
}

// A person's word goes before the app's where no password satisfies both.
func TestAnAppsRules(t *testing.T) {
	for _, one := range []struct{ given, seen, want string }{
		{"", "", ""}, {"minlength: 12", "", "minlength: 12"}, {"", "maxlength: 16", "maxlength: 16"},
		{"minlength: 12", "maxlength: 16", "minlength: 12; maxlength: 16"}, {"minlength: 20", "maxlength: 16", "minlength: 20"},
	} {
		if rules := (accounts.App{PasswordRules: one.given, SeenRules: one.seen}).Rules(); rules.String() != one.want {
			t.Errorf("%+v: %q", one, rules)
		}
	}
}

// What is published of a site counts where nothing else contradicts it.
func TestAnAppsPublishedRules(t *testing.T) {
	const site = "https://login.sjwaterhub.com/signin"
	published := (accounts.App{SignInURL: site}).PublishedRules()
	if published.MaxLength != 30 {
		t.Fatalf("%q", published)
	}
	if rules := (accounts.App{SignInURL: site}).Rules(); rules.String() != published.String() {
		t.Errorf("%q", rules)
	}
	if rules := (accounts.App{SignInURL: site, SeenRules: "minlength: 12"}).Rules(); rules.MinLength != 12 || rules.MaxLength != 30 {
		t.Errorf("%q", rules)
	}
	if rules := (accounts.App{SignInURL: site, PasswordRules: "minlength: 40"}).Rules(); rules.String() != "minlength: 40" {
		t.Errorf("%q", rules)
	}
}
