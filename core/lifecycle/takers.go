package lifecycle

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Takers take from everybody who leaves all they have, as soon as somebody does. Any number may run, in
// many processes.
type Takers struct {
	Lifecycle *Lifecycle
	Number    int           // at work at once; default 2
	Poll      time.Duration // how often each looks by itself; default 200 milliseconds

	once sync.Once
	wake chan struct{}
}

// Wake says that somebody leaves, so that it need not wait for the next look.
func (t *Takers) Wake() {
	select {
	case t.waker() <- struct{}{}:
	default:
	}
}

func (t *Takers) waker() chan struct{} {
	t.once.Do(func() { t.wake = make(chan struct{}, 1) })
	return t.wake
}

// Run takes until ctx ends, then returns nil. It survives restarts of PostgreSQL.
func (t *Takers) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for range cmp.Or(t.Number, 2) {
		all.Go(func() { t.take(ctx) })
	}
	all.Wait()
	return nil
}

func (t *Takers) take(ctx context.Context) {
	look := time.NewTicker(cmp.Or(t.Poll, 200*time.Millisecond))
	defer look.Stop()
	for ctx.Err() == nil {
		found, _, err := t.Lifecycle.takeNext(ctx)
		t.Lifecycle.warn(ctx, "take what somebody who leaves has", err)
		if found {
			t.Wake() // there may be more than one taker's work
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.waker():
		case <-look.C:
		}
	}
}
