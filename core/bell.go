package core

import (
	"context"
	"sync"
	"time"
)

// Bell wakes who rests before the next look, since there is something to do. Its zero value is ready. A ring nobody waits
// for is kept, once; of several who wait, one ring wakes one. Its methods may be called from several goroutines.
type Bell struct {
	once sync.Once
	rung chan struct{}
}

// Ring rings it and returns at once.
func (b *Bell) Ring() {
	select {
	case b.channel() <- struct{}{}:
	default:
	}
}

// Rung has something to receive once the bell was rung.
func (b *Bell) Rung() <-chan struct{} { return b.channel() }

// Rest waits until the bell is rung, for so long at most and no longer than ctx. It reports whether the bell was rung.
func (b *Bell) Rest(ctx context.Context, most time.Duration) (rung bool) {
	return rest(ctx, most, b.channel())
}

func (b *Bell) channel() chan struct{} {
	b.once.Do(func() { b.rung = make(chan struct{}, 1) })
	return b.rung
}

// Rest waits for a while, or until ctx ends.
func Rest(ctx context.Context, long time.Duration) { rest(ctx, long, nil) }

func rest(ctx context.Context, most time.Duration, bell <-chan struct{}) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-bell:
		return true
	}
	return false
}
