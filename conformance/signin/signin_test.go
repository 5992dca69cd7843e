package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/conformance/optest"
	"postern/core/directory"
)

// provider is what both of them can do for a person.
type provider interface {
	signIn(b *optest.Browser, authorize string) string
}

type keycloak struct {
	*optest.Realm
	ana optest.Person
}

func (k keycloak) signIn(b *optest.Browser, authorize string) string {
	return k.SignIn(b, authorize, k.ana)
}

type certified struct{ *optest.Certified }

func (c certified) signIn(b *optest.Browser, authorize string) string {
	return c.SignIn(b, authorize, "ana@acme.example")
}

func TestKeycloak(t *testing.T) {
	w := open(t)
	realm := optest.StartKeycloak(t).Realm(t)
	ana := realm.AddPerson(optest.Person{UserName: "ana@acme.example", Password: "a", Email: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima"})
	realm.AddClient(w.client(w.acme, false))
	realm.AddClient(w.client(w.globex, true))
	w.provision(w.acme, "ana", ana.ID)
	op := keycloak{realm, ana}

	for name, signIn := range map[string]directory.SignIn{
		"as it is":            {Preset: directory.Keycloak},
		"secret in the body":  {Authentication: directory.AuthenticatePost},
		"requests not pushed": {Pushing: directory.PushNever},
		"requests pushed":     {Pushing: directory.PushAlways},
		"recently seen":       {MaxAge: new(3600), Scopes: []string{"openid", "email"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.connect(&w.acme, realm.Issuer, signIn)
			goThrough(t, w, op, w.acme, "ana", signIn.Pushing != directory.PushNever)
		})
	}
	t.Run("private_key_jwt", func(t *testing.T) {
		w.connect(&w.globex, realm.Issuer, directory.SignIn{Authentication: directory.AuthenticateKey, JustInTime: true, Domains: []string{"acme.example"}})
		goThrough(t, w, op, w.globex, "ana@acme.example", true)
	})
	t.Run("two tabs", func(t *testing.T) { twoTabs(t, w, op, "ana") })
	t.Run("login_required", func(t *testing.T) {
		b := optest.NewBrowser(t)
		w.connect(&w.acme, realm.Issuer, directory.SignIn{Pushing: directory.PushNever})
		silent := w.begin(b, w.acme) + "&prompt=none"
		refused(t, w, b, b.Get(silent).Location, http.StatusForbidden, "Sign in at your identity provider first", "login_required")
	})
	t.Run("an acr that it does not give", func(t *testing.T) {
		b := optest.NewBrowser(t)
		w.connect(&w.acme, realm.Issuer, directory.SignIn{ACRValues: []string{"urn:example:mfa"}})
		refused(t, w, b, op.signIn(b, w.begin(b, w.acme)), http.StatusForbidden, "That proof is not enough here", "weak_proof")
	})
}

func TestCertified(t *testing.T) {
	w := open(t)
	w.provision(w.acme, "ana@acme.example", "17")
	op := certified{optest.StartCertified(t, optest.CertifiedOptions{Clients: []optest.Client{w.client(w.acme, false), w.client(w.globex, true)}, RequirePAR: true})}

	t.Run("pushed because it must be", func(t *testing.T) {
		w.connect(&w.acme, op.Issuer, directory.SignIn{})
		goThrough(t, w, op, w.acme, "ana@acme.example", true)
	})
	t.Run("private_key_jwt", func(t *testing.T) {
		w.connect(&w.globex, op.Issuer, directory.SignIn{Authentication: directory.AuthenticateKey, JustInTime: true, Algorithms: []string{"RS256"}})
		goThrough(t, w, op, w.globex, "ana@acme.example", true)
	})
	t.Run("two tabs", func(t *testing.T) { twoTabs(t, w, op, "ana@acme.example") })
	t.Run("never pushed where it must be", func(t *testing.T) {
		w.connect(&w.acme, op.Issuer, directory.SignIn{Pushing: directory.PushNever})
		got := optest.NewBrowser(t).Get(w.url + "/sso/" + w.acme.ID.String() + "/start")
		if got.Status != http.StatusForbidden || !strings.Contains(got.Body, "not set up correctly") {
			t.Errorf("%d\n%s", got.Status, got.Body)
		}
		w.connect(&w.acme, op.Issuer, directory.SignIn{})
	})
	t.Run("an algorithm that is not pinned", func(t *testing.T) {
		b := optest.NewBrowser(t)
		w.connect(&w.acme, op.Issuer, directory.SignIn{Algorithms: []string{"ES256"}})
		refused(t, w, b, op.signIn(b, w.begin(b, w.acme)), http.StatusForbidden, "could not be verified", "token_refused")
		w.connect(&w.acme, op.Issuer, directory.SignIn{})
	})
	t.Run("access_denied", func(t *testing.T) {
		b := optest.NewBrowser(t)
		refused(t, w, b, op.Refuse(b, w.begin(b, w.acme)), http.StatusForbidden, "You were not signed in", "access_denied")
	})
	t.Run("another issuer", func(t *testing.T) {
		b := optest.NewBrowser(t)
		callback := strings.Replace(op.signIn(b, w.begin(b, w.acme)), url.QueryEscape(op.Issuer), "https%3A%2F%2Fevil.example", 1)
		refused(t, w, b, callback, http.StatusForbidden, "not your identity provider", "wrong_issuer")
	})
	t.Run("nobody here", func(t *testing.T) {
		b := optest.NewBrowser(t)
		refused(t, w, b, op.SignIn(b, w.begin(b, w.acme), "ben@acme.example"), http.StatusForbidden, "You have no user in Postern yet", "not_provisioned")
	})
}

// goThrough signs in once, and once more with the provider's session.
func goThrough(t *testing.T, w *world, op provider, connection directory.Connection, name string, pushed bool) {
	t.Helper()
	b := optest.NewBrowser(t)
	for range 2 {
		authorize := w.begin(b, connection)
		if got := strings.Contains(authorize, "request_uri="); got != pushed || pushed && strings.Contains(authorize, "nonce=") {
			t.Errorf("pushed is %v, want %v: %s", got, pushed, authorize)
		}
		callback := op.signIn(b, authorize)
		if !strings.Contains(callback, "iss=") {
			t.Errorf("the answer does not name its issuer: %s", callback)
		}
		if done := b.Get(callback); done.Status != http.StatusSeeOther || w.signedInAs(b) != name {
			t.Fatalf("callback: %d, signed in as %q, want %q\n%s", done.Status, w.signedInAs(b), name, done.Body)
		}
		if replayed := b.Get(callback); replayed.Status != http.StatusBadRequest {
			t.Errorf("a second time: %d", replayed.Status)
		}
	}
}

// twoTabs begins two sign-ins in one browser before either ends, and ends the first one first.
func twoTabs(t *testing.T, w *world, op provider, name string) {
	t.Helper()
	b := optest.NewBrowser(t)
	first, second := w.begin(b, w.acme), w.begin(b, w.acme)
	one, two := op.signIn(b, first), op.signIn(b, second)
	for _, callback := range []string{one, two} {
		if done := b.Get(callback); done.Status != http.StatusSeeOther || w.signedInAs(b) != name {
			t.Errorf("a tab: %d, signed in as %q\n%s", done.Status, w.signedInAs(b), done.Body)
		}
	}
}

func refused(t *testing.T, w *world, b *optest.Browser, callback string, status int, text, code string) {
	t.Helper()
	got := b.Get(callback)
	if got.Status != status || !strings.Contains(got.Body, text) || !strings.Contains(got.Body, code) || w.signedInAs(b) != "" {
		t.Errorf("%d, want %d with %q and %q\n%s", got.Status, status, text, code, got.Body)
	}
}
