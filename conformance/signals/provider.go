package signals

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
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const clientID = "client-1"

// provider is the identity provider the suite plays: it signs people in, signs tokens, and has streams.
type provider struct {
	base          string // where the gateway reaches it
	rsa, stranger *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
	secret        string // that a receiver manages its streams with

	lock     sync.Mutex
	codes    map[string]map[string]any // code → claims of the ID token
	streams  map[string]map[string]any
	number   int
	critical []string // of the next stream
}

func newProvider(base string) (*provider, error) {
	p := &provider{base: strings.TrimSuffix(base, "/"), secret: rand.Text(), codes: map[string]map[string]any{}, streams: map[string]map[string]any{}}
	var err error
	for _, key := range []**rsa.PrivateKey{&p.rsa, &p.stranger} {
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, err
		}
	}
	p.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return p, err
}

func (p *provider) issuer() string { return p.base + "/main" }

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := "main"
	if strings.Contains(r.URL.Path, "custom") {
		name = "custom"
	}
	issuer := p.base + "/" + name
	switch path := strings.Trim(strings.Replace(r.URL.Path, name, "", 1), "/"); path {
	case ".well-known/openid-configuration":
		say(w, 200, map[string]any{
			"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic"}, "code_challenge_methods_supported": []string{"S256"},
			"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		})
	case "keys":
		say(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.rsa.Public(), KeyID: "rsa-1", Use: "sig"}, {Key: p.ec.Public(), KeyID: "ec-1", Use: "sig", Algorithm: "ES256"}}})
	case "token":
		p.token(w, r)
	case ".well-known/ssf-configuration":
		p.lock.Lock()
		defer p.lock.Unlock()
		say(w, 200, map[string]any{
			"spec_version": "1_0", "issuer": issuer, "jwks_uri": issuer + "/keys", "delivery_methods_supported": []string{"urn:ietf:rfc:8935", "urn:ietf:rfc:8936"},
			"configuration_endpoint": issuer + "/streams", "status_endpoint": issuer + "/status", "verification_endpoint": issuer + "/verify",
			"add_subject_endpoint": issuer + "/add", "remove_subject_endpoint": issuer + "/remove", "default_subjects": "ALL",
			"authorization_schemes": []map[string]string{{"spec_urn": "urn:ietf:rfc:6749"}}, "critical_subject_members": p.critical,
		})
	case "streams", "status", "verify", "add", "remove":
		p.manage(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

// code has the next token request with it answered by an ID token of these claims.
func (p *provider) code(claims map[string]any) string {
	p.lock.Lock()
	defer p.lock.Unlock()
	made := rand.Text()
	p.codes[made] = claims
	return made
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.lock.Lock()
	claims, known := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	p.lock.Unlock()
	if !known {
		say(w, 400, map[string]string{"error": "invalid_grant"})
		return
	}
	token, err := p.sign(signed{claims: claims, header: map[string]any{"typ": "JWT"}})
	if err != nil {
		say(w, 500, map[string]string{"error": "server_error"})
		return
	}
	say(w, 200, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": token})
}

func (p *provider) manage(w http.ResponseWriter, r *http.Request, path string) {
	if r.Header.Get("Authorization") != "Bearer "+p.secret {
		say(w, 401, map[string]string{"error": "invalid_token"})
		return
	}
	body := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&body)
	id := r.URL.Query().Get("stream_id")
	if text, ok := body["stream_id"].(string); ok {
		id = text
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	stream := p.streams[id]
	switch {
	case path == "streams" && r.Method == http.MethodPost:
		p.number++
		id = fmt.Sprint("stream-", p.number)
		stream = map[string]any{"stream_id": id, "iss": p.issuer(), "aud": []string{audience(id), audience(id) + "/2"}, "min_verification_interval": 0, "status": "enabled"}
		p.streams[id] = stream
		fallthrough
	case path == "streams" && stream != nil && (r.Method == http.MethodPatch || r.Method == http.MethodPut):
		for _, name := range []string{"delivery", "events_requested", "description"} {
			if value, there := body[name]; there {
				stream[name] = value
			}
		}
		stream["events_delivered"] = stream["events_requested"]
		say(w, map[bool]int{true: 201, false: 200}[r.Method == http.MethodPost], stream)
	case stream == nil:
		say(w, 404, map[string]string{"description": "no such stream"})
	case path == "streams" && r.Method == http.MethodDelete:
		delete(p.streams, id)
		w.WriteHeader(204)
	case path == "streams":
		say(w, 200, stream)
	case path == "status":
		if text, ok := body["status"].(string); ok {
			stream["status"] = text
		}
		say(w, 200, map[string]any{"stream_id": id, "status": stream["status"]})
	case path == "add":
		w.WriteHeader(200)
	default:
		w.WriteHeader(204)
	}
}

// delivery is where a stream is pushed to and with which Authorization.
func (p *provider) delivery(id string) (address, authorization string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	said, _ := p.streams[id]["delivery"].(map[string]any)
	address, _ = said["endpoint_url"].(string)
	authorization, _ = said["authorization_header"].(string)
	return address, authorization
}

func audience(stream string) string { return "https://receiver.example/" + stream }

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// signed is a token as a vector describes it.
type signed struct {
	signing   string         // rs256 (default), es256, ps256, none, hs256-public, other-key
	header    map[string]any // over alg and kid; null takes out
	rawHeader string         // instead
	claims    any
	payload   string // instead of claims
	tamper    bool
}

// sign makes a compact token by hand, so that a header may claim whatever it likes.
func (p *provider) sign(s signed) (string, error) {
	alg, kid := "RS256", "rsa-1"
	switch s.signing {
	case "es256":
		alg, kid = "ES256", "ec-1"
	case "ps256":
		alg = "PS256"
	case "hs256-public":
		alg = "HS256"
	case "none":
		alg = "none"
	}
	members := map[string]any{"alg": alg, "kid": kid}
	for name, value := range s.header {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	header, payload := s.rawHeader, s.payload
	for _, one := range []struct {
		into *string
		from any
	}{{&header, members}, {&payload, s.claims}} {
		if *one.into == "" {
			text, err := json.Marshal(one.from)
			if err != nil {
				return "", err
			}
			*one.into = string(text)
		}
	}
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	input := encode(header) + "." + encode(payload)
	signature, err := p.signature(s.signing, input)
	if s.tamper {
		input = encode(header) + "." + encode(strings.Replace(payload, "{", `{"sub_extra":true,`, 1))
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func (p *provider) signature(method, input string) ([]byte, error) {
	digest := sha256.Sum256([]byte(input))
	switch method {
	case "none":
		return nil, nil
	case "hs256-public":
		public, err := x509.MarshalPKIXPublicKey(p.rsa.Public())
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		return mac.Sum(nil), nil
	case "es256":
		r, s, err := ecdsa.Sign(rand.Reader, p.ec, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case "other-key":
		return rsa.SignPKCS1v15(rand.Reader, p.stranger, crypto.SHA256, digest[:])
	case "ps256":
		return rsa.SignPSS(rand.Reader, p.rsa, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(rand.Reader, p.rsa, crypto.SHA256, digest[:])
}

// idToken are the claims of one, for a sign-in the gateway asked for.
func (p *provider) idToken(asked url.Values, who person, sid string) map[string]any {
	now := time.Now()
	// auth_time is in whole seconds, here rounded up: a sign-in right after a logout is after it.
	return map[string]any{
		"iss": p.issuer(), "sub": who.sub, "aud": asked.Get("client_id"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix() + 1,
		"nonce": asked.Get("nonce"), "preferred_username": who.userName, "sid": sid,
	}
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }
