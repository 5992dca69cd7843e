package devidp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/seal"
	"postern/oidc/devidp/push"
)

const scimToken = "canary-scim-token"

// app is where people are pushed to: it takes everything and remembers the requests.
type app struct {
	*httptest.Server
	lock     sync.Mutex
	requests []string
	bodies   []string
	tokens   []string
	status   int
}

func newApp(t *testing.T) *app {
	a := &app{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.lock.Lock()
		defer a.lock.Unlock()
		a.requests = append(a.requests, r.Method+" "+r.URL.Path)
		a.bodies, a.tokens = append(a.bodies, string(body)), append(a.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		switch {
		case a.status != 0:
			w.WriteHeader(a.status)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"totalResults":0,"Resources":[]}`)
		case r.Method == http.MethodPost && r.URL.Path == "/logout":
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"id":"scim-1"}`)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *app) take() []string {
	a.lock.Lock()
	defer a.lock.Unlock()
	taken := a.requests
	a.requests = nil
	return taken
}

func open(t *testing.T, folder string, targets ...Target) *Server {
	t.Helper()
	s, err := New(Options{
		Issuer: "http://127.0.0.1:4400", Folder: folder, Targets: targets,
		Clients: []Client{{ID: "web", Secret: seal.NewSecret("secret"), RedirectURIs: []string{"http://127.0.0.1:1/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFolderSurvives(t *testing.T) {
	folder := t.TempDir()
	first := open(t, folder)
	if _, err := first.AddPerson("Eve", "Novak", "eve@acme.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.AddPerson("Eva", "Novak", "EVE@acme.example"); core.KindOf(err) != core.KindConflict {
		t.Errorf("a second person of one address: %v", err)
	}
	if _, err := first.Deactivate(t.Context(), "ana.lima@acme.example"); err != nil {
		t.Fatal(err)
	}
	second := open(t, folder)
	if diff := cmp.Diff(first.People(), second.People()); diff != "" {
		t.Errorf("people changed over a restart:\n%s", diff)
	}
	if diff := cmp.Diff(first.Teams(), second.Teams()); diff != "" {
		t.Errorf("teams changed over a restart:\n%s", diff)
	}
	if first.keyID != second.keyID || !first.key.Equal(second.key) {
		t.Error("the key changed over a restart")
	}
	if len(second.state.Clients) != 1 {
		t.Errorf("%d clients", len(second.state.Clients))
	}
}

func TestAdministration(t *testing.T) {
	okta, entra := newApp(t), newApp(t)
	s := open(t, t.TempDir(),
		Target{Name: "Okta", Style: push.Okta, SCIMURL: okta.URL, SCIMToken: seal.NewSecret(scimToken), LogoutEndpoint: okta.URL + "/logout", Client: "web"},
		Target{Name: "Entra", Style: push.Entra, SCIMURL: entra.URL, SCIMToken: seal.NewSecret(scimToken)})
	server := httptest.NewServer(s)
	defer server.Close()
	press := func(action string, form url.Values) string {
		t.Helper()
		response, err := http.PostForm(server.URL+"/admin/"+action, form)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d", action, response.StatusCode)
		}
		if strings.Contains(string(body), scimToken) || strings.Contains(string(body), "eyJ") {
			t.Errorf("%s shows a token", action)
		}
		return string(body)
	}
	ana := url.Values{"name": {"ana.lima@acme.example"}}
	to := func(target string) url.Values { return url.Values{"name": ana["name"], "target": {target}} }

	if page := press("push", to("Okta")); !strings.Contains(page, "Okta: push Ana Lima") || !strings.Contains(page, "<strong>201</strong>") {
		t.Errorf("the exchange is not shown:\n%s", page)
	}
	press("push", to("Entra"))
	press("push-team", url.Values{"name": {"Finance"}, "target": {"Okta"}})
	if diff := cmp.Diff([]string{"GET /Users", "POST /Users", "GET /Groups", "POST /Groups", "PATCH /Groups/scim-1", "PATCH /Groups/scim-1"}, okta.take()); diff != "" {
		t.Errorf("pushed to Okta's:\n%s", diff)
	}
	if last := okta.bodies[len(okta.bodies)-1]; !strings.Contains(last, `"value":[{"display":"ana.lima@acme.example","value":"scim-1"}]`) {
		t.Errorf("members: %s", last)
	}
	entra.take()

	press("clear-sessions", ana)
	if diff := cmp.Diff([]string{"POST /logout"}, okta.take()); diff != "" {
		t.Errorf("cleared sessions:\n%s", diff)
	}
	press("deactivate", ana)
	press("reactivate", ana)
	press("deactivate", ana)
	press("delete", ana)
	if diff := cmp.Diff([]string{"PATCH /Users/scim-1", "PATCH /Users/scim-1", "PATCH /Users/scim-1", "PATCH /Users/scim-1"}, okta.take()); diff != "" {
		t.Errorf("Okta's lifecycle:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PATCH /Users/scim-1", "PATCH /Users/scim-1", "PATCH /Users/scim-1", "DELETE /Users/scim-1"}, entra.take()); diff != "" {
		t.Errorf("Entra's lifecycle:\n%s", diff)
	}
	if _, err := s.Person("ana.lima@acme.example"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("a deleted person is there: %v", err)
	}
	if page := press("push", to("Okta")); !strings.Contains(page, "there is no such person") {
		t.Error("a fault is not shown")
	}

	// A target that refuses keeps the others from nothing, and the person.
	okta.status = http.StatusServiceUnavailable
	ben := "ben.okoro@acme.example"
	if _, err := s.Push(t.Context(), "Entra", ben); err != nil {
		t.Fatal(err)
	}
	if err := s.edit(s.mustPerson(t, ben).ID, func(person *Person) { person.Pushed["Okta"] = "scim-2" }); err != nil {
		t.Fatal(err)
	}
	entra.take()
	if exchanges, err := s.Delete(t.Context(), ben); core.KindOf(err) != core.KindUnavailable || len(exchanges) != 2 {
		t.Errorf("a target that is down: %v %+v", err, exchanges)
	}
	if len(entra.take()) != 1 {
		t.Error("the other target was not told")
	}
	s.mustPerson(t, ben)
}

func (s *Server) mustPerson(t *testing.T, name string) Person {
	t.Helper()
	person, err := s.Person(name)
	if err != nil {
		t.Fatal(err)
	}
	return person
}

func TestAnotherSitesPagePressesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	for path, want := range map[string]int{"/admin/deactivate": http.StatusForbidden, "/login": http.StatusForbidden} {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader("name=ana.lima@acme.example"))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}

func TestUniversalLogout(t *testing.T) {
	receiver := newApp(t)
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	s, err := New(Options{
		Issuer: "http://127.0.0.1:4400", Folder: t.TempDir(), Now: func() time.Time { return now },
		Clients: []Client{{ID: "web", Secret: seal.NewSecret("secret"), RedirectURIs: []string{"http://127.0.0.1:1/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := s.UniversalLogout(t.Context(), receiver.URL+"/logout?a=b#c", "ana.lima@acme.example")
	if err != nil || exchange.Status != http.StatusNoContent {
		t.Fatalf("%+v %v", exchange, err)
	}
	if got := receiver.bodies[0]; got != `{"sub_id":{"email":"ana.lima@acme.example","format":"email"}}` {
		t.Errorf("body %s", got)
	}
	parsed, err := jose.ParseSignedCompact(receiver.tokens[0], []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if typ := parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType]; typ != "global-token-revocation+jwt" {
		t.Errorf("typ %v", typ)
	}
	payload, err := parsed.Verify(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if jti, _ := claims["jti"].(string); len(jti) < 20 {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	want := map[string]any{
		"iss": "http://127.0.0.1:4400", "sub": "web", "aud": receiver.URL + "/logout",
		"iat": float64(now.Unix()), "exp": float64(now.Unix() + 300), "nbf": float64(now.Unix() - 300),
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims:\n%s", diff)
	}
	for status, kind := range map[int]core.Kind{400: core.KindInvalid, 401: core.KindUnauthenticated, 403: core.KindDenied, 404: core.KindNotFound, 422: core.KindInvalid, 503: core.KindUnavailable} {
		receiver.status = status
		if _, err := s.UniversalLogout(t.Context(), receiver.URL+"/logout", "nobody"); core.KindOf(err) != kind {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, options := range []Options{
		{}, {Issuer: "http://127.0.0.1:1/path", Folder: t.TempDir()}, {Issuer: "ftp://x", Folder: t.TempDir()}, {Issuer: "http://127.0.0.1:1"},
		{Issuer: "http://127.0.0.1:1", Folder: t.TempDir(), Clients: []Client{{ID: "x"}}},
		{Issuer: "http://127.0.0.1:1", Folder: t.TempDir(), Targets: []Target{{Name: "x", SCIMURL: "y", SCIMToken: seal.NewSecret("z"), Style: "w"}}},
	} {
		if _, err := New(options); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", options, err)
		}
	}
}
