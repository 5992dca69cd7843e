package oidc

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

// A sign-out hands the identity provider its own ID token back, in both of two workspaces that trust it, and
// says that it is over only to the browser that went there.
func TestSigningOutAtTheProvider(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	h.provision(h.other, directory.User{UserName: person.UserName, ExternalID: person.ID})
	browsers := map[core.ID]*browser{}
	for _, connection := range []directory.Connection{h.acme, h.other} {
		browsers[connection.ID] = newBrowser(t)
		if h.signIn(browsers[connection.ID], connection, person, ""); h.signedInAs(browsers[connection.ID]) == "" {
			t.Fatal("not signed in")
		}
	}
	for _, connection := range []directory.Connection{h.acme, h.other} {
		b := browsers[connection.ID]
		out := b.post(h.gateway+"/sso/sign-out", url.Values{})
		address, err := url.Parse(out.location)
		if err != nil || !strings.HasPrefix(out.location, h.idpURL+"/end_session?") || out.header.Get("Referrer-Policy") != "no-referrer" {
			t.Fatalf("sign-out: %d to %q", out.status, out.location)
		}
		asked := address.Query()
		var said struct {
			Audience []string `json:"aud"`
			Subject  string   `json:"sub"`
		}
		decodePayload(t, asked.Get("id_token_hint"), &said)
		if len(said.Audience) != 1 || said.Audience[0] != connection.ClientID || said.Subject != person.ID {
			t.Errorf("the hint is of %+v", said)
		}
		if asked.Get("client_id") != connection.ClientID || asked.Get("post_logout_redirect_uri") != h.service.signedOutURI() || asked.Get("state") == "" {
			t.Errorf("asked %v", asked)
		}
		back := b.get(out.location)
		if back.location != h.service.signedOutURI()+"?state="+asked.Get("state") {
			t.Fatalf("the identity provider's sign-out: %d to %q\n%s", back.status, back.location, back.body)
		}
		if stranger := newBrowser(t).get(back.location); !strings.Contains(stranger.body, "You are signed out") || strings.Contains(stranger.body, "nor with your identity provider") {
			t.Errorf("another browser is told %s", stranger.body)
		}
		if forged := b.get(with(t, back.location, "state", "another")); strings.Contains(forged.body, "nor with your identity provider") {
			t.Errorf("with another state: %s", forged.body)
		}
		if landed := b.get(back.location); landed.status != http.StatusOK || !strings.Contains(landed.body, "neither with Postern nor with your identity provider") {
			t.Errorf("%d\n%s", landed.status, landed.body)
		}
		if again := b.get(back.location); strings.Contains(again.body, "nor with your identity provider") {
			t.Error("a state is good twice")
		}
		if connection.ID == h.acme.ID && h.signedInAs(browsers[h.other.ID]) == "" {
			t.Error("the other workspace's session ended too")
		}
	}
}

// A link to the last page signs nobody out, and does not say so.
func TestTheSignedOutPageOfSomebodySignedIn(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	if shown := b.get(h.gateway + "/sso/signed-out?here=only&state=x"); !strings.Contains(shown.body, "You are still signed in") || h.signedInAs(b) == "" {
		t.Errorf("%d\n%s", shown.status, shown.body)
	}
}

