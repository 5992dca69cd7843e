package webhooks_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core/jwt"
)

// counted counts the keys that a signature may be looked at with.
type counted struct {
	jwt.Keys
	keys atomic.Int64
}

func (c *counted) Find(ctx context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	found, err := c.Keys.Find(ctx, source, kid)
	c.keys.Add(int64(len(found)))
	return found, err
}

// Forged tokens with the id of a key that is known, each from another address, have few signatures looked at; known
// senders of the same connection and strangers at others are served meanwhile.
func TestForgedTokensFromManyAddresses(t *testing.T) {
	w := newWorld(t)
	still := time.Now()
	w.service.Now = func() time.Time { return still.Add(w.ahead) }
	looked := &counted{Keys: w.service.Keys}
	w.service.Keys = looked
	w.signIn(t)
	const known = "198.51.100.7:1"
	if got := w.knock(t, w.okta.ID, known, w.mint(t, tokenSpec{})).Code; got != http.StatusNoContent {
		t.Fatal(got)
	}
	address := func(n int) string { return fmt.Sprintf("10.%d.%d.%d:1", n>>16&255, n>>8&255, n&255) }
	forged := w.mint(t, tokenSpec{Signing: "other-key", Header: map[string]any{"kid": "rsa-1"}})
	flood := func(many int) map[int]int {
		status := map[int]int{}
		before := looked.keys.Load()
		for n := range many {
			got := w.knock(t, w.okta.ID, address(n), forged)
			status[got.Code]++
			if wait, err := strconv.Atoi(got.Header().Get("Retry-After")); got.Code == http.StatusTooManyRequests && (err != nil || wait < 1) {
				t.Fatalf("Retry-After %q", got.Header().Get("Retry-After"))
			}
		}
		if more := looked.keys.Load() - before; more > int64(status[http.StatusUnauthorized])+1 {
			t.Errorf("%d signatures were looked at for %d answers", more, status[http.StatusUnauthorized])
		}
		return status
	}
	if got := flood(500); got[http.StatusUnauthorized] > 60 || got[http.StatusUnauthorized]+got[http.StatusTooManyRequests] != 500 {
		t.Errorf("answered %v", got)
	}
	// Not one of them is looked at any more, and a good one of a known sender is, again and again.
	for range 100 {
		flood(2)
		if got := w.knock(t, w.okta.ID, known, w.mint(t, tokenSpec{})).Code; got != http.StatusNoContent {
			t.Fatalf("a known sender: %d", got)
		}
	}
	if got := w.knock(t, w.okta.ID, "203.0.113.77:1", w.mint(t, tokenSpec{})).Code; got != http.StatusTooManyRequests {
		t.Errorf("a stranger: %d", got)
	}
	// Strangers at other connections never have to wait for what is done to this one.
	if got := w.knock(t, w.theirs.ID, "203.0.113.77:1", w.mint(t, tokenSpec{Claims: map[string]any{
		"jti": "{{jti}}", "iss": "{{issuer}}", "sub": "{{client}}", "aud": w.service.LogoutURL(w.theirs.ID), "exp": "{{now+300}}", "iat": "{{now}}",
	}})).Code; got != http.StatusNoContent {
		t.Errorf("another connection: %d", got)
	}
	w.ahead = 2 * time.Second
	if got := w.knock(t, w.okta.ID, "203.0.113.77:1", w.mint(t, tokenSpec{})).Code; got != http.StatusNoContent {
		t.Errorf("a stranger, two seconds later: %d", got)
	}
	if got := flood(500); got[http.StatusUnauthorized] > 60 {
		t.Errorf("answered %v", got)
	}
}
