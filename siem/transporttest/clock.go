package transporttest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"postern/core"
)

// Refusing is a dialer that may not go there.
func Refusing(context.Context, string, string) (net.Conn, error) {
	return nil, fmt.Errorf("dial: %w", core.Denied("private addresses may not be reached"))
}

// Clock is one whose time passes only while somebody sleeps.
type Clock struct {
	mutex sync.Mutex
	now   time.Time
}

// NewClock begins now.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now implements transport.Clock.
func (c *Clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now
}

// Sleep implements transport.Clock.
func (c *Clock) Sleep(ctx context.Context, wait time.Duration) error {
	c.Pass(wait)
	return ctx.Err()
}

// Pass lets time pass.
func (c *Clock) Pass(wait time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now = c.now.Add(wait)
}
