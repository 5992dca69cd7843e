package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/jwt"
	"postern/webhooks/keys"
)

// issuer is an identity provider whose keys and health a test sets.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	set     atomic.Value // []byte
	status  atomic.Int64
	claims  string // issuer told by discovery; empty: the truth
}

func newIssuer(t *testing.T, set []byte) *issuer {
	t.Helper()
	idp := &issuer{}
	idp.set.Store(set)
	idp.status.Store(200)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		name := idp.claims
		if name == "" {
			name = idp.URL
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, name, idp.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		idp.fetches.Add(1)
		w.WriteHeader(int(idp.status.Load()))
		_, _ = w.Write(idp.set.Load().([]byte))
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	idp.Server = httptest.NewServer(mux)
	t.Cleanup(idp.Close)
	return idp
}

func ecKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

func set(t *testing.T, all ...any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newCache(idp *issuer) (*keys.Cache, *clock) {
	clock := &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	return &keys.Cache{HTTP: idp.Client(), Now: clock.Now}, clock
}

func find(t *testing.T, cache *keys.Cache, source jwt.Source, kid string, want int) {
	t.Helper()
	found, err := cache.Find(t.Context(), source, kid)
	if err != nil || len(found) != want {
		t.Fatalf("kid %q: %d keys, %v; want %d", kid, len(found), err, want)
	}
}

func TestOneFetchServesManyTokens(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "one"), ecKey(t, "two")))
	cache, _ := newCache(idp)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if found, err := cache.Find(t.Context(), jwt.Source{Issuer: idp.URL}, "one"); err != nil || len(found) != 1 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	wait.Wait()
	find(t, cache, jwt.Source{Issuer: idp.URL}, "", 2)
	if idp.fetches.Load() != 1 {
		t.Errorf("%d fetches", idp.fetches.Load())
	}
}

func TestAStormOfForgedKeyIDsIsOneFetchPerCooldown(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "one")))
	cache, clock := newCache(idp)
	source := jwt.Source{Issuer: idp.URL}
	find(t, cache, source, "one", 1)
	for number := range 25 {
		find(t, cache, source, fmt.Sprint("forged-", number), 0)
	}
	if idp.fetches.Load() != 1 {
		t.Errorf("%d fetches within the cooldown", idp.fetches.Load())
	}
	clock.move(31 * time.Second)
	for number := range 25 {
		find(t, cache, source, fmt.Sprint("forged-", number), 0)
	}
	if idp.fetches.Load() != 2 {
		t.Errorf("%d fetches after one cooldown", idp.fetches.Load())
	}
	clock.move(31 * time.Second)
	find(t, cache, source, "forged-0", 0) // remembered: the issuer said no
	if idp.fetches.Load() != 2 {
		t.Errorf("%d fetches for a kid known to be unknown", idp.fetches.Load())
	}
}

func TestANewKeyIsFoundAfterTheCooldownAndAnOldOneAfterTheTTL(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "one")))
	cache, clock := newCache(idp)
	source := jwt.Source{Issuer: idp.URL, URI: idp.URL + "/keys"}
	find(t, cache, source, "one", 1)
	idp.set.Store(set(t, ecKey(t, "two")))
	find(t, cache, source, "two", 0)
	clock.move(31 * time.Second)
	find(t, cache, source, "two", 1)
	find(t, cache, source, "one", 0)
	idp.set.Store(set(t, ecKey(t, "three")))
	clock.move(keys.DefaultTTL + time.Second)
	find(t, cache, source, "two", 0)
}

// Two issuers may use the same key id, or the same address: each is asked for its own keys.
func TestKeysOfOneIssuerAreNotAnothers(t *testing.T) {
	one, other := newIssuer(t, set(t, ecKey(t, "same"))), newIssuer(t, set(t, ecKey(t, "same"), ecKey(t, "more")))
	cache, _ := newCache(one)
	for _, test := range []struct {
		issuer, uri, kid string
		want             int
	}{{one.URL, "", "same", 1}, {other.URL, "", "same", 1}, {one.URL, "", "more", 0}, {other.URL, other.URL + "/keys", "more", 1}, {one.URL, one.URL + "/keys", "", 1}} {
		if found, err := cache.Find(t.Context(), jwt.Source{Issuer: test.issuer, URI: test.uri}, test.kid); err != nil || len(found) != test.want {
			t.Errorf("%v: %d keys, %v", test, len(found), err)
		}
	}
	first, _ := cache.Find(t.Context(), jwt.Source{Issuer: one.URL}, "same")
	second, _ := cache.Find(t.Context(), jwt.Source{Issuer: other.URL}, "same")
	if first[0].Key.(*ecdsa.PublicKey).Equal(second[0].Key) {
		t.Error("the two issuers have one key")
	}
}

