package rotation

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// proveOld has the app refuse the old password, right after it accepted the new one. This sign-in
// is meant to fail, so it comes last and only then.
func (a *attempt) proveOld(ctx context.Context) error {
	if a.now().Sub(*a.progress.NewAccepted) > a.options.ProofAge {
		return a.proveNew(ctx)
	}
	old := a.progress.Previous
	return a.signIn(ctx, StateNewProven, old, func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
		switch report.Outcome {
		case Rejected:
			if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, old, report.Finished); err != nil {
				return err
			}
			p.OldRefused, p.Attempts = &report.Finished, 0
			return p.step(ctx, tx, a.now(), StateOldDead, "The app refused the old password.", kept)
		case Accepted, MustChange:
			const why = "The app still accepts the old password beside the new one."
			if p.Attempts+1 >= a.options.Tries {
				return a.blockAs(ctx, tx, p, accounts.LeaverKnows, why+" End its sessions or clear its caches, then try again.", kept)
			}
			p.Attempts++
			wait := max(a.options.Settle, a.options.retry(p.Attempts))
			return a.wait(ctx, tx, p, StateNewProven, a.now().Add(wait), why, kept)
		}
		return a.hindered(ctx, tx, p, StateNewProven, report, kept)
	})
}

// proveNew repeats the acceptance of the new password when it has become too old to be a proof
// together with the refusal of the old one.
func (a *attempt) proveNew(ctx context.Context) error {
	candidate := a.progress.Candidate
	return a.signIn(ctx, StateNewProven, candidate, func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
		switch report.Outcome {
		case Accepted:
			p.NewAccepted = &report.Finished
			if err := a.Accounts.MarkProven(ctx, tx, p.Workspace, p.Account, candidate, report.Finished); err != nil {
				return err
			}
			return p.step(ctx, tx, a.now(), StateNewProven, "The app accepted the new password again.", kept)
		case Rejected:
			// Somebody changed it, or the app went back to an older state of its own.
			p.NewAccepted, p.Pass, p.Probed = nil, passFirst, &report.Started
			if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, candidate, report.Finished); err != nil {
				return err
			}
			return p.step(ctx, tx, a.now(), StateProbing, "The app refused the new password it had accepted before.", kept)
		}
		return a.hindered(ctx, tx, p, StateNewProven, report, kept)
	})
}

// finish has the sessions opened before ended, where somebody can, writes the receipt, and plans the rotation that was asked for too late to be this one.
func (a *attempt) finish(ctx context.Context) error {
	sessions, err := a.endSessions(ctx)
	if err != nil {
		return err
	}
	return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		switch {
		case sessions.failed:
			return a.retry(ctx, tx, p, StateOldDead, sessions.why, *sessions.kept)
		case !sessions.again.IsZero():
			return a.wait(ctx, tx, p, StateOldDead, sessions.again, sessions.why, nil)
		}
		now := a.now()
		if p.Follow != nil {
			p.later = nil // what follows reads what is written here
		}
		if err := a.learn(ctx, tx, p, accounts.Replaced, "The app accepted the new password."); err != nil {
			return err
		}
		receipt := &Receipt{
			Account: p.Account, Rotation: p.ID, Correlation: p.Cause.Correlation, Reason: p.Reason, Candidate: p.Candidate,
			NewAccepted: *p.NewAccepted, OldRefused: *p.OldRefused, Received: p.Cause.Received, LockedOut: *p.OldRefused,
			TimeToLockout: p.OldRefused.Sub(p.Cause.Received), Hosts: p.Hosts, Agent: p.Agent, Fence: p.Fence,
			Administrator: p.Administrator, Mailed: p.Mailed, SessionsEnded: sessions.at,
		}
		stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
		rotated := core.NewEvent(core.AccountPasswordRotated, p.Workspace, p.Cause, now, p.targets(a.account)...).
			With("version", strconv.Itoa(p.Candidate)).
			With("new_accepted", stamp(receipt.NewAccepted)).With("old_refused", stamp(receipt.OldRefused)).
			With("received", stamp(receipt.Received)).With("locked_out", stamp(receipt.LockedOut)).
			With("time_to_lockout_ms", strconv.FormatInt(receipt.TimeToLockout.Milliseconds(), 10)).
			With("hosts", strings.Join(p.Hosts, ",")).With("agent", p.Agent).With("fence", strconv.FormatInt(p.Fence, 10))
		if !p.Administrator.IsZero() {
			rotated = rotated.With("administrator", p.Administrator.String())
		}
		if p.Mailed {
			rotated = rotated.With("mailed", "true")
		}
		rotated, err := sessions.told(ctx, tx, p, now, rotated)
		if err != nil {
			return err
		}
		if err := p.tell(ctx, tx, rotated); err != nil {
			return err
		}
		receipt.EventIDs = p.Events
		p.Receipt = receipt
		if err := a.close(ctx, tx, p, fmt.Sprintf("Rotated to %s.", versionWords(p.Candidate))); err != nil {
			return err
		}
		if err := forget(ctx, tx, p, now.Add(-a.options.FailedWindow)); err != nil {
			return err
		}
		if p.Follow == nil {
			return nil
		}
		// The row must be finished before the account can have another.
		if err := p.save(ctx, tx, now); err != nil {
			return err
		}
		_, err = a.Plan(ctx, tx, p.Follow.Cause, p.Workspace, p.Account, p.Follow.Reason, p.Follow.Priority)
		return err
	})
}

// close ends a rotation.
func (a *attempt) close(ctx context.Context, tx pgx.Tx, p *progress, detail string) error {
	now := a.now()
	p.Finished, p.NextAttempt, p.LeaseUntil = &now, nil, nil
	return p.step(ctx, tx, now, StateDone, detail, nil)
}
