package console_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"postern/core/rotation"
)

// TestTheKeyboardIsEnough goes through the console as somebody without a mouse does.
func TestTheKeyboardIsEnough(t *testing.T) {
	root := browser(t)
	w := newWorld(t)
	b := w.open(t, root, "zoe", "")
	b.goTo("/")
	const focused = `document.activeElement.id || document.activeElement.name || document.activeElement.getAttribute("href") || document.activeElement.textContent.trim()`
	at := func(what, want string) {
		t.Helper()
		if got := evaluated[string](b, focused); got != want {
			t.Errorf("%s: at %q, want %q", what, got, want)
		}
	}
	press := func(keys string) { t.Helper(); b.do(chromedp.KeyEvent(keys)) }
	press(kb.Tab)
	at("the first tab", "#content")
	press(kb.Enter)
	if !evaluated[bool](b, `document.activeElement.id === "content" || location.hash === "#content"`) {
		t.Error("the skip link leads nowhere")
	}
	mail, wiki := "/accounts/"+w.mail.ID.String(), "/accounts/"+w.wiki.ID.String()
	press("j")
	at("j", mail)
	press("j")
	at("j again", wiki)
	press("j")
	at("j in the last row", wiki)
	press("k")
	at("k", mail)
	press(kb.ArrowDown)
	at("an arrow", wiki)
	press("/")
	at("/", "q")
	evaluated[bool](b, `(document.activeElement.value = "") === ""`) // a simulated key is typed as well
	press("news")
	if got := evaluated[string](b, `[...document.querySelectorAll("#accounts tbody tr")].filter((row) => !row.hidden).map((row) => row.querySelector("strong").textContent).join()`); got != "Newsletter" {
		t.Errorf("typing shows %q", got)
	}
	b.goTo("/")
	press("?")
	if !evaluated[bool](b, `document.querySelector("#keys").matches(":popover-open")`) {
		t.Error("? shows no help")
	}
	press(kb.Escape)
	if evaluated[bool](b, `document.querySelector("#keys").matches(":popover-open")`) {
		t.Error("Escape does not close the help")
	}
	press("jj" + kb.Enter)
	b.do(chromedp.WaitVisible(chromedp.CSS("#access")))
	if got := evaluated[string](b, `location.pathname`); got != wiki {
		t.Errorf("Enter leads to %s", got)
	}
}

// TestARotationIsSeenAndHeard: a page shows how a rotation goes on while somebody looks, and says it.
func TestARotationIsSeenAndHeard(t *testing.T) {
	root := browser(t)
	w := newWorld(t)
	id := w.rotated(t, w.wiki, rotation.StateStored)
	list, account := w.open(t, root, "zoe", ""), w.open(t, root, "ana", "")
	list.goTo("/rotations")
	account.goTo("/accounts/" + w.wiki.ID.String())
	for _, b := range []*tab{list, account} {
		b.do(chromedp.WaitVisible(chromedp.CSS(".badge.busy")))
	}
	w.advance(t, id, rotation.StateArmed)
	for _, b := range []*tab{list, account} {
		const told = `new Promise((done) => { const look = () => { if (document.querySelector("main").textContent.includes("At the app") && document.querySelector("#said").textContent === "Wiki team-wiki: At the app") done(true); else setTimeout(look, 50); }; look(); })`
		if !evaluated[bool](b, told) {
			t.Error("nothing was told")
		}
	}
}

