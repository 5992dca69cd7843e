package posture

import (
	"context"
	"errors"
	"time"

	"postern/core"
	"postern/core/jobs"
)

const (
	lookEvery = time.Minute
	turn      = 30 * time.Second // of a reassignment; then the jobs that wait have theirs
)

// Run takes each day's row and judges the passwords that are not judged yet, until ctx ends. It may run in many processes.
func (p *Posture) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if _, err := p.Accounts.Judge(ctx); err != nil {
			p.warn(ctx, "judge passwords that nothing is kept of", err)
		}
		if _, err := p.Take(ctx); err != nil {
			p.warn(ctx, "take the day's row", err)
		}
		if _, err := p.Forget(ctx); err != nil {
			p.warn(ctx, "forget reassignments that ended long ago", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (p *Posture) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && p.Log != nil {
		p.Log.WarnContext(ctx, "posture cannot be kept up", "what", what, "error", err)
	}
}

// reassign is the job that carries a reassignment out.
type reassign struct {
	Workspace    core.ID `json:"workspace"`
	Reassignment core.ID `json:"reassignment"`
}

// Kind implements jobs.Job.
func (reassign) Kind() string { return "posture.reassign" }

// Register adds what workers do of it.
func (p *Posture) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, job reassign, _ int) error {
		limited, cancel := context.WithTimeout(ctx, turn)
		defer cancel()
		_, err := p.Carry(limited, job.Workspace, job.Reassignment)
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return jobs.Snooze(0)
		}
		return err
	})
}
