package policies

import (
	"context"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Preview is what a policy would do about one account.
type Preview struct {
	Account  core.ID
	AppName  string
	Username string
	State    accounts.State
	Rotated  *time.Time
	When     *time.Time // nil with an empty Why: as soon as it is triggered, after the policy's delay
	Why      Why        // it would not; empty: it would
	Reason   string     // Why in words
}

const selectPreview = selectCandidates + `(@after::uuid is null or a.id > @after) and ` + within + `
	order by a.id limit @limit` + ofCandidates + `
order by a.id`

// Preview tells what a policy, or a draft of one, would do from now on, account by account in the order of their
// ids, behind after. Nothing is changed by it. A policy that is off is told as if it were on. It asks nobody's leave:
// the caller does.
func (p *Policies) Preview(ctx context.Context, q postgres.Querier, workspace core.ID, policy Policy, after core.ID, limit int) ([]Preview, error) {
	now := p.now()
	policy, round, err := p.prepared(ctx, q, workspace, policy)
	if err != nil {
		return nil, err
	}
	args := policy.Scope.draft(workspace)
	args["policy"], args["after"], args["limit"] = policy.ID, after, min(max(limit, 1), 500)
	found, err := candidates(ctx, q, selectPreview, args)
	if err != nil {
		return nil, err
	}
	var next Round
	if policy.Schedule != nil {
		next = round.following(policy.Schedule, now)
	}
	all := make([]Preview, len(found))
	for i, account := range found {
		one := Preview{Account: account.ID, AppName: account.AppName, Username: account.Username, State: account.State, Rotated: account.Rotated}
		at := now
		switch {
		case policy.Schedule != nil && account.Place > round.done:
			one.When = new(later(round.Slot(account.Place), now))
		case policy.Schedule != nil:
			one.When = new(next.Slot(account.Place))
		case account.Due != nil:
			one.When = new(later(account.Due.UTC(), now))
		}
		if one.When != nil {
			at = *one.When
		}
		switch one.Why, one.Reason = policy.verdict(account, at); {
		case one.Why == WhySpacing && account.Due != nil: // it waits
			one.Why, one.Reason, one.When = "", "", new(account.Rotated.Add(policy.Spacing).UTC())
		case one.Why != "":
			one.When = nil
		}
		all[i] = one
	}
	return all, nil
}

// prepared is a policy as it would be kept, with the round it is in.
func (p *Policies) prepared(ctx context.Context, q postgres.Querier, workspace core.ID, policy Policy) (Policy, Round, error) {
	now := p.now()
	if policy.ID.IsZero() {
		if policy.Name == "" {
			policy.Name = "draft"
		}
		var err error
		if policy, err = policy.checked(now); err != nil {
			return policy, Round{}, err
		}
		if err := policy.Scope.known(ctx, q, workspace); err != nil {
			return policy, Round{}, err
		}
	}
	switch {
	case policy.Schedule == nil:
		return policy, Round{}, nil
	case policy.Round.Day.IsZero():
		return policy, begin(policy.Schedule.after(now)), nil
	}
	return policy, policy.Round.resume(policy.Schedule, now), nil
}

// Described is a policy with what a person wants to know about it.
type Described struct {
	Policy
	Accounts int        // it covers
	Next     *time.Time // when the schedule's window opens, or the present one opened
	Sentence string
}

const selectCovered = `
select (select count(*) from accounts a where a.workspace_id = @workspace and ` + covered + `),
	array(select s.name from apps s where s.workspace_id = @workspace and s.id = any(p.apps) order by lower(s.name), s.id)
from ` + draft

// Describe says what a policy, or a draft of one, does.
func (p *Policies) Describe(ctx context.Context, q postgres.Querier, workspace core.ID, policy Policy) (Described, error) {
	policy, round, err := p.prepared(ctx, q, workspace, policy)
	if err != nil {
		return Described{}, err
	}
	one := Described{Policy: policy}
	var apps []string
	if err := q.QueryRow(ctx, selectCovered, policy.Scope.draft(workspace)).Scan(&one.Accounts, &apps); err != nil {
		return Described{}, postgres.Classify(err)
	}
	if policy.Schedule != nil {
		one.Next = &round.Starts
	}
	one.Sentence = policy.sentence(one.Accounts, apps, one.Next)
	return one, nil
}
