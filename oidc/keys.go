package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/sync/singleflight"
)

const (
	keysLife     = time.Hour        // keys are asked for again after this
	keysGrace    = 24 * time.Hour   // and used so long when the IdP does not answer
	keysCooldown = 30 * time.Second // at most one request for keys in this time, whatever arrives
	keysRetry    = 5 * time.Second  // the same after a request that failed
	missingLife  = 5 * time.Minute  // a key id the IdP did not know is not asked for again
	missingMost  = 1000             // ids remembered
)

// errKeysDown means that the IdP's keys cannot be had now; the token may be good.
var errKeysDown = errors.New("the identity provider's keys cannot be had")

// keySet is the public keys of one IdP. Unlike the library's it forgets keys, and an unknown key id
// costs the IdP at most one request per cooldown, however many tokens name one.
type keySet struct {
	address string
	http    *http.Client
	now     func() time.Time

	flight  singleflight.Group
	lock    sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time            // when keys came
	asked   time.Time            // when they were last asked for
	failed  bool                 // the last request for keys failed
	missing map[string]time.Time // key id → when the IdP did not know it
}

var _ zoidc.KeySet = (*keySet)(nil)

// VerifySignature implements zitadel's oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, signed *jose.JSONWebSignature) ([]byte, error) {
	id, algorithm := zoidc.GetKeyIDAndAlg(signed)
	key, err := k.key(ctx, id, algorithm)
	if err != nil {
		return nil, err
	}
	return signed.Verify(&key)
}

func (k *keySet) key(ctx context.Context, id, algorithm string) (jose.JSONWebKey, error) {
	keys, fresh := k.current()
	key, err := zoidc.FindMatchingKey(id, zoidc.KeyUseSignature, algorithm, keys...)
	if err == nil && fresh {
		return key, nil
	}
	if !k.worthAsking(id, err == nil) {
		if keys == nil {
			return jose.JSONWebKey{}, errKeysDown
		}
		return key, err
	}
	// The request for keys serves everybody who waits, so no one caller's end may cancel it.
	asked := k.flight.DoChan("", func() (any, error) { return nil, k.refresh(context.WithoutCancel(ctx)) })
	select {
	case <-ctx.Done():
		return jose.JSONWebKey{}, ctx.Err()
	case answer := <-asked:
		if answer.Err != nil && err != nil {
			return jose.JSONWebKey{}, answer.Err
		}
	}
	if keys, _ = k.current(); keys == nil {
		return jose.JSONWebKey{}, errKeysDown
	}
	key, err = zoidc.FindMatchingKey(id, zoidc.KeyUseSignature, algorithm, keys...)
	if err != nil {
		k.miss(id)
	}
	return key, err
}

// current gives the keys that may still be used, and whether they are fresh.
func (k *keySet) current() ([]jose.JSONWebKey, bool) {
	k.lock.Lock()
	defer k.lock.Unlock()
	age := k.now().Sub(k.fetched)
	if k.fetched.IsZero() || age > keysGrace {
		return nil, false
	}
	return k.keys, age <= keysLife
}

// worthAsking decides whether the IdP is asked for its keys now.
func (k *keySet) worthAsking(id string, known bool) bool {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.cooling() {
		return false
	}
	since, missed := k.missing[id]
	return known || !missed || k.now().Sub(since) > missingLife
}

func (k *keySet) cooling() bool {
	wait := keysCooldown
	if k.failed {
		wait = keysRetry
	}
	return !k.asked.IsZero() && k.now().Sub(k.asked) < wait
}

func (k *keySet) miss(id string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.failed {
		return // the IdP did not say so
	}
	if k.missing == nil || len(k.missing) >= missingMost {
		k.missing = map[string]time.Time{}
	}
	k.missing[id] = k.now()
}

// refresh asks for the keys, unless somebody did between the caller's look and now.
func (k *keySet) refresh(ctx context.Context) error {
	k.lock.Lock()
	if k.cooling() {
		k.lock.Unlock()
		return nil
	}
	k.asked = k.now()
	k.lock.Unlock()

	keys, err := k.fetch(ctx)
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.failed = err != nil; k.failed {
		return fmt.Errorf("%w: %w", errKeysDown, err)
	}
	k.keys, k.fetched = keys, k.now()
	return nil
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := fetchJSON(ctx, k.http, k.address, "", &document); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		// A key of a kind we do not know is no reason to refuse the others, and a private or
		// symmetric key in a public place is no key to trust.
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("none of the keys can be used")
	}
	return keys, nil
}
