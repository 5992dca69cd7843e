package ssf_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
)

const (
	clientSecret = "a client's secret: 100% \"odd\" +&="
	staticToken  = "a-static-token"
)

// transmitter is a strict one of Shared Signals: what a receiver does against the specifications is a fault of
// the test.
type transmitter struct {
	*httptest.Server
	t           testing.TB
	rsa, second *rsa.PrivateKey
	ec          *ecdsa.PrivateKey

	clientKeys map[string][]jose.JSONWebKey // of private_key_jwt
	assertions map[string]bool              // jti

	lock       sync.Mutex
	streams    map[string]*remote
	tokens     map[string]string // access token → client
	issued     int               // tokens
	number     int
	keyFetches int
	polls      int
	metadata   map[string]any          // what differs
	documents  []string                // where the metadata is; nil: the standard place
	broken     map[string]int          // path → status to answer
	subjects   []map[string]any        // added, removed
	onPoll     func(ack []string) bool // told of each poll; false: the connection breaks before anything is noted
	single     bool                    // one stream per client
	noPatch    bool
}

func newTransmitter(t testing.TB) *transmitter {
	t.Helper()
	x := &transmitter{t: t, clientKeys: map[string][]jose.JSONWebKey{}, assertions: map[string]bool{}, streams: map[string]*remote{}, tokens: map[string]string{}, broken: map[string]int{}, metadata: map[string]any{}}
	var err error
	for _, key := range []**rsa.PrivateKey{&x.rsa, &x.second} {
		*key, err = rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
	}
	x.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	x.Server = httptest.NewServer(http.HandlerFunc(x.serve))
	t.Cleanup(x.Close)
	return x
}

func (x *transmitter) issuer() string { return x.URL + "/tx" }

func (x *transmitter) audience(stream string) string { return "https://receiver.example/" + stream }

func (x *transmitter) serve(w http.ResponseWriter, r *http.Request) {
	x.lock.Lock()
	defer x.lock.Unlock()
	if status, broken := x.broken[r.URL.Path]; broken {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		return
	}
	documents := x.documents
	if documents == nil {
		documents = []string{"/.well-known/ssf-configuration/tx"}
	}
	if slices.Contains(documents, r.URL.Path) {
		x.tellMetadata(w)
		return
	}
	switch r.URL.Path {
	case "/tx/.well-known/openid-configuration":
		reply(w, 200, map[string]string{"issuer": x.issuer(), "token_endpoint": x.URL + "/tx/token"})
	case "/tx/jwks":
		x.keyFetches++
		reply(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: x.rsa.Public(), KeyID: "rsa-1", Use: "sig"}, {Key: x.ec.Public(), KeyID: "ec-1", Use: "sig"}}})
	case "/tx/token":
		x.grant(w, r)
	case "/tx/streams", "/tx/status", "/tx/verify", "/tx/add", "/tx/remove", "/tx/poll":
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		client, known := x.tokens[token]
		if token == staticToken {
			client, known = "static", true
		}
		if !known {
			reply(w, 401, map[string]string{"error": "invalid_token"})
			return
		}
		x.manage(w, r, client)
	default:
		w.WriteHeader(404)
	}
}

func (x *transmitter) tellMetadata(w http.ResponseWriter) {
	said := map[string]any{
		"spec_version": "1_0", "issuer": x.issuer(), "jwks_uri": x.URL + "/tx/jwks", "delivery_methods_supported": []string{"urn:ietf:rfc:8935", "urn:ietf:rfc:8936"},
		"configuration_endpoint": x.URL + "/tx/streams", "status_endpoint": x.URL + "/tx/status", "verification_endpoint": x.URL + "/tx/verify",
		"add_subject_endpoint": x.URL + "/tx/add", "remove_subject_endpoint": x.URL + "/tx/remove", "default_subjects": "ALL",
		"authorization_schemes": []map[string]string{{"spec_urn": "urn:ietf:rfc:6749"}}, "something_new": map[string]any{"a": 1},
	}
	for name, value := range x.metadata {
		said[name] = value
	}
	reply(w, 200, said)
}

