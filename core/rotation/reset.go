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

// The ladder's last rung before a person: an account of the app that the app names sets the others' passwords.

// PlanReset is Plan of a rotation whose password the app's reconcile account sets, for an account whose own password nobody
// knows. Without one the app's forgotten-password mail has it set, where the account has an address; without that, or of the
// reconcile account itself, it is a Conflict. An account that is closed for another reason than its
// password stays closed: that is Denied.
func (r *Rotations) PlanReset(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (Rotation, error) {
	found, err := r.Accounts.Account(ctx, tx, workspace, account)
	if err != nil {
		return Rotation{}, err
	}
	if closed := found.Closed(); closed != nil && found.State != accounts.Desynced {
		return Rotation{}, closed
	}
	app, err := r.Accounts.App(ctx, tx, workspace, found.App)
	switch {
	case err != nil:
		return Rotation{}, err
	case app.ReconcileAccount.IsZero(), app.ReconcileAccount == account:
		mailed, err := r.Mailed(ctx, tx, found, app)
		switch {
		case err != nil:
			return Rotation{}, err
		case mailed:
			return r.want(ctx, tx, found, wish{Reason: ReasonManual, Cause: cause, Priority: ReasonManual.priority(), Mailed: true})
		case app.ReconcileAccount == account:
			return Rotation{}, core.Conflict("", "this account sets the others' passwords, and nobody sets its own").WithCode("reconcile_account")
		}
		return Rotation{}, core.Conflict("", "the app names no account that sets the others' passwords, and this account has no address here that the app could mail to").WithCode("no_reconcile_account")
	}
	return r.want(ctx, tx, found, wish{
		Reason: ReasonManual, Cause: cause, Priority: ReasonManual.priority(), Administrator: app.ReconcileAccount,
	})
}

// resetter is what can set the account's password as an administrator, and who that is; ok is false if nobody can.
func (a *attempt) resetter() (resetter Resetter, admin core.ID, ok bool) {
	resetter, ok = a.connector.(Resetter)
	admin = a.app.ReconcileAccount
	return resetter, admin, ok && !admin.IsZero() && admin != a.account.ID &&
		slices.Contains(Capabilities(a.connector, a.app.Settings), CanReset)
}

// reconcile hands a rotation that can go on in no other way over to the app's administrator, or to the app's
// forgotten-password mail. handed is false if there is neither.
func (a *attempt) reconcile(ctx context.Context, tx pgx.Tx, p *progress, why string, kept any) (handed bool, err error) {
	_, admin, can := a.resetter()
	switch {
	case p.Reason == ReasonVerify:
		return false, nil
	case !can:
		return a.remail(ctx, tx, p, why, kept)
	}
	why += " The app's administrator sets another one."
	p.Administrator, p.Mailed, p.Pass, p.Attempts = admin, false, passNone, 0
	if err := p.step(ctx, tx, a.now(), StateReconciling, why, kept); err != nil {
		return true, err
	}
	return true, p.tell(ctx, tx, core.NewEvent(core.RotationReconciling, p.Workspace, p.Cause, a.now(), p.targets(a.account)...).
		Because(why).With("administrator", admin.String()))
}

// loan is the use of the administrator's account, or of whoever else signs in, for one sign-in.
type loan struct {
	account accounts.Account
	version int
	attempt core.ID // reserved of that account's budget
}

// borrow reserves one sign-in of the administrator's, in a transaction that locks no other account. If it cannot be had now,
// why says so, and until when to wait; without a time a person is needed.
func (a *attempt) borrow(ctx context.Context, admin core.ID) (lent loan, why string, until time.Time, err error) {
	ctx, stop := context.WithTimeout(ctx, commitTimeout)
	defer stop()
	err = a.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		lent, why, until = loan{}, "", time.Time{}
		if lent.account, err = a.Accounts.Hold(ctx, tx, a.progress.Workspace, admin); err != nil {
			return err
		}
		if why = unusable(lent.account); why != "" {
			return nil
		}
		soon := a.now().Add(a.options.FirstRetry)
		open, blocked, err := a.Standing(ctx, tx, a.progress.Workspace, admin)
		if err != nil {
			return err
		}
		if open && !blocked {
			why, until = "The password of "+lent.account.Username+", who signs in for this, is being rotated itself.", soon
			return nil
		}
		versions, err := a.Accounts.Versions(ctx, tx, a.progress.Workspace, admin)
		if err != nil {
			return err
		}
		current, err := a.current(versions)
		if err != nil {
			return err
		}
		lent.version = current.Version
		var free time.Time
		if lent.attempt, free, err = reserve(ctx, tx, tx, a.progress.Workspace, admin, a.now(), a.options); err != nil {
			return err
		}
		if free.After(soon) {
			free = soon // others use it at this moment, and give it back
		}
		if !free.IsZero() {
			why, until = "Too many sign-ins of "+lent.account.Username+" at a time would lock that account.", free
		}
		return nil
	})
	return lent, why, until, err
}

