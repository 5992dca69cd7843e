package jobs

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"postern/core"
	"postern/core/postgres"
)

// Job is one unit of work: its arguments, as JSON. They are ids and numbers, never a secret.
type Job interface {
	// Kind names the handler, such as "rotation.step".
	Kind() string
}

// Lateness is how long after its RunAt a job may begin: River looks for those that are due that often. A job that snoozes for
// less is back to the instant.
const Lateness = 5 * time.Second

// Options say when a job runs. The zero value is: now, in the order of arrival, after all others.
type Options struct {
	// Priority is 1 (before all others) to 4. Zero is 4.
	Priority int
	// RunAt is the earliest time; the job begins at most Lateness after it, if there is a place. Zero is now.
	RunAt time.Time
	// Prompt has it run beside all others, in places of their own: for what somebody waits for and takes moments.
	Prompt bool
}

// prompt is the queue of prompt jobs.
const prompt = "prompt"

// Queue adds jobs. It is safe for concurrent use and works none itself.
type Queue struct {
	client *river.Client[pgx.Tx]
}

// NewQueue returns the queue of a database that Migrate has run on. log may be nil.
func NewQueue(db *postgres.DB, log *slog.Logger) (*Queue, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client, err := river.NewClient(quiet{riverpgxv5.New(db.Pool)}, &river.Config{Logger: log})
	if err != nil {
		return nil, core.Internal(err)
	}
	return &Queue{client: client}, nil
}

// Add queues a job; it exists once tx has committed.
func (q *Queue) Add(ctx context.Context, tx pgx.Tx, job Job, options Options) error {
	_, err := q.client.InsertTx(ctx, tx, job, options.insert())
	return postgres.Classify(err)
}

// Entry is a job to add, and when it runs.
type Entry struct {
	Job     Job
	Options Options
}

// QueueMany is Add of many jobs as part of what a transaction sends to the database next. No jobs is
// no work.
func (q *Queue) QueueMany(ctx context.Context, batch *pgx.Batch, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(entries))
	for i, entry := range entries {
		params[i] = river.InsertManyParams{Args: entry.Job, InsertOpts: entry.Options.insert()}
	}
	// River writes what it wants copied; see postgres.Queueing.
	_, err := q.client.InsertManyFastTx(ctx, postgres.Queueing(batch), params)
	return postgres.Classify(err)
}

// insert is the options as River takes them.
func (o Options) insert() *river.InsertOpts {
	insert := &river.InsertOpts{
		// Which errors end a job is told by their kind, not by their number.
		MaxAttempts: math.MaxInt16,
		Priority:    4,
		ScheduledAt: o.RunAt,
	}
	if o.Priority != 0 {
		insert.Priority = o.Priority
	}
	if o.Prompt {
		insert.Queue = prompt
	}
	return insert
}

// quiet is a driver that inserts without NOTIFY; see the package comment.
type quiet struct{ *riverpgxv5.Driver }

func (quiet) SupportsListener() bool     { return false }
func (quiet) SupportsListenNotify() bool { return false }

// lockMigrate keeps two processes that start together from migrating at once. It stands next to
// the locks of postgres.Migrate (…01) and of the leaders in core/audit (…02 and …03), which are held
// for as long as a process runs: sharing one of theirs would have a migration wait for the end of it.
const lockMigrate = 0x706f7374_00000004

// Migrate brings River's tables up to date. It runs after postgres.Migrate and may run often.
func Migrate(ctx context.Context, db *postgres.DB) error {
	connection, err := db.Acquire(ctx)
	if err != nil {
		return postgres.Classify(err)
	}
	defer connection.Release()
	if _, err := connection.Exec(ctx, `select pg_advisory_lock($1)`, int64(lockMigrate)); err != nil {
		return postgres.Classify(err)
	}
	defer func() {
		_, _ = connection.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, int64(lockMigrate))
	}()
	migrator, err := rivermigrate.New(riverpgxv5.New(db.Pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return core.Internal(err)
	}
	if _, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return postgres.Classify(err)
	}
	_, err = connection.Exec(ctx, dropUnused)
	return postgres.Classify(err)
}

// River indexes its jobs for pages we do not have; every job would pay for them twice a step.
const dropUnused = `drop index if exists river_job_args_index, river_job_metadata_index, river_job_kind`
