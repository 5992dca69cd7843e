package rotation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// A trial is one fresh sign-in outside of a rotation, out of the same budget: Reserve, Try, Settle.

// Reserve takes one sign-in out of a locked account's budget before it is made, so that a worker that dies in the
// middle of it does not make it again for nothing. If the budget is spent, free is when there will be room.
func (r *Rotations) Reserve(ctx context.Context, tx pgx.Tx, workspace, account core.ID) (attempt core.ID, free time.Time, err error) {
	attempt, free, err = reserve(ctx, tx, tx, workspace, account, r.now(), r.Options.withDefaults())
	return attempt, free, postgres.Classify(err)
}

// Trial is what a trial saw.
type Trial struct {
	Report
	Changes bool // what talks to the app can change passwords too
}

// TrialTimeout bounds Try for an account: a wait for a one-time code is part of it where codes are made or sent.
func (r *Rotations) TrialTimeout(ctx context.Context, q postgres.Querier, workspace, account core.ID) (time.Duration, error) {
	bare := r.Options.withDefaults().SignInTimeout
	switch _, err := r.Accounts.TOTP(ctx, q, workspace, account); {
	case err == nil:
		return bare + accounts.MaxTOTPPeriod, nil
	case core.KindOf(err) != core.KindNotFound:
		return 0, err
	case r.Inbox != nil:
		if codes, err := r.Inbox.Codes(ctx, q, workspace, account); err != nil || codes != nil {
			return bare + accounts.MaxTOTPPeriod, err
		}
	}
	return bare, nil
}

// Settled is how long an app is left alone before a refusal is made sure of.
func (r *Rotations) Settled() time.Duration { return r.Options.withDefaults().Settle }

// Try signs in once, afresh, with a version of an account's password. The report is fit to be stored.
func (r *Rotations) Try(ctx context.Context, account accounts.Account, version int) (Trial, error) {
	app, err := r.Accounts.App(ctx, r.DB, account.Workspace, account.App)
	if err != nil {
		return Trial{}, err
	}
	started := r.now()
	connector, known := r.Connectors[app.Connector]
	if !known {
		return Trial{Report: Report{
			Outcome: NotSent, Started: started, Finished: started,
			Detail: "There is no connector named " + app.Connector + ". Choose another for the app.",
		}}, nil
	}
	changes := slices.Contains(Capabilities(connector, app.Settings), CanChange)
	given, err := r.credential(ctx, account, version)
	if err != nil {
		return Trial{}, err
	}
	trying, stop := context.WithTimeout(ctx, patience(r.Options.withDefaults().SignInTimeout, given))
	report := connector.Verify(trying, r.targetOf(account, app), given)
	stop()
	if ctx.Err() != nil && report.Outcome != Accepted && report.Outcome != Rejected {
		return Trial{}, ctx.Err() // broken off: it says nothing about the app
	}
	report = cleaned(report, started, r.now(), given.Password)
	r.meter().Tried(app.Connector, false, report.Outcome)
	report.Detail = words(report)
	return Trial{report, changes}, nil
}

// errRehearsal ends a change at the gate.
var errRehearsal = errors.New("rotation: a rehearsal ends at the gate")

// Rehearse goes the way of a change with a stored version as the new password, up to its request, which is dropped:
// reached says that there was one. The report is fit to be stored.
func (r *Rotations) Rehearse(ctx context.Context, account accounts.Account, version, next int) (report Report, reached bool, err error) {
	app, err := r.Accounts.App(ctx, r.DB, account.Workspace, account.App)
	if err != nil {
		return Report{}, false, err
	}
	started := r.now()
	changer, ok := r.Connectors[app.Connector].(Changer)
	if !ok || !slices.Contains(Capabilities(changer, app.Settings), CanChange) {
		return Report{
			Outcome: NotSent, Stage: StageNavigate, Started: started, Finished: started,
			Detail: "What talks to the app by " + app.Connector + " cannot change passwords.",
		}, false, nil
	}
	current, err := r.credential(ctx, account, version)
	if err != nil {
		return Report{}, false, err
	}
	typed, err := r.credential(ctx, account, next)
	if err != nil {
		return Report{}, false, err
	}
	trying, stop := context.WithTimeout(ctx, patience(r.Options.withDefaults().ChangeTimeout, current))
	report = changer.Change(trying, r.targetOf(account, app), current, typed.Password, func(context.Context) error {
		reached = true
		return errRehearsal
	})
	stop()
	if ctx.Err() != nil && !reached && report.Outcome != Unknown {
		return Report{}, false, ctx.Err() // broken off: it says nothing about the app
	}
	report = cleaned(report, started, r.now(), current.Password, typed.Password)
	r.meter().Tried(app.Connector, false, report.Outcome)
	reached = reached && report.Outcome == NotSent && !report.Released
	report.Detail = words(report)
	return report, reached, nil
}

// Settle records how a reserved sign-in ended. One that may have counted at the app stays counted.
func (r *Rotations) Settle(ctx context.Context, tx pgx.Tx, workspace, account, attempt core.ID, outcome Outcome) error {
	return postgres.Classify(settle(ctx, tx, workspace, account, attempt, outcome, r.now()))
}

const selectWaits = `
select next_attempt is null from rotations where workspace_id = @workspace and account_id = @account and finished is null`

// Standing says whether an account has an open rotation, and whether that waits for a person. A locked
// account's does not begin meanwhile.
func (r *Rotations) Standing(ctx context.Context, q postgres.Querier, workspace, account core.ID) (open, blocked bool, err error) {
	err = q.QueryRow(ctx, selectWaits, pgx.StrictNamedArgs{"workspace": workspace, "account": account}).Scan(&blocked)
	if noRows(err) {
		return false, false, nil
	}
	return err == nil, blocked, postgres.Classify(err)
}
