package console_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/links"
)

var (
	hiddenField = regexp.MustCompile(`name="challenge" value="([^"]+)"`)
	codeInMail  = regexp.MustCompile(`(?m)^ {4}(\d{4} \d{4})$`)
	linkOnPage  = regexp.MustCompile(`(https?://[^<"]*/l/pst_link_[0-9A-Za-z]+)`)
)

// lastMail is what was mailed last in acme.
func (w *world) lastMail(t testing.TB) (to, text string) {
	t.Helper()
	kept, err := w.letters.Kept(t.Context(), w.db, w.acme.ID, 1)
	if err != nil || len(kept) == 0 {
		t.Fatal(kept, err)
	}
	opened, err := w.letters.Text(t.Context(), w.db, w.acme.ID, kept[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return kept[0].To, opened.Reveal()
}

func (w *world) lastCode(t testing.TB, email string) string {
	t.Helper()
	to, text := w.lastMail(t)
	found := codeInMail.FindStringSubmatch(text)
	if to != email || found == nil {
		t.Fatalf("the last mail went to %s: %s", to, text)
	}
	return found[1]
}

// PopulateLinks has a link that was viewed, one that was ended, and a guest; and leaves what was mailed to people outside.
func (w *world) PopulateLinks(t testing.TB) {
	w.post(t, "ana", "/accounts/"+w.wiki.ID.String()+"/totp", url.Values{"secret": {totpSeed}}, http.StatusSeeOther)
	path, _ := w.makeLink(t, nil)
	_, text := w.ask(t, "", http.MethodPost, path+"/code", url.Values{"email": {"ada@example.com"}})
	w.ask(t, "", http.MethodPost, path+"/open", url.Values{"challenge": {hiddenField.FindStringSubmatch(text)[1]}, "code": {w.lastCode(t, "ada@example.com")}})
	_, ended := w.makeLink(t, url.Values{"once": {"1"}})
	w.post(t, "ana", ended+"/end", nil, http.StatusSeeOther)
	w.post(t, "zoe", "/partners", url.Values{"name": {longName}, "domains": {"example.com, example.org"}, "sponsor": {"ana@acme.example"}, "last": {"2099-12-31"}}, http.StatusSeeOther)
	w.post(t, "zoe", "/guests", url.Values{"email": {"hal@example.com"}, "name": {"Hal"}, "days": {"7"}}, http.StatusSeeOther)
	w.mailed = []string{path, links.GuestPath + "acme"}
}

// makeLink has Ana make one on the console's form, and gives its path and that of its page.
func (w *world) makeLink(t testing.TB, more url.Values) (path, page string) {
	t.Helper()
	form := url.Values{"to": {"ada@example.com @partner.example.org"}, "hours": {"24"}, "linger": {"60"}, "level": {"filled"}, "purpose": {"the <b>audit</b>"}}
	for name, values := range more {
		form[name] = values
	}
	answer, text := w.ask(t, "ana", http.MethodPost, "/accounts/"+w.wiki.ID.String()+"/links", form)
	address := linkOnPage.FindString(text)
	found := regexp.MustCompile(`href="(/links/[0-9a-f-]{36})"`).FindStringSubmatch(text)
	if answer.StatusCode != 200 || address == "" || found == nil {
		t.Fatal(answer.StatusCode, text)
	}
	return strings.TrimPrefix(address, w.server.URL), found[1]
}

func TestLinksInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	w.expect(t, "ana", "/links", 200, []string{"No links", "with a code that is mailed"}, nil)
	w.expect(t, "ana", "/accounts/"+w.wiki.ID.String()+"/links/new", 200, []string{"New link", "E-mail addresses"}, nil)
	for who, want := range map[string]int{"eve": 404, "gus": 404} {
		w.expect(t, who, "/accounts/"+w.wiki.ID.String()+"/links/new", want, nil, []string{"team-wiki"})
	}
	path, page := w.makeLink(t, url.Values{"once": {"1"}, "device": {"1"}})
	for who, wanted := range map[string][]string{"ana": {"Wiki", "ada@example.com, everybody at partner.example.org", "the &lt;b&gt;audit"}, "zoe": {"Wiki", "Ana Ito"}} {
		w.expect(t, who, "/links", 200, wanted, []string{"pst_link_"})
	}
	w.expect(t, "ben", "/links", 200, []string{"No links"}, []string{"ada@example.com"})
	w.expect(t, "ben", "/links?account="+w.wiki.ID.String(), 403, nil, []string{"ada@example.com"})
	w.expect(t, "gus", "/links?account="+w.wiki.ID.String(), 404, nil, []string{"ada@example.com"})
	for who, want := range map[string]int{"ana": 200, "zoe": 200, "ben": 404, "eve": 404, "gus": 404} {
		w.expect(t, who, page, want, nil, nil)
		if want == 404 {
			if answer, _ := w.ask(t, who, http.MethodPost, page+"/end", nil); answer.StatusCode != 404 {
				t.Errorf("%s ends it: %d", who, answer.StatusCode)
			}
		}
	}
	// Who may not see the password makes none, and is told why.
	form := url.Values{"to": {"ada@example.com"}, "hours": {"24"}, "level": {"revealed"}}
	for who, says := range map[string]string{"ben": "only an owner", "zoe": "not shared with you"} {
		answer, text := w.ask(t, who, http.MethodPost, "/accounts/"+w.wiki.ID.String()+"/links", form)
		if answer.StatusCode != 403 || !strings.Contains(strings.ToLower(text), says) || strings.Contains(text, "/l/pst_") {
			t.Errorf("%s: %d", who, answer.StatusCode)
		}
	}
	form.Set("to", "ada@example.com, nonsense")
	if answer, text := w.ask(t, "ana", http.MethodPost, "/accounts/"+w.wiki.ID.String()+"/links", form); answer.StatusCode != 400 || !strings.Contains(text, "ada@example.com, nonsense") {
		t.Errorf("what was typed is kept: %d", answer.StatusCode)
	}

	// The recipient, who has no cookie.
	w.expect(t, "", path, 200, []string{"Acme", "Mail me a code"}, []string{"Wiki", "team-wiki", "Ana", canary})
	answer, text := w.ask(t, "", http.MethodPost, path+"/code", url.Values{"email": {"x"}})
	if answer.StatusCode != 400 || !strings.Contains(text, "An e-mail address is needed") {
		t.Errorf("no address: %d", answer.StatusCode)
	}
	_, stranger := w.ask(t, "", http.MethodPost, path+"/code", url.Values{"email": {"eve@example.com"}})
	answer, text = w.ask(t, "", http.MethodPost, path+"/code", url.Values{"email": {"ada@example.com"}})
	same := func(text string) string {
		return strings.ReplaceAll(hiddenField.ReplaceAllString(regexp.MustCompile(`nonce="[^"]*"`).ReplaceAllString(text, ""), ""), "eve@", "ada@")
	}
	if answer.StatusCode != 200 || same(text) != same(stranger) {
		t.Error("the page tells who is a recipient")
	}
	challenge := hiddenField.FindStringSubmatch(text)[1]
	answer, text = w.ask(t, "", http.MethodPost, path+"/open", url.Values{"challenge": {challenge}, "code": {"0000 0000"}, "email": {"ada@example.com"}})
	if answer.StatusCode != 403 || !strings.Contains(text, "wrong, has expired") || !strings.Contains(text, challenge) || strings.Contains(text, canary) {
		t.Errorf("a wrong code: %d", answer.StatusCode)
	}
	code := w.lastCode(t, "ada@example.com")
	answer, text = w.ask(t, "", http.MethodPost, path+"/open", url.Values{"challenge": {challenge}, "code": {code}}, "Sec-Fetch-Site", "cross-site")
	if answer.StatusCode != 403 || strings.Contains(text, canary) {
		t.Errorf("by another site's page: %d", answer.StatusCode)
	}
	answer, text = w.ask(t, "", http.MethodPost, path+"/open", url.Values{"challenge": {challenge}, "code": {code}}, "User-Agent", "Ada's phone")
	cookie := answer.Header.Get("Set-Cookie")
	if answer.StatusCode != 200 || !strings.Contains(text, html.EscapeString(canary)) || !strings.Contains(text, "team-wiki") || !strings.Contains(text, "https://wiki.example.com/login") {
		t.Fatal(answer.StatusCode, text)
	}
	if answer.Header.Get("Cache-Control") != "no-store" || !strings.Contains(cookie, "__Host-postern-device=pst_device_") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q, cache %q", cookie, answer.Header.Get("Cache-Control"))
	}
	w.expect(t, "", path, 404, []string{"Nothing to open here"}, []string{"Acme", canary})
	w.expect(t, "ana", page, 200, []string{"Viewed", "ada@example.com", "Ada&#39;s phone", "version 1"}, nil)
	w.expect(t, "ana", page+"?end=1", 200, []string{"End this link?", "account is rotated at once"}, nil)
	if answer, _ := w.ask(t, "zoe", http.MethodPost, page+"/end", nil); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode)
	}
	w.expect(t, "ana", page, 200, []string{"Ended", "The account was rotated"}, []string{"End it…"})
	w.expect(t, "ana", "/accounts/"+w.wiki.ID.String(), 200, []string{"ada@example.com", "used it"}, nil)
	w.settle(t)
	w.expect(t, "zoe", "/activity", 200, []string{"made a link to", "opened a link to", "ended a link to"}, []string{"pst_link_", canary})
	for _, nowhere := range []string{"/l/x", "/l/pst_link_" + strings.Repeat("0", 43)} {
		w.expect(t, "", nowhere, 404, []string{"Nothing to open here"}, nil)
	}
}

