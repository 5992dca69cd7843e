package signals

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// held is how long a poll waits for something to tell (RFC 8936 §2.5).
const held = 20 * time.Second

// box is what a stream that is polled has to tell.
type box struct {
	waiting map[string]string // tokens
	handed  map[string]int    // how often
	heard   map[string]fault  // acknowledged, with nothing, or refused
	changed chan struct{}     // closed when something changes
}

// fault is why a receiver refuses a token (RFC 8936 §2.2).
type fault struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// boxOf is a stream's. The lock is held.
func (p *provider) boxOf(stream string) *box {
	if p.boxes[stream] == nil {
		p.boxes[stream] = &box{waiting: map[string]string{}, handed: map[string]int{}, heard: map[string]fault{}, changed: make(chan struct{})}
	}
	return p.boxes[stream]
}

// stir wakes who waits for a change. The lock is held.
func (b *box) stir() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// poll answers RFC 8936 §2.4. After an acknowledgement it says that there is more: there is, as soon as the suite goes
// on, and a gateway that waits longer meanwhile makes the run longer.
func (p *provider) poll(w http.ResponseWriter, r *http.Request, stream string) {
	var asked struct {
		Immediately bool             `json:"returnImmediately"`
		Acks        []string         `json:"ack"`
		Refusals    map[string]fault `json:"setErrs"`
	}
	if r.Header.Get("Authorization") != "Bearer "+p.secret || json.NewDecoder(r.Body).Decode(&asked) != nil {
		say(w, 401, map[string]string{"error": "invalid_token"})
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.streams[stream] == nil {
		say(w, 404, map[string]string{"description": "no such stream"})
		return
	}
	b := p.boxOf(stream)
	for _, key := range asked.Acks {
		b.heard[key] = fault{}
		delete(b.waiting, key)
	}
	for key, why := range asked.Refusals {
		b.heard[key] = why
		delete(b.waiting, key)
	}
	b.stir()
	timer := time.NewTimer(held)
	defer timer.Stop()
	for ends := false; len(b.waiting) == 0 && !asked.Immediately && !ends; {
		changed := b.changed
		p.lock.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			ends = true
		case <-r.Context().Done():
			ends = true
		}
		p.lock.Lock()
	}
	for key := range b.waiting {
		b.handed[key]++
	}
	b.stir()
	say(w, 200, map[string]any{"sets": b.waiting, "moreAvailable": len(asked.Acks)+len(asked.Refusals) > 0})
}

// polled puts the token where the gateway polls it, and waits for what the gateway says: what a push would be answered.
// Nothing: the gateway keeps a token whose key may yet come.
func (p *play) polled(ctx context.Context, v vector, stream string) (answer, error) {
	key := claim(p.token, "jti")
	if key == "" {
		key = fmt.Sprint("token-", p.done)
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Patience)
	defer cancel()
	p.provider.lock.Lock()
	defer p.provider.lock.Unlock()
	b := p.provider.boxOf(stream)
	delete(b.heard, key)
	delete(b.handed, key)
	b.waiting[key] = p.token
	b.stir()
	defer delete(b.waiting, key)
	for {
		said, heard := b.heard[key]
		switch {
		case heard && said.Err == "":
			return answer{http.StatusAccepted, http.Header{"Cache-Control": {"no-store"}}, nil}, nil
		case heard:
			text, err := json.Marshal(said)
			return answer{http.StatusBadRequest, http.Header{"Cache-Control": {"no-store"}}, text}, err
		case v.Polled == "kept" && b.handed[key] > 1:
			return answer{}, nil
		}
		changed := b.changed
		p.provider.lock.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.provider.lock.Lock()
		if ctx.Err() != nil {
			if b.handed[key] == 0 {
				return answer{}, fmt.Errorf("it was not polled within %s: does a worker run, and does it reach %s?", p.options.Patience, p.provider.base)
			}
			return answer{}, fmt.Errorf("it was handed out %d times and neither acknowledged nor refused", b.handed[key])
		}
	}
}
