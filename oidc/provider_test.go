package oidc

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/core/directory"
	"postern/oidc/devidp/push"
)

func TestProviderIsDown(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	down := func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
	h.meddle.Store(&down)
	b := newBrowser(t)
	for range 20 {
		got := b.get(h.gateway + startPath(h.acme.ID, "/"))
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "does not answer") {
			t.Fatalf("start: %d\n%s", got.status, got.body)
		}
	}
	if asked := h.count("/.well-known/openid-configuration"); asked > 2 { // Go's client repeats a GET whose connection was cut
		t.Errorf("an IdP that is down was asked %d times at once", asked)
	}
	h.meddle.Store(nil)
	h.ahead.Store(int64(discoveryRetry))
	if h.signIn(b, h.acme, person, ""); h.signedInAs(b) != user.UserName {
		t.Fatal("not signed in when the IdP is back")
	}
	// Down again after it was known: people get as far as the IdP, and those signed in stay.
	h.meddle.Store(&down)
	h.ahead.Store(int64(discoveryLife + time.Minute))
	h.begin(newBrowser(t), h.acme, "")
}

func TestTokenEndpointFaults(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	tests := map[string]struct {
		status int
		body   string
		page   int
		code   string
	}{
		"error":           {503, "busy", 503, codeProviderDown},
		"wrong client":    {401, `{"error":"invalid_client"}`, 403, codeClientRefused},
		"used code":       {400, `{"error":"invalid_grant","error_description":"canary-text"}`, 403, codeTokenRefused},
		"no ID token":     {200, `{"access_token":"a","token_type":"Bearer"}`, 403, codeTokenRefused},
		"no JWT":          {200, `{"access_token":"a","token_type":"Bearer","id_token":"a.b"}`, 403, codeTokenRefused},
		"alg none":        {200, `{"access_token":"a","token_type":"Bearer","id_token":"eyJhbGciOiJub25lIn0.e30."}`, 403, codeTokenRefused},
		"redirect to all": {307, "", 403, codeProviderWrong},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			meddle := func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/oauth/token" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Location", h.idpURL+"/collect")
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
				return true
			}
			h.meddle.Store(&meddle)
			defer h.meddle.Store(nil)
			before := len(h.failures(h.acme.Workspace))
			got := h.signIn(newBrowser(t), h.acme, person, "")
			if got.status != test.page || strings.Contains(got.body, "canary") {
				t.Errorf("%d, want %d\n%s", got.status, test.page, got.body)
			}
			if recorded := h.failures(h.acme.Workspace)[before:]; len(recorded) != 1 || recorded[0] != test.code {
				t.Errorf("recorded %v, want %s", recorded, test.code)
			}
			if h.count("/collect") != 0 {
				t.Error("the code and the secret followed a redirect")
			}
		})
	}
}

func TestNamesFromUserinfo(t *testing.T) {
	h := newHouse(t)
	generic := h.connect("generic", directory.Generic, push.Okta)
	person := h.person("ana.lima@acme.example")
	user := h.provision(generic, directory.User{UserName: person.UserName})
	for _, test := range []struct {
		subject string
		works   bool
	}{{"somebody-else", false}, {person.ID, true}} {
		meddle := func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/userinfo" {
				return false
			}
			_, _ = fmt.Fprintf(w, `{"sub":%q,"preferred_username":%q}`, test.subject, person.UserName)
			return true
		}
		h.meddle.Store(&meddle)
		b := newBrowser(t)
		// An ID token without names, as some IdPs send when they also send an access token.
		done := b.get(h.prove(b, with(t, h.begin(b, generic, ""), "scope", "openid"), person))
		if got := h.signedInAs(b) == user.UserName; got != test.works {
			t.Errorf("userinfo about %s: %d, signed in %v", test.subject, done.status, got)
		}
	}
}

func TestDiscoveryDocumentFaults(t *testing.T) {
	good := document{}
	good.Issuer, good.AuthorizationEndpoint = "https://idp.example", "https://idp.example/authorize"
	good.TokenEndpoint, good.JwksURI = "https://idp.example/token", "https://keys.example/keys"
	if fault := good.fault("https://idp.example"); fault != "" {
		t.Errorf("a good document: %s", fault)
	}
	for name, spoil := range map[string]func(*document){
		"another issuer":          func(d *document) { d.Issuer = "https://idp.example/" },
		"a secret in clear":       func(d *document) { d.TokenEndpoint = "http://idp.example/token" },
		"a script":                func(d *document) { d.AuthorizationEndpoint = "javascript:alert(1)" },
		"no keys":                 func(d *document) { d.JwksURI = "" },
		"a relative address":      func(d *document) { d.EndSessionEndpoint = "/end" },
		"userinfo in clear":       func(d *document) { d.UserinfoEndpoint = "http://idp.example/me" },
		"an address of no scheme": func(d *document) { d.TokenEndpoint = "//idp.example/token" },
	} {
		spoiled := good
		spoil(&spoiled)
		if spoiled.fault("https://idp.example") == "" {
			t.Errorf("%s was accepted", name)
		}
	}
}
