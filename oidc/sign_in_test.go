package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
)

func TestSignInAndOut(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)

	turned := b.get(h.gateway + "/private?tab=2")
	if turned.status != http.StatusSeeOther || turned.location != h.gateway+"/sso?return_to=%2Fprivate%3Ftab%3D2" {
		t.Fatalf("a browser without a session: %d to %q", turned.status, turned.location)
	}
	done := h.signIn(b, h.acme, person, "?return_to=%2Fprivate%3Ftab%3D2")
	if done.status != http.StatusSeeOther || done.location != h.gateway+"/private?tab=2" {
		t.Fatalf("callback: %d to %q\n%s", done.status, done.location, done.body)
	}
	if got := h.signedInAs(b); got != user.UserName {
		t.Fatalf("signed in as %q", got)
	}
	for name := range b.cookies[strings.TrimPrefix(h.gateway, "http://")] {
		if strings.HasPrefix(name, flowCookie) {
			t.Errorf("the cookie %s of a finished sign-in is still there", name)
		}
	}
	// The next time this browser needs no question to find its connection.
	if again := newBrowserLike(b).get(h.gateway + "/sso?return_to=/private"); again.location != h.gateway+startPath(h.acme.ID, "/private") {
		t.Errorf("the connection was not remembered: %q", again.location)
	}

	old := b.cookie(h.gateway, SessionCookie)
	out := b.post(h.gateway+"/sso/sign-out", url.Values{})
	if out.status != http.StatusSeeOther || !strings.HasPrefix(out.location, h.idpURL+"/end_session?") {
		t.Fatalf("sign-out: %d to %q", out.status, out.location)
	}
	if b.cookie(h.gateway, SessionCookie) != "" {
		t.Error("the session's cookie is still there")
	}
	ended := b.get(out.location)
	if ended.status != http.StatusFound || !strings.HasPrefix(ended.location, h.service.signedOutURI()+"?state=") {
		t.Fatalf("the IdP's sign-out: %d to %q\n%s", ended.status, ended.location, ended.body)
	}
	if landed := b.get(ended.location); landed.status != http.StatusOK || !strings.Contains(landed.body, "You are signed out") {
		t.Errorf("after signing out: %d", landed.status)
	}
	b.cookies[strings.TrimPrefix(h.gateway, "http://")][SessionCookie] = old
	if got := h.signedInAs(b); got != "" {
		t.Errorf("the old token still is %s", got)
	}
	if b.cookie(h.idpURL, "devidp_session") != "" {
		t.Error("the IdP's session is still there")
	}
	if failed := h.failures(h.acme.Workspace); len(failed) != 0 {
		t.Errorf("failures were recorded: %v", failed)
	}
}

// newBrowserLike is the same browser after its session's cookie went.
func newBrowserLike(b *browser) *browser {
	other := newBrowser(b.t)
	for host, cookies := range b.cookies {
		other.cookies[host] = map[string]string{}
		for name, value := range cookies {
			if name != SessionCookie {
				other.cookies[host][name] = value
			}
		}
	}
	return other
}

// A browser holds one session: signing in anew, as anybody, ends the one it had.
func TestSigningInAnewEndsTheSessionBefore(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	h.provision(h.other, directory.User{UserName: person.UserName, ExternalID: person.ID})
	b := newBrowser(t)
	for _, connection := range []directory.Connection{h.acme, h.acme, h.other, h.acme} {
		before := b.cookie(h.gateway, SessionCookie)
		h.signIn(b, connection, person, "")
		if b.cookie(h.gateway, SessionCookie) == before || h.signedInAs(b) == "" {
			t.Fatalf("not signed in to %s", connection.Workspace)
		}
		if before == "" {
			continue
		}
		if _, _, err := h.directory.Authenticate(t.Context(), seal.NewSecret(before)); core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("the session before is alive after signing in to %s: %v", connection.Workspace, err)
		}
	}
	var strangers int
	err := h.db.QueryRow(t.Context(), `
		select count(*) from audit_outbox o where type = 'session.ended' and not exists (
			select from users u where u.workspace_id = o.workspace_id and u.id::text = o.event->'actor'->>'id')`).Scan(&strangers)
	if err != nil || strangers != 0 {
		t.Errorf("%d events tell a workspace of another one's user, %v", strangers, err)
	}
}

