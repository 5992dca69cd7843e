package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"postern/conformance/optest"
)

// logouts receives back-channel logout tokens.
func logouts(t *testing.T) (string, <-chan string) {
	received := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r.PostFormValue("logout_token")
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

func authorize(endpoint string, client optest.Client, more url.Values) string {
	query := url.Values{
		"client_id": {client.ID}, "redirect_uri": client.RedirectURIs, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for name, values := range more {
		query[name] = values
	}
	return endpoint + "?" + query.Encode()
}

func holds(t *testing.T, callback, name, want string) {
	t.Helper()
	parsed, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Query().Get(name); got != want && (want != "*" || got == "") {
		t.Errorf("%s is %q, want %q: %s", name, got, want, callback)
	}
}

// TestKeycloakItself is here, beside the other tests that need one: starting it takes longest.
func TestKeycloakItself(t *testing.T) {
	keycloak := optest.StartKeycloak(t)
	realm := keycloak.Realm(t)
	address, received := logouts(t)
	client := optest.Client{ID: "web", Secret: "secret", RedirectURIs: []string{"http://127.0.0.1:1/callback"}, BackChannelLogoutURI: address}
	realm.AddClient(client)
	ana := realm.AddPerson(optest.Person{UserName: "ana", Password: "a", Email: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima"})
	endpoint := realm.Issuer + "/protocol/openid-connect/auth"
	browser := optest.NewBrowser(t)
	callback := realm.SignIn(browser, authorize(endpoint, client, nil), ana)
	holds(t, callback, "iss", realm.Issuer)
	holds(t, callback, "code", "*")
	holds(t, realm.SignIn(browser, authorize(endpoint, client, url.Values{"prompt": {"none"}}), ana), "code", "*")
	holds(t, realm.SignIn(optest.NewBrowser(t), authorize(endpoint, client, url.Values{"prompt": {"none"}}), ana), "error", "login_required")

	realm.SetPassword(ana.ID, "b")
	ana.Password = "b"
	holds(t, realm.SignIn(optest.NewBrowser(t), authorize(endpoint, client, nil), ana), "code", "*")
	realm.LogOut(ana.ID)
	if token := <-received; token == "" {
		t.Error("an empty logout token")
	}
	holds(t, realm.SignIn(browser, authorize(endpoint, client, url.Values{"prompt": {"none"}}), ana), "error", "login_required")
	realm.SetEnabled(ana.ID, false)
	realm.SetEnabled(ana.ID, true)

	realm.Receiver("receiver", "secret", "http://127.0.0.1:1/*")
	if realm.Token("receiver", "secret", "") == "" {
		t.Error("no token")
	}
	response, err := http.Get(realm.Issuer + "/.well-known/ssf-configuration")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("SSF: %v %v", response, err)
	}
	realm.Delete(ana.ID)
}

func TestCertifiedItself(t *testing.T) {
	address, received := logouts(t)
	client := optest.Client{ID: "web", Secret: "secret", RedirectURIs: []string{"http://127.0.0.1:1/callback"}, BackChannelLogoutURI: address}
	provider := optest.StartCertified(t, optest.CertifiedOptions{Clients: []optest.Client{client}})
	browser := optest.NewBrowser(t)
	callback := provider.SignIn(browser, authorize(provider.Issuer+"/auth", client, nil), "ana")
	holds(t, callback, "iss", provider.Issuer)
	holds(t, callback, "code", "*")
	holds(t, provider.SignIn(browser, authorize(provider.Issuer+"/auth", client, nil), "ana"), "code", "*")
	holds(t, provider.Refuse(optest.NewBrowser(t), authorize(provider.Issuer+"/auth", client, nil)), "error", "access_denied")
	provider.LogOut(t, "ana")
	select {
	case token := <-received:
		if token == "" {
			t.Error("an empty token")
		}
	default:
		t.Error("no back-channel logout came")
	}
}
