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

// The rung below an administrator: the app mails a link to whoever forgot the password, and the account's address is ours.

// mailTries is how often an app is asked for a mail before a person is: another one in every mailbox helps nobody.
const mailTries = 2

// Mailed reports whether an account's password can be set by way of the app's forgotten-password mail.
func (r *Rotations) Mailed(ctx context.Context, q postgres.Querier, account accounts.Account, app accounts.App) (bool, error) {
	connector := r.Connectors[app.Connector]
	if r.Inbox == nil || !slices.Contains(Capabilities(connector, app.Settings), CanRecover) {
		return false, nil
	}
	address, _, err := r.Inbox.Links(ctx, q, account.Workspace, account.ID)
	return address != "", err
}

// remail hands a rotation over to the app's forgotten-password mail. handed is false if there can be none.
func (a *attempt) remail(ctx context.Context, tx pgx.Tx, p *progress, why string, kept any) (handed bool, err error) {
	if can, err := a.Mailed(ctx, tx, a.account, a.app); !can || err != nil {
		return false, err
	}
	why += " The app is asked for its forgotten-password mail."
	p.Administrator, p.Mailed, p.Pass, p.Attempts = core.ID{}, true, passNone, 0
	if err := p.step(ctx, tx, a.now(), StateReconciling, why, kept); err != nil {
		return true, err
	}
	return true, p.tell(ctx, tx, core.NewEvent(core.RotationReconciling, p.Workspace, p.Cause, a.now(), p.targets(a.account)...).
		Because(why).With("mailed", "true"))
}

// recover has the connector ask the app for a mail, and for the candidate behind its link. What holds of reset holds here:
// the request leaves only after Submitted has committed under this worker's fence, and only sign-ins tell what came of it.
func (a *attempt) recover(ctx context.Context) error {
	recoverer, can := a.connector.(Recoverer)
	var forgotten Forgotten
	if can && a.Inbox != nil && slices.Contains(Capabilities(a.connector, a.app.Settings), CanRecover) {
		// What comes from here on is meant for this attempt.
		var err error
		if forgotten.Address, forgotten.Link, err = a.Inbox.Links(ctx, a.DB, a.account.Workspace, a.account.ID); err != nil {
			return err
		}
	}
	if forgotten.Address == "" {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			now := a.now()
			p.Mailed, p.Pass, p.Probed = false, passLast, &now
			return p.step(ctx, tx, now, StateProbing, "The app can mail nothing to this account any more.", nil)
		})
	}
	forgotten.Username = a.account.Username
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	old, err := a.current(versions)
	if err != nil {
		return err
	}
	if old.Version == a.progress.Candidate {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			p.Candidate, p.Submitted, p.Answer = 0, nil, ""
			return p.step(ctx, tx, a.now(), StateReconciling, "", nil)
		})
	}
	err = a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		now := a.now()
		if p.State == StateArmed && p.Submitted == nil {
			p.Submitted = &now // as in change: whoever went there before was never heard of again
		}
		p.Previous = old.Version
		return p.step(ctx, tx, now, StateArmed, "The app is asked to mail a link to "+forgotten.Address+".", nil)
	})
	if err != nil || a.ended {
		return err
	}
	next, err := a.credential(ctx, a.progress.Candidate)
	if err != nil {
		return err
	}

	started := a.now()
	gate := gate{attempt: a}
	trying, stop := context.WithTimeout(ctx, a.options.ChangeTimeout+accounts.MaxTOTPPeriod+time.Minute)
	report := recoverer.Recover(trying, a.target(), forgotten, next.Password, gate.release)
	stop()
	report = cleaned(report, started, a.now(), next.Password)
	gate.told(report)
	broken := ctx.Err() != nil
	if gate.opened {
		report.Released = true
	}
	if errors.Is(gate.err, errFenced) {
		return errFenced
	}
	news, impossible, err := a.heed(ctx, report)
	if err != nil {
		return err
	}
	kept := a.evidence(report, a.progress.Candidate)
	return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.met(report)
		if report.Outcome == Refused {
			p.refused(report, news)
		}
		switch {
		case report.Released, report.Outcome == Applied, p.Pass != passNone, report.Outcome == Unknown && report.Stage == StageSubmit:
			return a.sent(ctx, tx, p, report, kept)
		case report.Outcome == Refused && impossible != "":
			p.Candidate, p.Submitted, p.Answer = 0, nil, ""
			return a.block(ctx, tx, p, impossible, kept)
		case report.Outcome == Refused:
			return a.another(ctx, tx, p, words(report), kept)
		case report.Outcome == Rejected:
			return a.blockAs(ctx, tx, p, accounts.NoneAccepted, "The app mails nothing to an account named "+a.account.Username+". "+report.Detail, kept)
		case broken:
			return p.step(ctx, tx, a.now(), StateReconciling, "", kept)
		case report.Outcome == NoMessage && p.Attempts+1 < mailTries:
			p.Attempts++
			return a.wait(ctx, tx, p, StateReconciling, a.now().Add(a.options.Quiet), words(report), kept)
		case report.Outcome == NoMessage:
			return a.blockAs(ctx, tx, p, accounts.NoneAccepted, words(report), kept)
		}
		return a.hindered(ctx, tx, p, StateReconciling, report, kept)
	})
}