func TestTwoTabsAtOnceBothSucceed(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	first, second := h.begin(b, h.acme, "?return_to=/one"), h.begin(b, h.acme, "?return_to=/two")
	firstBack, secondBack := h.prove(b, first, person), h.prove(b, second, person)
	for _, tab := range []struct{ callback, lands string }{{secondBack, "/two"}, {firstBack, "/one"}} {
		done := b.get(tab.callback)
		if done.status != http.StatusSeeOther || done.location != h.gateway+tab.lands {
			t.Fatalf("the tab for %s: %d to %q", tab.lands, done.status, done.location)
		}
		if got := h.signedInAs(b); got != user.UserName {
			t.Fatalf("signed in as %q", got)
		}
	}
	live, err := h.directory.Sessions(t.Context(), h.db, user.Workspace, user.ID)
	if err != nil || len(live) != 1 {
		t.Errorf("one browser has %d live sessions: %v", len(live), err)
	}
}

func TestAnswerIsUsedOnce(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	callback := h.prove(b, h.begin(b, h.acme, ""), person)
	saved := newBrowserLike(b)

	var wait sync.WaitGroup
	outcomes := make([]answer, 8)
	for i := range outcomes {
		wait.Go(func() { outcomes[i] = newBrowserLike(saved).get(callback) })
	}
	wait.Wait()
	won := 0
	for _, outcome := range outcomes {
		switch outcome.status {
		case http.StatusSeeOther:
			won++
		case http.StatusBadRequest:
			if !strings.Contains(outcome.body, "This sign-in is over") {
				t.Errorf("a replay answered %s", outcome.body)
			}
		default:
			t.Errorf("a replay answered %d", outcome.status)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 answers with one state were accepted", won)
	}
	if replayed := b.get(callback); replayed.status != http.StatusBadRequest || h.signedInAs(b) != "" {
		t.Errorf("a replay later: %d", replayed.status)
	}
	if live, err := h.directory.Sessions(t.Context(), h.db, user.Workspace, user.ID); err != nil || len(live) != 1 {
		t.Errorf("%d sessions: %v", len(live), err)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	tests := map[string]struct {
		run    func(b *browser) answer
		status int
		text   string
		code   string // of the event; empty: none
	}{
		"wrong state": {func(b *browser) answer {
			return b.get(with(t, h.prove(b, h.begin(b, h.acme, ""), person), "state", "another"))
		}, 400, "This sign-in is over", ""},
		"no state": {func(b *browser) answer {
			return b.get(with(t, h.prove(b, h.begin(b, h.acme, ""), person), "state", ""))
		}, 400, "This sign-in is over", ""},
		"another browser": {func(b *browser) answer {
			return newBrowser(t).get(h.prove(b, h.begin(b, h.acme, ""), person))
		}, 400, "This sign-in is over", ""},
		"another connection": {func(b *browser) answer {
			return b.get(strings.Replace(h.prove(b, h.begin(b, h.acme, ""), person), h.acme.ID.String(), h.other.ID.String(), 1))
		}, 400, "This sign-in is over", ""},
		"cancelled": {func(b *browser) answer {
			page := b.get(h.begin(b, h.acme, ""))
			login, _ := url.Parse(page.location)
			back := b.post(h.idpURL+"/login", url.Values{"request": {login.Query().Get("request")}, "cancel": {"1"}})
			if !strings.Contains(back.location, "error=access_denied") {
				t.Errorf("the IdP went to %q", back.location)
			}
			return b.get(back.location)
		}, 403, "You were not signed in", "access_denied"},
		"an error with a text of its own": {func(b *browser) answer {
			callback := h.prove(b, h.begin(b, h.acme, ""), person)
			return b.get(with(t, with(t, callback, "error", "<script>alert(1)</script>"), "error_description", "<script>alert(2)</script>"))
		}, 403, "refused the sign-in", "refused_by_provider"},
		"wrong issuer": {func(b *browser) answer {
			return b.get(with(t, h.prove(b, h.begin(b, h.acme, ""), person), "iss", "https://evil.example"))
		}, 403, "not your identity provider", "wrong_issuer"},
		"no issuer though promised": {func(b *browser) answer {
			return b.get(with(t, h.prove(b, h.begin(b, h.acme, ""), person), "iss", ""))
		}, 403, "not your identity provider", "wrong_issuer"},
		"no code": {func(b *browser) answer {
			return b.get(with(t, h.prove(b, h.begin(b, h.acme, ""), person), "code", ""))
		}, 403, "could not be verified", "token_refused"},
		"wrong nonce": {func(b *browser) answer {
			return b.get(h.prove(b, with(t, h.begin(b, h.acme, ""), "nonce", "another"), person))
		}, 403, "could not be verified", "token_refused"},
		"no nonce": {func(b *browser) answer {
			return b.get(h.prove(b, with(t, h.begin(b, h.acme, ""), "nonce", ""), person))
		}, 403, "could not be verified", "token_refused"},
		"wrong code verifier": {func(b *browser) answer {
			return b.get(h.prove(b, with(t, h.begin(b, h.acme, ""), "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), person))
		}, 403, "could not be verified", "token_refused"},
		"a code of another sign-in": {func(b *browser) answer {
			first, second := h.prove(b, h.begin(b, h.acme, ""), person), h.prove(b, h.begin(b, h.acme, ""), person)
			other, _ := url.Parse(second)
			return b.get(with(t, first, "code", other.Query().Get("code")))
		}, 403, "could not be verified", "token_refused"},
		"expired": {func(b *browser) answer {
			callback := h.prove(b, h.begin(b, h.acme, ""), person)
			h.ahead.Store(int64(10*time.Minute + time.Second))
			defer h.ahead.Store(0)
			return b.get(callback)
		}, 400, "This sign-in is over", ""},
		"nobody provisioned": {func(b *browser) answer {
			return h.signIn(b, h.acme, h.person("ben.okoro@acme.example"), "")
		}, 403, "You have no user in Postern yet", "not_provisioned"},
		"provisioned in the other workspace alone": {func(b *browser) answer {
			return h.signIn(b, h.other, person, "")
		}, 403, "You have no user in Postern yet", "not_provisioned"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			workspace := h.acme.Workspace
			if strings.Contains(name, "other workspace") {
				workspace = h.other.Workspace
			}
			before := len(h.failures(workspace))
			b := newBrowser(t)
			got := test.run(b)
			if got.status != test.status || !strings.Contains(got.body, test.text) {
				t.Errorf("%d, want %d with %q:\n%s", got.status, test.status, test.text, got.body)
			}
			if !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || strings.Contains(got.body, "<script") {
				t.Errorf("not a page of ours: %s", got.body)
			}
			if b.cookie(h.gateway, SessionCookie) != "" {
				t.Error("there is a session")
			}
			recorded := h.failures(workspace)[before:]
			want := []string{test.code}
			if test.code == "" {
				want = nil
			}
			if strings.Join(recorded, " ") != strings.Join(want, " ") {
				t.Errorf("recorded %v, want %v", recorded, want)
			}
		})
	}
}

// TestAStrangerCannotFillTheLog lets somebody nobody knows fail to sign in again and again.
func TestAStrangerCannotFillTheLog(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t)
	fail := func() {
		t.Helper()
		authorize, err := url.Parse(h.begin(b, h.acme, ""))
		if err != nil {
			t.Fatal(err)
		}
		query := url.Values{"state": {authorize.Query().Get("state")}, "iss": {h.idpURL}, "error": {"access_denied"}}
		if got := b.get(h.service.redirectURI(h.acme.ID) + "?" + query.Encode()); got.status != http.StatusForbidden {
			t.Fatalf("answered %d: %s", got.status, got.body)
		}
	}
	for range 50 {
		fail()
	}
	told := len(h.failures(h.acme.Workspace))
	if told != 30 {
		t.Errorf("%d events", told)
	}
	h.ahead.Store(int64(time.Minute))
	fail()
	var suppressed string
	err := h.db.QueryRow(t.Context(), `
		select event->'data'->>'suppressed' from audit_outbox where type = 'session.sign_in_failed' order by number desc limit 1`).Scan(&suppressed)
	if err != nil || suppressed != "20" {
		t.Errorf("%q are told to be left out, %v", suppressed, err)
	}
	// Who is right is served all the same.
	person, user := h.ana()
	if h.signIn(b, h.acme, person, ""); h.signedInAs(b) != user.UserName {
		t.Error("nobody can sign in")
	}
}

func TestConnectionsThatLeadNowhere(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"x", core.NewID().String(), "00000000-0000-0000-0000-000000000000", "%00", "..%2f"} {
		for _, door := range []string{"start", "callback"} {
			got := newBrowser(t).get(h.gateway + "/sso/" + id + "/" + door)
			if got.status != http.StatusNotFound {
				t.Errorf("%s of %q: %d", door, id, got.status)
			}
		}
	}
}

func TestInactiveUser(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	if h.signedInAs(b) == "" {
		t.Fatal("not signed in")
	}
	h.change(user, func(user *directory.User) { user.Active = false })
	if got := h.signedInAs(b); got != "" {
		t.Errorf("a deactivated user still is %s", got)
	}
	refused := h.signIn(b, h.acme, person, "")
	if refused.status != http.StatusForbidden || !strings.Contains(refused.body, "Your user is deactivated") {
		t.Errorf("%d\n%s", refused.status, refused.body)
	}
	if got := h.failures(h.acme.Workspace); len(got) != 1 || got[0] != codeInactive {
		t.Errorf("recorded %v", got)
	}
}

func TestLogoutEverywhere(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	// One sign-in is under way while the logout happens.
	flying := h.prove(b, h.begin(b, h.acme, ""), person)
	h.logOutEverywhere(user)
	if got := h.signedInAs(b); got != "" {
		t.Fatalf("after a logout everywhere the session still is %s", got)
	}
	late := b.get(flying)
	if late.status != http.StatusForbidden || !strings.Contains(late.body, "signed out everywhere") || !strings.Contains(late.body, "fresh=1") {
		t.Errorf("a sign-in begun before the logout: %d\n%s", late.status, late.body)
	}
	if got := h.failures(h.acme.Workspace); len(got) != 1 || got[0] != codeSignedOut {
		t.Errorf("recorded %v", got)
	}
	// The link on that page asks the IdP to see the person again, though it has a session.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // auth_time is in whole seconds
	authorize := h.begin(b, h.acme, "?fresh=1")
	if !strings.Contains(authorize, "prompt=login") {
		t.Errorf("start did not ask for a fresh sign-in: %s", authorize)
	}
	if done := b.get(h.prove(b, authorize, person)); done.status != http.StatusSeeOther || h.signedInAs(b) == "" {
		t.Errorf("a fresh sign-in: %d\n%s", done.status, done.body)
	}
}

func TestWhoIsLinked(t *testing.T) {
	h := newHouse(t)
	ana, ben := h.person("ana.lima@acme.example"), h.person("ben.okoro@acme.example")
	entra := h.connect("entra", directory.Entra, push.Entra)
	generic := h.connect("generic", directory.Generic, push.Okta)
	tests := map[string]struct {
		connection directory.Connection
		user       directory.User
		person     devidp.Person
		works      bool
	}{
		"Okta's id":                      {h.acme, directory.User{UserName: "renamed", ExternalID: ana.ID}, ana, true},
		"Okta's id of somebody else":     {h.acme, directory.User{UserName: ben.UserName, ExternalID: "00u0000000000000000x"}, ben, false},
		"a name, whatever its case":      {generic, directory.User{UserName: strings.ToUpper(ana.UserName), ExternalID: "17"}, ana, true},
		"Entra's oid":                    {entra, directory.User{UserName: "somebody", ExternalID: ana.ObjectID}, ana, true},
		"a name with Entra's other ids":  {entra, directory.User{UserName: ben.UserName, ExternalID: "ben.okoro"}, ben, true},
		"a user of another connection's": {h.other, directory.User{UserName: "x"}, ben, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			user := h.provision(test.connection, test.user)
			b := newBrowser(t)
			done := h.signIn(b, test.connection, test.person, "")
			if got := h.signedInAs(b) == user.UserName; got != test.works {
				t.Fatalf("%d, signed in as %q\n%s", done.status, h.signedInAs(b), done.body)
			}
			if !test.works {
				return
			}
			// Once linked, the link is what counts, whatever SCIM changes.
			h.change(user, func(user *directory.User) {
				user.UserName, user.ExternalID = "changed-"+user.ID.String(), "changed-"+user.ID.String()
			})
			h.signIn(b, test.connection, test.person, "")
			if got := h.signedInAs(b); got != "changed-"+user.ID.String() {
				t.Errorf("after a change signed in as %q", got)
			}
		})
	}
}

func TestNameIsNotTakenOver(t *testing.T) {
	h := newHouse(t)
	generic := h.connect("generic", directory.Generic, push.Okta)
	ana := h.person("ana.lima@acme.example")
	user := h.provision(generic, directory.User{UserName: ana.UserName, ExternalID: "17"})
	b := newBrowser(t)
	if h.signIn(b, generic, ana, ""); h.signedInAs(b) != user.UserName {
		t.Fatal("not signed in")
	}
	// At the IdP Ana goes, and somebody new gets her user name: another sub, the same name.
	if _, err := h.idp.Delete(t.Context(), ana.UserName); err != nil {
		t.Fatal(err)
	}
	heir, err := h.idp.AddPerson("Ana", "Lima", ana.UserName)
	if err != nil {
		t.Fatal(err)
	}
	other := newBrowser(t)
	if got := h.signIn(other, generic, heir, ""); got.status != http.StatusForbidden || h.signedInAs(other) != "" {
		t.Errorf("the heir of a name became its first owner: %d", got.status)
	}
}

func TestOpenRedirect(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	for _, wanted := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "/sso/x/start", "/..//evil.example", "evil"} {
		b := newBrowser(t)
		done := h.signIn(b, h.acme, person, "?return_to="+url.QueryEscape(wanted))
		if done.status != http.StatusSeeOther || done.location != h.gateway+"/" {
			t.Errorf("return_to %q went to %q", wanted, done.location)
		}
	}
}