// unusable is why an administrator's account is not signed in with; empty if it is.
func unusable(admin accounts.Account) string {
	closed := admin.Closed()
	if closed == nil {
		return ""
	}
	return admin.Username + ", who signs in for this, cannot be used: " + closed.Message + "."
}

// giveBack records what the administrator's sign-in said of the administrator's own account.
func (a *attempt) giveBack(ctx context.Context, lent loan, report Report) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	workspace, admin := a.progress.Workspace, lent.account.ID
	return a.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := a.Accounts.Hold(ctx, tx, workspace, admin); err != nil {
			return err
		}
		outcome := report.Outcome
		switch {
		case report.Released, report.Stage == StageChangeForm, report.Stage == StageSubmit:
			outcome = Accepted
		case outcome == AdminRejected, outcome == AdminDenied:
			outcome = Rejected
		}
		if err := settle(ctx, tx, workspace, admin, lent.attempt, outcome, a.now()); err != nil {
			return err
		}
		switch {
		case outcome == Accepted:
			return a.Accounts.MarkProven(ctx, tx, workspace, admin, lent.version, report.Finished)
		case report.Outcome != AdminRejected:
			return nil
		}
		if err := a.Accounts.MarkRefused(ctx, tx, workspace, admin, lent.version, report.Finished); err != nil {
			return err
		}
		_, err := a.Accounts.Learn(ctx, tx, a.progress.Cause, workspace, admin, accounts.SignInRefused,
			"The app refused the stored password when something was to be done for "+a.account.Username+".")
		return err
	})
}

