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
