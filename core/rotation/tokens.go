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
	"postern/core/seal"
)

// What an app does about an account's tokens is asked by its administrator, if it has one, and by the account itself otherwise, out of
// the budget of whoever signs in.

// ErrNotKept: what was to keep a token failed. The app has it all the same.
var ErrNotKept = errors.New("rotation: the token was not kept")

// errBadID: what an app calls a token is of no use.
var errBadID = errors.New("rotation: the app's id of the token is empty, too long, no text, or the token itself")

// TokenReport is what came of asking an app about tokens. One that did not do it is asked again at Until, and if that is zero when a
// person has seen to it.
type TokenReport struct {
	Report
	Until time.Time
}

// Done reports whether the app did it.
func (r TokenReport) Done() bool { return r.Outcome == Applied }

// IssueToken has an account's app make a token of that name, which goes to keep once. keep's error comes back as ErrNotKept.
func (r *Rotations) IssueToken(ctx context.Context, cause core.Cause, workspace, account core.ID, name string, keep func(ctx context.Context, id string, value seal.Secret) error) (TokenReport, error) {
	var failed error
	answer, err := r.issuing(ctx, cause, workspace, account, func(ctx context.Context, issuer Issuer, target Target, by Credential, username string) Report {
		return issuer.Issue(ctx, target, by, username, name, func(ctx context.Context, id string, value seal.Secret) error {
			if failed = errBadID; id == plainText(id) && id != "" && id != value.Reveal() {
				failed = keep(ctx, id, value)
			}
			return failed
		})
	})
	if failed != nil {
		return answer, errors.Join(ErrNotKept, failed)
	}
	return answer, err
}

// AccountTokens lists the tokens the app has of an account, in its own words, if the report is Done.
func (r *Rotations) AccountTokens(ctx context.Context, cause core.Cause, workspace, account core.ID) (tokens []Token, answer TokenReport, err error) {
	answer, err = r.issuing(ctx, cause, workspace, account, func(ctx context.Context, issuer Issuer, target Target, by Credential, username string) Report {
		return issuer.Tokens(ctx, target, by, username, func(token Token) error {
			if len(tokens) >= mostLogins {
				return errors.New("rotation: the account has too many tokens")
			}
			tokens = append(tokens, token)
			return nil
		})
	})
	return tokens, answer, err
}

// WithdrawToken has an account's app end a token.
func (r *Rotations) WithdrawToken(ctx context.Context, cause core.Cause, workspace, account core.ID, id string) (TokenReport, error) {
	return r.issuing(ctx, cause, workspace, account, func(ctx context.Context, issuer Issuer, target Target, by Credential, username string) Report {
		return issuer.Withdraw(ctx, target, by, username, id)
	})
}

// TryToken says whether an account's app lets in who has a token: Accepted, Rejected, or why that cannot be told. An app may count it
// as a sign-in that failed, so it is out of the account's budget.
func (r *Rotations) TryToken(ctx context.Context, workspace, account core.ID, token seal.Secret) (TokenReport, error) {
	a, issuer, err := r.issuerOf(ctx, r.DB, workspace, account)
	if err != nil {
		return TokenReport{}, err
	}
	if issuer == nil {
		return TokenReport{Report: Report{Outcome: NotSent, Detail: noIssuer}}, nil
	}
	var reserved core.ID
	var free time.Time
	if err := r.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		if _, err := r.Accounts.Hold(ctx, tx, workspace, account); err != nil {
			return err
		}
		reserved, free, err = r.Reserve(ctx, tx, workspace, account)
		return err
	}); err != nil {
		return TokenReport{}, err
	}
	if !free.IsZero() {
		return TokenReport{Report{Outcome: NotSent, Detail: "Too many failed sign-ins would lock the account."}, free}, nil
	}
	started := r.now()
	trying, stop := context.WithTimeout(ctx, a.options.SignInTimeout)
	report := issuer.TryToken(trying, a.target(), a.account.Username, token)
	stop()
	if ctx.Err() != nil && report.Outcome != Accepted && report.Outcome != Rejected {
		return TokenReport{}, context.Cause(ctx)
	}
	report = cleaned(report, started, r.now(), token)
	r.meter().Tried(a.app.Connector, false, report.Outcome)
	settling, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	err = r.DB.Tx(settling, func(tx pgx.Tx) error {
		if _, err := r.Accounts.Hold(settling, tx, workspace, account); err != nil {
			return err
		}
		return r.Settle(settling, tx, workspace, account, reserved, report.Outcome)
	})
	return TokenReport{report, r.now().Add(a.options.FirstRetry)}, err
}