func TestRenewHelpsTokensWithoutKeyID(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "")))
	cache, clock := newCache(idp)
	source := jwt.Source{Issuer: idp.URL}
	find(t, cache, source, "", 1)
	idp.set.Store(set(t, ecKey(t, ""), ecKey(t, "")))
	if renewed, err := cache.Renew(t.Context(), source); err != nil || len(renewed) != 1 {
		t.Fatalf("within the cooldown: %d, %v", len(renewed), err)
	}
	clock.move(31 * time.Second)
	if renewed, err := cache.Renew(t.Context(), source); err != nil || len(renewed) != 2 {
		t.Fatalf("after the cooldown: %d, %v", len(renewed), err)
	}
}

func TestKeysOutliveAnOutageOfTheIssuer(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "one")))
	cache, clock := newCache(idp)
	source := jwt.Source{Issuer: idp.URL}
	find(t, cache, source, "one", 1)
	idp.status.Store(500)
	clock.move(keys.DefaultTTL + time.Hour)
	find(t, cache, source, "one", 1)
	clock.move(keys.Stale)
	if _, err := cache.Find(t.Context(), source, "one"); core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	if wait := core.AsError(func() error { _, err := cache.Find(t.Context(), source, "one"); return err }()).RetryAfter; wait <= 0 || wait > keys.Retry {
		t.Errorf("retry after %v", wait)
	}
	fetches := idp.fetches.Load()
	_, _ = cache.Find(t.Context(), source, "one")
	if idp.fetches.Load() != fetches {
		t.Error("an issuer that is down is asked again at once")
	}
	idp.status.Store(200)
	clock.move(keys.Retry)
	find(t, cache, source, "one", 1)
}

func TestUnusableKeysAreDropped(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short := jose.JSONWebKey{Key: weak.Public(), KeyID: "fine", Use: "sig"}
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	encryption := ecKey(t, "encryption")
	encryption.Use = "enc"
	idp := newIssuer(t, set(t, short, encryption,
		jose.JSONWebKey{Key: []byte("a shared secret, never acceptable"), KeyID: "shared"},
		jose.JSONWebKey{Key: private, KeyID: "private"},
		map[string]string{"kty": "UNHEARD-OF", "kid": "strange"},
		map[string]string{"kty": "RSA", "kid": "tiny", "n": "3ZWrUY0Y6IKN1qI4BhxR2C7oHVFgGPYkd38uGq1jQNSqEvJFcN93CYm16_G78FAFKWqwsJb3Wx-nbxDn6LtP4AhULB1H0K0g7_jLklDAHvI8yhOKlvoyvsUFPWtNxlJyh5JJXvkNKV_4Oo12e69f8QCuQ6NpEPl-cSvXIqUYBCs", "e": "AQAB"},
		"not even an object"))
	cache, _ := newCache(idp)
	find(t, cache, jwt.Source{Issuer: idp.URL}, "", 1)
	find(t, cache, jwt.Source{Issuer: idp.URL}, "fine", 1)
}

func TestBadAnswersAreRefused(t *testing.T) {
	good := set(t, ecKey(t, "one"))
	for name, test := range map[string]func(*issuer) jwt.Source{
		"not JSON": func(idp *issuer) jwt.Source { idp.set.Store([]byte("<html>")); return jwt.Source{Issuer: idp.URL} },
		"no key": func(idp *issuer) jwt.Source {
			idp.set.Store([]byte(`{"keys":[]}`))
			return jwt.Source{Issuer: idp.URL}
		},
		"too long": func(idp *issuer) jwt.Source {
			idp.set.Store([]byte(`{"pad":"` + strings.Repeat("a", 600<<10) + `"}`))
			return jwt.Source{Issuer: idp.URL}
		},
		"another issuer's discovery": func(idp *issuer) jwt.Source {
			idp.claims = "https://other.example"
			return jwt.Source{Issuer: idp.URL}
		},
		"a redirect":   func(idp *issuer) jwt.Source { return jwt.Source{Issuer: idp.URL, URI: idp.URL + "/redirect"} },
		"not an URL":   func(idp *issuer) jwt.Source { return jwt.Source{Issuer: idp.URL, URI: "file:///etc/passwd"} },
		"an error":     func(idp *issuer) jwt.Source { idp.status.Store(404); return jwt.Source{Issuer: idp.URL} },
		"nobody there": func(*issuer) jwt.Source { return jwt.Source{Issuer: "http://127.0.0.1:1"} },
	} {
		idp := newIssuer(t, good)
		source := test(idp)
		cache, _ := newCache(idp)
		if found, err := cache.Find(t.Context(), source, "one"); core.KindOf(err) != core.KindUnavailable || found != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

func TestTheFirstCallerLeavingDoesNotSpoilTheFetch(t *testing.T) {
	idp := newIssuer(t, set(t, ecKey(t, "one")))
	cache, _ := newCache(idp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = cache.Find(ctx, jwt.Source{Issuer: idp.URL}, "one")
	find(t, cache, jwt.Source{Issuer: idp.URL}, "one", 1)
	if idp.fetches.Load() != 1 {
		t.Errorf("%d fetches", idp.fetches.Load())
	}
}
