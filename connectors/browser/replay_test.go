package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/connectors/recipe"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
	"postern/deploy/local/sampleapp"
)

// recording is a file as Chrome's Recorder exports it, of an app at another address, imported.
func recording(t *testing.T, name, recordedAt, address, username string) json.RawMessage {
	t.Helper()
	file, err := os.ReadFile("../recipe/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := recipe.Import([]byte(strings.ReplaceAll(string(file), recordedAt, address)), recipe.Given{
		Username: username, Password: seal.NewSecret("Canary-typed-old-1"), New: seal.NewSecret("Canary-typed-new-2"), Domains: []string{"127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return settingsOf(t, made)
}

func settingsOf(t *testing.T, made *recipe.Recipe) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(Settings{Recipe: made})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseSettings(text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "Canary") {
		t.Fatalf("a password is in the recipe: %s", text)
	}
	return text
}

// altered is the sample app with some of its HTML replaced.
func altered(t *testing.T, pairs ...string) (*sampleapp.App, rotation.Target) {
	t.Helper()
	app, target := harbour(t)
	replacer := strings.NewReplacer(pairs...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		if r.Method == http.MethodPost {
			// What the page sends is what it was always sent.
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			if value := r.PostForm.Get("pw1"); value != "" {
				r.PostForm.Set("new_password", value)
			}
		}
		app.ServeHTTP(recorder, r)
		for name, values := range recorder.Header() {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(recorder.Code)
		_, _ = replacer.WriteString(w, recorder.Body.String())
	}))
	t.Cleanup(server.Close)
	target.SignInURL, target.ChangeURL = server.URL+"/sign-in", server.URL+"/account/password"
	return app, target
}

func base(target rotation.Target) string { return strings.TrimSuffix(target.SignInURL, "/sign-in") }

func TestRecipe(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	target.Settings = recording(t, "harbour.json", "https://harbour.example", base(target), "quay")
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("nobody", first)), rotation.Rejected, rotation.StageVerify)

	// Called off at the gate: nothing is sent, and the report tells of the pages on the way.
	count := counter{err: fmt.Errorf("a rehearsal")}
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.NotSent, rotation.StageSubmit)
	var known pageModel
	if err := json.Unmarshal(report.Model, &known); err != nil || len(known.Before) < 2 || count.calls != 1 || report.Released || app.Changes() != 0 {
		t.Fatalf("%v, %d pages before, release called %d times, %d changes", err, len(known.Before), count.calls, app.Changes())
	}

	count = counter{}
	report = b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.Applied, rotation.StageSubmit)
	if !report.Released || count.calls != 1 || app.Changes() != 1 {
		t.Errorf("released %v, release called %d times, %d changes", report.Released, count.calls, app.Changes())
	}
	expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Rejected, rotation.StageVerify)
	count = counter{}
	report = b.Change(short(t), target, credential("quay", first), seal.NewSecret("Canary-third-1"), count.release)
	expect(t, report, rotation.Rejected, rotation.StageSignIn)
	if count.calls != 0 {
		t.Error("released without being signed in")
	}

	app.Behave(sampleapp.Behaviour{RefuseEveryPassword: true})
	count = counter{}
	expect(t, b.Change(short(t), target, credential("quay", second), seal.NewSecret("Canary-third-1"), count.release), rotation.Refused, rotation.StageSubmit)
	app.Behave(sampleapp.Behaviour{Captcha: true})
	expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Challenge, "")
	app.Behave(sampleapp.Behaviour{Down: true})
	expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Unreachable, "")
	app.Behave(sampleapp.Behaviour{})
	if err := app.Disable("quay", true); err != nil {
		t.Fatal(err)
	}
	expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Disabled, rotation.StageVerify)

	// A recipe is no way round the allow-list.
	elsewhere := target
	elsewhere.Domains = []string{"harbour.example"}
	expect(t, b.Verify(short(t), elsewhere, credential("quay", second)), rotation.Unreachable, "")
}

