package jobs

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"postern/core"
	"postern/core/postgres"
)

// WorkerOptions tune a Worker. Zero values are good.
type WorkerOptions struct {
	// Concurrency is how many jobs run at once, beside two prompt ones. Default 4.
	Concurrency int
	// Timeout ends a job's context. Default 5 minutes: a browser at a slow app takes its time.
	Timeout time.Duration
	// Grace is how long running jobs may go on after Run's context ended. Default 20 seconds.
	Grace time.Duration
	// Poll is how often the queue is asked while there is nothing to do, and so the time a job waits
	// on average twice over. Default 50 milliseconds.
	Poll time.Duration
	// Rescue is how often workers that died are looked for. Default 2 seconds; the jobs of one are
	// run again after two looks.
	Rescue time.Duration
	// Log defaults to none.
	Log *slog.Logger
}

// promptPlaces is how many prompt jobs run at once.
const promptPlaces = 2

// Worker runs jobs. Many may run against one database, in one process or in many.
type Worker struct {
	db      *postgres.DB
	client  *river.Client[pgx.Tx]
	id      string
	options WorkerOptions
}

// NewWorker returns a worker for jobs of the handlers' kinds. A kind that is handled twice, or not
// named as kinds are, is Invalid.
func NewWorker(db *postgres.DB, handlers *Handlers, options WorkerOptions) (*Worker, error) {
	options.Concurrency = cmp.Or(options.Concurrency, 4)
	options.Timeout = cmp.Or(options.Timeout, 5*time.Minute)
	options.Grace = cmp.Or(options.Grace, 20*time.Second)
	options.Poll = cmp.Or(options.Poll, 50*time.Millisecond)
	options.Rescue = cmp.Or(options.Rescue, 2*time.Second)
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	workers := river.NewWorkers()
	for _, register := range handlers.register {
		if err := register(workers, options.Log); err != nil {
			return nil, core.Invalid("kind", "a job's handler cannot be used").Because(err)
		}
	}
	id := "postern-" + core.NewID().String()
	client, err := river.NewClient(quiet{riverpgxv5.New(db.Pool)}, &river.Config{
		ID:                   id,
		Logger:               options.Log,
		Workers:              workers,
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: options.Concurrency}, prompt: {MaxWorkers: promptPlaces, FetchPollInterval: 4 * options.Poll}},
		PollOnly:             true,
		FetchPollInterval:    options.Poll,
		FetchCooldown:        min(options.Poll, 20*time.Millisecond),
		JobTimeout:           options.Timeout,
		RetryPolicy:          backoff{},
		SoftStopTimeout:      options.Grace,
		RescueStuckJobsAfter: options.Timeout + time.Minute, // for a worker whose machine vanished with its connection open
	})
	if err != nil {
		return nil, core.Invalid("worker", "the worker cannot be set up").Because(err)
	}
	return &Worker{db: db, client: client, id: id, options: options}, nil
}

// Run works jobs until ctx ends, then takes no more, lets those that run finish within the grace,
// and returns nil. It returns an error only if it could not begin. A database that goes away and
// comes back is borne. It runs once.
func (w *Worker) Run(ctx context.Context) error {
	presence := presence{db: w.db, id: w.id, every: w.options.Rescue, log: w.options.Log}
	if err := presence.begin(ctx); err != nil {
		return err
	}
	defer presence.end()
	if err := w.client.Start(ctx); err != nil {
		return postgres.Classify(err)
	}
	// The presence outlives ctx: jobs may run until the grace is over.
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		presence.keep(alive)
	}()
	<-w.client.Stopped()
	stop()
	<-done
	return nil
}
