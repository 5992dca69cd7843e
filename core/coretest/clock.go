package coretest

import (
	"sync"
	"time"
)

// Clock is the time of a test: it moves only when something happens.
type Clock struct {
	lock sync.Mutex
	time time.Time
}

// NewClock is a clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{time: at} }

// Now is the time.
func (c *Clock) Now() time.Time { return c.Pass(0) }

// Pass lets time pass, and says what time it is then.
func (c *Clock) Pass(d time.Duration) time.Time {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.time = c.time.Add(d)
	return c.time
}

// Set moves the clock to a time.
func (c *Clock) Set(at time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.time = at
}
