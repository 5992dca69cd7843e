package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/core"
	"postern/core/coretest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
)

func TestServiceAccountsInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/services", 200, []string{"No service accounts", "New service account"}, nil)
	w.expect(t, "ana", "/services", 200, []string{"No service accounts of yours"}, nil)
	w.expect(t, "ana", "/services/new", 403, nil, nil)
	form := url.Values{
		"name": {"ci"}, "purpose": {"deploys"}, "unit": {"platform"}, "risk": {"4"}, "sensitivity": {"5"}, "scopes": {"accounts:read *:read"}, "owners": {w.people["ana"].UserName},
	}
	if answer, text := w.ask(t, "zoe", http.MethodPost, "/services", form); answer.StatusCode != 400 || !strings.Contains(text, "two active people") || !strings.Contains(text, `value="ci"`) {
		t.Fatal(answer.StatusCode, text)
	}
	form.Set("owners", w.people["ana"].UserName+"\r\n\r\n"+w.people["ben"].UserName)
	if answer, _ := w.ask(t, "ana", http.MethodPost, "/services", form); answer.StatusCode != 403 {
		t.Fatal(answer.StatusCode)
	}
	answer, text := w.ask(t, "zoe", http.MethodPost, "/services", form)
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	at := answer.Header.Get("Location")
	w.expect(t, "ana", at, 200, []string{"ci", "Blast radius 10", "Add an owner", "<code>*:read</code>"}, []string{"Remove…"})
	w.expect(t, "zoe", at, 200, []string{"Remove…"}, []string{"Remove ci?"})
	w.expect(t, "zoe", at+"?confirm=remove", 200, []string{"Remove ci?", "open nothing any more"}, nil)
	for who, status := range map[string]int{"cy": 403, "gus": 404} {
		if w.cookies[who] != "" {
			w.expect(t, who, at, status, nil, []string{"deploys"})
		}
	}
	post := func(who, path string, form url.Values, status int, has string) string {
		t.Helper()
		answer, text := w.ask(t, who, http.MethodPost, at+path, form)
		if answer.StatusCode != status || !strings.Contains(text, has) {
			t.Fatalf("%s %s: %d, want %d with %q: %s", who, path, answer.StatusCode, status, has, text)
		}
		return text
	}
	// What it gets at is drawn, without a script or a style.
	post("ana", "/reaches", url.Values{"reaches": {"Billing | 5 | 5 | finance\nWiki|1|2"}}, 303, "")
	post("ana", "/reaches", url.Values{"reaches": {"Billing"}}, 400, `role="alert"`)
	post("ana", "/reaches", url.Values{"reaches": {"Billing | six | 5"}}, 400, `role="alert"`)
	page := w.expect(t, "ana", at, 200, []string{`<svg class="blast"`, "Billing: risk 5 × sensitivity 5 = 25", "Blast radius 37", "platform"}, nil)
	if boxes := regexp.MustCompile(`<g class="(\w+)"><title>`).FindAllStringSubmatch(page, -1); len(boxes) != 3 || boxes[0][1] != "bad" {
		t.Fatal(boxes)
	}
	w.expect(t, "zoe", "/services?budget=30&by=risk", 200, []string{"What to divide", "over 30", "By risk"}, nil)
	w.expect(t, "zoe", "/services?by=nonsense", 400, nil, nil)
	w.expect(t, "zoe", "/services?search=none", 200, []string{"None is like that"}, nil)
	// A token is shown once.
	text = post("ana", "/credentials", url.Values{"name": {"API"}, "kind": {"token postern"}, "days": {"90"}}, 200, "It is shown this once")
	token := seal.NewSecret(regexp.MustCompile(`pst_api_\w+`).FindString(text))
	w.expect(t, "ana", at, 200, []string{"for Postern’s API"}, []string{token.Reveal()})
	account, err := w.directory.AuthenticateServiceAccount(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.console.Services.Credentials(t.Context(), w.db, w.acme.ID, account.ID)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	credential := found[0].ID.String()
	post("ana", "/credentials", url.Values{"name": {"key"}, "kind": {"key vault"}}, 400, `role="alert"`)
	post("ana", "/credentials", url.Values{"name": {"mail"}, "kind": {"password account"}, "account": {w.mail.ID.String()}}, 400, `role="alert"`) // zoe's
	post("zoe", "/credentials", url.Values{"name": {"mail"}, "kind": {"password account"}, "account": {w.mail.ID.String()}}, 303, "")
	// A token that an app makes.
	forge := url.Values{"name": {"forge"}, "kind": {"token app"}, "account": {w.mail.ID.String()}, "days": {"90"}}
	post("zoe", "/credentials", forge, 400, "Nobody makes tokens")
	app := &coretest.Mint{Says: rotation.Unreachable}
	w.rotations.Connectors = rotation.Connectors{"browser": app}
	post("zoe", "/credentials", forge, 303, "")
	w.expect(t, "ana", at, 200, []string{"made by the app of", "The rotation under way"}, nil)
	if err := w.console.Services.Carry(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "ana", at, 200, []string{"The app is asked again"}, nil)
	made, err := w.console.Services.Credentials(t.Context(), w.db, w.acme.ID, account.ID)
	if err != nil || len(made) != 3 {
		t.Fatal(made, err)
	}
	w.expect(t, "ana", at+"?confirm=credential&part="+made[2].ID.String(), 200, []string{"once the app lets nobody in with it"}, nil)
	if answer, text := w.ask(t, "zoe", http.MethodPost, at+"/remove", nil); answer.StatusCode != 400 || !strings.Contains(text, "remove those credentials first") {
		t.Fatal(answer.StatusCode, text)
	}
	post("ana", "/credentials/"+made[2].ID.String()+"/remove", nil, 303, "")
	if err := w.console.Services.Carry(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "ana", at, 200, nil, []string{"made by the app of"})
	// Its rotation, step by step.
	post("ana", "/credentials/"+credential+"/rotate", url.Values{}, 200, "Rotation begun")
	w.expect(t, "ana", at, 200, []string{"The rotation under way", "It is where it is used", "Roll back"}, nil)
	rotations, err := w.console.Services.RotationsOf(t.Context(), w.db, w.acme.ID, found[0].ID)
	if err != nil || len(rotations) != 1 {
		t.Fatal(rotations, err)
	}
	step := "/rotations/" + rotations[0].ID.String()
	post("ana", step, url.Values{"to": {"distributed"}}, 303, "")
	post("ana", step, url.Values{"to": {"verified"}}, 400, "not seen in use")
	post("ana", step, url.Values{"to": {"verified"}, "reason": {"the log says so"}}, 303, "")
	post("ana", step, url.Values{"to": {"rolled_back"}}, 303, "")
	// A person's browser is found.
	if err := w.console.Services.Observe(t.Context(), services.Use{
		Workspace: w.acme.ID, Account: account.Actor(), Token: account.Token, Origin: core.Origin{Address: "192.0.2.1", UserAgent: "Mozilla/5.0 <script>"},
	}); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "ana", at, 200, []string{"Used by a person", "192.0.2.0/24", "&lt;script&gt;"}, []string{"<script>"})
	w.expect(t, "zoe", "/services", 200, []string{"What is odd", "Used by a person"}, nil)
	w.expect(t, "zoe", "/security/findings?kind=service_misused", 200, []string{`href="` + at + `"`, "<strong>ci</strong>", "used its token, from 192.0.2.1"}, nil)
	w.expect(t, "gus", "/security/findings?kind=service_misused", 200, []string{"Nothing fits"}, []string{at})
	w.expect(t, "zoe", "/security", 200, []string{"/security/findings?kind=service_misused", "Service accounts with two owners or a team"}, nil)
	findings, err := w.console.Services.Findings(t.Context(), w.db, w.acme.ID, services.FindingQuery{})
	if err != nil || len(findings) != 1 {
		t.Fatal(findings, err)
	}
	post("ana", "/findings/"+findings[0].ID.String(), url.Values{"state": {"resolved"}}, 400, `role="alert"`)
	post("ana", "/findings/"+findings[0].ID.String(), url.Values{"state": {"resolved"}, "note": {"me"}}, 303, "")
	// Owners.
	owners, err := w.console.Services.Owners(t.Context(), w.db, w.acme.ID, account.ID)
	if err != nil || len(owners) != 2 {
		t.Fatal(owners, err)
	}
	post("ana", "/owners/"+owners[0].ID.String()+"/remove", nil, 400, "add another one first")
	post("ana", "/owners", url.Values{"owner": {"nobody at all"}}, 400, `role="alert"`)
	post("ana", "/owners", url.Values{"owner": {w.people["zoe"].UserName}}, 303, "")
	post("ana", "/owners/"+owners[0].ID.String()+"/remove", nil, 303, "")
	// Others' things, and nothing's.
	if answer, _ := w.ask(t, "gus", http.MethodPost, at+"/reaches", url.Values{"reaches": {"x|1|1"}}); answer.StatusCode != 404 && answer.StatusCode != 403 {
		t.Fatal(answer.StatusCode)
	}
	w.expect(t, "zoe", "/services/nonsense", 404, nil, nil)
	// Settings, as they were read.
	settings := url.Values{"name": {"ci"}, "risk": {"2"}, "sensitivity": {"1"}, "scopes": {"apps:read"}, "networks": {"192.0.2.0/24"}, "version": {"1"}}
	post("zoe", "", settings, 303, "")
	post("zoe", "", settings, 400, "changed meanwhile")
	post("zoe", "/credentials/"+credential+"/remove", nil, 303, "")
	answer, _ = w.ask(t, "zoe", http.MethodPost, at+"/remove", nil)
	if answer.StatusCode != 303 || answer.Header.Get("Location") != "/services" {
		t.Fatal(answer.StatusCode, answer.Header)
	}
	w.expect(t, "zoe", at, 404, nil, nil)
}
