package scim_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/jwt"
)

// federation is a world in which each workspace trusts an issuer of its own. Both use the same key id.
type federation struct {
	*world
	rsa   map[string]*rsa.PrivateKey // by issuer
	ec    *ecdsa.PrivateKey          // of acme's issuer, id "ec"
	asked []string                   // kids looked for
}

const (
	acmeIssuer  = "https://login.example/acme/v2.0"
	otherIssuer = "https://login.example/other/v2.0"
	syncFabric  = "7d3f9f3a-0000-4000-8000-sync-fabric"
	audience    = "api://postern"
)

func federate(t *testing.T) *federation {
	t.Helper()
	f := &federation{world: open(t, directory.Entra), rsa: map[string]*rsa.PrivateKey{}}
	for _, issuer := range []string{acmeIssuer, otherIssuer} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		f.rsa[issuer] = key
	}
	var err error
	f.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	var lock sync.Mutex
	f.Keys = keysOf(func(issuer, kid string) ([]jose.JSONWebKey, error) {
		lock.Lock()
		defer lock.Unlock()
		f.asked = append(f.asked, kid)
		if issuer == "https://down.example" {
			return nil, core.Unavailable(20*time.Second, "the identity provider's keys cannot be fetched")
		}
		var found []jose.JSONWebKey
		if key := f.rsa[issuer]; key != nil && (kid == "" || kid == "one") {
			found = append(found, jose.JSONWebKey{Key: key.Public(), KeyID: "one"})
		}
		if issuer == acmeIssuer && (kid == "" || kid == "ec") {
			found = append(found, jose.JSONWebKey{Key: f.ec.Public(), KeyID: "ec", Algorithm: "ES256"})
		}
		return found, nil
	})
	f.trust(t, f.acme, directory.Assertion{Issuer: acmeIssuer, Subject: syncFabric, Audience: audience})
	f.trust(t, f.other, directory.Assertion{Issuer: otherIssuer, Subject: syncFabric, Audience: audience})
	return f
}

// keysOf implements jwt.Keys by a function.
type keysOf func(issuer, kid string) ([]jose.JSONWebKey, error)

func (k keysOf) Find(_ context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	return k(source.Issuer, kid)
}

func (k keysOf) Renew(_ context.Context, source jwt.Source) ([]jose.JSONWebKey, error) {
	return k(source.Issuer, "")
}

func (f *federation) trust(t *testing.T, h house, assertion directory.Assertion) {
	t.Helper()
	must(t, f.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := f.Directory.ChangeConnection(t.Context(), tx, h.cause(), h.workspace, h.connection.ID, func(c *directory.Connection) { c.Provisioning.Assertion = assertion })
		return err
	}))
}

