package oidc

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// guarded asks for something that needs a recent proof, with the browser's cookie.
func (h *house) guarded(b *browser, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	engine := gin.New()
	back := func(*gin.Context) string { return "/private?again=1" }
	engine.POST("/secret", h.service.Require(), h.service.Recent(directory.ToReveal, back), func(c *gin.Context) { c.String(http.StatusOK, "secret") })
	request := httptest.NewRequest(http.MethodPost, "/secret", nil)
	request.AddCookie(&http.Cookie{Name: SessionCookie, Value: b.cookie(h.gateway, SessionCookie)})
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	return recorder
}

// age makes the proofs of everybody's sessions older.
func (h *house) age(by time.Duration) {
	h.t.Helper()
	if _, err := h.db.Exec(h.t.Context(), `update sessions set authenticated = authenticated - $1::interval`, by); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) settle(edit func(*directory.SessionSettings)) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) error {
		_, err := h.directory.ChangeSessionSettings(h.t.Context(), tx, core.NewCause(core.System, time.Now()), h.acme.Workspace, edit)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestStepUp(t *testing.T) {
	h := newHouse(t)
	person, user := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	if got := h.guarded(b); got.Code != http.StatusOK {
		t.Fatalf("a fresh proof: %d %s", got.Code, got.Body)
	}
	h.age(20 * time.Minute)

	// A program is told what is wanted (RFC 9470), a form is led on.
	asked := h.guarded(b, "Accept", "application/json")
	for _, want := range []string{`error="insufficient_user_authentication"`, "max_age=900"} {
		if challenge := asked.Header().Get("WWW-Authenticate"); asked.Code != http.StatusUnauthorized || !strings.Contains(challenge, want) {
			t.Errorf("%d %q lacks %s", asked.Code, challenge, want)
		}
	}
	led := h.guarded(b, "Sec-Fetch-Mode", "navigate")
	address := led.Header().Get("Location")
	if led.Code != http.StatusSeeOther || !strings.HasPrefix(address, StepUpPath+"?") {
		t.Fatalf("%d to %q", led.Code, address)
	}
	before := b.cookie(h.gateway, SessionCookie)
	sessions, err := h.directory.Sessions(t.Context(), h.db, user.Workspace, user.ID)
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	begun := b.get(h.gateway + address)
	query, err := url.Parse(begun.location)
	if err != nil || query.Query().Get("max_age") != "900" {
		t.Fatalf("%d to %q, %v", begun.status, begun.location, err)
	}
	if done := b.get(h.prove(b, begun.location, person)); done.location != h.gateway+"/private?again=1" {
		t.Fatalf("%d to %q: %s", done.status, done.location, done.body)
	}
	after := b.cookie(h.gateway, SessionCookie)
	if after == before || after == "" {
		t.Error("the token is the old one")
	}
	if got := h.guarded(b); got.Code != http.StatusOK {
		t.Errorf("after the step-up: %d %s", got.Code, got.Body)
	}
	now, err := h.directory.Sessions(t.Context(), h.db, user.Workspace, user.ID)
	if err != nil || len(now) != 1 || now[0].ID != sessions[0].ID || now[0].SteppedUp == nil || !now[0].Created.Equal(sessions[0].Created) {
		t.Errorf("the session is another one: %+v, %v", now, err)
	}
	old := newBrowser(t)
	old.cookies[strings.TrimPrefix(h.gateway, "http://")] = map[string]string{SessionCookie: before}
	if who := h.signedInAs(old); who != "" {
		t.Errorf("the old token is still %s", who)
	}
}

func TestAStepUpThatProvesTooLittleChangesNothing(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	before := b.cookie(h.gateway, SessionCookie)
	h.settle(func(settings *directory.SessionSettings) { settings.RevealACR = []string{"urn:strong"} })
	if challenge := h.guarded(b).Header().Get("WWW-Authenticate"); !strings.Contains(challenge, `acr_values="urn:strong"`) {
		t.Errorf("the challenge is %q", challenge)
	}
	begun := b.get(h.gateway + StepUpPath + "?for=reveal&return_to=/private")
	if asked := with(t, begun.location, "acr_values", ""); asked == begun.location {
		t.Errorf("the identity provider is not asked for an acr: %s", begun.location)
	}
	// Somebody takes the question out of the address: the answer is held against what was asked.
	if done := b.get(h.prove(b, with(t, begun.location, "acr_values", ""), person)); done.status != http.StatusForbidden || !strings.Contains(done.body, codeWeakProof) {
		t.Errorf("%d %s", done.status, done.body)
	}
	if b.cookie(h.gateway, SessionCookie) != before || h.signedInAs(b) == "" {
		t.Error("the session did not stay as it was")
	}
}

func TestAStepUpIsTheSamePerson(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	b := newBrowser(t)
	h.signIn(b, h.acme, person, "")
	h.age(time.Hour)
	other := h.person("ben.okoro@acme.example")
	h.provision(h.acme, directory.User{UserName: other.UserName, ExternalID: other.ID})
	begun := b.get(h.gateway + StepUpPath + "?for=reveal&return_to=/private")
	fresh := newBrowser(t) // at the IdP somebody else is signed in
	back := h.prove(fresh, begun.location, other)
	if done := b.get(back); done.status != http.StatusForbidden || !strings.Contains(done.body, codeOtherPerson) {
		t.Errorf("%d %s", done.status, done.body)
	}
	if h.signedInAs(b) != person.UserName {
		t.Error("the session did not stay as it was")
	}
}

func TestProofs(t *testing.T) {
	began := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	flow := directory.Flow{Created: began, MaxAge: new(60), ACRValues: []string{"a", "b"}, Prompted: true}
	google := directory.Connection{Kind: directory.Generic, Issuer: directory.GoogleIssuer}
	keycloak := directory.Connection{Kind: directory.Generic, Issuer: "https://op.example/realms/a", SignIn: directory.SignIn{Preset: directory.Keycloak}}
	okta, entra := directory.Connection{Kind: directory.Okta}, directory.Connection{Kind: directory.Entra}
	for _, test := range []struct {
		name       string
		connection directory.Connection
		who        identity
		code       string
	}{
		{"asked and answered", okta, identity{acr: "b", authenticated: began.Add(time.Second)}, ""},
		{"within the age", okta, identity{acr: "a", authenticated: began.Add(-time.Minute)}, ""},
		{"clocks differ a little", okta, identity{acr: "a", authenticated: began.Add(-time.Minute - clockSkew)}, ""},
		{"too old", okta, identity{acr: "a", authenticated: began.Add(-2 * time.Minute)}, codeStaleProof},
		{"no auth_time", okta, identity{acr: "a"}, codeStaleProof},
		{"Entra says no auth_time, but was to prompt", entra, identity{acr: "a"}, ""},
		{"so does Google", google, identity{acr: "a"}, ""},
		{"Google says an old one", google, identity{acr: "a", authenticated: began.Add(-time.Hour)}, codeStaleProof},
		{"Keycloak has to say one", keycloak, identity{acr: "a"}, codeStaleProof},
		{"Entra says an old one", entra, identity{acr: "a", authenticated: began.Add(-time.Hour)}, codeStaleProof},
		{"no acr", okta, identity{authenticated: began}, codeWeakProof},
		{"another acr", okta, identity{acr: "c", authenticated: began}, codeWeakProof},
	} {
		err := (&Service{}).proven(test.connection, flow, test.who)
		if code := codeOf(err); code != test.code {
			t.Errorf("%s: %q, want %q", test.name, code, test.code)
		}
	}
	flow.Prompted = false
	for _, connection := range []directory.Connection{entra, google, okta} {
		if code := codeOf((&Service{}).proven(connection, flow, identity{acr: "a"})); code != codeStaleProof {
			t.Errorf("%s was not asked to prompt and says no auth_time: %q", connection.Issuer, code)
		}
	}
	if err := (&Service{}).proven(okta, directory.Flow{Created: began}, identity{}); err != nil {
		t.Errorf("a sign-in that asked for nothing: %v", err)
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return core.AsError(err).Code
}

// At an identity provider that says no auth_time a step-up asks for a new proof and counts it from when it
// began; one that says auth_time is held to it.
func TestAStepUpWhereTheProviderSaysNoTime(t *testing.T) {
	for name, test := range map[string]struct {
		signIn  directory.SignIn
		says    bool
		refused string
	}{
		"Google":                       {directory.SignIn{Preset: directory.Google, HostedDomains: []string{"acme.example"}}, false, ""},
		"Google, where it says a time": {directory.SignIn{Preset: directory.Google, HostedDomains: []string{"acme.example"}}, true, codeStaleProof},
		"another":                      {directory.SignIn{}, false, codeStaleProof},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := newHouse(t), newForge(t)
			connection := h.lead(h.connect("google", directory.Generic, "okta"), f, test.signIn)
			h.provision(connection, directory.User{UserName: "ana", ExternalID: "sub-ana"})
			answer := func(nonce string) {
				claims := f.good(connection, nonce)
				claims["hd"], claims["auth_time"] = "acme.example", time.Now().Add(-time.Hour).Unix()
				if !test.says {
					delete(claims, "auth_time")
				}
				text, err := json.Marshal(claims)
				if err != nil {
					t.Fatal(err)
				}
				f.answers(f.sign("rs256", nil, text))
			}
			b := newBrowser(t)
			query := h.started(b, connection)
			answer(query.Get("nonce"))
			b.get(h.back(connection, url.Values{"state": {query.Get("state")}, "code": {"c"}}))
			if h.signedInAs(b) != "ana" {
				t.Fatal("not signed in")
			}
			h.age(time.Hour)
			begun, err := url.Parse(b.get(h.gateway + StepUpPath + "?for=reveal&return_to=/private").location)
			if err != nil {
				t.Fatal(err)
			}
			asked := begun.Query()
			if prompted := asked.Get("prompt") == "login"; prompted != (test.signIn.Preset == directory.Google) || asked.Get("max_age") == "" {
				t.Errorf("asked for %v", asked)
			}
			answer(asked.Get("nonce"))
			done := b.get(h.back(connection, url.Values{"state": {asked.Get("state")}, "code": {"c"}}))
			if test.refused != "" {
				if done.status != http.StatusForbidden || !strings.Contains(done.body, test.refused) || h.guarded(b).Code != http.StatusUnauthorized {
					t.Errorf("%d %s", done.status, done.body)
				}
				return
			}
			if done.location != h.gateway+"/private" || h.guarded(b).Code != http.StatusOK {
				t.Errorf("%d to %q %s", done.status, done.location, done.body)
			}
		})
	}
}