// reset has the connector ask the app for the candidate as the app's administrator. What holds of change holds here: the
// request leaves only after Submitted has committed under this worker's fence, and only sign-ins with the account tell what
// came of it. Of the account's own budget it takes nothing.
func (a *attempt) reset(ctx context.Context) error {
	resetter, admin, can := a.resetter()
	if !can {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			now := a.now()
			p.Administrator, p.Pass, p.Probed = core.ID{}, passLast, &now
			return p.step(ctx, tx, now, StateProbing, "Nobody sets passwords in this app any more.", nil)
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
	if old.Version == a.progress.Candidate {
		// The app had it and has not any more: somebody set another there. What is dead already proves nothing anew.
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			p.Candidate, p.Submitted, p.Answer = 0, nil, ""
			return p.step(ctx, tx, a.now(), StateReconciling, "", nil)
		})
	}
	lent, why, until, err := a.borrow(ctx, admin)
	if err != nil {
		return err
	}
	if why != "" {
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			if until.IsZero() {
				return a.block(ctx, tx, p, why, nil)
			}
			return a.wait(ctx, tx, p, StateReconciling, until, why, nil)
		})
	}
	err = a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		now := a.now()
		if p.State == StateArmed && p.Submitted == nil {
			p.Submitted = &now // as in change: whoever went there before was never heard of again
		}
		p.Administrator, p.Previous = admin, old.Version
		return p.step(ctx, tx, now, StateArmed, "The app's administrator, "+lent.account.Username+", sets it.", nil)
	})
	if err != nil || a.ended {
		return err
	}
	by, err := a.Rotations.credential(ctx, lent.account, lent.version)
	if err != nil {
		return err
	}
	next, err := a.credential(ctx, a.progress.Candidate)
	if err != nil {
		return err
	}

	started := a.now()
	gate := gate{attempt: a}
	trying, stop := context.WithTimeout(ctx, patience(a.options.ChangeTimeout, by))
	report := resetter.Reset(trying, a.target(), by, a.account.Username, next.Password, gate.release)
	stop()
	report = cleaned(report, started, a.now(), by.Password, next.Password)
	gate.told(report)
	broken := ctx.Err() != nil
	if gate.opened {
		report.Released = true
	}
	if !broken || report.Released {
		if err := a.giveBack(ctx, lent, report); err != nil {
			return err
		}
	}
	if errors.Is(gate.err, errFenced) {
		return errFenced
	}
	news, impossible, err := a.heed(ctx, report)
	if err != nil {
		return err
	}
	kept := a.evidence(report, a.progress.Candidate)
	kept.Administrator = admin
	return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.met(report)
		if report.Outcome == Refused {
			p.refused(report, news)
		}
		switch {
		case report.Outcome == AdminDenied, report.Outcome == AdminRejected:
			p.Pass = passNone // even if it was sent: the candidate is tried again with whatever comes next
			if handed, err := a.remail(ctx, tx, p, words(report), kept); handed {
				return err
			}
			return a.block(ctx, tx, p, words(report), kept)
		case report.Released, report.Outcome == Applied, p.Pass != passNone, report.Outcome == Unknown && report.Stage == StageSubmit:
			return a.sent(ctx, tx, p, report, kept)
		case report.Outcome == Refused && impossible != "":
			p.Candidate, p.Submitted, p.Answer = 0, nil, ""
			return a.block(ctx, tx, p, impossible, kept)
		case report.Outcome == Refused:
			return a.another(ctx, tx, p, words(report), kept)
		case report.Outcome == Rejected:
			return a.block(ctx, tx, p, "The app has no account named "+a.account.Username+". "+report.Detail, kept)
		case broken:
			return p.step(ctx, tx, a.now(), StateReconciling, "", kept)
		}
		return a.hindered(ctx, tx, p, StateReconciling, report, kept)
	})
}

// another gives a candidate up that the app refuses by its rules. It stays in the history.
func (a *attempt) another(ctx context.Context, tx pgx.Tx, p *progress, why string, kept any) error {
	p.Candidate, p.Submitted, p.Answer = 0, nil, ""
	return p.step(ctx, tx, a.now(), StateReconciling, why+" Another one is made.", kept)
}

// unreset is the end of a pass in which the app accepted neither what its administrator was to set nor what it had. To set
// the same again does no harm, and makes up for a request that was lost or is late.
func (a *attempt) unreset(ctx context.Context, tx pgx.Tx, p *progress) error {
	p.Pass = passNone
	if p.Answer == Refused {
		return a.another(ctx, tx, p, "The app refused the new password by its rules.", nil)
	}
	why := "The app's administrator was to set the new password, and the app does not accept it."
	if p.Mailed {
		why = "The new password was to be set by the link of the app's mail, and the app does not accept it."
	}
	if p.Attempts+1 >= a.options.Tries {
		return a.blockAs(ctx, tx, p, accounts.NoneAccepted, why+" Set one in the app by hand and store it here.", nil)
	}
	return a.retry(ctx, tx, p, StateReconciling, why+" It is set once more.", nil)
}

// temporary is the end of a reset that the app takes for a password to be changed at once: it is the current one, and
// whoever can sets another.
func (a *attempt) temporary(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
	if err := a.Accounts.Promote(ctx, tx, p.Workspace, p.Account, p.Candidate); err != nil {
		return err
	}
	p.Administrator, p.Mailed, p.Pass, p.Candidate, p.Submitted, p.Answer, p.Attempts = core.ID{}, false, passNone, 0, nil, "", 0
	return a.blockAs(ctx, tx, p, accounts.Expired, words(report), kept)
}
