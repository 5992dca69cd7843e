package dryruns

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
)

// DryRuns makes dry runs and tells of them. It is safe for concurrent use, in many processes.
type DryRuns struct {
	DB        *postgres.DB
	Accounts  *accounts.Accounts
	Rotations *rotation.Rotations // whose connectors, budget and timeouts dry runs use
	Queue     *jobs.Queue
	Now       func() time.Time // nil: time.Now
	Wake      func()           // called after a commit with events, if set
	Log       *slog.Logger     // nil: nothing is logged. Only Run does
}

func (d *DryRuns) now() time.Time { return postgres.Now(d.Now) }

// Result is what came of a dry run.
type Result string

// The results. Empty: none was made yet.
const (
	Passed    Result = "passed"     // the change was complete and held at the gate
	Failed    Result = "failed"     // it never came to that
	NoAccount Result = "no_account" // no account of the app has a password that is proved
	PutOff    Result = "put_off"    // a sign-in more might lock the account
)

// DryRun is what is known of an app's.
type DryRun struct {
	Workspace    core.ID          `db:"workspace_id"`
	App          core.ID          `db:"app_id"`
	Due          *time.Time       `db:"due"`     // of the next; nil: only when asked for
	Asked        time.Time        `db:"asked"`   // the last time one was begun, or wished for
	Running      *time.Time       `db:"running"` // until when one is under way at most
	Account      *core.ID         `db:"account_id"`
	Version      *int             `db:"version"` // of what was typed as its new password
	Result       Result           `db:"result"`
	Outcome      rotation.Outcome `db:"outcome"` // of a passed one: not_sent
	Stage        string           `db:"stage"`
	Detail       string           `db:"detail"` // for a person
	Started      *time.Time       `db:"started"`
	Finished     *time.Time       `db:"finished"`
	Model        json.RawMessage  `db:"model"` // of the pages, without values; of a failed one with the difference
	Known        json.RawMessage  `db:"known"` // of the last one that passed
	FailingSince *time.Time       `db:"failing_since"`
}

// Open reports whether one was asked for that has not ended.
func (d DryRun) Open() bool { return d.Finished == nil || !d.Finished.After(d.Asked) }

const columns = `workspace_id, app_id, due, asked, running, account_id, version, result, outcome, stage, detail, started, finished, model, known, failing_since`

const selectOne = `select ` + columns + ` from dry_runs where workspace_id = @workspace and app_id = @app`

// Of is an app's dry run. NotFound until one was asked for.
func (d *DryRuns) Of(ctx context.Context, q postgres.Querier, workspace, app core.ID) (DryRun, error) {
	return postgres.One[DryRun](ctx, q, "dry run of this app", selectOne, pgx.StrictNamedArgs{"workspace": workspace, "app": app})
}

// Known is the Model of the last dry run of an app that passed, and empty if there was none: rotation.Rotations.Rehearsed.
func (d *DryRuns) Known(ctx context.Context, q postgres.Querier, workspace, app core.ID) (json.RawMessage, error) {
	found, err := d.Of(ctx, q, workspace, app)
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil
	}
	return found.Known, err
}

type job struct {
	Workspace core.ID `json:"workspace"`
	App       core.ID `json:"app"`
}

// Kind implements jobs.Job.
func (job) Kind() string { return "dry_run" }

const upsert = `
insert into dry_runs (workspace_id, app_id, asked) values (@workspace, @app, @now)
on conflict (workspace_id, app_id) do update set asked = @now
returning ` + columns

// Ask has one made soon. Administrators, service accounts and the system may.
func (d *DryRuns) Ask(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, app core.ID) (DryRun, error) {
	if err := d.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return DryRun{}, err
	}
	if _, err := d.Accounts.App(ctx, tx, workspace, app); err != nil {
		return DryRun{}, err
	}
	made, err := postgres.One[DryRun](ctx, tx, "dry run of this app", upsert, pgx.StrictNamedArgs{"workspace": workspace, "app": app, "now": d.now()})
	if err != nil {
		return DryRun{}, err
	}
	return made, d.Queue.Add(ctx, tx, job{workspace, app}, jobs.Options{Priority: 2})
}