func TestRequire(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	script := http.Header{"Accept": {"application/json"}}
	got := b.send(http.MethodGet, h.gateway+"/private", nil, script)
	if got.status != http.StatusUnauthorized || got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.body, `"status":401`) {
		t.Errorf("a script without a session: %d %s", got.status, got.body)
	}
	h.signIn(b, h.acme, person, "")
	if got := b.send(http.MethodPost, h.gateway+"/private", nil, http.Header{"Sec-Fetch-Site": {"same-origin"}}); got.body != "hello "+user.UserName {
		t.Errorf("a form of our own: %d %s", got.status, got.body)
	}
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}} {
		if got := b.send(http.MethodPost, h.gateway+"/private", nil, header); got.status != http.StatusForbidden {
			t.Errorf("a form of another site's %v: %d", header, got.status)
		}
		if got := b.send(http.MethodPost, h.gateway+"/sso/sign-out", nil, header); got.status != http.StatusForbidden {
			t.Errorf("a sign-out by another site's page %v: %d", header, got.status)
		}
	}
	if h.signedInAs(b) != user.UserName {
		t.Error("another site's page ended the session")
	}
	b.cookies[strings.TrimPrefix(h.gateway, "http://")][SessionCookie] = "pst_session_forged"
	if h.signedInAs(b) != "" {
		t.Error("a forged token is somebody")
	}
	if out := b.post(h.gateway+"/sso/sign-out", nil); out.status != http.StatusSeeOther || out.location != h.service.signedOutURI() {
		t.Errorf("a sign-out without a session: %d to %q", out.status, out.location)
	}
}

func TestChoose(t *testing.T) {
	h := newHouse(t)
	b := newBrowser(t)
	if got := b.get(h.gateway + "/sso?return_to=/private"); got.status != http.StatusOK || !strings.Contains(got.body, "Which workspace") || strings.Contains(got.body, "acme\"") && strings.Contains(got.body, "Continue with") {
		t.Errorf("with several workspaces: %d\n%s", got.status, got.body)
	}
	if got := b.get(h.gateway + "/sso?workspace=acme&return_to=/private"); got.location != h.gateway+startPath(h.acme.ID, "/private") {
		t.Errorf("a workspace with one connection: %d to %q", got.status, got.location)
	}
	if got := b.get(h.gateway + "/sso?workspace=acme&choose=1"); got.status != http.StatusOK || !strings.Contains(got.body, "Continue with acme") {
		t.Errorf("choosing: %d\n%s", got.status, got.body)
	}
	if got := b.get(h.gateway + "/sso?workspace=nobody"); !strings.Contains(got.body, "no workspace of that name") {
		t.Errorf("an unknown workspace: %d\n%s", got.status, got.body)
	}
}
