package sink

import (
	"cmp"
	"context"
	"sync"
	"time"
)

const (
	smallestRequest = 16 << 10
	slowAnswer      = 5 * time.Second
)

// Pace adapts to what a receiver bears: how large a request is, and how many are under way at a time.
// Each answer that comes soon adds a little; one that says "not now", or comes late, halves both
// (additive increase, multiplicative decrease). The zero value begins with whole requests, one at a
// time. It is safe for concurrent use; do not copy it after first use.
type Pace struct {
	// AtOnce is how many requests there may be at a time at most. Default 1.
	AtOnce int
	// Slow is how late an answer may come. Default 5 s.
	Slow time.Duration

	mutex    sync.Mutex
	begun    bool
	slots    float64
	share    float64 // of the receiver's limit
	under    int     // requests that are under way
	epoch    int     // raised by each decrease
	released chan struct{}
}

// turn is one request's permission.
type turn struct {
	epoch int
	size  int // bytes
}

func (p *Pace) begin() {
	if !p.begun {
		p.begun, p.slots, p.share, p.released = true, float64(max(1, p.AtOnce)), 1, make(chan struct{})
	}
}

// take waits for a turn, and says how large the request may be.
func (p *Pace) take(ctx context.Context, limit int) (turn, error) {
	for {
		p.mutex.Lock()
		p.begin()
		if p.under < max(1, int(p.slots)) {
			p.under++
			given := turn{p.epoch, max(min(smallestRequest, limit), int(p.share*float64(limit)))}
			p.mutex.Unlock()
			return given, nil
		}
		released := p.released
		p.mutex.Unlock()
		select {
		case <-released:
		case <-ctx.Done():
			return turn{}, ctx.Err()
		}
	}
}

// give ends a turn with what came of it. Requests of one moment decrease once, not once each.
func (p *Pace) give(given turn, verdict Verdict, took time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.under--
	switch late := took > cmp.Or(p.Slow, slowAnswer); {
	case verdict == Busy, verdict == Accepted && late:
		if given.epoch == p.epoch {
			p.epoch++
			p.slots, p.share = max(1, p.slots/2), max(1.0/256, p.share/2)
		}
	case verdict == Accepted:
		p.slots = min(float64(max(1, p.AtOnce)), p.slots+1/p.slots)
		p.share = min(1, p.share+1.0/16)
	}
	close(p.released)
	p.released = make(chan struct{})
}
