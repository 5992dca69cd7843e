package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core/jwt"
	"postern/webhooks/keys"
)

// issuerKeys is a JWKS endpoint that counts, with a clock.
type issuerKeys struct {
	t      *testing.T
	set    keySet
	ahead  atomic.Int64
	asked  atomic.Int64
	down   atomic.Bool
	lock   sync.Mutex
	served []jose.JSONWebKey
}

func newIssuerKeys(t *testing.T) *issuerKeys {
	i := &issuerKeys{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		i.lock.Lock()
		defer i.lock.Unlock()
		served := []any{map[string]string{"kty": "future", "kid": "f"}}
		for _, key := range i.served {
			served = append(served, key)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": served})
	}))
	t.Cleanup(server.Close)
	start := time.Now()
	cache := &keys.Cache{HTTP: server.Client(), Now: func() time.Time { return start.Add(time.Duration(i.ahead.Load())) }}
	i.set = keySet{keys: cache, source: jwt.Source{Issuer: "https://idp.example", URI: server.URL}}
	return i
}

func (i *issuerKeys) pass(d time.Duration) { i.ahead.Add(int64(d)) }

func (i *issuerKeys) serve(private map[string]*rsa.PrivateKey) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.served = nil
	for id, key := range private {
		i.served = append(i.served, jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Use: "sig", Algorithm: "RS256"})
	}
}

func (i *issuerKeys) verify(id string, key *rsa.PrivateKey) error {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("{}"))
	if err != nil {
		i.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		i.t.Fatal(err)
	}
	_, err = i.set.VerifySignature(context.Background(), parsed)
	return err
}

func (i *issuerKeys) wantAsked(want int64, when string) {
	i.t.Helper()
	if got := i.asked.Load(); got != want {
		i.t.Errorf("%s: keys were asked for %d times, want %d", when, got, want)
	}
}

func makeKey(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestForgedKeyIDs(t *testing.T) {
	i := newIssuerKeys(t)
	good, forged := makeKey(t), makeKey(t)
	i.serve(map[string]*rsa.PrivateKey{"good": good})
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if i.verify(rand.Text(), forged) == nil {
				t.Error("a forged token was accepted")
			}
		})
	}
	wait.Wait()
	i.wantAsked(1, "a storm of forged ids")
	if err := i.verify("good", good); err != nil {
		t.Errorf("a good token after the storm: %v", err)
	}
	if i.verify("good", forged) == nil {
		t.Error("a token forged under a known id was accepted")
	}
	i.wantAsked(1, "within the cooldown")

	i.pass(keys.DefaultCooldown)
	_ = i.verify("same", forged)
	i.wantAsked(2, "an unknown id after the cooldown")
	for range 5 {
		i.pass(keys.DefaultCooldown)
		_ = i.verify("same", forged)
	}
	i.wantAsked(2, "an id the IdP is known not to have")
	i.pass(keys.DefaultTTL)
	_ = i.verify("same", forged)
	i.wantAsked(3, "the same id much later")
}

func TestKeysChange(t *testing.T) {
	i := newIssuerKeys(t)
	old, fresh := makeKey(t), makeKey(t)
	i.serve(map[string]*rsa.PrivateKey{"old": old})
	if err := i.verify("old", old); err != nil {
		t.Fatal(err)
	}
	i.serve(map[string]*rsa.PrivateKey{"fresh": fresh})
	i.pass(keys.DefaultCooldown)
	if err := i.verify("fresh", fresh); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if i.verify("old", old) == nil {
		t.Error("a key the IdP withdrew was accepted")
	}
	i.serve(nil)
	i.pass(keys.DefaultTTL + time.Second)
	i.down.Store(true)
	if err := i.verify("fresh", fresh); err != nil {
		t.Errorf("a known key while the IdP is down: %v", err)
	}
	i.pass(keys.Stale)
	if i.verify("fresh", fresh) == nil {
		t.Error("a key nobody has confirmed for hours was accepted")
	}
}

func TestKeysAfterAnOutage(t *testing.T) {
	i := newIssuerKeys(t)
	good := makeKey(t)
	i.serve(map[string]*rsa.PrivateKey{"good": good})
	i.down.Store(true)
	for range 10 {
		if i.verify("good", good) == nil {
			t.Fatal("accepted without a key")
		}
	}
	i.wantAsked(1, "while the IdP is down")
	i.down.Store(false)
	i.pass(keys.Retry)
	if err := i.verify("good", good); err != nil {
		t.Errorf("when the IdP is back: %v", err)
	}
}