func (x *transmitter) grant(w http.ResponseWriter, r *http.Request) {
	client, secret, ok := r.BasicAuth()
	_ = r.ParseForm()
	if signed := r.PostForm.Get("client_assertion"); signed != "" {
		client = r.PostForm.Get("client_id")
		if err := x.asserted(r, client, signed); err != nil || ok || r.PostForm.Get("client_secret") != "" {
			reply(w, 401, map[string]string{"error": "invalid_client", "error_description": fmt.Sprint("that assertion is not good: ", err)})
			return
		}
		secret, ok = clientSecret, true
	} else if r.PostForm.Get("client_secret") != "" {
		client, secret, ok = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), true
	} else {
		secret = unescape(x.t, secret)
	}
	if !ok || secret != clientSecret || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("scope") != "ssf.manage ssf.read" {
		reply(w, 401, map[string]string{"error": "invalid_client", "error_description": "who are you?"})
		return
	}
	x.issued++
	token := fmt.Sprint("access-", x.issued)
	x.tokens[token] = client
	reply(w, 200, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
}

// asserted judges a client assertion as RFC 7523 §3 and OpenID Connect Core 1.0 §9 want it.
func (x *transmitter) asserted(r *http.Request, client, signed string) error {
	if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return errors.New("client_assertion_type")
	}
	parsed, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return err
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	for _, key := range x.clientKeys[client] {
		text, failure := parsed.Verify(key)
		if failure != nil || key.KeyID != parsed.Signatures[0].Header.KeyID {
			err = errors.Join(err, failure, errors.New("another key"))
			continue
		}
		if err := json.Unmarshal(text, &claims); err != nil {
			return err
		}
		switch {
		case claims.Issuer != client || claims.Subject != client || claims.Audience != x.URL+"/tx/token":
			return fmt.Errorf("it is %+v", claims)
		case claims.ID == "" || x.assertions[claims.ID]:
			return errors.New("jti is missing or was used")
		case claims.Expires <= claims.Issued || claims.Expires-claims.Issued > 600:
			return errors.New("it is good for too long")
		}
		x.assertions[claims.ID] = true
		return nil
	}
	return errors.Join(err, errors.New("no such key"))
}

func (x *transmitter) locked(work func()) {
	x.lock.Lock()
	defer x.lock.Unlock()
	work()
}

func (x *transmitter) claims(one *remote, events, subject map[string]any) map[string]any {
	return map[string]any{"iss": x.issuer(), "aud": x.audience(one.ID), "jti": core.NewID().String(), "iat": time.Now().Unix(), "sub_id": subject, "events": events}
}

// mint signs claims as a right token.
func (x *transmitter) mint(claims map[string]any) string {
	return x.sign(map[string]any{"typ": "secevent+jwt"}, claims, "rs256")
}

// sign makes the signature by hand, so that a header may claim whatever it likes.
func (x *transmitter) sign(header map[string]any, claims any, signing string) string {
	full := map[string]any{"alg": "RS256", "kid": "rsa-1"}
	switch signing {
	case "es256":
		full = map[string]any{"alg": "ES256", "kid": "ec-1"}
	case "none":
		full = map[string]any{"alg": "none"}
	case "hs256-public":
		full["alg"] = "HS256"
	}
	for name, value := range header {
		full[name] = value
	}
	text := part(full) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch signing {
	case "none":
	case "hs256-public":
		public, marshalErr := x509.MarshalPKIXPublicKey(x.rsa.Public())
		must(x.t, marshalErr)
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	case "es256":
		r, s, signErr := ecdsa.Sign(rand.Reader, x.ec, digest[:])
		must(x.t, signErr)
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "other-key":
		signature, err = rsa.SignPKCS1v15(rand.Reader, x.second, crypto.SHA256, digest[:])
	default:
		signature, err = rsa.SignPKCS1v15(rand.Reader, x.rsa, crypto.SHA256, digest[:])
	}
	must(x.t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func part(members any) string {
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func read(compact string) map[string]any {
	text, _ := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	said := map[string]any{}
	_ = json.Unmarshal(text, &said)
	return said
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// unescape undoes what RFC 6749 §2.3.1 asks of a client.
func unescape(t testing.TB, text string) string {
	plain, err := url.QueryUnescape(text)
	must(t, err)
	return plain
}
