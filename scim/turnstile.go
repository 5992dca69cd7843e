package scim

import (
	lists "container/list"
	"context"
	"sync"
	"time"

	"postern/core"
)

const (
	// guaranteed is how many requests a second a party is told to count on when it is sent away.
	guaranteed = 25
	// longestRetry is the most a refused request is told to wait.
	longestRetry = 30 * time.Second
	// turn is how long a place may be held for one turn. Who holds it longer misses turns while others
	// wait, up to maxDebt.
	turn    = 10 * time.Millisecond
	maxDebt = time.Second
)

// turnstile lets a bounded number of requests in at once, and the others in their turn.
//
//	party (a workspace; all strangers together) ─┬─ lane (a connection; an address) ─ tickets
//	                                             └─ lane …
//
// A free place goes to the parties in turn, and within a party to its lanes in turn. No party holds
// all places, so that one that asks for little finds room at once, however much another asks for. What
// a request weighs is how long it held its place: nobody has to guess what a list, a search or a bulk
// request costs. Every step is O(1), paying off debts O(1) over all.
type turnstile struct {
	places int // at once
	queue  int // waiting per lane, and four times as many per party
	wait   time.Duration

	mutex   sync.Mutex
	taken   int
	parties map[core.ID]*party // that have somebody inside or waiting
	turns   lists.List         // of *party: with somebody waiting and room for them; whose turn it is in front
}

// party is who gets a fair share. Its id is a workspace's; the zero one is all strangers together.
type party struct {
	id      core.ID
	most    int // places it may hold
	inside  int
	waiting int
	lanes   map[laneKey]*lane
	turns   lists.List     // of *lane: all of them
	turn    *lists.Element // in the turnstile's turns; nil: not among them
	debt    time.Duration

	promised     time.Time // when the last one sent away was told to come back
	second       int64
	done, before int // requests that left in this second and in the one before
}

// laneKey is a connection's id, or an address.
type laneKey [16]byte

// lane is tickets in the order they came.
type lane struct {
	key     laneKey
	tickets lists.List
	turn    *lists.Element // in the party's turns
}

// ticket is one request inside or waiting.
type ticket struct {
	party *party
	lane  *lane          // nil: inside
	at    *lists.Element // in the lane
	ready chan struct{}  // closed when let in; nil: let in at once
	since time.Time      // inside since
}

// limit is how many of the places a party may hold: strangers a quarter, a workspace all but a quarter.
func (t *turnstile) limit(id core.ID) int {
	quarter := max(1, t.places/4)
	if id.IsZero() {
		return quarter
	}
	return max(1, t.places-quarter)
}

// enter waits for a place. The error is the caller's context ending, or RateLimited with when to come
// back. A ticket has to leave.
func (t *turnstile) enter(ctx context.Context, id core.ID, key laneKey, now func() time.Time) (*ticket, error) {
	one, err := t.ask(id, key, now())
	if err != nil || one.ready == nil {
		return one, err
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case <-one.ready:
		return one, nil
	case <-timer.C:
		if err := t.giveUp(one, now()); err != nil {
			return nil, err
		}
		return one, nil // let in at the last moment
	case <-ctx.Done():
		if t.giveUp(one, now()) == nil {
			t.leave(one, now())
		}
		return nil, ctx.Err()
	}
}

// ask takes a place, or one in the queue.
func (t *turnstile) ask(id core.ID, key laneKey, now time.Time) (*ticket, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	p := t.parties[id]
	if p == nil {
		if t.parties == nil {
			t.parties = map[core.ID]*party{}
		}
		p = &party{id: id, most: t.limit(id)}
		t.parties[id] = p
	}
	// While there is room for a party, nobody of it waits.
	if t.taken < t.places && p.inside < p.most {
		t.taken++
		p.inside++
		return &ticket{party: p, since: now}, nil
	}
	l := p.lanes[key]
	if p.waiting >= 4*t.queue || l != nil && l.tickets.Len() >= t.queue {
		err := p.sendAway(now)
		t.settle(p)
		return nil, err
	}
	if l == nil {
		if p.lanes == nil {
			p.lanes = map[laneKey]*lane{}
		}
		l = &lane{key: key}
		l.turn = p.turns.PushBack(l)
		p.lanes[key] = l
	}
	one := &ticket{party: p, lane: l, ready: make(chan struct{})}
	one.at = l.tickets.PushBack(one)
	p.waiting++
	t.settle(p)
	return one, nil
}

// leave gives a place to whose turn it is.
func (t *turnstile) leave(one *ticket, now time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	p := one.party
	t.taken--
	p.inside--
	p.debt = min(p.debt+max(0, now.Sub(one.since)-turn), maxDebt)
	p.left(now)
	t.settle(p)
	t.letIn(now)
}

// giveUp takes a ticket out of the queue. It is nil if the ticket was let in meanwhile.
func (t *turnstile) giveUp(one *ticket, now time.Time) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if one.lane == nil {
		return nil
	}
	err := one.party.sendAway(now)
	one.party.take(one)
	t.settle(one.party)
	return err
}

// letIn hands out the free places.
func (t *turnstile) letIn(now time.Time) {
	for t.taken < t.places && t.turns.Len() > 0 {
		p := t.turns.Front().Value.(*party)
		if p.debt > 0 {
			if t.turns.Len() > 1 {
				p.debt = max(0, p.debt-turn)
				t.turns.MoveToBack(p.turn)
				continue
			}
			p.debt = 0 // nobody was kept waiting by it
		}
		l := p.turns.Front().Value.(*lane)
		p.turns.MoveToBack(l.turn)
		one := l.tickets.Front().Value.(*ticket)
		p.take(one)
		one.since = now
		t.taken++
		p.inside++
		close(one.ready)
		t.turns.MoveToBack(p.turn)
		t.settle(p)
	}
}

// settle puts a party among those that take turns, or takes it out, and forgets one with nobody left.
func (t *turnstile) settle(p *party) {
	switch takes := p.waiting > 0 && p.inside < p.most; {
	case takes && p.turn == nil:
		p.turn = t.turns.PushBack(p)
	case !takes && p.turn != nil:
		t.turns.Remove(p.turn)
		p.turn = nil
	}
	if p.inside == 0 && p.waiting == 0 {
		delete(t.parties, p.id)
	}
}

// take removes a ticket from its lane.
func (p *party) take(one *ticket) {
	l := one.lane
	l.tickets.Remove(one.at)
	p.waiting--
	if l.tickets.Len() == 0 {
		p.turns.Remove(l.turn)
		delete(p.lanes, l.key)
	}
	one.lane, one.at = nil, nil
}

// left counts a request that is done.
func (p *party) left(now time.Time) {
	if second := now.Unix(); second != p.second {
		p.before = 0
		if second == p.second+1 {
			p.before = p.done
		}
		p.second, p.done = second, 0
	}
	p.done++
}

// sendAway says when to come back: each one sent away a little later than the one before, as fast as
// the party's requests get done. Who keeps to it finds room, before an identity provider gives up.
func (p *party) sendAway(now time.Time) error {
	p.promised = p.promised.Add(time.Second / time.Duration(max(guaranteed, p.before)))
	if earliest := now.Add(time.Second); p.promised.Before(earliest) {
		p.promised = earliest
	}
	if latest := now.Add(longestRetry); p.promised.After(latest) {
		p.promised = latest
	}
	return busy(p.promised.Sub(now))
}

func busy(wait time.Duration) error {
	return &core.Error{Kind: core.KindRateLimited, RetryAfter: wait, Message: "too many requests at once; send this one again later"}
}
