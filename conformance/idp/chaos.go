package idp

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Chaos is how the network misbehaves: how often, as a share of all requests, each of these happens to
// one. The zero value is a network that never does.
type Chaos struct {
	LoseRequest float64 // it never reaches the server
	LoseAnswer  float64 // the server handles it, and nobody hears of it
	Late        float64 // LoseAnswer, and it is handled while it is being retried already
	Duplicate   float64 // it is delivered twice, both at once
	Overdue     float64 // a change is held up and given up, and handled when a newer change of the same object has been
	Unavailable float64 // something on the way answers 503 in the server's place
	Delay       float64 // it is held up for up to MaxDelay, so that requests of other objects overtake it
	MaxDelay    time.Duration
}

// Rough is a network on a bad day.
func Rough() Chaos {
	return Chaos{LoseRequest: 0.01, LoseAnswer: 0.03, Late: 0.02, Overdue: 0.03, Duplicate: 0.05, Unavailable: 0.01, Delay: 0.1, MaxDelay: 20 * time.Millisecond}
}

// fate is what becomes of one request.
type fate struct {
	delay, late           time.Duration
	loseRequest           bool
	loseAnswer, duplicate bool
	second                bool // of two answers the second is heard
	unavailable, overdue  bool
}

// draw decides what becomes of an object's request of that number. One seed means one fate.
func (c Chaos) draw(seed uint64, kind string, key int, number int64) fate {
	if c == (Chaos{}) {
		return fate{}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind))
	r := rand.New(rand.NewPCG(seed^h.Sum64(), uint64(key)<<32|uint64(number)))
	var f fate
	some := func() time.Duration { return time.Duration(r.Float64() * float64(c.MaxDelay)) }
	if r.Float64() < c.Delay {
		f.delay = some()
	}
	f.second = r.IntN(2) == 0
	at := r.Float64()
	for _, one := range []struct {
		share float64
		then  func()
	}{
		{c.LoseRequest, func() { f.loseRequest = true }},
		{c.LoseAnswer, func() { f.loseAnswer = true }},
		{c.Late, func() { f.loseAnswer, f.late = true, 1+some() }},
		{c.Duplicate, func() { f.duplicate = true }},
		{c.Unavailable, func() { f.unavailable = true }},
		{c.Overdue, func() { f.overdue = true }},
	} {
		if at < one.share {
			one.then()
			break
		}
		at -= one.share
	}
	return f
}
