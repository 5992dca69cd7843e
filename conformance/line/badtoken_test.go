package line

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/directory"
	"postern/deploy/local"
)

// mint is a logout token, right unless something is said otherwise.
type mint struct {
	kind   string // typ; default the right one
	claims map[string]any
	key    any                     // default the IdP's
	alg    jose.SignatureAlgorithm // default RS256
	kid    string                  // default the IdP's
}

// forge is the IdP's key in the hands of a test.
type forge struct {
	key    *rsa.PrivateKey
	kid    string
	issuer string
}

func (s *stage) forge(t *testing.T) forge {
	t.Helper()
	text, err := os.ReadFile(s.Folder.In("idp", "signing-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PrivateKey)
	thumbprint, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return forge{key, base64.RawURLEncoding.EncodeToString(thumbprint), s.Stack.IdP}
}

func (f forge) sign(t *testing.T, m mint, audience, subject string) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"jti": rand.Text(), "iss": f.issuer, "sub": subject, "aud": audience, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
	}
	maps.Copy(claims, m.claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if m.kind == "" {
		m.kind = "global-token-revocation+jwt"
	}
	if m.kid == "" {
		m.kid = f.kid
	}
	if m.alg == "none" {
		header, _ := json.Marshal(map[string]string{"alg": "none", "typ": m.kind, "kid": m.kid})
		return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
	}
	if m.alg == "" {
		m.alg = jose.RS256
	}
	if m.key == nil {
		m.key = f.key
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(m.kind)).WithHeader("kid", m.kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: m.alg, Key: m.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// nobody is the outcome of a signal that means no user.
const nobody = "nobody"

// logoutRefuses sends Universal Logout every token and body that must not end a session, and then
// the one that must.
func (s *stage) logoutRefuses(t *testing.T, ana resident, other *stranger) {
	f := s.forge(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(f.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	okta, entra := s.Stack.Logout["okta"], s.Stack.Logout["entra"]
	subject := map[string]string{okta: local.ClientID(directory.Okta), entra: local.ClientID(directory.Entra), other.logout(): strangerClient}
	body := `{"sub_id":{"format":"email","email":"` + ana.email + `"}}`
	now := time.Now()
	before := s.facts(t, s.API)

	// Refusals of tokens nobody can be named for are told five at a time and connection, so that a
	// stranger cannot fill the log: each connection gets its five.
	for _, test := range []struct {
		name  string
		door  string
		mint  mint
		raw   string
		error string
		code  string
	}{
		{"signed by a stranger", okta, mint{key: stranger}, "", "invalid_token", "signature"},
		{"expired", okta, mint{claims: map[string]any{"iat": now.Add(-20 * time.Minute).Unix(), "nbf": now.Add(-20 * time.Minute).Unix(), "exp": now.Add(-10 * time.Minute).Unix()}}, "", "invalid_token", "expired"},
		{"of another type", okta, mint{kind: "JWT"}, "", "invalid_token", "type"},
		{"for another audience", okta, mint{claims: map[string]any{"aud": entra}}, "", "invalid_token", "audience"},
		{"of another issuer", okta, mint{claims: map[string]any{"iss": "https://idp.example.net"}}, "", "invalid_token", "issuer"},
		{"unsigned", entra, mint{alg: "none"}, "", "invalid_token", "algorithm"},
		{"signed with the public key", entra, mint{alg: jose.HS256, key: public}, "", "invalid_token", "algorithm"},
		{"not valid yet", entra, mint{claims: map[string]any{"nbf": now.Add(10 * time.Minute).Unix(), "iat": now.Add(10 * time.Minute).Unix(), "exp": now.Add(15 * time.Minute).Unix()}}, "", "invalid_token", "not_yet"},
		{"without an end", entra, mint{claims: map[string]any{"exp": nil}}, "", "invalid_token", "expired"},
		{"without an id", entra, mint{claims: map[string]any{"jti": nil}}, "", "invalid_token", "id"},
		{"of a key nobody knows", other.logout(), mint{kid: "another", key: stranger}, "", "invalid_token", "key"},
		{"no token at all", other.logout(), mint{}, "rubbish", "invalid_token", "malformed"},
		{"for another app of the issuer", other.logout(), mint{claims: map[string]any{"sub": local.ClientID(directory.Okta)}}, "", "access_denied", "subject"},
		{"living for days", other.logout(), mint{claims: map[string]any{"exp": now.Add(72 * time.Hour).Unix()}}, "", "invalid_token", "expired"},
		{"for two audiences", other.logout(), mint{claims: map[string]any{"aud": []string{other.logout(), okta}}}, "", "invalid_token", "audience"},
	} {
		t.Run("a token "+test.name, func(t *testing.T) {
			api := s.API
			if test.door == other.logout() {
				api = other.API
			}
			since, token := last(t, api), test.raw
			if token == "" {
				token = f.sign(t, test.mint, test.door, subject[test.door])
			}
			s.secrets.plant("a bad logout token", token)
			status := http.StatusUnauthorized
			if test.error == "access_denied" {
				status = http.StatusForbidden
			}
			s.send(t, sent{Path: test.door, Token: token, Type: jsonType, Body: body}).oauthError(t, status, test.error)
			event := s.toldSince(t, api, core.SignalRefused, since, 1)[0]
			if event.Data["code"] != test.code || event.Outcome != core.Failure || event.Reason == "" || event.Actor.Kind != core.ActorSystem {
				t.Errorf("the event is %+v, want the code %s", event, test.code)
			}
			s.unchanged(t, s.API, before)
		})
	}
	for name, out := range map[string]sent{
		"no token":                       {Path: okta, Type: jsonType, Body: body},
		"the SCIM token":                 {Path: okta, Type: jsonType, Body: body, Token: s.Stack.SCIM["okta"].Token},
		"no such connection":             {Path: "/webhooks/" + core.NewID().String() + "/universal-logout", Type: jsonType, Body: body, Token: f.sign(t, mint{}, okta, subject[okta])},
		"large, without a token":         {Path: okta, Type: jsonType, Body: large(1100 * kibi)},
		"a token for another connection": {Path: entra, Type: jsonType, Body: body, Token: f.sign(t, mint{}, okta, subject[okta])},
	} {
		t.Run(name, func(t *testing.T) {
			s.send(t, out).oauthError(t, http.StatusUnauthorized, "invalid_token")
			s.unchanged(t, s.API, before)
		})
	}

	for name, test := range map[string]struct {
		sent
		status int
		error  string
	}{
		"nothing":                    {sent{}, 400, "invalid_request"},
		"half of a document":         {sent{Body: `{"sub_id":{"format":"email"`}, 400, "invalid_request"},
		"a list":                     {sent{Body: `[]`}, 400, "invalid_request"},
		"nobody named":               {sent{Body: `{"subject_id":{}}`}, 400, "invalid_request"},
		"somebody named twice":       {sent{Body: `{"sub_id":{"format":"email","email":"` + ana.email + `"},"sub_id":{"format":"email","email":"x@example.com"}}`}, 400, "invalid_request"},
		"named in the old way too":   {sent{Body: `{"sub_id":{"format":"email","email":"` + ana.email + `"},"subject":{"format":"email","email":"x@example.com"}}`}, 400, "invalid_request"},
		"an address twice":           {sent{Body: `{"sub_id":{"format":"email","email":"x@example.com","email":"` + ana.email + `"}}`}, 400, "invalid_request"},
		"a number for an address":    {sent{Body: `{"sub_id":{"format":"email","email":1}}`}, 400, "invalid_request"},
		"an unknown format":          {sent{Body: `{"sub_id":{"format":"phone_number","phone_number":"+1"}}`}, 400, "invalid_request"},
		"deep":                       {sent{Body: `{"sub_id":` + nested(9000) + `}`}, 400, "invalid_request"},
		"deeper than any stack":      {sent{Body: `{"sub_id":` + strings.Repeat("[", 60*kibi)}, 400, "invalid_request"},
		"not UTF-8":                  {sent{Body: "{\"sub_id\":{\"format\":\"email\",\"email\":\"\xff@example.com\"}}"}, 400, "invalid_request"},
		"text":                       {sent{Type: "text/plain", Body: body}, 400, "invalid_request"},
		"a form":                     {sent{Type: "application/x-www-form-urlencoded", Body: "sub_id=" + ana.email}, 400, "invalid_request"},
		"large":                      {sent{Body: large(100 * kibi)}, 413, "invalid_request"},
		"large, its length not told": {sent{Body: large(100 * kibi), Chunked: true}, 413, "invalid_request"},
		"larger":                     {sent{Body: large(1100 * kibi)}, 413, "invalid_request"},
		"larger, not told":           {sent{Body: large(1100 * kibi), Chunked: true}, 413, "invalid_request"},
		"nobody we know":             {sent{Body: `{"sub_id":{"format":"email","email":"nobody@acme.example"}}`}, 404, "not_found"},
	} {
		t.Run("a body with "+name, func(t *testing.T) {
			out, since := test.sent, last(t, s.API)
			out.Path, out.Token = okta, f.sign(t, mint{}, okta, subject[okta])
			s.secrets.plant("a logout token", out.Token)
			if out.Type == "" {
				out.Type = jsonType
			}
			s.send(t, out).oauthError(t, test.status, test.error)
			if test.status == http.StatusNotFound { // a good signal, which has a receipt: it does nothing
				event := s.toldSince(t, s.API, core.SignalAccepted, since, 1)[0]
				if event.Data["outcome"] != nobody || event.Actor.Kind != core.ActorConnection {
					t.Errorf("the event is %+v", event)
				}
			} else if event := s.toldSince(t, s.API, core.SignalRefused, since, 1)[0]; event.Outcome != core.Failure || event.Reason == "" || event.Actor.Kind != core.ActorConnection {
				t.Errorf("the event is %+v", event)
			}
			s.unchanged(t, s.API, before)
			// The token is used up: it cannot be tried with a better body.
			s.send(t, sent{Path: okta, Token: out.Token, Type: jsonType, Body: " " + body}).oauthError(t, http.StatusUnauthorized, "invalid_token")
			s.unchanged(t, s.API, before)
		})
	}
	if !ana.alive(t, ana.account) {
		t.Fatal("a refused request ended a session")
	}

	t.Run("the right one, and again", func(t *testing.T) {
		token := f.sign(t, mint{}, okta, subject[okta])
		s.secrets.plant("a logout token", token)
		since := last(t, s.API)
		for range 2 { // an IdP that saw no answer asks again, and is answered the same
			if got := s.send(t, sent{Path: okta, Token: token, Type: jsonType, Body: body}); got.status != http.StatusNoContent || got.text != "" {
				t.Fatalf("answered %d %s", got.status, got.text)
			}
			if ana.alive(t, ana.account) {
				t.Fatal("the session lives on")
			}
		}
		s.toldSince(t, s.API, core.UserLoggedOut, since, 1)
		after := s.settled(t, ana.account, since)
		s.send(t, sent{Path: okta, Token: token, Type: jsonType, Body: `{"sub_id":{"format":"email","email":"dana.reyes@acme.example"}}`}).
			oauthError(t, http.StatusUnauthorized, "invalid_token")
		s.unchanged(t, s.API, after)
		if accepted := strings.Count(after, string(core.UserLoggedOut)); accepted != 1 {
			t.Errorf("logged out %d times", accepted)
		}
	})
}

// settled waits until no rotation of an account is under way, and the certificate of it was issued after a sequence,
// and gives the workspace's facts then.
func (s *stage) settled(t *testing.T, account core.ID, since int64) string {
	t.Helper()
	s.eventually(3*time.Minute, "the rotation to end", func() bool {
		for _, one := range s.rotations(t, account) {
			if one.State != "done" {
				return false
			}
		}
		return true
	})
	s.toldSince(t, s.API, core.CertificateIssued, since, 1)
	return s.facts(t, s.API)
}