// Register makes this the handler of the dry runs' jobs.
func (d *DryRuns) Register(handlers *jobs.Handlers) {
	jobs.Handle(handlers, func(ctx context.Context, one job, _ int) error { return d.carry(ctx, one) })
}

const (
	lookEvery = 30 * time.Second
	// A night's runs are spread, so that apps and workers do not meet them all at once.
	every  = 22 * time.Hour
	spread = 4 * time.Hour
)

// Run begins what is due, until ctx ends. It may run in many processes.
func (d *DryRuns) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if _, err := d.Tick(ctx); err != nil && ctx.Err() == nil && d.Log != nil {
			d.Log.WarnContext(ctx, "what is due for a dry run could not be looked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// An app that has a recipe is tried from now on, unless somebody just asked for that; one that has none any more is not, and fails no longer.
const follow = `
with wanted as (
	select workspace_id, id from apps where connector = 'browser' and settings ? 'recipe'
), gone as (
	update dry_runs d set due = null, failing_since = null where due is not null
		and not exists (select from wanted w where w.workspace_id = d.workspace_id and w.id = d.app_id)
)
insert into dry_runs (workspace_id, app_id, asked, due)
select w.workspace_id, w.id, @now, @now from wanted w
on conflict (workspace_id, app_id) do update set due = greatest(@now, dry_runs.asked + @every::interval) where dry_runs.due is null`

const lockDue = `select ` + columns + ` from dry_runs where due <= @now order by due limit 1 for no key update skip locked`

const postpone = `update dry_runs set due = @due, asked = @now where workspace_id = @workspace and app_id = @app`

// Tick begins the dry runs that are due, of all workspaces, and returns how many.
func (d *DryRuns) Tick(ctx context.Context) (int, error) {
	if _, err := d.DB.Exec(ctx, follow, pgx.StrictNamedArgs{"now": d.now(), "every": every}); err != nil {
		return 0, postgres.Classify(err)
	}
	for began := 0; ; began++ {
		found := false
		err := d.DB.Tx(ctx, func(tx pgx.Tx) error {
			now := d.now()
			due, err := postgres.One[DryRun](ctx, tx, "dry run", lockDue, pgx.StrictNamedArgs{"now": now})
			if core.KindOf(err) == core.KindNotFound {
				return nil
			} else if err != nil {
				return err
			}
			found = true
			if _, err := tx.Exec(ctx, postpone, pgx.StrictNamedArgs{
				"workspace": due.Workspace, "app": due.App, "now": now, "due": now.Add(every + rand.N(spread)),
			}); err != nil {
				return postgres.Classify(err)
			}
			return d.Queue.Add(ctx, tx, job{due.Workspace, due.App}, jobs.Options{Priority: 4})
		})
		if err != nil || !found {
			return began, err
		}
	}
}

// tell appends the event of a failure that is new, or of its end.
func (d *DryRuns) tell(ctx context.Context, tx pgx.Tx, was DryRun, app accounts.App, report rotation.Report, result Result) error {
	cause := core.NewCause(core.System, d.now())
	switch {
	case result == Failed && was.FailingSince == nil:
		return audit.Append(ctx, tx, core.NewEvent(core.AppDryRunFailed, app.Workspace, cause, d.now(), app.Target()).Failed(report.Detail).
			With("outcome", string(report.Outcome)).With("stage", report.Stage))
	case result == Passed && was.FailingSince != nil:
		return audit.Append(ctx, tx, core.NewEvent(core.AppDryRunRecovered, app.Workspace, cause, d.now(), app.Target()))
	}
	return nil
}

var errTaken = errors.New("dryruns: another worker makes it")
