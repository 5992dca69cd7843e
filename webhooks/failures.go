package webhooks

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"postern/core"
)

// What one origin may do at one connection.
const (
	failuresBurst = 30          // bad tokens at once
	failuresEvery = time.Second // and then one in this time
	// trialsBurst and trialsEvery are for tokens with nothing wrong that can be seen without a key: an identity
	// provider's logouts come from addresses it shares with all its customers, and one of these may be a pest.
	trialsBurst = 20
	trialsEvery = 50 * time.Millisecond

	maxOrigins = 20_000
)

// origin is where bad tokens come from and whose door they are sent to: what is done to one connection never slows
// down another one.
type origin struct {
	connection core.ID
	network    netip.Prefix
}

// originOf takes an IPv6 network for one origin: whoever has one address of it has them all.
func originOf(connection core.ID, address string) origin {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return origin{connection: connection}
	}
	parsed = parsed.Unmap().WithZone("")
	bits := 64
	if parsed.Is4() {
		bits = 32
	}
	network, _ := parsed.Prefix(bits)
	return origin{connection, network}
}

// failures counts the bad tokens of each origin.
type failures struct {
	lock  sync.Mutex
	known map[origin]*tries
}

type tries struct {
	failures *rate.Limiter
	trials   *rate.Limiter
}

// count notes a bad token.
func (f *failures) count(now time.Time, from origin) {
	f.lock.Lock()
	defer f.lock.Unlock()
	one, ok := f.known[from]
	if !ok {
		f.sweep(now)
		one = &tries{rate.NewLimiter(rate.Every(failuresEvery), failuresBurst), rate.NewLimiter(rate.Every(trialsEvery), trialsBurst)}
		f.known[from] = one
	}
	one.failures.AllowN(now, 1)
}

// limited reports whether an origin has sent too many bad tokens, and how long until it may send another one.
func (f *failures) limited(now time.Time, from origin) (time.Duration, bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	one, ok := f.known[from]
	if !ok {
		return 0, false
	}
	missing := 1 - one.failures.TokensAt(now)
	if missing <= 0 {
		return 0, false
	}
	return max(time.Second, time.Duration(missing*float64(failuresEvery))), true
}

// trial reports whether a token of a limited origin that looks right may be checked all the same.
func (f *failures) trial(now time.Time, from origin) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	one, ok := f.known[from]
	return !ok || one.trials.AllowN(now, 1)
}

// sweep makes room: who has not been bad lately is forgotten, and if everybody has, somebody.
func (f *failures) sweep(now time.Time) {
	if f.known == nil {
		f.known = map[origin]*tries{}
	}
	if len(f.known) < maxOrigins {
		return
	}
	for from, one := range f.known {
		if one.failures.TokensAt(now) >= failuresBurst {
			delete(f.known, from)
		}
	}
	for from := range f.known {
		if len(f.known) < maxOrigins {
			return
		}
		delete(f.known, from)
	}
}

func tooMany(wait time.Duration) *core.Error {
	return &core.Error{Kind: core.KindRateLimited, Code: "rate_limited", RetryAfter: wait, Message: "too many tokens from this address were not accepted"}
}
