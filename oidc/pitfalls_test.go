package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signing"
	"postern/core/vault"
)

// The tests here are of what goes wrong with the relying party of zitadel/oidc as it comes: each shows
// that it does not go wrong here, whether that piece of the library is used or not.

// fallen is a house whose acme signs in at a forge, with ana provisioned.
func fallen(t *testing.T, signIn directory.SignIn) (*house, *forge) {
	t.Helper()
	h, f := newHouse(t), newForge(t)
	h.acme = h.lead(h.acme, f, signIn)
	h.provision(h.acme, directory.User{UserName: "ana", ExternalID: "sub-ana"})
	h.provision(h.other, directory.User{UserName: "ana", ExternalID: "sub-ana"})
	return h, f
}

func (h *house) mustSignIn(f *forge, how string, change func(map[string]any)) {
	h.t.Helper()
	b := newBrowser(h.t)
	if got := h.forged(b, f, h.acme, how, change); got.status != http.StatusSeeOther || h.signedInAs(b) != "ana" {
		h.t.Errorf("%d, signed in as %q\n%s", got.status, h.signedInAs(b), got.body)
	}
}

func (h *house) mustFail(f *forge, how, code string, change func(map[string]any)) {
	h.t.Helper()
	b := newBrowser(h.t)
	got := h.forged(b, f, h.acme, how, change)
	failures := h.failures(h.acme.Workspace)
	if got.status != http.StatusForbidden || h.signedInAs(b) != "" || len(failures) == 0 || failures[len(failures)-1] != code {
		h.t.Errorf("%d, %v; want %s\n%s", got.status, failures, code, got.body)
	}
}

func TestPitfall01OneLoginAtATime(t *testing.T) {
	h := newHouse(t)
	person, _ := h.ana()
	b := newBrowser(t)
	first, second := h.begin(b, h.acme, ""), h.begin(b, h.acme, "")
	for _, authorize := range []string{first, second} {
		if done := b.get(h.prove(b, authorize, person)); done.status != http.StatusSeeOther {
			t.Errorf("%d\n%s", done.status, done.body)
		}
	}
}

func TestPitfall02NoNonceIsSent(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	if nonce := h.started(newBrowser(t), h.acme).Get("nonce"); len(nonce) < 20 {
		t.Errorf("nonce %q", nonce)
	}
	h.mustSignIn(f, "rs256", nil)
	h.mustFail(f, "rs256", codeTokenRefused, func(claims map[string]any) { delete(claims, "nonce") })
	h.mustFail(f, "rs256", codeTokenRefused, func(claims map[string]any) { claims["nonce"] = "" })
}

func TestPitfall03AnErrorIsNoPage(t *testing.T) {
	h, _ := fallen(t, directory.SignIn{})
	for word, known := range registered {
		b := newBrowser(t)
		query := h.started(b, h.acme)
		got := b.get(h.back(h.acme, url.Values{"state": {query.Get("state")}, "error": {word}, "error_description": {"AADSTS50105: <script>canary</script>"}}))
		if got.status != http.StatusForbidden && got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, known.title) ||
			!strings.Contains(got.body, word+" AADSTS50105") || strings.Contains(got.body, "canary") {
			t.Errorf("%s: %d\n%s", word, got.status, got.body)
		}
	}
}

func TestPitfall04TheIssuerOfAnAnswerIsIgnored(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	f.document["authorization_response_iss_parameter_supported"] = true
	for _, issuer := range []string{"", "https://evil.example", f.URL + "/"} {
		b := newBrowser(t)
		query := url.Values{"state": {h.started(b, h.acme).Get("state")}, "code": {"c"}}
		if issuer != "" {
			query.Set("iss", issuer)
		}
		if got := b.get(h.back(h.acme, query)); got.status != http.StatusForbidden {
			t.Errorf("%q: %d", issuer, got.status)
		}
	}
	if f.count("/token") != 0 {
		t.Error("a code of another provider went to the token endpoint")
	}
}

