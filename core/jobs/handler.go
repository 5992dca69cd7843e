package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"postern/core"
)

// Handlers say what is done for each kind of job. The zero value is empty and ready.
type Handlers struct {
	register []func(workers *river.Workers, log *slog.Logger) error
}

// Handle makes work the handler of J's kind. attempt counts from 1 and grows when an error has the
// job run again, not when it was snoozed. What the returned error means is told by its core.Kind:
//
//	nil, NotFound                                            done
//	Invalid, Unauthenticated, Denied, Conflict, TooLarge     given up, and logged as an error
//	RateLimited                                              again after RetryAfter
//	Stale, Unavailable, Internal and anything unclassified   again, after 1, 2, 4 … 60 seconds
//	Snooze                                                   again, as asked
//
// The context ends with the worker's grace or after the worker's Timeout; work interrupted by the
// former is simply run again.
func Handle[J Job](handlers *Handlers, work func(ctx context.Context, job J, attempt int) error) {
	handlers.register = append(handlers.register, func(workers *river.Workers, log *slog.Logger) error {
		return river.AddWorkerSafely(workers, &handler[J]{work: work, log: log})
	})
}

type handler[J Job] struct {
	river.WorkerDefaults[J]
	work func(ctx context.Context, job J, attempt int) error
	log  *slog.Logger
}

// Work implements river.Worker.
func (h *handler[J]) Work(ctx context.Context, job *river.Job[J]) error {
	return verdict(h.work(ctx, job.Args, job.Attempt), h.log.With("job", job.ID, "kind", job.Kind, "attempt", job.Attempt))
}

// snooze asks to run a job again. It is no failure.
type snooze struct{ after time.Duration }

func (s *snooze) Error() string { return "run again in " + s.after.String() }

// Snooze returned by a handler has the job run again after a while, without counting an attempt.
func Snooze(after time.Duration) error { return &snooze{after: max(after, 0)} }

// SnoozeOf reports whether err came from Snooze, and the time it asks for.
func SnoozeOf(err error) (time.Duration, bool) {
	asked, ok := errors.AsType[*snooze](err)
	if !ok {
		return 0, false
	}
	return asked.after, true
}

// verdict turns what a handler returned into what River is to do.
func verdict(err error, log *slog.Logger) error {
	if err == nil {
		return nil
	}
	if after, ok := SnoozeOf(err); ok {
		return river.JobSnooze(after)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // River tells a stop from a timeout
	}
	classified := core.AsError(err)
	switch classified.Kind {
	case core.KindNotFound:
		return nil
	case core.KindRateLimited:
		return river.JobSnooze(classified.RetryAfter)
	case core.KindInvalid, core.KindUnauthenticated, core.KindDenied, core.KindConflict, core.KindTooLarge:
		log.Error("job given up", "error", err)
		return river.JobCancel(err)
	case core.KindInternal:
		log.Error("job failed, will be tried again", "error", err)
	case core.KindStale, core.KindUnavailable:
		log.Warn("job failed, will be tried again", "error", err)
	}
	return err
}

// backoff has a failed job wait 1, 2, 4 … 60 seconds.
type backoff struct{}

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// NextRetry implements river.ClientRetryPolicy.
func (backoff) NextRetry(job *rivertype.JobRow) time.Time {
	wait := lastRetry
	if doublings := len(job.Errors); doublings < 6 {
		wait = firstRetry << doublings
	}
	return time.Now().Add(wait)
}
