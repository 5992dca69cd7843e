package rotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// historyDepth is how many passwords beside the candidate and the current one are tried. Each costs
// a failed sign-in, and so minutes.
const historyDepth = 10

// probe tries one stored password, to find out which one the app has.
func (a *attempt) probe(ctx context.Context) error {
	versions, err := a.Accounts.Versions(ctx, a.DB, a.account.Workspace, a.account.ID)
	if err != nil {
		return err
	}
	current, err := a.current(versions)
	if err != nil {
		return err
	}
	suspects := a.suspects(versions, current.Version)
	if len(suspects) == 0 {
		return a.commit(ctx, a.exhausted)
	}
	version := suspects[0]
	return a.signIn(ctx, StateProbing, version, func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error {
		switch report.Outcome {
		case Accepted:
			if err := a.Accounts.MarkProven(ctx, tx, p.Workspace, p.Account, version, report.Finished); err != nil {
				return err
			}
			return a.found(ctx, tx, p, report, kept, version, current.Version)
		case Rejected:
			if err := a.Accounts.MarkRefused(ctx, tx, p.Workspace, p.Account, version, report.Finished); err != nil {
				return err
			}
			return p.step(ctx, tx, a.now(), StateProbing, "The app refused "+versionWords(version)+".", kept)
		}
		if report.Outcome == MustChange && version == p.Candidate && p.reset() {
			return a.temporary(ctx, tx, p, report, kept)
		}
		return a.hindered(ctx, tx, p, StateProbing, report, kept)
	})
}

// suspects lists the versions still to be tried in this pass, in order: the candidate if it was
// sent, the current one, and in the last pass history, newest first. There a candidate that came as far as
// the app's form is tried as well, whatever the connector said of it. When the app said that it
// refuses the candidate, the current one goes first: it most likely works, and saves a failure.
func (a *attempt) suspects(versions []accounts.Version, current int) []int {
	p := &a.progress
	var order []int
	add := func(version int) {
		if version != 0 && !slices.Contains(order, version) {
			order = append(order, version)
		}
	}
	if p.Answer == Refused && p.Pass == passFirst {
		add(current)
	}
	if p.Submitted != nil {
		add(p.Candidate)
	}
	add(current)
	if p.Pass == passFirst {
		add(p.Previous)
	} else {
		for _, version := range versions {
			if len(order) < historyDepth+2 && (version.Version != p.Candidate || p.Submitted != nil || p.Answer != "") {
				add(version.Version)
			}
		}
	}
	return slices.DeleteFunc(order, func(number int) bool {
		at := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Version == number })
		return at >= 0 && versions[at].Refused != nil && versions[at].Refused.After(*p.Probed)
	})
}

// found goes on from the password the app turned out to have.
func (a *attempt) found(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence, version, current int) error {
	now := a.now()
	if version == p.Candidate {
		if err := a.Accounts.Promote(ctx, tx, p.Workspace, p.Account, version); err != nil {
			return err
		}
		p.Pass, p.Attempts, p.NewAccepted = passNone, 0, &report.Finished
		return p.step(ctx, tx, now, StateNewProven, "The app accepted the new password.", kept)
	}
	p.Administrator, p.Mailed = core.ID{}, false // a stored password works: the account can change it itself again
	switch {
	case version == current && p.Submitted == nil:
		// It was turned away a moment ago, and is right all the same.
		p.Pass = passNone
		if err := a.learn(ctx, tx, p, accounts.SignInAccepted, "The app accepted the stored password."); err != nil {
			return err
		}
		return a.retryFew(ctx, tx, p, StateNotSent, "The app refused the stored password once and accepted it again.", kept)

	case version == current && p.Answer == Refused:
		p.Pass, p.Candidate, p.Submitted, p.Answer = passNone, 0, nil, ""
		return p.step(ctx, tx, now, StateUnchanged, "The app refused the new password by its rules; another one will be made.", kept)

	case version == current:
		p.Pass = passNone
		if p.Attempts++; p.Attempts >= a.options.Tries {
			return a.block(ctx, tx, p, "The app has been asked to change the password again and again, and still takes the old one. Change it by hand there, and store it here.", kept)
		}
		if quiet := p.Submitted.Add(a.options.Quiet); quiet.After(now) {
			return a.wait(ctx, tx, p, StateUnchanged, quiet, "The old password still works. The same new one is sent again once a late change can be ruled out.", kept)
		}
		return p.step(ctx, tx, now, StateUnchanged, "The old password still works.", kept)
	}

	if err := a.Accounts.Promote(ctx, tx, p.Workspace, p.Account, version); err != nil {
		return err
	}
	p.Pass, p.Candidate, p.Submitted, p.Answer, p.Attempts = passNone, 0, nil, "", 0
	why := fmt.Sprintf("The app has %s, not version %d; it is the current one again.", versionWords(version), current)
	if err := p.step(ctx, tx, now, StateDrifted, why, kept); err != nil {
		return err
	}
	return p.tell(ctx, tx, core.NewEvent(core.AccountPasswordDrifted, p.Workspace, p.Cause, now, p.targets(a.account)...).
		Because(why).With("version", fmt.Sprint(version)))
}

// exhausted is the end of a pass in which nothing worked. After the first everything is tried once
// more, since a change may have been applied between two sign-ins. After the last nobody but a
// person can tell.
func (a *attempt) exhausted(ctx context.Context, tx pgx.Tx, p *progress) error {
	now := a.now()
	if p.reset() {
		return a.unreset(ctx, tx, p)
	}
	if p.Pass == passFirst {
		p.Pass, p.Probed = passLast, &now
		return a.wait(ctx, tx, p, StateProbing, now.Add(a.options.Settle), "The app refused both the new and the old password; all stored ones are tried.", nil)
	}
	const why = "The app accepts no stored password. Set one in the app, or have it reset, and store it here."
	if err := p.step(ctx, tx, now, StateUnknown, why, nil); err != nil {
		return err
	}
	if handed, err := a.reconcile(ctx, tx, p, "The app accepts no stored password.", nil); handed {
		return err
	}
	return a.blockAs(ctx, tx, p, accounts.NoneAccepted, why, nil)
}
