package rotation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/passwordrules"
	"postern/core/seal"
)

// ladder is what candidates are like, as far as the app's rules leave it open: each that is refused for reasons nobody
// understands is followed by one that more apps take.
var ladder = [...]seal.PasswordPolicy{
	{},
	{Length: 20, AllowedSymbols: "-_"},
	{Length: 16, Classes: seal.Lower | seal.Upper | seal.Digits},
	{Length: 12},
}

// mostRefusals is how many candidates an app may refuse, whatever it says of them, before a person is asked.
const mostRefusals = 8

// store makes a candidate that satisfies what is known of the app's rules and commits it, sealed, before anything goes
// near the app: the commit that arms the change has it on disk.
func (a *attempt) store(ctx context.Context) error {
	return a.record(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		if p.Rung >= len(ladder) || p.Refusals >= mostRefusals {
			return a.block(ctx, tx, p, "The app refuses every password Postern makes. Tell its rules, or change the password by hand.", nil)
		}
		made, err := a.app.Rules().Generate(ladder[p.Rung])
		if err != nil {
			return a.block(ctx, tx, p, impossible(err), nil)
		}
		version, err := a.Accounts.AddCandidate(ctx, tx, p.Workspace, p.Account, made)
		if err != nil {
			return err
		}
		first := p.Refusals == 0 && p.State != StateDrifted
		p.Candidate, p.Submitted, p.Answer = version, nil, ""
		if err := p.step(ctx, tx, a.now(), StateStored, versionWords(version)+" is stored", nil); err != nil {
			return err
		}
		if !first {
			return nil
		}
		return p.tell(ctx, tx, core.NewEvent(core.RotationStarted, p.Workspace, p.Cause, a.now(), p.targets(a.account)...))
	})
}

func impossible(err error) string {
	return "The app wants a password Postern does not make: " + core.AsError(err).Message + ". Change it by hand."
}

// heed keeps what the app says of its rules, and says whether that was new, or why no candidate can satisfy it. It is a
// transaction of its own, since whoever locks an app goes on to its accounts, and a rotation holds one of those.
func (a *attempt) heed(ctx context.Context, report Report) (news bool, why string, err error) {
	said, err := passwordrules.Parse(report.Rules)
	if err != nil || said.IsZero() {
		return false, "", nil // garbage is no rule
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	err = a.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		news, err = a.Accounts.LearnRules(ctx, tx, &a.app, said)
		return err
	})
	if core.KindOf(err) == core.KindConflict {
		return false, impossible(err), nil
	}
	return news, "", err
}

// refused counts a refusal: unless something was learned from it, the next candidate is a tamer one.
func (p *progress) refused(report Report, news bool) {
	p.Refusals++
	switch {
	case news:
		p.Rung = 0
	case !report.Reused:
		p.Rung++
	}
}