// TestRecipeOfAChangedPage: what one alternative does not find the next one does; what none finds is told with what has
// become of the page.
func TestRecipeOfAChangedPage(t *testing.T) {
	b := connector(t)
	_, before := altered(t)
	before.Settings = recording(t, "harbour.json", "https://harbour.example", base(before), "quay")
	count := counter{err: fmt.Errorf("a rehearsal")}
	good := b.Change(short(t), before, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, good, rotation.NotSent, rotation.StageSubmit)

	healed, target := altered(t, `id="new" name="new_password"`, `id="pw1" name="pw1"`, `for="new"`, `for="pw1"`)
	target.Settings = recording(t, "harbour.json", "https://harbour.example", base(target), "quay")
	count = counter{}
	expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
	if !healed.Works("quay", second) {
		t.Error("the field that was found by its label alone did not get the password")
	}

	_, target = altered(t, `id="new" name="new_password"`, `id="pw1" name="pw1"`, `for="new">New password`, `for="pw1">Fresh word`)
	target.Settings = recording(t, "harbour.json", "https://harbour.example", base(target), "quay")
	target.Known = known(good, base(before), base(target))
	count = counter{}
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.FormNotFound, rotation.StageChangeForm)
	var model pageModel
	if err := json.Unmarshal(report.Model, &model); err != nil || model.Difference == nil {
		t.Fatalf("%v: %s", err, report.Model)
	}
	if !slices.Contains(model.Difference.Gone, `the field "new_password" (password) of the change form`) || !slices.Contains(model.Difference.New, `the field "pw1" (password) of the change form`) || len(model.Difference.New) != 1 {
		t.Errorf("%+v", model.Difference)
	}
	if count.calls != 0 || !strings.Contains(report.Detail, "types {{new_password}} into aria/New password") || !strings.Contains(report.Detail, "pw1") {
		t.Errorf("%d calls: %s", count.calls, report.Detail)
	}

	// The same of the page before it.
	_, target = altered(t, `id="username" name="username"`, `id="who" name="who"`, `for="username">Username`, `for="who">Who`)
	target.Settings = recording(t, "harbour.json", "https://harbour.example", base(target), "quay")
	target.Known = known(good, base(before), base(target))
	report = b.Verify(short(t), target, credential("quay", first))
	expect(t, report, rotation.FormNotFound, rotation.StageVerify)
	if !strings.Contains(report.Detail, `Gone: the field "username" (text) of the sign-in form. New: the field "who"`) {
		t.Error(report.Detail)
	}
}