// The database alone does not give the ID token, a step-up replaces it, and it goes with its session however
// that ends.
func TestTheIDTokenIsKeptSealed(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	token := seal.NewSecret(b.cookie(h.gateway, SessionCookie))
	session, _, err := h.directory.Recognise(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	kept := func() (sealed []byte) {
		t.Helper()
		if err := h.db.QueryRow(t.Context(), `select id_token from sessions where id = $1`, session.ID).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	read := func(session directory.Session, token seal.Secret) (string, error) {
		opened, err := h.directory.IDToken(t.Context(), h.db, session, token)
		if err != nil || opened.IsZero() {
			return "", err
		}
		return opened.Reveal(), nil
	}
	hint, err := read(session, token)
	if err != nil || strings.Count(hint, ".") != 2 || len(kept()) == 0 || bytes.Contains(kept(), []byte(hint[:20])) {
		t.Fatalf("%q, %v", hint, err)
	}
	for _, other := range []seal.Secret{seal.NewSecret("pst_session_x"), seal.NewSecret(string(seal.HashToken(token.Reveal())))} {
		if got, err := read(session, other); err == nil || got != "" {
			t.Errorf("another token opens it: %q", got)
		}
	}
	elsewhere := session
	elsewhere.Workspace = h.other.Workspace
	if got, err := read(elsewhere, token); err != nil || got != "" {
		t.Errorf("in another workspace: %q, %v", got, err)
	}

	h.age(20 * time.Minute)
	begun := b.get(h.gateway + StepUpPath + "?for=reveal&return_to=/private")
	b.get(h.prove(b, begun.location, person))
	renewed := seal.NewSecret(b.cookie(h.gateway, SessionCookie))
	if got, err := read(session, renewed); err != nil || got == "" || got == hint {
		t.Errorf("after a step-up: %q, %v", got, err)
	}
	if got, err := read(session, token); err == nil {
		t.Errorf("the dead token opens %q", got)
	}
	h.logOutEverywhere(user)
	if left := kept(); left != nil {
		t.Errorf("%d bytes outlive the session", len(left))
	}
	if got, err := read(session, renewed); err != nil || got != "" {
		t.Errorf("an ended session has %q, %v", got, err)
	}
}

// Google and others have no end_session_endpoint: the sign-out ends here, and the person is told so.
func TestProvidersThatCannotBeSignedOut(t *testing.T) {
	h, f := newHouse(t), newForge(t)
	f.document["end_session_endpoint"] = ""
	google := h.lead(h.connect("google", directory.Generic, push.Okta), f, directory.SignIn{Preset: directory.Google, HostedDomains: []string{"acme.example"}})
	h.provision(google, directory.User{UserName: "ana", ExternalID: "sub-ana"})
	b := newBrowser(t)
	if done := h.forged(b, f, google, "rs256", func(claims map[string]any) { claims["hd"] = "acme.example" }); h.signedInAs(b) != "ana" {
		t.Fatalf("%d\n%s", done.status, done.body)
	}
	out := b.post(h.gateway+"/sso/sign-out", url.Values{})
	if out.location != h.gateway+"/sso/signed-out?here=only" {
		t.Fatalf("%d to %q", out.status, out.location)
	}
	if shown := b.get(out.location); !strings.Contains(shown.body, "cannot be signed out from here") || h.signedInAs(b) != "" {
		t.Errorf("%d\n%s", shown.status, shown.body)
	}
}

// Okta's end_session_endpoint answers nobody without the hint, others ask the person.
func TestAnIDTokenThatIsTooLongIsNotKept(t *testing.T) {
	h := newHouse(t)
	f := newForge(t)
	for _, test := range []struct {
		slug string
		kind directory.ConnectionKind
		to   string
	}{{"keycloak", directory.Generic, f.URL + "/end?"}, {"okta", directory.Okta, h.gateway + "/sso/signed-out?here=only"}} {
		connection := h.lead(h.connect(test.slug, test.kind, push.Okta), f, directory.SignIn{})
		h.provision(connection, directory.User{UserName: "ana", ExternalID: "sub-ana"})
		b := newBrowser(t)
		h.forged(b, f, connection, "rs256", func(claims map[string]any) { claims["groups"] = strings.Repeat("g", 8<<10) })
		if h.signedInAs(b) != "ana" {
			t.Fatal("not signed in")
		}
		out := b.post(h.gateway+"/sso/sign-out", url.Values{})
		if !strings.HasPrefix(out.location, test.to) || strings.Contains(out.location, "id_token_hint") {
			t.Errorf("%s: %d to %q", test.slug, out.status, out.location)
		}
	}
}
