package rotation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
)

// verify signs in once with the stored password and records what the app says of it. If a rotation
// was wanted meanwhile, it goes on with that instead of ending.
func (a *attempt) verify(ctx context.Context) error {
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	current, err := a.current(versions)
	if err != nil {
		return err
	}
	return a.signIn(ctx, StateProbing, current.Version, func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
		switch report.Outcome {
		case Accepted:
			if err := a.Accounts.MarkProven(ctx, tx, p.Workspace, p.Account, current.Version, report.Finished); err != nil {
				return err
			}
			const why = "The app accepted the stored password."
			if err := a.learn(ctx, tx, p, accounts.SignInAccepted, why); err != nil {
				return err
			}
			return a.verified(ctx, tx, p, why, kept)
		case Rejected:
			if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, current.Version, report.Finished); err != nil {
				return err
			}
			why := words(report)
			if err := a.learn(ctx, tx, p, accounts.SignInRefused, why); err != nil {
				return err
			}
			return a.verified(ctx, tx, p, why, kept)
		case MustChange:
			if err := a.learn(ctx, tx, p, accounts.Expired, words(report)); err != nil {
				return err
			}
			return a.verified(ctx, tx, p, words(report), kept)
		}
		return a.hindered(ctx, tx, p, StateProbing, report, kept)
	})
}

func (a *attempt) verified(ctx context.Context, tx pgx.Tx, p *progress, why string, kept evidence) error {
	p.Attempts = 0
	if p.Reason != ReasonVerify {
		return p.step(ctx, tx, a.now(), StatePlanned, why, kept)
	}
	if err := p.step(ctx, tx, a.now(), StateProbing, why, kept); err != nil {
		return err
	}
	return a.close(ctx, tx, p, why)
}
