package webhooks

import (
	"context"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/core/jwt"
	"postern/webhooks/origins"
)

// Signatures that strangers may have looked at in vain: that is the one dear thing anybody can have done here, with
// the id of a key that everybody can read. A stranger is who sent no good token to the connection lately.
const (
	vainBurst   = 60  // at one connection at once
	vainEach    = 20  // and then in a second
	vainTotal   = 240 // at all connections that have used half of theirs, at once
	vainSeconds = 80  // and then in a second
	knownFor    = 24 * time.Hour

	maxKnown = 20_000
)

// work is what strangers have had done in vain, and who is no stranger.
type work struct {
	lock        sync.Mutex
	all         bucket
	connections map[core.ID]*bucket
	known       map[origins.Origin]time.Time // the last good token
}

// bucket is what may still be done. The zero value is full when it is first asked for.
type bucket struct {
	left float64
	at   time.Time
}

func (b *bucket) fill(now time.Time, burst, each float64) {
	if b.at.IsZero() {
		b.left = burst
	} else if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.left = min(burst, b.left+passed*each)
	}
	b.at = now
}

// begin takes so many signatures from what an origin may have looked at. Who is known takes nothing. It reports false
// for a stranger to whom nothing is left.
func (w *work) begin(now time.Time, from origins.Origin, many int) (taken, ok bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if !w.open(now, from) {
		return false, false
	}
	if w.trusts(now, from) {
		return false, true
	}
	w.connections[from.Door()].left -= float64(many)
	w.all.left -= float64(many)
	return true, true
}

// closed reports whether begin would refuse: then nothing else need be looked at either.
func (w *work) closed(now time.Time, from origins.Origin) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	return !w.open(now, from)
}

// open: a connection that has half of its own left needs nobody else's, so one that is not attacked is never refused
// because of others.
func (w *work) open(now time.Time, from origins.Origin) bool {
	if w.trusts(now, from) {
		return true
	}
	own, there := w.connections[from.Door()]
	if !there {
		w.sweep(now)
		own = &bucket{}
		w.connections[from.Door()] = own
	}
	own.fill(now, vainBurst, vainEach)
	w.all.fill(now, vainTotal, vainSeconds)
	return own.left >= vainBurst/2 || own.left >= 1 && w.all.left >= 1
}

func (w *work) trusts(now time.Time, from origins.Origin) bool {
	last, known := w.known[from]
	return known && now.Sub(last) < knownFor
}

// end gives back what was not in vain, and remembers whose token was good.
func (w *work) end(now time.Time, from origins.Origin, many int, vain, good bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if own, there := w.connections[from.Door()]; there && !vain {
		own.left += float64(many)
		w.all.left += float64(many)
	}
	if !good || now.Sub(w.known[from]) < knownFor/2 {
		return
	}
	if w.known == nil || len(w.known) >= maxKnown {
		w.known = map[origins.Origin]time.Time{}
	}
	w.known[from] = now
}

// sweep makes room: a connection whose bucket is full is as one that never was.
func (w *work) sweep(now time.Time) {
	if w.connections == nil {
		w.connections = map[core.ID]*bucket{}
	}
	if len(w.connections) < maxRemembered {
		return
	}
	for id, own := range w.connections {
		if own.fill(now, vainBurst, vainEach); own.left >= vainBurst {
			delete(w.connections, id)
		}
	}
	for id := range w.connections {
		if len(w.connections) < maxRemembered {
			return
		}
		delete(w.connections, id)
	}
}

// asked is a request whose signature is about to be looked at: once all else is right, and a key it may have been
// signed with is known.
type asked struct {
	jwt.Keys
	work *work
	now  time.Time
	from origins.Origin

	many int // signatures that were taken from what the origin may have looked at
}

// Find implements jwt.Keys.
func (a *asked) Find(ctx context.Context, source jwt.Source, kid string) ([]jose.JSONWebKey, error) {
	found, err := a.Keys.Find(ctx, source, kid)
	if err != nil {
		return nil, err
	}
	return found, a.begin(len(found))
}

// Renew implements jwt.Keys.
func (a *asked) Renew(ctx context.Context, source jwt.Source) ([]jose.JSONWebKey, error) {
	found, err := a.Keys.Renew(ctx, source)
	if err != nil {
		return nil, err
	}
	return found, a.begin(len(found))
}

func (a *asked) begin(many int) error {
	if many == 0 {
		return nil
	}
	taken, ok := a.work.begin(a.now, a.from, many)
	if !ok {
		return crowded()
	}
	if taken {
		a.many += many
	}
	return nil
}

// end settles what was asked for by what came of it. A token of the issuer's about another subject was in vain, too.
func (a *asked) end(err error) {
	code := ""
	if err != nil {
		code = core.AsError(err).Code
	}
	a.work.end(a.now, a.from, a.many, code == jwt.StageSignature || code == jwt.StageSubject, err == nil)
}

// crowded is told a stranger while too many forged tokens are sent to the connection.
func crowded() *core.Error {
	return &core.Error{
		Kind: core.KindRateLimited, Code: "rate_limited", RetryAfter: time.Second,
		Message: "too many tokens that are not accepted are sent to this connection",
	}
}