// claims are a good assertion's, with changes; a change to nil leaves a claim out.
func claims(changes map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": acmeIssuer, "sub": syncFabric, "aud": audience, "exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(), "iat": now.Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid string, claims any, header ...string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	options.WithType("JWT")
	for i := 0; i+1 < len(header); i += 2 {
		options.WithHeader(jose.HeaderKey(header[i]), header[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
	must(t, err)
	text, ok := claims.(string)
	if !ok {
		written, err := json.Marshal(claims)
		must(t, err)
		text = string(written)
	}
	signed, err := signer.Sign([]byte(text))
	must(t, err)
	compact, err := signed.CompactSerialize()
	must(t, err)
	return compact
}

// show sends an assertion, as Entra ID does.
func (f *federation) show(t *testing.T, client, assertion string) reply {
	t.Helper()
	pairs := []string{"grant_type", "client_credentials", "scope", "scim", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion}
	if client != "" {
		pairs = append(pairs, "client_id", client)
	}
	return f.token(t, form(pairs...))
}

func (f *federation) good(t *testing.T, changes map[string]any, header ...string) string {
	t.Helper()
	return sign(t, jose.RS256, f.rsa[acmeIssuer], "one", claims(changes), header...)
}

func TestAssertionsAreExchangedForTokens(t *testing.T) {
	f := federate(t)
	user := f.acme.join(t, "ana")
	client, secret := f.acme.client(t, nil)
	id, plain := f.acme.connection.ID.String(), f.good(t, nil)
	var byClient house
	for name, r := range map[string]reply{
		"by connection":        f.show(t, id, plain),
		"by client":            f.show(t, client.ClientID, f.good(t, nil)),
		"by itself":            f.show(t, "", f.good(t, nil)),
		"list of audiences":    f.show(t, id, f.good(t, map[string]any{"aud": []string{"x", audience}})),
		"itself by a list":     f.show(t, "", f.good(t, map[string]any{"aud": []string{audience}})),
		"without nbf and iat":  f.show(t, id, f.good(t, map[string]any{"nbf": nil, "iat": nil})),
		"a minute fast":        f.show(t, id, f.good(t, map[string]any{"nbf": time.Now().Add(50 * time.Second).Unix()})),
		"a minute slow":        f.show(t, id, f.good(t, map[string]any{"exp": time.Now().Add(-50 * time.Second).Unix()})),
		"a day":                f.show(t, id, f.good(t, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})),
		"a fraction":           f.show(t, id, f.good(t, map[string]any{"exp": float64(time.Now().Add(time.Hour).UnixMilli()) / 1000})),
		"PS256":                f.show(t, id, sign(t, jose.PS256, f.rsa[acmeIssuer], "one", claims(nil))),
		"ES256":                f.show(t, id, sign(t, jose.ES256, f.ec, "ec", claims(nil))),
		"without kid":          f.show(t, id, sign(t, jose.RS256, f.rsa[acmeIssuer], "", claims(nil))),
		"type of an assertion": f.show(t, id, f.good(t, nil, "typ", "application/client-authentication+jwt")),
		"again, without jti":   f.show(t, id, plain),
	} {
		t.Run(name, func(t *testing.T) {
			h := f.acme.access(t, r)
			h.call(t, "GET", "/Users/"+user, "").want(t, 200)
			if name == "by client" {
				byClient = h
			}
		})
	}
	theirs := f.other.access(t, f.show(t, "", sign(t, jose.RS256, f.rsa[otherIssuer], "one", claims(map[string]any{"iss": otherIssuer}))))
	theirs.call(t, "GET", "/Users/"+user, "").want(t, 404)
	for _, event := range f.acme.events(t, core.ConnectionTokenIssued) {
		if event.Outcome != core.Success || event.Data["method"] != "private_key_jwt" {
			t.Errorf("event %+v", event)
		}
	}

	// A client named with an assertion takes the token with it, and a new subject the rest.
	byWIF := f.acme.access(t, f.show(t, id, f.good(t, nil)))
	bySecret := f.acme.access(t, f.token(t, grant, "Authorization", basic(client.ClientID, secret)))
	f.trust(t, f.acme, directory.Assertion{Issuer: acmeIssuer, Subject: "another", Audience: audience})
	byWIF.call(t, "GET", "/Users", "").wantError(t, 401, "")
	bySecret.call(t, "GET", "/Users", "").want(t, 200)
	must(t, f.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return f.Directory.RevokeConnectionClient(t.Context(), tx, f.acme.cause(), f.acme.workspace, f.acme.connection.ID, client.ID)
	}))
	byClient.call(t, "GET", "/Users", "").wantError(t, 401, "")
	theirs.call(t, "GET", "/Users", "").want(t, 200)
}

