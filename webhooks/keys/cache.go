package keys

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/jwt"
)

// Defaults of a Cache, and its bounds.
const (
	DefaultTTL      = 15 * time.Minute
	DefaultCooldown = 30 * time.Second
	// Retry is the least time between two fetches while the last one failed and there is nothing to go by:
	// nobody can be served meanwhile.
	Retry = 5 * time.Second
	// Stale is how long past its TTL a set is still used while the issuer cannot be reached.
	Stale = 6 * time.Hour

	fetchTimeout  = 10 * time.Second
	maxSources    = 10_000
	maxUnknownIDs = 256
)

// Cache remembers the keys of many issuers. The zero value with HTTP set is ready; it is safe for
// concurrent use. A process has one,
// which every door asks.
type Cache struct {
	// HTTP does the fetching. Issuers are a customer's input: it must refuse private addresses.
	HTTP *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// TTL is how long a set is used without asking again. Default 15 minutes.
	TTL time.Duration
	// Cooldown is the least time between two fetches from one issuer. Default, and least, 30 s.
	Cooldown time.Duration

	mu      sync.Mutex
	entries map[jwt.Source]*entry
}

var _ jwt.Keys = (*Cache)(nil)

// entry is what is known of one source. Its fields are guarded by the cache's lock.
type entry struct {
	set       []jose.JSONWebKey
	fetched   time.Time           // of set
	attempted time.Time           // last fetch, whatever came of it
	failure   error               // of the last fetch
	unknown   map[string]struct{} // kids the issuer did not have when last asked
	fetching  chan struct{}       // closed when the fetch under way has ended; nil: none
}

// Find returns the keys a token of this source may have been signed with: those of the key id, or
// all of them when kid is empty. None is an answer too: the issuer has no such key. It asks the
// issuer when the set is old or the key id is new, but never sooner than the cooldown allows; when
// no set could ever be fetched the error is Unavailable.
func (c *Cache) Find(ctx context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	c.mu.Lock()
	e := c.entry(source)
	fresh := !e.fetched.IsZero() && c.now().Sub(e.fetched) < c.ttl()
	found := pick(e.set, kid)
	_, known := e.unknown[kid]
	c.mu.Unlock()
	if fresh && (len(found) > 0 || known) {
		return found, nil
	}
	asked, err := c.refresh(ctx, source, e)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.usable(e) {
		wait := max(time.Second, c.pause(e)-c.now().Sub(e.attempted))
		return nil, core.Unavailable(wait, "the identity provider's keys cannot be fetched").Because(e.failure)
	}
	found = pick(e.set, kid)
	// Not remembered when nobody was asked: a kid that comes during the cooldown may be a new key.
	if len(found) == 0 && asked && e.failure == nil && len(e.unknown) < maxUnknownIDs {
		e.unknown[kid] = struct{}{}
	}
	return found, nil
}

// Renew asks the issuer again if the cooldown allows, and returns its keys. A token without a key
// id that no known key fits may be signed with a key that is new.
func (c *Cache) Renew(ctx context.Context, source jwt.Source) ([]jose.JSONWebKey, error) {
	c.mu.Lock()
	e := c.entry(source)
	c.mu.Unlock()
	if _, err := c.refresh(ctx, source, e); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.set, nil
}

// refresh waits for the fetch under way, or starts one if the cooldown allows; asked says whether
// there was one. Its error is the caller's context ending; a failed fetch is told by the entry.
func (c *Cache) refresh(ctx context.Context, source jwt.Source, e *entry) (asked bool, err error) {
	c.mu.Lock()
	under := e.fetching
	if under == nil {
		if !e.attempted.IsZero() && c.now().Sub(e.attempted) < c.pause(e) {
			c.mu.Unlock()
			return false, nil
		}
		under = make(chan struct{})
		e.fetching, e.attempted = under, c.now()
		// The fetch serves everybody who waits: it must not end with the first caller.
		go c.fetch(context.WithoutCancel(ctx), source, e, under)
	}
	c.mu.Unlock()
	select {
	case <-under:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

func (c *Cache) fetch(ctx context.Context, source jwt.Source, e *entry, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, err := fetchSet(ctx, c.HTTP, source)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.failure = err
	if err == nil {
		e.set, e.fetched, e.unknown = set, e.attempted, map[string]struct{}{}
	}
	e.fetching = nil
	close(done)
}

// entry returns what is known of a source. Sources come from the configuration, so there are few;
// the bound keeps a mistake from growing without end.
func (c *Cache) entry(source jwt.Source) *entry {
	if c.entries == nil {
		c.entries = map[jwt.Source]*entry{}
	}
	known, ok := c.entries[source]
	if !ok {
		if len(c.entries) >= maxSources {
			for old := range c.entries { // any one will do: whoever needs it asks again
				delete(c.entries, old)
				break
			}
		}
		known = &entry{unknown: map[string]struct{}{}}
		c.entries[source] = known
	}
	return known
}

func (c *Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Cache) ttl() time.Duration {
	if c.TTL <= 0 {
		return DefaultTTL
	}
	return c.TTL
}

func (c *Cache) cooldown() time.Duration { return max(c.Cooldown, DefaultCooldown) }

// usable reports whether an entry's keys may still be used, at least while the issuer does not answer.
func (c *Cache) usable(e *entry) bool {
	return !e.fetched.IsZero() && c.now().Sub(e.fetched) < c.ttl()+Stale
}

// pause is how long after the last fetch the next one may begin.
func (c *Cache) pause(e *entry) time.Duration {
	if e.failure != nil && !c.usable(e) {
		return Retry
	}
	return c.cooldown()
}

// pick returns the keys of a kid, or all of them for none.
func pick(set []jose.JSONWebKey, kid string) []jose.JSONWebKey {
	if kid == "" {
		return set
	}
	var found []jose.JSONWebKey
	for _, key := range set {
		if key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found
}
