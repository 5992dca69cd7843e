package signals

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"postern/conformance/signals/vectors"
)

const clientID = "client-1"

// provider is the identity provider the suite plays: it signs people in, signs tokens, and has streams.
type provider struct {
	run     string  // part of its issuer: a gateway that remembers the keys of the last run does not take them for these
	base    string  // where the gateway reaches it
	gateway gateway // as Microsoft Graph reaches it
	keys    *vectors.Keys
	secret  string // that a receiver manages its streams with

	lock     sync.Mutex
	codes    map[string]map[string]any // code → claims of the ID token
	streams  map[string]map[string]any
	number   int
	critical []string // of the next stream
	boxes    map[string]*box
	graph    graph
}

func newProvider(base, run string) (*provider, error) {
	p := &provider{run: "/" + run, base: strings.TrimSuffix(base, "/") + "/" + run, secret: rand.Text(), codes: map[string]map[string]any{}, streams: map[string]map[string]any{}, boxes: map[string]*box{}}
	var err error
	p.keys, err = vectors.NewKeys()
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
	path := strings.Trim(strings.Replace(strings.Replace(r.URL.Path, p.run, "", 1), name, "", 1), "/")
	if stream, found := strings.CutPrefix(path, "poll/"); found {
		p.poll(w, r, stream)
		return
	}
	if rest, found := strings.CutPrefix(path, "graph/"); found {
		p.microsoft(w, r, rest)
		return
	}
	switch path {
	case ".well-known/openid-configuration":
		say(w, 200, map[string]any{
			"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic"}, "code_challenge_methods_supported": []string{"S256"},
			"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		})
	case "keys":
		say(w, 200, p.keys.Set())
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
	token, err := p.keys.Sign(vectors.Token{Claims: claims, Header: map[string]any{"typ": "JWT"}})
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
		if said, _ := stream["delivery"].(map[string]any); said["method"] == "urn:ietf:rfc:8936" {
			said["endpoint_url"] = p.issuer() + "/poll/" + id
		}
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
