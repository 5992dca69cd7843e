package rotation

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

// Enrol wants an account's second factor turned on, and returns the rotation that will do it: one of ReasonEnrol, which
// leaves the password as it is. Those who may SetTOTP may. Conflict, code totp_stored, if codes are made for the account
// already; cannot_enrol if what talks to its app cannot; rotation_open while its password is being rotated.
func (r *Rotations) Enrol(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID) (Rotation, error) {
	if err := r.Accounts.Manager(ctx, tx, cause, workspace, account); err != nil {
		return Rotation{}, err
	}
	found, err := r.Accounts.Account(ctx, tx, workspace, account)
	if err != nil {
		return Rotation{}, err
	}
	app, err := r.Accounts.App(ctx, tx, workspace, found.App)
	if err != nil {
		return Rotation{}, err
	}
	if !slices.Contains(Capabilities(r.Connectors[app.Connector], app.Settings), CanEnrol) {
		return Rotation{}, core.Conflict("", "the connector %s cannot turn on a second factor: turn it on in the app and store its TOTP secret", app.Connector).WithCode("cannot_enrol")
	}
	if _, err := r.Accounts.TOTP(ctx, tx, workspace, account); err == nil {
		return Rotation{}, core.Conflict("", "one-time codes are made for this account already").WithCode("totp_stored")
	} else if core.KindOf(err) != core.KindNotFound {
		return Rotation{}, err
	}
	open, err := lock(ctx, tx, lockOpen, workspace, account)
	switch {
	case err == nil && open.Reason.weight() > ReasonEnrol.weight():
		return Rotation{}, core.Conflict("", "the password is being rotated: turn the second factor on when that is done").WithCode("rotation_open")
	case err != nil && !noRows(err):
		return Rotation{}, err
	}
	return r.Plan(ctx, tx, cause, workspace, account, ReasonEnrol, 0)
}

// enrol has the connector turn the second factor on. The secret the app shows is stored before the first code leaves; from
// then on only a sign-in tells whether it is in force.
func (a *attempt) enrol(ctx context.Context) error {
	enroller, can := a.connector.(Enroller)
	can = can && slices.Contains(Capabilities(a.connector, a.app.Settings), CanEnrol)
	_, err := a.Accounts.TOTP(ctx, a.DB, a.account.Workspace, a.account.ID)
	switch {
	case err == nil:
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			return a.close(ctx, tx, p, "One-time codes are made for the account already.")
		})
	case core.KindOf(err) != core.KindNotFound:
		return err
	case !can:
		return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
			return a.block(ctx, tx, p, "The connector "+a.app.Connector+" cannot turn on a second factor. Turn it on in the app and store its TOTP secret.", nil)
		})
	}
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	current, err := a.current(versions)
	if err != nil {
		return err
	}
	reserved, err := a.reserve(ctx, StateArmed)
	if err != nil || a.ended {
		return err
	}
	credential, err := a.credential(ctx, current.Version)
	if err != nil {
		return err
	}
	started := a.now()
	shown := shown{attempt: a, reserved: reserved}
	trying, stop := context.WithTimeout(ctx, a.options.ChangeTimeout+2*accounts.MaxTOTPPeriod)
	report := enroller.Enrol(trying, a.target(), credential, shown.keep)
	stop()
	report = cleaned(report, started, a.now(), credential.Password, shown.secret)
	a.meter().Tried(a.app.Connector, false, report.Outcome)
	if errors.Is(shown.err, errFenced) {
		return errFenced
	}
	kept := a.evidence(report, current.Version)
	broken := ctx.Err() != nil
	return a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		p.met(report)
		if shown.stored {
			p.FactorSaid = report.Outcome
			if len(report.BackupCodes) > 0 {
				if _, err := a.Accounts.KeepBackupCodes(ctx, tx, p.Cause, p.Workspace, p.Account, report.BackupCodes); err != nil && core.KindOf(err) != core.KindInvalid {
					return err
				}
			}
			return p.step(ctx, tx, a.now(), StateProbing, words(report), kept)
		}
		if err := settle(ctx, tx, p.Workspace, p.Account, reserved, report.Outcome, a.now()); err != nil {
			return err
		}
		switch {
		case core.KindOf(shown.err) == core.KindInvalid:
			return a.block(ctx, tx, p, "The app shows a secret that no codes can be made of: "+core.AsError(shown.err).Message+".", kept)
		case report.Outcome == Rejected:
			return a.unproven(ctx, tx, p, report, kept, current.Version)
		case broken:
			return p.step(ctx, tx, a.now(), StateNotSent, "", kept)
		}
		return a.hindered(ctx, tx, p, StateNotSent, report, kept)
	})
}

// shown is what a connector hands the app's secret to.
type shown struct {
	*attempt
	reserved core.ID
	called   bool
	stored   bool
	version  int
	secret   seal.Secret
	err      error
}

// keep commits the secret, if this worker may still do so, and then gives the first code of it.
func (s *shown) keep(ctx context.Context, secret seal.Secret) (seal.Secret, error) {
	if s.stored && secret.IsZero() {
		return s.candidateCode(ctx, s.account, s.version)
	}
	if s.called {
		return seal.Secret{}, errors.New("rotation: a secret is stored once")
	}
	s.called, s.secret = true, secret
	if s.err = context.Cause(ctx); s.err != nil {
		return seal.Secret{}, s.err
	}
	version := 0
	s.err = s.commitNow(ctx, true, func(ctx context.Context, tx pgx.Tx, p *progress) (err error) {
		if version, err = s.Accounts.AddTOTPCandidate(ctx, tx, p.Workspace, p.Account, secret); err != nil {
			return err
		}
		p.Factors, p.FactorSaid = append([]int{version}, p.Factors...), ""
		if err := withdraw(ctx, tx, p.Workspace, p.Account, s.reserved); err != nil {
			return err
		}
		return p.step(ctx, tx, s.now(), StateSubmitted, "The secret the app shows is stored; it gets the first code.", nil)
	})
	if s.err != nil {
		return seal.Secret{}, s.err
	}
	s.stored, s.version = true, version
	return s.candidateCode(ctx, s.account, version)
}

// proveFactor signs in with a code of the secret that may be in force. Only an app that asked for a code, and took it, has
// its second factor on.
func (a *attempt) proveFactor(ctx context.Context) error {
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	current, err := a.current(versions)
	if err != nil {
		return err
	}
	factor := a.progress.Factors[0]
	return a.signIn(ctx, StateProbing, current.Version, func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
		switch {
		case report.Outcome == Accepted && a.asked:
			return a.enrolled(ctx, tx, p, kept, current.Version, factor, report)
		case report.Outcome == Accepted && p.FactorSaid == Applied:
			p.Factors = nil
			return a.block(ctx, tx, p, "The app said that its second factor is on, and asks for no code when one signs in. Look into its settings.", kept)
		case report.Outcome == Accepted:
			p.Factors = nil
			return a.retryFew(ctx, tx, p, StateUnchanged, "The second factor is not on: the app asks for no code.", kept)
		case report.Outcome == Challenge && a.asked:
			// An earlier secret may be the one in force.
			p.Factors = append(slices.Clone(p.Factors[1:]), factor)
			return a.retryFew(ctx, tx, p, StateProbing, "The app asks for a code and refuses the one it was given. Turn its second factor off there, or store its TOTP secret.", kept)
		case report.Outcome == Rejected:
			return a.unproven(ctx, tx, p, report, kept, current.Version)
		}
		return a.hindered(ctx, tx, p, StateProbing, report, kept)
	})
}

// enrolled is the end: codes are made of the secret from now on, for everybody the account is shared with.
func (a *attempt) enrolled(ctx context.Context, tx pgx.Tx, p *progress, kept evidence, password, factor int, report Report) error {
	if err := a.Accounts.PromoteTOTP(ctx, tx, p.Cause, p.Workspace, p.Account, factor); core.AsError(err) != nil && core.AsError(err).Code == "totp_stored" {
		p.Factors = nil // somebody stored one by hand
	} else if err != nil {
		return err
	}
	if err := a.Accounts.MarkProven(ctx, tx, p.Workspace, p.Account, password, report.Finished); err != nil {
		return err
	}
	const why = "The second factor is on: the app asked for a code and took the one it was given."
	if err := a.learn(ctx, tx, p, accounts.SignInAccepted, why); err != nil {
		return err
	}
	p.Factors, p.Attempts = nil, 0
	if p.Reason.weight() > ReasonEnrol.weight() {
		return p.step(ctx, tx, a.now(), StatePlanned, why, kept)
	}
	if err := p.step(ctx, tx, a.now(), StateProbing, why, kept); err != nil {
		return err
	}
	return a.close(ctx, tx, p, why)
}

// unproven deals with a stored password that the app refuses before it says anything of a second factor.
func (a *attempt) unproven(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence, version int) error {
	if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, version, report.Finished); err != nil {
		return err
	}
	if p.Reason.weight() > ReasonEnrol.weight() {
		p.Pass, p.Probed = passLast, &report.Started
		return p.step(ctx, tx, a.now(), StateProbing, words(report), kept)
	}
	return a.blockAs(ctx, tx, p, accounts.SignInRefused, words(report), kept)
}
