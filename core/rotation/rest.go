package rotation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// How a rotation comes to rest: it waits by itself, waits for a person, or takes another turn.

// wait gives the lease back until a time. The event is told once per reason, not once per try.
func (a *attempt) wait(ctx context.Context, tx pgx.Tx, p *progress, state State, until time.Time, why string, kept any) error {
	told := p.Delay == why
	if err := p.step(ctx, tx, a.now(), state, why, kept); err != nil {
		return err
	}
	p.NextAttempt, p.LeaseUntil, p.Delay = &until, nil, why
	if told {
		return nil
	}
	return p.tell(ctx, tx, core.NewEvent(core.RotationDelayed, p.Workspace, p.Cause, a.now(), p.targets(a.account)...).
		Failed(why).With("until", until.Format(time.RFC3339)))
}

// retry waits a while that doubles with every try, without end.
func (a *attempt) retry(ctx context.Context, tx pgx.Tx, p *progress, state State, why string, kept any) error {
	p.Attempts++
	return a.wait(ctx, tx, p, state, a.now().Add(a.options.retry(p.Attempts)), why, kept)
}

// retryFew is retry for what will hardly pass by itself: after a few tries a person is asked.
func (a *attempt) retryFew(ctx context.Context, tx pgx.Tx, p *progress, state State, why string, kept any) error {
	if p.Attempts+1 >= a.options.Tries {
		return a.block(ctx, tx, p, why, kept)
	}
	return a.retry(ctx, tx, p, state, why, kept)
}

// block gives the lease back until somebody plans again, and marks what the account's holders
// should know meanwhile.
func (a *attempt) block(ctx context.Context, tx pgx.Tx, p *progress, why string, kept any) error {
	finding := accounts.Finding("")
	switch {
	case p.Pass != passNone:
		finding = accounts.SignInDoubted
	case p.NewAccepted == nil && p.Reason.weight() >= ReasonLogout.weight():
		finding = accounts.LeaverKnows
	}
	return a.blockAs(ctx, tx, p, finding, why, kept)
}

// blockAs is block with what was found out about the account given; nothing leaves it as it is.
func (a *attempt) blockAs(ctx context.Context, tx pgx.Tx, p *progress, finding accounts.Finding, why string, kept any) error {
	if finding != "" {
		if err := a.learn(ctx, tx, p, finding, why); err != nil {
			return err
		}
	}
	if err := p.step(ctx, tx, a.now(), StateBlocked, why, kept); err != nil {
		return err
	}
	p.NextAttempt, p.LeaseUntil = nil, nil
	return p.tell(ctx, tx, core.NewEvent(core.RotationBlocked, p.Workspace, p.Cause, a.now(), p.targets(a.account)...).Failed(why))
}

// learn records what was found out about the account.
func (a *attempt) learn(ctx context.Context, tx pgx.Tx, p *progress, finding accounts.Finding, why string) error {
	_, err := a.Accounts.Learn(ctx, tx, p.Cause, p.Workspace, p.Account, finding, why)
	return err
}

// hindered deals with a sign-in or change that ended before it could tell anything: the app is
// down, or something stands in the way.
func (a *attempt) hindered(ctx context.Context, tx pgx.Tx, p *progress, state State, report Report, kept evidence) error {
	switch report.Outcome {
	case Unreachable, TimedOut:
		return a.retry(ctx, tx, p, state, words(report), kept)
	case Locked, Disabled:
		finding, _ := report.Outcome.Finding()
		return a.blockAs(ctx, tx, p, finding, words(report), kept)
	case FormNotFound, Challenge, MustChange:
		return a.block(ctx, tx, p, words(report), kept)
	}
	return a.retryFew(ctx, tx, p, state, words(report), kept)
}
