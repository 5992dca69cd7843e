package console_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var formField = regexp.MustCompile(`(?s)name="seen" value="([^"]+)"`)

func TestAppsInTheConsole(t *testing.T) {
	w := newWorld(t)
	path := "/apps/" + w.wiki.App.String()
	body := w.expect(t, "zoe", path, 200, []string{"What Postern can do there", "change a password as the account itself", "How it is reached"}, nil)
	w.expect(t, "zoe", "/apps", 200, []string{`href="` + path + `"`, "verify, change"}, nil)
	w.expect(t, "zoe", "/accounts/"+w.wiki.ID.String(), 200, []string{`href="` + path + `"`}, nil)
	for _, who := range []string{"ana", "ben"} {
		w.expect(t, who, path, 403, nil, []string{"How it is reached"})
		w.expect(t, who, "/apps", 403, nil, []string{path})
		w.post(t, who, path, nil, 403)
	}
	w.post(t, "", path, nil, 401)

	seen := html.UnescapeString(formField.FindStringSubmatch(body)[1])
	app, err := w.accounts.App(t.Context(), w.db, w.acme.ID, w.wiki.App)
	if err != nil {
		t.Fatal(err)
	}
	said := url.Values{
		"seen": {seen}, "name": {"Notes"}, "domains": {"notes.example.com\n" + strings.Join(app.Domains, " ")}, "sign_in_url": {" https://notes.example.com/in "},
		"change_url": {""}, "connector": {app.Connector}, "password_rules": {"minlength: 12"}, "risk": {"4"}, "settings": {`{"forgotten": "https://notes.example.com/lost"}`},
	}
	refused := url.Values{}
	for name, values := range said {
		refused[name] = values
	}
	refused["sign_in_url"] = []string{"https://elsewhere.example.com/"}
	if body := w.post(t, "zoe", path, refused, 400, "one of the app"); !strings.Contains(body, `value="https://elsewhere.example.com/"`) {
		t.Error("what was typed is gone")
	}
	w.post(t, "zoe", path, said, 303)
	app, err = w.accounts.App(t.Context(), w.db, w.acme.ID, w.wiki.App)
	if err != nil || app.Name != "Notes" || app.SignInURL != "https://notes.example.com/in" || app.PasswordRules != "minlength: 12" || app.Risk != 4 ||
		len(app.Domains) < 2 || !strings.Contains(string(app.Settings), "lost") {
		t.Fatalf("%+v, %v", app, err)
	}
	w.expect(t, "zoe", path, 200, []string{"Notes", "https://notes.example.com/lost"}, nil)
	w.post(t, "zoe", path, said, 400, "changed since")
}