var passField = regexp.MustCompile(`name="pass" value="(pst_view_[0-9A-Za-z]+)"`)

func TestCodesOfALinkInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.post(t, "ana", "/accounts/"+w.wiki.ID.String()+"/totp", url.Values{"secret": {totpSeed}}, 303)
	path, _ := w.makeLink(t, nil)
	_, text := w.ask(t, "", http.MethodPost, path+"/code", url.Values{"email": {"ada@example.com"}})
	_, text = w.ask(t, "", http.MethodPost, path+"/open", url.Values{"challenge": {hiddenField.FindStringSubmatch(text)[1]}, "code": {w.lastCode(t, "ada@example.com")}})
	found := passField.FindStringSubmatch(text)
	if found == nil || strings.Contains(text, totpSeed) {
		t.Fatal(text)
	}
	pass := url.Values{"pass": {found[1]}}
	answer, text := w.ask(t, "", http.MethodPost, path+"/otp", pass)
	if answer.StatusCode != 200 || codeOnPage.FindString(text) == "" || strings.Contains(text, canary) || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("without scripts: %d %s", answer.StatusCode, text)
	}
	answer, text = w.ask(t, "", http.MethodPost, path+"/otp", pass, "X-Postern-Console", "1", "Accept", "application/json")
	if answer.StatusCode != 200 || !regexp.MustCompile(`"code":"\d{6}"`).MatchString(text) || answer.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("to our script: %d %s", answer.StatusCode, text)
	}
	for what, form := range map[string]url.Values{"no pass": nil, "another": {"pass": {found[1] + "x"}}} {
		if answer, text := w.ask(t, "", http.MethodPost, path+"/otp", form); answer.StatusCode != 404 || !strings.Contains(text, "Nothing to open here") {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
	}
	if answer, _ := w.ask(t, "", http.MethodPost, path+"/otp", pass, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("by another site's page: %d", answer.StatusCode)
	}
	w.sequence(t)
	w.expect(t, "ana", "/accounts/"+w.wiki.ID.String(), 200, []string{"ada@example.com", "was given a one-time code"}, []string{totpSeed})
}

func TestGuestsInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/guests", 200, []string{"No guests", "Who may invite guests"}, nil)
	for _, who := range []string{"ana", "eve"} {
		w.expect(t, who, "/guests", 403, nil, []string{"Who may invite"})
		if answer, _ := w.ask(t, who, http.MethodPost, "/guests", url.Values{"email": {"hal@example.com"}, "days": {"7"}}); answer.StatusCode != 403 {
			t.Errorf("%s invites: %d", who, answer.StatusCode)
		}
	}
	form := url.Values{"email": {"Hal@Example.com"}, "name": {"Hal <i>"}, "days": {"7"}}
	if answer, text := w.ask(t, "zoe", http.MethodPost, "/guests", form); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	to, text := w.lastMail(t)
	if to != "hal@example.com" || !strings.Contains(text, w.server.URL+"/guest/acme") || !strings.Contains(text, "Zoe Adler") {
		t.Errorf("to %s: %s", to, text)
	}
	w.expect(t, "zoe", "/guests", 200, []string{"Hal &lt;i&gt;", "hal@example.com", "Invited", "by Zoe Adler"}, nil)
	w.expect(t, "gus", "/guests", 200, []string{"No guests"}, []string{"hal@example.com"})
	if answer, text := w.ask(t, "zoe", http.MethodPost, "/guests", form); answer.StatusCode != 409 || !strings.Contains(text, "invited already") {
		t.Errorf("again: %d", answer.StatusCode)
	}
	w.expect(t, "", "/sign-in", 200, []string{"Sign in as a guest"}, nil)
	w.expect(t, "", "/guest", 200, []string{"Whose guest are you?"}, nil)
	if answer, _ := w.ask(t, "", http.MethodPost, "/guest", url.Values{"workspace": {"acme"}}); answer.Header.Get("Location") != "/guest/acme" {
		t.Error(answer.Header)
	}
	if answer, _ := w.ask(t, "", http.MethodPost, "/guest", url.Values{"workspace": {"nowhere"}}); answer.StatusCode != 404 {
		t.Error(answer.StatusCode)
	}
	_, stranger := w.ask(t, "", http.MethodPost, "/guest/acme/code", url.Values{"email": {"nobody@example.com"}})
	answer, text := w.ask(t, "", http.MethodPost, "/guest/acme/code", url.Values{"email": {"hal@example.com"}, "return_to": {"/activity"}})
	if answer.StatusCode != 200 || !strings.Contains(stranger, "If <b>nobody@example.com</b> is a guest here") || !strings.Contains(text, "If <b>hal@example.com</b> is a guest here") {
		t.Fatal(answer.StatusCode, text)
	}
	enter := url.Values{"challenge": {hiddenField.FindStringSubmatch(text)[1]}, "code": {w.lastCode(t, "hal@example.com")}, "return_to": {"/activity"}}
	if answer, _ := w.ask(t, "", http.MethodPost, "/guest/globex/enter", enter); answer.StatusCode != 403 || answer.Header.Get("Set-Cookie") != "" {
		t.Errorf("into another workspace: %d", answer.StatusCode)
	}
	answer, text = w.ask(t, "", http.MethodPost, "/guest/acme/enter", enter)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/activity" {
		t.Fatal(answer.StatusCode, text)
	}
	w.cookies["hal"], _, _ = strings.Cut(answer.Header.Get("Set-Cookie"), ";")
	if answer, _ := w.ask(t, "", http.MethodPost, "/guest/acme/enter", enter); answer.StatusCode != 403 {
		t.Errorf("the same code again: %d", answer.StatusCode)
	}

	// A guest sees what is shared with them, and nobody else's.
	w.expect(t, "hal", "/", 200, []string{"Hal &lt;i&gt;", "guest"}, []string{"team-wiki", "href=\"/links\"", "href=\"/users\""})
	w.expect(t, "hal", "/accounts/"+w.wiki.ID.String(), 404, nil, []string{"team-wiki"})
	guests, err := w.links.Guests(t.Context(), w.db, w.acme.ID, core.ID{}, core.ID{}, core.ID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, core.NewCause(core.System, guests[0].Invited), w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: guests[0].User}, Role: accounts.Collaborator})
		return err
	})
	w.expect(t, "hal", "/accounts/"+w.wiki.ID.String(), 200, []string{"team-wiki", "Use"}, []string{"Ana Ito", "Okoye", "Reveal"})
	for _, page := range []string{"/users", "/guests", "/policies", "/mail", "/links?account=" + w.wiki.ID.String()} {
		w.expect(t, "hal", page, 403, nil, []string{"Ana Ito", "Okoye"})
	}
	w.expect(t, "zoe", "/mail", 200, []string{"Your code for Acme", "hal@example.com"}, nil)
	w.expect(t, "ana", "/mail", 403, nil, []string{"hal@example.com"})
	w.expect(t, "gus", "/mail", 200, []string{"No mail yet"}, []string{"hal@example.com"})

	w.expect(t, "zoe", "/guests?remove="+guests[0].User.String(), 200, []string{"Send Hal &lt;i&gt; away?", "is rotated"}, nil)
	if answer, _ := w.ask(t, "ana", http.MethodPost, "/guests/"+guests[0].User.String()+"/end", nil); answer.StatusCode != 403 {
		t.Errorf("Ana sends them away: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, "/guests/"+guests[0].User.String()+"/end", nil); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode)
	}
	w.expect(t, "zoe", "/guests", 200, []string{"Removed"}, nil)
	if answer, _ := w.ask(t, "hal", http.MethodGet, "/", nil, "Sec-Fetch-Mode", "navigate"); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("who was sent away is let in: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, "/settings/guests", url.Values{"inviters": {string(links.ByAccountOwners)}}); answer.StatusCode != http.StatusSeeOther {
		t.Error(answer.StatusCode)
	}
	w.expect(t, "ana", "/guests", 200, []string{"No guests of yours"}, []string{"hal@example.com", "Who may invite guests"})
	w.expect(t, "eve", "/guests", 403, nil, nil)
	w.letters.Keep = false
	w.expect(t, "zoe", "/mail", 404, nil, []string{"hal@example.com"})
}