func TestPitfall05ForgedKeyIDsFetchKeys(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	h.mustSignIn(f, "rs256", nil)
	before := f.count("/jwks")
	for i := range 25 {
		b := newBrowser(t)
		query := h.started(b, h.acme)
		text, _ := json.Marshal(f.good(h.acme, query.Get("nonce")))
		f.answers(f.sign("other-key", map[string]any{"kid": "forged-" + strconv.Itoa(i)}, text))
		if got := b.get(h.back(h.acme, url.Values{"state": {query.Get("state")}, "code": {"c"}})); got.status == http.StatusSeeOther {
			t.Fatal("a forged token signed somebody in")
		}
	}
	if fetched := f.count("/jwks") - before; fetched > 1 {
		t.Errorf("25 forged key ids fetched the keys %d times", fetched)
	}
}

func TestPitfall06SkewShortensLife(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	now := time.Now().Unix()
	h.mustSignIn(f, "rs256", func(claims map[string]any) { claims["exp"] = now + 3 })
	h.mustSignIn(f, "rs256", func(claims map[string]any) { claims["iat"] = now + 20 })
	h.mustFail(f, "rs256", codeTokenRefused, func(claims map[string]any) { claims["exp"] = now - 120 })
	h.mustFail(f, "rs256", codeTokenRefused, func(claims map[string]any) { claims["iat"] = now + 600 })
}

func TestPitfall07TheProviderNamesAlgorithms(t *testing.T) {
	h, f := fallen(t, directory.SignIn{}) // its document lists HS256 and none
	for _, how := range []string{"rs256", "es256", "ps256"} {
		h.mustSignIn(f, how, nil)
	}
	for _, how := range []string{"none", "hs256-public", "rs384", "other-key"} {
		h.mustFail(f, how, codeTokenRefused, nil)
	}
	h.acme = h.lead(h.acme, f, directory.SignIn{Algorithms: []string{"ES256"}})
	h.mustSignIn(f, "es256", nil)
	h.mustFail(f, "rs256", codeTokenRefused, nil)
}

func TestPitfall08CommonIssuers(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	for _, issuer := range []string{"https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/organizations/v2.0"} {
		err := h.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := h.directory.CreateConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), h.acme.Workspace, directory.NewConnection{Name: issuer, Kind: directory.Entra, Issuer: issuer})
			return err
		})
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	// A tenant is checked in the token, too.
	const tenant, oid = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	entra := h.lead(h.connect("entra", directory.Entra, "entra"), f, directory.SignIn{Tenant: tenant})
	h.provision(entra, directory.User{UserName: "eva", ExternalID: oid})
	for name, test := range map[string]struct {
		tid, oid string
		in       bool
	}{"right": {tenant, oid, true}, "another tenant": {oid, oid, false}, "no tenant": {"", oid, false}, "nobody": {tenant, "", false}} {
		b := newBrowser(t)
		h.forged(b, f, entra, "rs256", func(claims map[string]any) {
			claims["tid"], claims["oid"], claims["sub"], claims["email"] = test.tid, test.oid, "pairwise", "ana@acme.example"
			claims["preferred_username"] = "ana@acme.example"
		})
		if got := h.signedInAs(b); (got == "eva") != test.in || got != "" && got != "eva" {
			t.Errorf("%s: signed in as %q", name, got)
		}
	}
}

func TestPitfall09SigningOutFromHere(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	b := newBrowser(t)
	h.forged(b, f, h.acme, "rs256", nil)
	out := b.send(http.MethodPost, h.gateway+"/sso/sign-out", nil, http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if out.status != http.StatusSeeOther || !strings.HasPrefix(out.location, f.URL+"/end?") || !strings.Contains(out.location, "client_id="+h.acme.ClientID) {
		t.Errorf("%d to %q", out.status, out.location)
	}
	if f.count("/end") != 0 || h.service.HTTP.CheckRedirect != nil {
		t.Error("the provider was called from here, or the shared client was changed")
	}
}

func TestPitfall10AssertionWithoutID(t *testing.T) {
	h, f := fallen(t, directory.SignIn{Authentication: directory.AuthenticateKey})
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	h.service.Signer = &signing.Signing{DB: h.db, Vault: &vault.Vault{DB: h.db, Keys: key}}
	ids := map[string]bool{}
	for range 2 {
		h.mustSignIn(f, "rs256", nil)
		form := f.asked[len(f.asked)-1]
		if form.Get("client_assertion_type") != assertionType || form.Has("client_secret") || f.header.Get("Authorization") != "" {
			t.Fatalf("the token endpoint got %v", form)
		}
		var said assertion
		decodePayload(t, form.Get("client_assertion"), &said)
		if said.Issuer != h.acme.ClientID || said.Subject != h.acme.ClientID || said.Audience != f.URL && said.Audience != f.URL+"/token" || said.Expires-said.Issued > 60 || said.ID == "" || ids[said.ID] {
			t.Errorf("%+v", said)
		}
		ids[said.ID] = true
	}
}

func TestPitfall11AnswersWithoutEnd(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	h.mustSignIn(f, "rs256", nil)
	endless := strings.Repeat(" ", fetchMost+2)
	b := newBrowser(t)
	query := h.started(b, h.acme)
	f.token = func(url.Values) (int, string) { return http.StatusOK, endless + `{"id_token":"x"}` }
	if got := b.get(h.back(h.acme, url.Values{"state": {query.Get("state")}, "code": {"c"}})); got.status != http.StatusServiceUnavailable {
		t.Errorf("the token endpoint: %d\n%s", got.status, got.body)
	}
	h.ahead.Store(int64(2 * discoveryLife))
	other := newForge(t)
	other.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(endless))
		return true
	}
	lost := h.lead(h.other, other, directory.SignIn{})
	if got := b.get(h.gateway + "/sso/" + lost.ID.String() + "/start"); got.status != http.StatusServiceUnavailable {
		t.Errorf("discovery: %d", got.status)
	}
}

