package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// forge is an identity provider that says whatever a test wants it to.
type forge struct {
	t   *testing.T
	URL string

	rsa, other *rsa.PrivateKey
	ec         *ecdsa.PrivateKey

	lock      sync.Mutex
	document  map[string]any                      // of discovery, over what it says by itself
	token     func(form url.Values) (int, string) // the token endpoint
	pushed    url.Values                          // the last pushed request
	asked     []url.Values                        // of the token endpoint
	header    http.Header                         // of its last request
	hits      map[string]int                      // by path
	intercept func(http.ResponseWriter, *http.Request) bool
}

func newForge(t *testing.T) *forge {
	t.Helper()
	f := &forge{t: t, hits: map[string]int{}, document: map[string]any{}}
	var err error
	for _, key := range []**rsa.PrivateKey{&f.rsa, &f.other} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	if f.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

func (f *forge) serve(w http.ResponseWriter, r *http.Request) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.hits[r.URL.Path]++
	if f.intercept != nil && f.intercept(w, r) {
		return
	}
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document := map[string]any{
			"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/jwks",
			"end_session_endpoint": f.URL + "/end", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
		for name, value := range f.document {
			document[name] = value
		}
		answer(http.StatusOK, document)
	case "/jwks":
		answer(http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: f.rsa.Public(), KeyID: "rsa", Use: "sig"}, {Key: f.ec.Public(), KeyID: "ec", Use: "sig"},
		}})
	case "/par":
		_ = r.ParseForm()
		f.pushed = r.PostForm
		answer(http.StatusCreated, map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60})
	case "/token":
		_ = r.ParseForm()
		f.asked, f.header = append(f.asked, r.PostForm), r.Header.Clone()
		status, text := f.token(r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *forge) count(path string) int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.hits[path]
}

// answers makes the token endpoint hand out an ID token.
func (f *forge) answers(idToken string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.token = func(url.Values) (int, string) {
		text, _ := json.Marshal(map[string]string{"access_token": "canary-access", "token_type": "Bearer", "id_token": idToken})
		return http.StatusOK, string(text)
	}
}

// sign makes a token. How is rs256, es256, ps256, rs384, none, hs256-public or other-key.
func (f *forge) sign(how string, header map[string]any, claims []byte) string {
	f.t.Helper()
	algorithm, kid, key := jose.RS256, "rsa", any(f.rsa)
	switch how {
	case "es256":
		algorithm, kid, key = jose.ES256, "ec", f.ec
	case "ps256":
		algorithm = jose.PS256
	case "rs384":
		algorithm = jose.RS384
	case "other-key":
		key = f.other
	case "hs256-public":
		der, err := x509.MarshalPKIXPublicKey(f.rsa.Public())
		if err != nil {
			f.t.Fatal(err)
		}
		algorithm, key = jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	case "none":
		return "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + encoded(claims) + "."
	}
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": kid, "typ": "JWT"}}
	for name, value := range header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
		if value == nil {
			delete(options.ExtraHeaders, jose.HeaderKey(name))
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return compact
}

// good are the claims of an ID token that is right for a sign-in.
func (f *forge) good(connection directory.Connection, nonce string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": f.URL, "aud": connection.ClientID, "sub": "sub-ana", "iat": now, "exp": now + 300, "nonce": nonce, "auth_time": now,
		"preferred_username": "ana", "email": "ana@acme.example", "email_verified": true,
	}
}

// lead points a connection at the forge.
func (h *house) lead(connection directory.Connection, f *forge, signIn directory.SignIn) directory.Connection {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) (err error) {
		connection, err = h.directory.ChangeConnection(h.t.Context(), tx, core.NewCause(core.System, time.Now()), connection.Workspace, connection.ID, func(c *directory.Connection) {
			c.Issuer, c.SignIn = f.URL, signIn
		})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return connection
}

// started begins a sign-in at the forge: the state and the nonce it was given.
func (h *house) started(b *browser, connection directory.Connection) url.Values {
	h.t.Helper()
	got := b.get(h.gateway + "/sso/" + connection.ID.String() + "/start")
	parsed, err := url.Parse(got.location)
	if err != nil || got.status != http.StatusSeeOther {
		h.t.Fatalf("start: %d to %q\n%s", got.status, got.location, got.body)
	}
	return parsed.Query()
}

func (h *house) back(connection directory.Connection, query url.Values) string {
	return h.service.redirectURI(connection.ID) + "?" + query.Encode()
}

// forged is a whole sign-in with an ID token of the given claims.
func (h *house) forged(b *browser, f *forge, connection directory.Connection, how string, change func(claims map[string]any)) answer {
	h.t.Helper()
	query := h.started(b, connection)
	claims := f.good(connection, query.Get("nonce"))
	if change != nil {
		change(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		h.t.Fatal(err)
	}
	f.answers(f.sign(how, nil, text))
	return b.get(h.back(connection, url.Values{"state": {query.Get("state")}, "code": {"c"}}))
}

func encoded(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// decodePayload reads a token's claims without looking at its signature.
func decodePayload(t *testing.T, compact string, into any) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", compact)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
