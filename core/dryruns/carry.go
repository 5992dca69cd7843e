package dryruns

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/rotation"
	"postern/core/seal"
)

// longest is how long one may take before another worker takes its place.
const longest = 6 * time.Minute

const selectLocked = selectOne + ` for no key update`

// The account that was tried before is tried again: what is typed as its new password is stored already.
const selectAccount = `
select a.id from accounts a
where a.workspace_id = @workspace and a.app_id = @app and a.state = 'validated'
	and not exists (select from rotations r where r.workspace_id = a.workspace_id and r.account_id = a.id and r.finished is null)
order by (a.id is not distinct from @before) desc, a.validated desc, a.id limit 1
for no key update of a skip locked`

const updateBegun = `
update dry_runs set running = @until, account_id = @account, version = @version, started = @now where workspace_id = @workspace and app_id = @app`

const updateEnded = `
update dry_runs set running = null, result = @result, outcome = @outcome, stage = @stage, detail = @detail, finished = @now, due = least(due, @again),
	model = @model, known = case when @result = 'passed' then @model else known end,
	failing_since = case @result when 'passed' then null when 'failed' then coalesce(failing_since, @now) else failing_since end
where workspace_id = @workspace and app_id = @app`

// begun is what one is made of.
type begun struct {
	was      DryRun
	app      accounts.App
	account  accounts.Account
	current  int
	typed    int
	attempt  core.ID
	answered bool // there is nothing to try
}

func (d *DryRuns) carry(ctx context.Context, of job) error {
	var one begun
	err := d.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		one, err = d.begin(ctx, tx, of)
		return err
	})
	switch {
	case errors.Is(err, errTaken):
		return jobs.Snooze(20 * time.Second)
	case err != nil || one.answered:
		return err
	}
	report, reached, err := d.Rotations.Rehearse(ctx, one.account, one.current, one.typed)
	if err != nil {
		return err
	}
	err = d.DB.Tx(context.WithoutCancel(ctx), func(tx pgx.Tx) error { return d.end(ctx, tx, one, report, reached) })
	if err == nil && d.Wake != nil {
		d.Wake()
	}
	return err
}

// begin takes an account, its next sign-in and what is typed as its new password.
func (d *DryRuns) begin(ctx context.Context, tx pgx.Tx, of job) (one begun, err error) {
	args := pgx.StrictNamedArgs{"workspace": of.Workspace, "app": of.App}
	if one.was, err = postgres.One[DryRun](ctx, tx, "dry run of this app", selectLocked, args); err != nil {
		return one, err
	}
	now := d.now()
	if one.was.Running != nil && one.was.Running.After(now) {
		return one, errTaken
	}
	if !one.was.Open() {
		one.answered = true // by an earlier job
		return one, nil
	}
	if one.app, err = d.Accounts.App(ctx, tx, of.Workspace, of.App); err != nil {
		return one, err
	}
	var account core.ID
	err = tx.QueryRow(ctx, selectAccount, pgx.StrictNamedArgs{"workspace": of.Workspace, "app": of.App, "before": one.was.Account}).Scan(&account)
	if errors.Is(err, pgx.ErrNoRows) {
		one.answered = true
		return one, d.write(ctx, tx, one, rotation.Report{Detail: "No account of the app has a password that a sign-in has proved, and no rotation under way."}, NoAccount, nil)
	} else if err != nil {
		return one, postgres.Classify(err)
	}
	if one.account, err = d.Accounts.Hold(ctx, tx, of.Workspace, account); err != nil {
		return one, err
	}
	versions, err := d.Accounts.Versions(ctx, tx, of.Workspace, account)
	if err != nil {
		return one, err
	}
	current := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Label == accounts.LabelCurrent })
	if current < 0 {
		return one, core.Internal(errors.New("dryruns: the account has no current password"))
	}
	one.current = versions[current].Version
	var free time.Time
	if one.attempt, free, err = d.Rotations.Reserve(ctx, tx, of.Workspace, account); err != nil {
		return one, err
	}
	if !free.IsZero() {
		one.answered = true
		return one, d.write(ctx, tx, one, rotation.Report{Detail: "Another failed sign-in might lock the account. It is tried again later."}, PutOff, &free)
	}
	if one.typed = typed(one.was, account, versions); one.typed == 0 {
		if one.typed, err = d.Accounts.AddCandidate(ctx, tx, of.Workspace, account, seal.GeneratePassword(seal.PasswordPolicy{})); err != nil {
			return one, err
		}
	}
	_, err = tx.Exec(ctx, updateBegun, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "app": of.App, "now": now, "until": now.Add(longest), "account": account, "version": one.typed,
	})
	return one, postgres.Classify(err)
}

// typed is the version that was typed the last time, if it can be typed again: a night must not add to the history.
func typed(was DryRun, account core.ID, versions []accounts.Version) int {
	if was.Account == nil || *was.Account != account || was.Version == nil {
		return 0
	}
	at := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Version == *was.Version })
	if at < 0 || versions[at].Proven != nil || versions[at].Label == accounts.LabelCurrent || versions[at].Label == accounts.LabelPrevious {
		return 0
	}
	return *was.Version
}

// end keeps what a dry run saw.
func (d *DryRuns) end(ctx context.Context, tx pgx.Tx, one begun, report rotation.Report, reached bool) error {
	ctx = context.WithoutCancel(ctx)
	outcome := report.Outcome
	if report.Stage == rotation.StageChangeForm || report.Stage == rotation.StageSubmit {
		outcome = rotation.Accepted // the app had let it in
	}
	if err := d.Rotations.Settle(ctx, tx, one.account.Workspace, one.account.ID, one.attempt, outcome); err != nil {
		return err
	}
	result := Failed
	if reached {
		result = Passed
		report.Detail = "The change was complete, and its request was dropped at the gate. Nothing was changed."
	} else if report.Outcome == rotation.Unknown && report.Stage == rotation.StageSubmit || report.Released {
		// The page may have gone round the gate. What it was given is stored: whichever password the app has is found out.
		if _, err := d.Rotations.Plan(ctx, tx, core.NewCause(core.System, d.now()), one.account.Workspace, one.account.ID, rotation.ReasonVerify, 0); err != nil && core.KindOf(err) != core.KindDenied {
			return err
		}
	}
	if err := d.tell(ctx, tx, one.was, one.app, report, result); err != nil {
		return err
	}
	return d.write(ctx, tx, one, report, result, nil)
}

func (d *DryRuns) write(ctx context.Context, tx pgx.Tx, one begun, report rotation.Report, result Result, again *time.Time) error {
	model := report.Model
	if !json.Valid(model) {
		model = nil
	}
	_, err := tx.Exec(ctx, updateEnded, pgx.StrictNamedArgs{
		"workspace": one.was.Workspace, "app": one.was.App, "now": d.now(), "again": again, "result": string(result), "outcome": string(report.Outcome),
		"stage": report.Stage, "detail": report.Detail, "model": model,
	})
	return postgres.Classify(err)
}
