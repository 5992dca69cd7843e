package line

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/directory"
	"postern/deploy/local"
	"postern/deploy/local/demo"
)

// another starts a second process of postern over the same database, and returns where it listens.
func (s *stage) another(t *testing.T) string {
	t.Helper()
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	arguments := slices.Clone(s.arguments)
	arguments[slices.Index(arguments, "--listen")+1] = at
	second := exec.Command(built, arguments...)
	second.Stdout, second.Stderr = s.log, s.log
	second.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Process.Kill(); _ = second.Wait() })
	if err := demo.Ready(t.Context(), "http://"+at); err != nil {
		t.Fatalf("%v\n%s", err, s.log.end(8<<10))
	}
	return "http://" + at
}

// at reports whether a person's session opens a page of a process. Anything but a clear yes or no ends the test.
func (r resident) at(t *testing.T, gateway string) bool {
	t.Helper()
	got := r.s.send(t, sent{
		Method: http.MethodGet, Path: gateway + "/accounts/" + r.account.String(),
		Header: map[string]string{"Cookie": "__Host-postern=" + r.cookie, "Accept": "text/html"},
	})
	if got.status != http.StatusOK && got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.text)
	}
	return got.status == http.StatusOK
}

// hearing is an app that is told of logouts: what it was told, each as the claims it believed and the subject.
type hearing struct {
	url  string
	told chan told
}

type told struct {
	kind    string // typ
	claims  map[string]any
	subject string // whom it is about
}

// hears serves an app that believes the keys of the workspace and nobody else.
func (s *stage) hears(t *testing.T, answer int) *hearing {
	t.Helper()
	app := &hearing{told: make(chan told, 10)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, err := s.believed(r)
		if err != nil {
			t.Errorf("an app does not believe what it is told: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(answer)
		app.told <- one
	}))
	t.Cleanup(server.Close)
	app.url = server.URL + "/logout"
	return app
}

// believed is what a logout token (OpenID Connect Back-Channel Logout 1.0) or a revocation (Global Token Revocation) says.
func (s *stage) believed(r *http.Request) (told, error) {
	token, one := r.PostFormValue("logout_token"), told{}
	if token == "" {
		var body struct {
			Subject struct{ Format, Email string } `json:"sub_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return one, err
		}
		if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token); err != nil {
			return one, err
		}
		one.subject = body.Subject.Email
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return one, err
	}
	var workspace core.ID
	if err := s.DB.QueryRow(r.Context(), `select id from workspaces where slug = 'acme'`).Scan(&workspace); err != nil {
		return one, err
	}
	answer, err := http.Get(s.Stack.Gateway + "/jwks/" + workspace.String())
	if err != nil {
		return one, err
	}
	defer answer.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(answer.Body).Decode(&keys); err != nil {
		return one, err
	}
	payload, err := signed.Verify(&keys)
	if err != nil {
		return one, err
	}
	one.kind, _ = signed.Signatures[0].Header.ExtraHeaders["typ"].(string)
	if err := json.Unmarshal(payload, &one.claims); err != nil {
		return one, err
	}
	if one.subject == "" {
		one.subject, _ = one.claims["sub"].(string)
	}
	return one, nil
}

// next is what the app is told next.
func (h *hearing) next(t *testing.T) told {
	t.Helper()
	select {
	case one := <-h.told:
		return one
	case <-time.After(2 * time.Minute):
		t.Fatal("the app was told nothing")
		return told{}
	}
}

// TestALogoutIsEverywhere: two processes over one database, and two apps behind them. What the identity provider says at
// one door, and what an administrator says at the other process, ends the session at both at once, and reaches an app by
// back-channel logout and another by Global Token Revocation.
func TestALogoutIsEverywhere(t *testing.T) {
	s := open(t, worldOptions{}, demo.Login{Username: "billing", Password: "First-voyage-1912"})
	first, second := s.Stack.Gateway, s.another(t)
	shop, wiki := s.hears(t, http.StatusOK), s.hears(t, http.StatusNoContent)
	for _, target := range []map[string]any{
		{"name": "Wiki", "kind": "back_channel", "address": wiki.url, "client_id": "wiki", "subject_format": "email"},
		{"name": "Shop", "kind": "global_token_revocation", "address": shop.url, "client_id": "shop", "subject_format": "email"},
	} {
		tell[any](t, s.API, "/logout-targets", target)
	}
	ana := s.resident(t, "ana.lima@acme.example")
	owner := s.inside(t, "okta", local.OwnerName)

	heard := func(door string) {
		t.Helper()
		back, revoked := wiki.next(t), shop.next(t)
		events, _ := back.claims["events"].(map[string]any)
		if _, named := events["http://schemas.openid.net/event/backchannel-logout"]; !named || back.kind != "logout+jwt" || back.claims["aud"] != "wiki" || back.subject != ana.email || back.claims["nonce"] != nil {
			t.Errorf("%s: the app is told %+v", door, back)
		}
		if revoked.kind != "global-token-revocation+jwt" || revoked.claims["aud"] != shop.url || revoked.claims["sub"] != "shop" || revoked.subject != ana.email {
			t.Errorf("%s: the app is told %+v", door, revoked)
		}
		receipts := ask[listed[struct {
			Door, Outcome string
			Users         []core.ID
			Sessions      int
		}]](t, s.API, "/signals?limit=1&user="+ana.user.String()).Items
		if len(receipts) != 1 || receipts[0].Door != door || receipts[0].Sessions != 1 {
			t.Errorf("the receipt is %+v", receipts)
		}
	}

	if !ana.at(t, first) || !ana.at(t, second) {
		t.Fatal("a session opens both")
	}
	token, err := s.People.LogoutToken(s.Stack.Logout["okta"], local.ClientID(directory.Okta))
	if err != nil {
		t.Fatal(err)
	}
	said := s.send(t, sent{Path: s.Stack.Logout["okta"], Token: token.Reveal(), Type: jsonType, Body: `{"sub_id":{"format":"email","email":"` + ana.email + `"}}`})
	if said.status != http.StatusNoContent || ana.at(t, second) || ana.at(t, first) {
		t.Fatalf("%d: the session is dead everywhere once the provider is answered", said.status)
	}
	heard("universal_logout")

	// The provider's auth_time is in whole seconds: a sign-in within that of the logout may have been before it.
	s.eventually(time.Minute, "ana signs in again", func() bool {
		ana.guest = s.enter(t, "okta", ana.name)
		return ana.landed.Status == http.StatusOK && ana.landed.URL.Path == "/"
	})
	if !ana.at(t, first) || !ana.at(t, second) {
		t.Fatal("a session opens both")
	}
	said = s.send(t, sent{Path: second + "/users/" + ana.user.String() + "/logout", Type: "application/x-www-form-urlencoded", Header: map[string]string{
		"Cookie": "__Host-postern=" + owner.cookie, "Sec-Fetch-Site": "same-origin", "Accept": "text/html",
	}})
	if said.status != http.StatusSeeOther || ana.at(t, first) || ana.at(t, second) {
		t.Fatalf("%d %s: the session is dead everywhere once the administrator is answered", said.status, said.text)
	}
	heard("console")
	if len(shop.told)+len(wiki.told) > 0 {
		t.Error("an app is told twice of one logout")
	}
	s.stop()
}