func TestAssertionsThatProveNothing(t *testing.T) {
	f := federate(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(f.rsa[acmeIssuer].Public())
	must(t, err)
	id := f.acme.connection.ID.String()
	theirClient, _ := f.other.client(t, nil)
	now := time.Now()
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	plain, err := json.Marshal(claims(nil))
	must(t, err)
	good := f.good(t, nil)
	cut := strings.LastIndexByte(good, '.')
	for name, test := range map[string]struct{ client, assertion string }{
		"forged":                      {id, sign(t, jose.RS256, other, "one", claims(nil))},
		"forged, without kid":         {id, sign(t, jose.RS256, other, "", claims(nil))},
		"expired":                     {id, f.good(t, map[string]any{"exp": now.Add(-2 * time.Minute).Unix()})},
		"without end":                 {id, f.good(t, map[string]any{"exp": nil})},
		"for two days":                {id, f.good(t, map[string]any{"exp": now.Add(48 * time.Hour).Unix()})},
		"end beyond any calendar":     {id, f.good(t, map[string]any{"exp": 1e300})},
		"end that is a text":          {id, f.good(t, map[string]any{"exp": "tomorrow"})},
		"not yet":                     {id, f.good(t, map[string]any{"nbf": now.Add(5 * time.Minute).Unix()})},
		"issued tomorrow":             {id, f.good(t, map[string]any{"iat": now.Add(5 * time.Minute).Unix()})},
		"wrong audience":              {id, f.good(t, map[string]any{"aud": "api://postern/"})},
		"wrong audiences":             {id, f.good(t, map[string]any{"aud": []string{"a", "b"}})},
		"no audience":                 {id, f.good(t, map[string]any{"aud": nil})},
		"audience that is an object":  {id, f.good(t, map[string]any{"aud": map[string]any{"a": audience}})},
		"wrong issuer":                {id, f.good(t, map[string]any{"iss": acmeIssuer + "/"})},
		"no issuer":                   {id, f.good(t, map[string]any{"iss": nil})},
		"wrong subject":               {id, f.good(t, map[string]any{"sub": strings.ToUpper(syncFabric)})},
		"no subject":                  {id, f.good(t, map[string]any{"sub": nil})},
		"zero character":              {"", f.good(t, map[string]any{"sub": "a\x00"})},
		"alg none":                    {id, encode(`{"alg":"none"}`) + "." + encode(string(plain)) + "."},
		"signature left out":          {id, good[:cut+1]},
		"signature changed":           {id, good[:cut+1] + strings.Repeat("A", len(good)-cut-1)},
		"HS256 with the public key":   {id, sign(t, jose.HS256, public, "one", claims(nil))},
		"kid of nobody":               {id, sign(t, jose.RS256, f.rsa[acmeIssuer], "two", claims(nil))},
		"kid of another kind of key":  {id, sign(t, jose.RS256, f.rsa[acmeIssuer], "ec", claims(nil))},
		"another issuer's key":        {id, sign(t, jose.RS256, f.rsa[otherIssuer], "one", claims(nil))},
		"another workspace's":         {id, sign(t, jose.RS256, f.rsa[otherIssuer], "one", claims(map[string]any{"iss": otherIssuer}))},
		"for another workspace":       {f.other.connection.ID.String(), good},
		"for another's client":        {theirClient.ClientID, good},
		"claims to be another's":      {"", f.good(t, map[string]any{"iss": otherIssuer})},
		"a client of nobody":          {"pst_client_0", good},
		"a connection of nobody":      {core.NewID().String(), good},
		"a logout token":              {id, f.good(t, map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})},
		"a logout token by its type":  {id, f.good(t, nil, "typ", "logout+jwt")},
		"a global logout by its type": {id, f.good(t, nil, "typ", "global-token-revocation+jwt")},
		"an access token by its type": {id, f.good(t, nil, "typ", "at+jwt")},
		"an ID token":                 {id, f.good(t, map[string]any{"nonce": "n"})},
		"an ID token of a hybrid":     {id, f.good(t, map[string]any{"at_hash": "n"})},
		"a claim twice":               {id, sign(t, jose.RS256, f.rsa[acmeIssuer], "one", strings.Replace(string(plain), "{", `{"aud":"x",`, 1))},
		"claims that are a list":      {id, sign(t, jose.RS256, f.rsa[acmeIssuer], "one", `[]`)},
		"claims that are no JSON":     {id, sign(t, jose.RS256, f.rsa[acmeIssuer], "one", `x`)},
		"a critical extension":        {id, f.good(t, nil, "crit", "b64")},
		"a very long kid":             {id, sign(t, jose.RS256, f.rsa[acmeIssuer], strings.Repeat("k", 300), claims(nil))},
		"a very long jti":             {id, f.good(t, map[string]any{"jti": strings.Repeat("j", 300)})},
		"too long":                    {id, f.good(t, map[string]any{"x": strings.Repeat("x", 17<<10)})},
		"nonsense":                    {id, "a.b.c"},
		"not even that":               {id, "nonsense"},
		"five parts":                  {id, "a.b.c.d.e"},
		"JSON serialization":          {id, `{"payload":"e30","signatures":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			answered := f.show(t, test.client, test.assertion).wantCode(t, 401, "invalid_client")
			if !strings.Contains(answered.text, "the client is not known") {
				t.Errorf("tells why: %s", answered.text)
			}
		})
	}
	// Without a client's name nothing may be ambiguous, whoever made it so.
	f.trust(t, f.other, directory.Assertion{Issuer: acmeIssuer, Subject: syncFabric, Audience: audience})
	f.show(t, "", good).wantCode(t, 401, "invalid_client")
	f.acme.access(t, f.show(t, id, good))
	// A connection without settings takes none.
	f.trust(t, f.acme, directory.Assertion{})
	f.show(t, id, good).wantCode(t, 401, "invalid_client")
	f.show(t, id, f.good(t, map[string]any{"iss": "", "sub": "", "aud": ""})).wantCode(t, 401, "invalid_client")
	if left := f.acme.events(t, core.ConnectionTokenIssued); len(left) < 3 || len(left) > 7 {
		t.Errorf("%d told", len(left))
	}
}

func TestAnAssertionWithAnIDIsGoodOnce(t *testing.T) {
	f := federate(t)
	id, once := f.acme.connection.ID.String(), f.good(t, map[string]any{"jti": "one"})
	var all sync.WaitGroup
	var lock sync.Mutex
	answered := map[int]int{}
	for range 6 {
		all.Go(func() {
			r := f.show(t, id, once)
			lock.Lock()
			answered[r.status]++
			lock.Unlock()
		})
	}
	all.Wait()
	if answered[200] != 1 || answered[401]+answered[429] != 5 {
		t.Errorf("answered %v", answered)
	}
	f.acme.access(t, f.show(t, id, f.good(t, map[string]any{"jti": "two"})))
	// The other workspace's issuer may use the same id, and so may its logout tokens.
	f.other.access(t, f.show(t, "", sign(t, jose.RS256, f.rsa[otherIssuer], "one", claims(map[string]any{"iss": otherIssuer, "jti": "one"}))))
}

func TestAnIssuerThatIsDown(t *testing.T) {
	f := federate(t)
	f.trust(t, f.acme, directory.Assertion{Issuer: "https://down.example", Subject: syncFabric, Audience: audience})
	answered := f.show(t, f.acme.connection.ID.String(), f.good(t, map[string]any{"iss": "https://down.example"}))
	if answered.wantCode(t, 503, "temporarily_unavailable"); answered.header.Get("Retry-After") != "20" {
		t.Errorf("Retry-After is %q", answered.header.Get("Retry-After"))
	}
	f.Keys = nil
	f.show(t, f.other.connection.ID.String(), sign(t, jose.RS256, f.rsa[otherIssuer], "one", claims(map[string]any{"iss": otherIssuer}))).wantCode(t, 401, "invalid_client")
}

// No key is looked for on behalf of what cannot be right anyway.
func TestKeysAreLookedForLast(t *testing.T) {
	f := federate(t)
	id := f.acme.connection.ID.String()
	for _, changes := range []map[string]any{{"iss": "https://evil.example"}, {"aud": "x"}, {"sub": "x"}, {"exp": 1}, {"events": 1}} {
		f.show(t, id, f.good(t, changes)).wantCode(t, 401, "invalid_client")
	}
	if len(f.asked) != 0 {
		t.Errorf("%d looked for", len(f.asked))
	}
}

// Entra ID's workload identity: the payload its documentation shows, an audience spelt in each of the
// ways it is shown or sent in, and the scopes it asks for.
func TestWorkloadIdentityOfEntra(t *testing.T) {
	const app, tenant = "b5ba7a93-4452-4522-aeb4-a2b5da870c16", "ce5f061f-abe6-4e40-9615-301f87bcb7f0"
	const issuer = "https://login.microsoftonline.com/" + tenant + "/v2.0"
	f := federate(t)
	f.rsa[issuer] = f.rsa[acmeIssuer]
	now := time.Now()
	f.Now = func() time.Time { return now }
	assertion := func(audience any) string {
		return sign(t, jose.RS256, f.rsa[issuer], "one", map[string]any{
			"aud": audience, "iss": issuer, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(65 * time.Minute).Unix(),
			"appid": app, "appidacr": "2", "idp": issuer, "oid": "d2f8ee76-c549-45b8-a143-f5b640669704", "sub": syncFabric, "tid": tenant, "ver": "2.0",
		})
	}
	client := f.acme.connection.ID.String()
	for _, pasted := range []string{"api://" + app + "/.default", "api://" + app, app, "api://" + strings.ToUpper(app)} {
		f.trust(t, f.acme, directory.Assertion{Issuer: issuer, Subject: syncFabric, Audience: pasted, JWKSURI: "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys"})
		for _, sent := range []any{"api://" + app, app, "api://" + app + "/.default", []string{app}} {
			for _, named := range []string{client, ""} {
				f.acme.access(t, f.show(t, named, assertion(sent))).call(t, "GET", "/Users", "").want(t, 200)
			}
		}
		for _, sent := range []string{
			"api://" + app + "/", "api://" + app + "/.default/", app + "/.default", "API://" + app, "https://" + app, "api://api://" + app, " " + app, "spn:" + app,
			"api://00000003-0000-0000-c000-000000000000", "00000000-0000-0000-0000-000000000000", "api://", "", strings.ReplaceAll(app, "-", ""), "{" + app + "}",
		} {
			now = now.Add(time.Second) // bad ones are counted
			for _, named := range []string{client, ""} {
				if r := f.show(t, named, assertion(sent)); r.status != 401 {
					t.Errorf("%q is taken for %q: %d %s", sent, pasted, r.status, r.text)
				}
			}
		}
	}
	for _, scope := range []string{"scim", "scim.readwrite", "openid profile", ""} {
		f.token(t, form("grant_type", "client_credentials", "client_id", client, "scope", scope,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion("api://"+app))).want(t, 200).is(t, "scim", "scope")
	}
	// What is no application id has one spelling.
	f.trust(t, f.acme, directory.Assertion{Issuer: issuer, Subject: syncFabric, Audience: "api://postern"})
	for _, sent := range []string{"postern", "api://postern/.default"} {
		if r := f.show(t, client, assertion(sent)); r.status != 401 {
			t.Errorf("%q is taken: %d", sent, r.status)
		}
	}
}
