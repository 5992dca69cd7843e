package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
)

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
