package rotation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// change has the connector ask the app for the candidate. The request leaves only after Submitted
// has committed under this worker's fence; from then on only probing tells what came of it.
func (a *attempt) change(ctx context.Context) error {
	changer, ok := a.connector.(Changer)
	ok = ok && slices.Contains(Capabilities(a.connector, a.app.Settings), CanChange)
	if !ok {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			if handed, err := a.reconcile(ctx, tx, p, "The connector "+a.app.Connector+" changes no passwords.", nil); handed {
				return err
			}
			return a.block(ctx, tx, p, "The connector "+a.app.Connector+" cannot change passwords. Change this one by hand and store it.", nil)
		})
	}
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	old, err := a.current(versions)
	if err != nil {
		return err
	}
	var attempt core.ID
	err = a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		reserved, free, err := reserve(ctx, tx, p.writes(tx), p.Workspace, p.Account, a.now(), a.options)
		if err != nil {
			return err
		}
		attempt = reserved
		if !free.IsZero() {
			return a.wait(ctx, tx, p, p.State, free, "Too many failed sign-ins would lock the account.", nil)
		}
		p.Previous = old.Version
		now := a.now()
		if p.State == StateArmed && p.Submitted == nil {
			// Whoever went there before was never heard of again. A page can send the password past the
			// gate: in doubt it did, so that the candidate is tried should the current one be refused.
			p.Submitted = &now
		}
		return p.step(ctx, tx, now, StateArmed, "", nil)
	})
	if err != nil || a.ended {
		return err
	}
	current, err := a.credential(ctx, old.Version)
	if err != nil {
		return err
	}
	next, err := a.credential(ctx, a.progress.Candidate)
	if err != nil {
		return err
	}

	started := a.now()
	gate := gate{attempt: a, reserved: attempt}
	trying, stop := context.WithTimeout(ctx, patience(a.options.ChangeTimeout, current))
	report := changer.Change(trying, a.target(), current, next.Password, gate.release)
	stop()
	report = cleaned(report, started, a.now(), current.Password, next.Password)
	gate.told(report)
	if errors.Is(gate.err, errFenced) {
		return errFenced
	}
	news, impossible, err := a.heed(ctx, report)
	if err != nil {
		return err
	}
	kept := a.evidence(report, old.Version)
	broken := ctx.Err() != nil // then the report says nothing about the app
	return a.record(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.met(report)
		if report.Outcome == Refused {
			p.refused(report, news)
		}
		if gate.opened || report.Released || report.Outcome == Applied || p.Pass != passNone {
			return a.sent(ctx, tx, p, report, kept)
		}
		if report.Outcome == Unknown && report.Stage == StageSubmit {
			// The form was reached and filled in, and what the page then sent passed no gate: in doubt it left.
			if err := withdraw(ctx, p.writes(tx), p.Workspace, p.Account, attempt); err != nil {
				return err
			}
			return a.sent(ctx, tx, p, report, kept)
		}
		if err := settle(ctx, p.writes(tx), p.Workspace, p.Account, attempt, report.Outcome, a.now()); err != nil {
			return err
		}
		if report.Stage == StageSubmit && p.Submitted == nil {
			p.Answer = report.Outcome
		}
		switch {
		case report.Outcome == Rejected:
			return a.turnedAway(ctx, tx, p, report, kept, old.Version, old.Proven != nil, started)
		case report.Outcome == Refused:
			// The page itself does not take it, and it was never sent: another one is made.
			p.Candidate, p.Submitted, p.Answer = 0, nil, ""
			if impossible != "" {
				return a.block(ctx, tx, p, impossible, kept)
			}
			return p.step(ctx, tx, a.now(), StateNotSent, words(report), kept)
		case broken:
			return p.step(ctx, tx, a.now(), StateNotSent, "", kept)
		case report.Outcome == MustChange:
			if handed, err := a.reconcile(ctx, tx, p, words(report), kept); handed {
				return err
			}
		}
		return a.hindered(ctx, tx, p, StateNotSent, report, kept)
	})
}

// gate is what a connector holds the change request at.
type gate struct {
	*attempt
	reserved core.ID // of the account's own sign-ins; zero: somebody else signed in
	called   bool
	opened   bool
	err      error
}

// told tells the meter what came of a change.
func (g *gate) told(report Report) {
	g.meter().Tried(g.app.Connector, true, report.Outcome)
	switch {
	case g.err != nil:
		g.meter().Shut(g.app.Connector, KeeperLease)
	case report.Outcome == NotSent && report.Stage == StageSubmit && !g.opened:
		g.meter().Shut(g.app.Connector, KeeperPage)
	}
}

// release commits that the request may leave, if this worker may still say so. Whatever fails, the
// request is dropped; if it failed after the commit, the row says more than happened, which is the
// safe side.
func (g *gate) release(ctx context.Context) error {
	if g.called {
		return errors.New("rotation: the gate opens once")
	}
	g.called = true
	if g.err = context.Cause(ctx); g.err != nil {
		return g.err
	}
	candidate := g.progress.Candidate
	g.err = g.commitNow(ctx, true, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		if p.Candidate != candidate {
			return errFenced
		}
		now := g.now()
		p.Submitted, p.Answer = &now, ""
		p.Pass, p.Probed = passFirst, &now
		if !g.reserved.IsZero() {
			p.Administrator, p.Mailed = core.ID{}, false // who asked for one meanwhile has the candidate sent by the account itself
			// The form is reached, so the app let the current password in.
			if err := withdraw(ctx, p.writes(tx), p.Workspace, p.Account, g.reserved); err != nil {
				return err
			}
		}
		return p.step(ctx, tx, now, StateSubmitted, "", nil)
	})
	g.opened = g.err == nil
	return g.err
}

// sent goes over to probing: a request left, or may have.
func (a *attempt) sent(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
	now := a.now()
	if p.Submitted == nil || p.Pass == passNone {
		p.Submitted, p.Pass, p.Probed = &now, passFirst, &now
	}
	p.Answer = report.Outcome
	return p.step(ctx, tx, now, StateProbing, "", kept)
}

// turnedAway deals with a current password that was refused at the sign-in before the change.
func (a *attempt) turnedAway(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence, version int, proven bool, started time.Time) error {
	if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, version, report.Finished); err != nil {
		return err
	}
	now := a.now()
	switch {
	case p.Submitted != nil:
		// The candidate was sent before: by now it may have been applied.
		p.Pass, p.Probed = passFirst, &started
		return p.step(ctx, tx, now, StateProbing, words(report), kept)
	case proven:
		// Apps turn away a right password now and then. One that worked before is tried once more.
		p.Pass, p.Probed = passLast, &now
	default:
		p.Pass, p.Probed = passLast, &started
	}
	if err := a.learn(ctx, tx, p, accounts.SignInDoubted, words(report)); err != nil {
		return err
	}
	return p.step(ctx, tx, now, StateProbing, words(report), kept)
}
