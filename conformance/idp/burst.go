package idp

import (
	"context"
	"sync"
	"time"
)

// burst lets requests through together, so many at once, and none for a while after. The zero burst
// lets every request through as it comes.
type burst struct {
	size  int
	quiet time.Duration

	lock  sync.Mutex
	left  int
	until time.Time // nothing more than what is left goes before
}

// wait returns when a request may go. The error is the context's.
func (b *burst) wait(ctx context.Context) error {
	for b.size > 0 {
		b.lock.Lock()
		now := time.Now()
		if !now.Before(b.until) {
			b.left, b.until = b.size, now.Add(b.quiet)
		}
		quiet := b.until.Sub(now)
		if b.left > 0 {
			b.left--
			b.lock.Unlock()
			return nil
		}
		b.lock.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quiet):
		}
	}
	return nil
}
