package rotation

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// signIn makes one fresh sign-in within the budget, in the given state, and has record keep what
// came of it. If the budget is spent the rotation waits instead.
func (a *attempt) signIn(ctx context.Context, state State, version int, record func(ctx context.Context, tx pgx.Tx, p *progress, report Report, kept evidence) error) error {
	attempt, err := a.reserve(ctx, state)
	if err != nil || a.ended {
		return err
	}
	credential, err := a.credential(ctx, version)
	if err != nil {
		return err
	}
	started := a.now()
	trying, stop := context.WithTimeout(ctx, patience(a.options.SignInTimeout, credential))
	report := a.connector.Verify(trying, a.target(), credential)
	stop()
	report = cleaned(report, started, a.now(), credential.Password)
	a.meter().Tried(a.app.Connector, false, report.Outcome)
	if ctx.Err() != nil && report.Outcome != Accepted && report.Outcome != Rejected {
		return context.Cause(ctx) // broken off: it says nothing about the app
	}
	return a.record(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		if err := settle(ctx, p.writes(tx), p.Workspace, p.Account, attempt, report.Outcome, a.now()); err != nil {
			return err
		}
		p.met(report)
		return record(ctx, tx, p, report, a.evidence(report, version))
	})
}

// reserve takes a sign-in out of the account's budget and goes over to a state. If the budget is spent the rotation waits instead.
func (a *attempt) reserve(ctx context.Context, state State) (attempt core.ID, err error) {
	err = a.commit(ctx, func(ctx context.Context, tx pgx.Tx, p *progress) error {
		reserved, free, err := reserve(ctx, tx, p.writes(tx), p.Workspace, p.Account, a.now(), a.options)
		if err != nil {
			return err
		}
		attempt = reserved
		if !free.IsZero() {
			return a.wait(ctx, tx, p, p.State, free, "Too many failed sign-ins would lock the account.", nil)
		}
		if p.State == state {
			return nil
		}
		return p.step(ctx, tx, a.now(), state, "", nil)
	})
	return attempt, err
}

func (a *attempt) evidence(report Report, version int) evidence {
	kept := evidence{
		Outcome: report.Outcome, Detail: report.Detail, Stage: report.Stage, Version: version, Started: report.Started,
		Finished: report.Finished, Hosts: report.Hosts, Released: report.Released, Agent: report.Agent, Fence: a.fence, Model: report.Model,
		Rules: report.Rules,
	}
	if report.Outcome != Accepted {
		kept.Screenshot = report.Screenshot
	}
	return kept
}

// met remembers, for the receipt, who talked to whom.
func (p *progress) met(report Report) {
	for _, host := range report.Hosts {
		if at, found := slices.BinarySearch(p.Hosts, host); !found {
			p.Hosts = slices.Insert(p.Hosts, at, host)
		}
	}
	p.Agent = cmp.Or(report.Agent, p.Agent)
}