// noIssuer is why nobody makes tokens.
const noIssuer = "Nobody makes tokens in this app: that takes a connector and settings that can."

// issuerOf is an account with the connector that makes its tokens; nil if none does.
func (r *Rotations) issuerOf(ctx context.Context, q postgres.Querier, workspace, account core.ID) (a *attempt, issuer Issuer, err error) {
	a = &attempt{Rotations: r, options: r.Options.withDefaults()}
	if a.account, err = r.Accounts.Account(ctx, q, workspace, account); err != nil {
		return nil, nil, err
	}
	if a.app, err = r.Accounts.App(ctx, q, workspace, a.account.App); err != nil {
		return nil, nil, err
	}
	a.progress.Workspace, a.progress.Account = workspace, account
	a.connector = r.Connectors[a.app.Connector]
	if issuer, can := a.connector.(Issuer); can && slices.Contains(Capabilities(a.connector, a.app.Settings), CanIssue) {
		return a, issuer, nil
	}
	return a, nil, nil
}

// Issues reports whether an account's app can be asked for tokens of the account.
func (r *Rotations) Issues(ctx context.Context, q postgres.Querier, workspace, account core.ID) (bool, error) {
	_, issuer, err := r.issuerOf(ctx, q, workspace, account)
	return issuer != nil, err
}

func (r *Rotations) issuing(ctx context.Context, cause core.Cause, workspace, account core.ID, act func(ctx context.Context, issuer Issuer, target Target, by Credential, username string) Report) (TokenReport, error) {
	a, issuer, err := r.issuerOf(ctx, r.DB, workspace, account)
	if err != nil {
		return TokenReport{}, err
	}
	if issuer == nil {
		return TokenReport{Report: Report{Outcome: NotSent, Detail: noIssuer}}, nil
	}
	a.progress.Cause = cause
	signer := a.app.ReconcileAccount
	if signer.IsZero() {
		signer = account
	}
	lent, why, until, err := a.borrow(ctx, signer)
	if err != nil {
		return TokenReport{}, err
	}
	if why != "" {
		return TokenReport{Report{Outcome: NotSent, Detail: why}, until}, nil
	}
	by, err := r.credential(ctx, lent.account, lent.version)
	if err != nil {
		return TokenReport{}, err
	}
	started := r.now()
	trying, stop := context.WithTimeout(ctx, patience(a.options.SignInTimeout, by))
	report := act(trying, issuer, a.target(), by, a.account.Username)
	stop()
	report = cleaned(report, started, r.now(), by.Password)
	r.meter().Tried(a.app.Connector, false, report.Outcome)
	if ctx.Err() != nil && report.Outcome != Applied {
		return TokenReport{}, context.Cause(ctx)
	}
	if err := a.giveBack(ctx, lent, report); err != nil {
		return TokenReport{}, err
	}
	answer := TokenReport{Report: report}
	switch report.Outcome {
	case Unreachable, TimedOut, Unknown:
		answer.Until = r.now().Add(a.options.FirstRetry)
	}
	return answer, nil
}

// TokenTimeout bounds each of what an app is asked about tokens.
func (r *Rotations) TokenTimeout() time.Duration {
	return r.Options.withDefaults().SignInTimeout + accounts.MaxTOTPPeriod + 3*commitTimeout
}