func TestPitfall12CookiesThatStay(t *testing.T) {
	h, f := fallen(t, directory.SignIn{})
	b := newBrowser(t)
	got := b.get(h.gateway + "/sso/" + h.acme.ID.String() + "/start")
	cookies := (&http.Response{Header: got.header}).Cookies()
	if len(cookies) != 1 || cookies[0].MaxAge != int(directory.DefaultFlowLife.Seconds()) || cookies[0].SameSite != http.SameSiteLaxMode || !cookies[0].Secure {
		t.Errorf("cookies %v", cookies)
	}
	parsed, _ := url.Parse(got.location)
	text, _ := json.Marshal(f.good(h.acme, parsed.Query().Get("nonce")))
	f.answers(f.sign("rs256", nil, text))
	h.ahead.Store(int64(directory.DefaultFlowLife + time.Second))
	if late := b.get(h.back(h.acme, url.Values{"state": {parsed.Query().Get("state")}, "code": {"c"}})); late.status != http.StatusBadRequest || f.count("/token") != 0 {
		t.Errorf("after its life: %d", late.status)
	}
}

func TestPitfall13ProofIsAskedForOnce(t *testing.T) {
	h, f := fallen(t, directory.SignIn{ACRValues: []string{"gold", "silver"}, MaxAge: new(60)})
	query := h.started(newBrowser(t), h.acme)
	if query.Get("acr_values") != "gold silver" || query.Get("max_age") != "60" {
		t.Errorf("asked %v", query)
	}
	h.mustSignIn(f, "rs256", func(claims map[string]any) { claims["acr"] = "silver" })
	h.mustFail(f, "rs256", codeWeakProof, nil)
	h.mustFail(f, "rs256", codeStaleProof, func(claims map[string]any) {
		claims["acr"], claims["auth_time"] = "gold", time.Now().Unix()-3600
	})
	h.mustFail(f, "rs256", codeStaleProof, func(claims map[string]any) {
		claims["acr"] = "gold"
		delete(claims, "auth_time")
	})
	// The next connection asks for nothing.
	if query := h.started(newBrowser(t), h.lead(h.other, f, directory.SignIn{})); query.Has("acr_values") || query.Has("max_age") {
		t.Errorf("the other connection asks %v", query)
	}
}

func TestPitfall14PlainHTTP(t *testing.T) {
	for issuer, fine := range map[string]bool{
		"http://127.0.0.1:9": true, "http://localhost:9": true, "http://[::1]:9": true, "http://idp.example": false, "http://127.0.0.1.example": false, "https://idp.example": true,
	} {
		var read document
		read.Issuer, read.AuthorizationEndpoint, read.TokenEndpoint, read.JwksURI = issuer, issuer+"/a", issuer+"/t", issuer+"/k"
		if fault := read.fault(issuer); (fault == "") != fine {
			t.Errorf("%s: %q", issuer, fault)
		}
		read.Pushed = "http://idp.example/par"
		if strings.HasPrefix(issuer, "https") && read.fault(issuer) == "" {
			t.Error("an issuer over https may push requests over http")
		}
	}
}
