package browser

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"postern/core/rotation"
	"postern/core/seal"
)

// Name is the name of this connector in an app's Connector field.
const Name = "browser"

// Options say how the connector runs its browser.
type Options struct {
	// Executable is the browser. Default: what Find finds.
	Executable string
	// AllowPrivate lets every app be at a private address: for development and tests. Otherwise
	// Target.AllowPrivate decides for each.
	AllowPrivate bool
	// JobsPerProcess is how many sign-ins one browser process serves before another takes its place.
	// Default: 200.
	JobsPerProcess int
	// ProcessAge is how old a browser process may be that still takes jobs. Default: 1 hour.
	ProcessAge time.Duration
	// Timeout bounds each wait for the app: for a page, and for the answer to a form. Default: 30 s.
	Timeout time.Duration
	// Log receives what went on, without hosts' answers and without secrets. Default: nothing.
	Log *slog.Logger
	// Now is the clock of the reports. Default: time.Now.
	Now func() time.Time
}

// Browser is the connector. It implements rotation.Connector, Changer, Enroller and Recoverer, and is safe for
// concurrent use; two or three jobs at once keep two processor cores busy.
type Browser struct {
	options    Options
	executable string

	mutex   sync.Mutex
	process *process
	closed  bool
	ending  sync.WaitGroup
	spares  spares
}

var (
	_ rotation.Connector = (*Browser)(nil)
	_ rotation.Changer   = (*Browser)(nil)
	_ rotation.Preparer  = (*Browser)(nil)
	_ rotation.Enroller  = (*Browser)(nil)
	_ rotation.Looker    = (*Browser)(nil)
	_ rotation.Recoverer = (*Browser)(nil)
)

// New finds the browser and clears away what killed processes left behind. The browser itself starts
// with Prepare or the first job. A machine without one gives NotFound.
func New(options Options) (*Browser, error) {
	executable, err := Find(options.Executable)
	if err != nil {
		return nil, err
	}
	if options.JobsPerProcess <= 0 {
		options.JobsPerProcess = 200
	}
	if options.ProcessAge <= 0 {
		options.ProcessAge = time.Hour
	}
	if options.Timeout <= 0 {
		options.Timeout = 30 * time.Second
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	sweepProfiles()
	return &Browser{options: options, executable: executable}, nil
}

// Prepare implements rotation.Preparer: it starts the browser.
func (b *Browser) Prepare(ctx context.Context) error {
	p, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	b.release(p, false)
	return nil
}

// Close ends the browser. Jobs still running end soon after, as their browser is gone.
func (b *Browser) Close() error {
	b.mutex.Lock()
	b.closed = true
	if p := b.process; p != nil {
		b.process = nil
		p.worn = true
		b.finish(p)
	}
	b.mutex.Unlock()
	b.ending.Wait()
	return nil
}

// Verify implements rotation.Connector.
func (b *Browser) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	j := b.newJob(target, credential.Password)
	j.run(ctx, func(ctx context.Context) {
		j.stage = rotation.StageNavigate
		outcome := j.signIn(ctx, credential)
		if outcome != "" {
			if j.stage != rotation.StageNavigate {
				j.stage = rotation.StageVerify
			}
			j.outcome = outcome
		}
	})
	return j.report
}

// Look implements rotation.Looker: it opens the sign-in page and looks for the form.
func (b *Browser) Look(ctx context.Context, target rotation.Target) rotation.Report {
	j := b.newJob(target)
	j.run(ctx, func(ctx context.Context) {
		if j.outcome = j.arrive(ctx, j.signInOptions()); j.outcome == "" {
			j.end(rotation.Found, "The sign-in form is there.")
		}
	})
	return j.report
}

// Change implements rotation.Changer.
func (b *Browser) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	j := b.newJob(target, current.Password, next)
	j.gate = &gate{candidate: next, current: current.Password, release: release, verdicts: make(chan verdict, 16)}
	j.run(ctx, func(ctx context.Context) {
		j.stage = rotation.StageNavigate
		j.outcome = j.change(ctx, current, next)
	})
	return j.report
}