// TestRecipeInDokuWiki follows a recording of an app somebody else wrote, which sends the sign-in by Enter.
func TestRecipeInDokuWiki(t *testing.T) {
	partstest.Long(t, "web application")
	b := connector(t)
	site := started(t, "DokuWiki", apps.StartDokuWiki, "shared")
	target := rotation.Target{AppName: "DokuWiki", Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
	target.Settings = recording(t, "dokuwiki.json", "https://wiki.example", site.URL, "shared")
	expect(t, b.Verify(short(t), target, credential("shared", first)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("shared", "wrong")), rotation.Rejected, rotation.StageVerify)
	var count counter
	report := b.Change(short(t), target, credential("shared", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.Applied, rotation.StageSubmit)
	if !report.Released || count.calls != 1 {
		t.Errorf("released %v after %d calls", report.Released, count.calls)
	}
	expect(t, b.Verify(short(t), target, credential("shared", second)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("shared", first)), rotation.Rejected, rotation.StageVerify)
	for password, want := range map[string]bool{first: false, second: true} {
		if ok, err := site.Accepts(t.Context(), "shared", password); err != nil || ok != want {
			t.Errorf("%v, %v, expected %v", ok, err, want)
		}
	}
}

// port is an app whose pages no detection makes sense of: a menu that opens under the mouse, fields in a frame and in a
// shadow root, a choice, a code on a page of its own.
func port(t *testing.T, tamper bool) (*httptest.Server, func() string) {
	t.Helper()
	var got string
	pages := map[string]string{
		"/":      `<title>Port</title><nav onmouseover="this.querySelector('a').hidden=false"><b id="menu">Crew</b> <a hidden href="/in">Aboard</a></nav>`,
		"/in":    `<iframe src="/frame" width="500" height="300"></iframe>`,
		"/frame": `<form action="/code" method="post" target="_top"><select name="quay"><option value="east">East</option><option value="west">West</option></select><input name="a"><textarea name="b" hidden></textarea><input id="word" name="c"><p role="button" onclick="this.closest('form').submit()">Step <i>on</i></p></form>`,
		"/code":  `<form action="/deck" method="post"><label>Figures <input name="figures"></label></form>`,
		"/deck":  `<h1>Deck</h1><a href="/word">Another word</a>`,
		"/word": `<port-word></port-word><script>
customElements.define('port-word', class extends HTMLElement { connectedCallback() {
  const root = this.attachShadow({mode: 'open'});
  root.innerHTML = '<form action="/done" method="post"><input name="x"><input name="y"><button>Set</button></form>';
  ` + map[bool]string{true: `root.querySelector('form').addEventListener('formdata', (event) => event.formData.set('x', 'Something-else-9'));`}[tamper] + `
}});</script>`,
		"/done": `<p>Hoisted</p>`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		page, found := pages[r.URL.Path]
		refused := r.URL.Path == "/code" && (r.FormValue("quay") != "west" || r.FormValue("a") != "crew" || r.FormValue("c") != first) || r.URL.Path == "/deck" && r.FormValue("figures") != "424242"
		if !found || refused {
			page = `<p class="error">Wrong word, no such login.</p>` + pages["/in"]
		}
		if r.URL.Path == "/done" {
			got = r.FormValue("x")
		}
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	return server, func() string { return got }
}

func portRecipe(t *testing.T, address string) json.RawMessage {
	t.Helper()
	file := strings.ReplaceAll(`{"title": "Port", "steps": [
{"type": "navigate", "url": "AT/"},
{"type": "hover", "selectors": ["#menu"]},
{"type": "click", "selectors": ["#not-there", "xpath///nav/a[1]"], "offsetX": 1, "offsetY": 1, "assertedEvents": [{"type": "navigation", "url": "AT/in"}]},
{"type": "waitForElement", "selectors": ["xpath///input[@name='a']"], "frame": [0]},
{"type": "change", "value": "west", "frame": [0], "selectors": ["select"]},
{"type": "change", "value": "crew", "frame": [0], "selectors": ["pierce/input[name=a]"]},
{"type": "change", "value": "{{current_password}}", "frame": [0], "selectors": ["[["], "SECOND"]},
{"type": "click", "frame": [0], "selectors": ["text/Step on"], "offsetX": 1, "offsetY": 1, "assertedEvents": [{"type": "navigation", "url": "AT/code"}]},
{"type": "change", "value": "{{code}}", "selectors": ["aria/Figures[role=\"textbox\"]"]},
{"type": "keyDown", "key": "Enter", "assertedEvents": [{"type": "navigation", "url": "AT/deck"}]},
{"type": "click", "selectors": ["aria/Another word"], "offsetX": 1, "offsetY": 1, "assertedEvents": [{"type": "navigation", "url": "AT/word"}]},
{"type": "change", "value": "{{new_password}}", "selectors": [["port-word", "input[name=x]"]]},
{"type": "change", "value": "{{new_password}}", "selectors": [["port-word", "input[name=y]"]]},
{"type": "click", "selectors": [["port-word", "aria/Set"]], "offsetX": 1, "offsetY": 1, "assertedEvents": [{"type": "navigation", "url": "AT/done"}]}]}`, "AT", address)
	file = strings.ReplaceAll(file, `"[["], "SECOND"]`, `"[[", "#word"]`)
	made, _, err := recipe.Import([]byte(file), recipe.Given{Username: "crew", Domains: []string{"127.0.0.1"}, Keep: []int{5}})
	if err != nil {
		t.Fatal(err)
	}
	return settingsOf(t, made)
}

// TestRecipeFindsItsWay takes every kind of step and selector.
func TestRecipeFindsItsWay(t *testing.T) {
	b := connector(t)
	server, got := port(t, false)
	target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/", Settings: portRecipe(t, server.URL)}
	signingIn := credential("crew", first)
	expect(t, b.Verify(short(t), target, signingIn), rotation.Challenge, "")
	signingIn.Code = func(context.Context) (seal.Secret, error) { return seal.NewSecret("424242"), nil }
	expect(t, b.Verify(short(t), target, signingIn), rotation.Accepted, rotation.StageVerify)
	wrong := signingIn
	wrong.Password = seal.NewSecret("wrong")
	if report := b.Verify(short(t), target, wrong); report.Outcome == rotation.Accepted || report.Outcome == rotation.Unreachable {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	var count counter
	report := b.Change(short(t), target, signingIn, seal.NewSecret(second), count.release)
	expect(t, report, rotation.Applied, rotation.StageSubmit)
	if got() != second || count.calls != 1 || !report.Released {
		t.Errorf("release called %d times, right password: %v", count.calls, got() == second)
	}
}

// TestRecipeMeetsTheGate: a page that sends something else than was typed sends nothing.
func TestRecipeMeetsTheGate(t *testing.T) {
	b := connector(t)
	server, got := port(t, true)
	target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/", Settings: portRecipe(t, server.URL)}
	signingIn := credential("crew", first)
	signingIn.Code = func(context.Context) (seal.Secret, error) { return seal.NewSecret("424242"), nil }
	var count counter
	report := b.Change(short(t), target, signingIn, seal.NewSecret(second), count.release)
	expect(t, report, rotation.NotSent, rotation.StageSubmit)
	if got() != "" || count.calls != 0 || report.Released {
		t.Errorf("release called %d times, the app got something: %v", count.calls, got() != "")
	}
}

// TestTheWayThatWasFoundIsARecipe: what the detection did is exported, imported and followed.
func TestTheWayThatWasFoundIsARecipe(t *testing.T) {
	b := connector(t)
	for name, way := range map[string]string{"at its address": "/account/password", "by its link": ""} {
		t.Run(name, func(t *testing.T) {
			app, target := harbour(t)
			if way == "" {
				target.ChangeURL = ""
			}
			count := counter{err: fmt.Errorf("a rehearsal")}
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
			expect(t, report, rotation.NotSent, rotation.StageSubmit)
			var found pageModel
			if err := json.Unmarshal(report.Model, &found); err != nil || found.Recipe == nil {
				t.Fatalf("%v: %s", err, report.Model)
			}
			file, err := found.Recipe.Encode()
			if err != nil {
				t.Fatal(err)
			}
			made, _, err := recipe.Import(file, recipe.Given{Domains: target.Domains})
			if err != nil {
				t.Fatalf("%v: %s", err, file)
			}
			target.Settings, target.ChangeURL = settingsOf(t, made), ""
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
			count = counter{}
			expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
			if !app.Works("quay", second) || len(made.Change()) != 5 {
				t.Errorf("changed: %v by %q", app.Works("quay", second), recipe.Words(made.Change()))
			}
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Rejected, rotation.StageVerify)
		})
	}
}

// known gives the pages of a report, as if the app had been at another address.
func known(report rotation.Report, before, after string) func(context.Context) json.RawMessage {
	return func(context.Context) json.RawMessage {
		return json.RawMessage(strings.ReplaceAll(string(report.Model), before, after))
	}
}