// TestWhatWasTypedIsKept: whoever has to prove themselves in the middle of a form finds what they had typed, without
// its secrets, once.
func TestWhatWasTypedIsKept(t *testing.T) {
	w := newWorld(t)
	age := func(how string) {
		t.Helper()
		if _, err := w.db.Exec(t.Context(), `update sessions set authenticated = now() - $1::interval, stepped_up = null`, how); err != nil {
			t.Fatal(err)
		}
	}
	for path, test := range map[string]struct {
		form url.Values
		has  []string
		not  string
	}{
		"/destinations/webhooks": {url.Values{"name": {"Ticket <b>"}, "url": {"https://tickets.example.com/in"}, "scheme": {"v1a"}}, []string{`value="Ticket &lt;b&gt;"`, `value="https://tickets.example.com/in"`, `value="v1a" selected`}, ""},
		"/hooks":                 {url.Values{"kind": {"graph"}, "name": {"Graph"}, "tenant": {"tenant-1"}, "client_id": {"client-1"}, "access_secret": {canary}, "connection": {w.okta.ID.String()}}, []string{"Microsoft Graph", `value="tenant-1"`, `value="client-1"`}, canary},
		"/policies": {url.Values{"name": {"Nightly"}, "trigger": {"schedule"}, "enabled": {"1"}, "covers": {"accounts"}, "accounts": {w.wiki.ID.String()}, "every": {"days"}, "days": {"7"}, "zone": {"Europe/Berlin"}, "from": {"01:00"}, "to": {"02:00"}},
			[]string{`value="Nightly"`, `value="Europe/Berlin"`, `value="` + w.wiki.ID.String() + `" aria-label="Cover Wiki (team-wiki)" checked`}, ""},
	} {
		age("3 days")
		answer, _ := w.ask(t, "zoe", http.MethodPost, path, test.form)
		if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), "/sso/step-up") {
			t.Fatal(path, answer.StatusCode, answer.Header)
		}
		var kept *http.Cookie
		for _, cookie := range answer.Cookies() {
			if cookie.Name == "__Host-postern-draft" {
				kept = cookie
			}
		}
		if kept == nil || !kept.Secure || !kept.HttpOnly || kept.SameSite != http.SameSiteLaxMode {
			t.Fatal(path, kept)
		}
		text, err := base64.RawURLEncoding.DecodeString(kept.Value)
		if err != nil || strings.Contains(string(text), canary) {
			t.Fatal(path, string(text), err)
		}
		age("1 second")
		cookies := w.cookies["zoe"] + "; " + kept.Name + "=" + kept.Value
		answer, page := w.ask(t, "zoe", http.MethodGet, path+"/new", nil, "Cookie", cookies)
		for _, text := range append(test.has, "Nothing was sent yet") {
			if !strings.Contains(page, text) {
				t.Errorf("%s/new: %d, lacks %s", path, answer.StatusCode, text)
			}
		}
		if cleared := answer.Header.Get("Set-Cookie"); !strings.Contains(cleared, "__Host-postern-draft=;") || !strings.Contains(cleared, "Max-Age=0") {
			t.Errorf("%s: %q", path, cleared)
		}
		// It is for that form alone, and rubbish is forgotten.
		if _, page := w.ask(t, "zoe", http.MethodGet, "/destinations/receivers/new", nil, "Cookie", cookies); strings.Contains(page, "Nothing was sent yet") {
			t.Errorf("%s: another form is filled", path)
		}
		if answer, page := w.ask(t, "zoe", http.MethodGet, path+"/new", nil, "Cookie", w.cookies["zoe"]+"; "+kept.Name+"=rubbish"); answer.StatusCode != 200 || strings.Contains(page, "Nothing was sent yet") {
			t.Errorf("%s: %d of rubbish", path, answer.StatusCode)
		}
	}
	// What does not fit is typed again; a proof that is recent keeps nothing.
	age("3 days")
	large := url.Values{"name": {"Large"}, "types": {strings.Repeat("user.* ", 1000)}}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, "/destinations/webhooks", large); len(answer.Cookies()) != 0 {
		t.Error("a cookie that no browser keeps")
	}
	age("1 second")
	if answer, _ := w.ask(t, "zoe", http.MethodPost, "/destinations/webhooks", url.Values{"name": {"x"}}); answer.StatusCode != 400 || len(answer.Cookies()) != 0 {
		t.Error(answer.StatusCode, answer.Cookies())
	}
}

// TestAccountsAreFoundForAPolicy: nobody has to know an account's id.
func TestAccountsAreFoundForAPolicy(t *testing.T) {
	w := newWorld(t)
	form := url.Values{"name": {"Some"}, "trigger": {"logout"}, "enabled": {"1"}, "covers": {"accounts"}, "find": {"wik"}, "look": {"1"}}
	w.post(t, "zoe", "/policies", form, 200, "team-wiki", `value="Some"`, `value="`+w.wiki.ID.String()+`"`, `value="wik"`)
	form.Set("find", "nothing like it")
	w.post(t, "zoe", "/policies", form, 200, "No other app")
	form.Set("find", "globex")
	if body := w.post(t, "zoe", "/policies", form, 200); strings.Contains(body, w.theirs.ID.String()) {
		t.Error("an account of another workspace is found")
	}
	form.Del("look")
	form.Set("accounts", w.wiki.ID.String())
	form.Set("excluded", w.mail.ID.String())
	answer, body := w.ask(t, "zoe", http.MethodPost, "/policies", form)
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, body)
	}
	page := answer.Header.Get("Location")
	w.expect(t, "zoe", page, 200, []string{`aria-label="Cover Wiki (team-wiki)" checked`, `aria-label="Never rotate Newsletter (press@acme.example)" checked`}, nil)
	form.Set("look", "1")
	form.Set("find", "news")
	form.Del("excluded")
	form.Set("version", "1")
	body = w.post(t, "zoe", page, form, 200, "press@acme.example")
	if strings.Contains(body, `aria-label="Never rotate Newsletter (press@acme.example)" checked`) {
		t.Error("what was taken back is there")
	}
	w.expect(t, "zoe", page, 200, []string{`aria-label="Never rotate Newsletter (press@acme.example)" checked`}, nil)
}
