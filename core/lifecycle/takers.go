package lifecycle

import (
	"cmp"
	"context"
	"sync"
	"time"

	"postern/core"
)

// Takers take from everybody who leaves all they have, as soon as somebody does. Any number may run, in
// many processes.
type Takers struct {
	Lifecycle *Lifecycle
	Number    int           // at work at once; default 2
	Poll      time.Duration // how often each looks by itself; default 200 milliseconds

	bell core.Bell
}

// Wake says that somebody leaves, so that it need not wait for the next look.
func (t *Takers) Wake() { t.bell.Ring() }

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
	for ctx.Err() == nil {
		found, _, err := t.Lifecycle.takeNext(ctx)
		t.Lifecycle.warn(ctx, "take what somebody who leaves has", err)
		if found {
			t.Wake() // there may be more than one taker's work
			continue
		}
		t.bell.Rest(ctx, cmp.Or(t.Poll, 200*time.Millisecond))
	}
}
