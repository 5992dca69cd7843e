package origins

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"postern/core"
)

// What one origin may do at one door.
const (
	failuresBurst = 30          // bad tokens or secrets at once
	failuresEvery = time.Second // and then one in this time
	// trialsBurst and trialsEvery are for tokens with nothing wrong that can be seen without a key: an identity
	// provider's logouts come from addresses it shares with all its customers, and one of these may be a pest.
	trialsBurst = 20
	trialsEvery = 50 * time.Millisecond

	maxOrigins = 20_000
)

// Origin is where somebody knocks from and at whose door: what is done at one door never slows down another one.
type Origin struct {
	door    core.ID
	network netip.Prefix
}

// Of is the origin of an address at a door, such as a connection. It takes an IPv6 network for one origin: whoever has
// one address of it has them all.
func Of(door core.ID, address string) Origin {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return Origin{door: door}
	}
	parsed = parsed.Unmap().WithZone("")
	bits := 64
	if parsed.Is4() {
		bits = 32
	}
	network, _ := parsed.Prefix(bits)
	return Origin{door, network}
}

// Door is what the origin knocks at.
func (o Origin) Door() core.ID { return o.door }

// Failures counts what each origin does wrong. The zero value is ready, and safe for concurrent use.
type Failures struct {
	lock  sync.Mutex
	known map[Origin]*tries
}

type tries struct {
	failures *rate.Limiter
	trials   *rate.Limiter
}

// Count notes a bad token or secret.
func (f *Failures) Count(now time.Time, from Origin) {
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

// Limited reports whether an origin was wrong too often, and how long until it may try again.
func (f *Failures) Limited(now time.Time, from Origin) (time.Duration, bool) {
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

// Trial reports whether a token of a limited origin that looks right may be checked all the same.
func (f *Failures) Trial(now time.Time, from Origin) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	one, ok := f.known[from]
	return !ok || one.trials.AllowN(now, 1)
}

// sweep makes room: who has not been bad lately is forgotten, and if everybody has, somebody.
func (f *Failures) sweep(now time.Time) {
	if f.known == nil {
		f.known = map[Origin]*tries{}
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
