package transport

import (
	"context"
	"time"

	"postern/core"
)

// Clock tells the time and lets it pass.
type Clock interface {
	Now() time.Time
	// Sleep waits, and returns the error of a context that ended first.
	Sleep(ctx context.Context, wait time.Duration) error
}

// System is the clock of the machine.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (System) Sleep(ctx context.Context, wait time.Duration) error {
	core.Rest(ctx, wait)
	return ctx.Err()
}
