package posture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Reached is how many accounts of a workspace meet a milestone.
type Reached struct {
	Goal
	Met  int    `json:"met"`
	Of   int    `json:"of"`
	Why  string `json:"why"`  // it is not met by all; or that it is
	Next string `json:"next"` // step; empty: none is needed, or none is possible
}

// Counted is how many findings of a kind there are.
type Counted struct {
	Description
	Count int
}

// Part is what the score is made up of: so many points for the share of accounts, or of service accounts, that are good.
type Part struct {
	Name   string  `json:"name"`
	Words  string  `json:"words"` // what a good one is
	Weight int     `json:"weight"`
	Good   int     `json:"good"`
	Of     int     `json:"of"`
	Points float64 `json:"points"` // of 100, that these are worth now
	Lost   float64 `json:"lost"`   // of 100, that would be gained if all were good
	Next   string  `json:"next"`   // what raises it
}

// Overview is how well a workspace keeps its accounts.
type Overview struct {
	At         time.Time
	Accounts   int
	Complete   int  // accounts that meet every milestone there is
	Services   int  // service accounts
	Unjudged   int  // current passwords that are not judged yet
	Score      *int // 0 to 100; nil: there is no account to judge by
	Milestones []Reached
	Parts      []Part // what raises the score most first
	Findings   []Counted
}

// Severity counts the findings of a severity.
func (o Overview) Severity(severity Severity) int {
	total := 0
	for _, one := range o.Findings {
		if one.Severity == severity {
			total += one.Count
		}
	}
	return total
}

// count is the statement that counts a kind's findings.
func (k kind) count(f Filter, args pgx.StrictNamedArgs) (statement string, none bool) {
	condition, none := f.of(k, args)
	return `select count(*) from ` + k.from + ` where ` + k.where + condition, none
}

// Count counts the findings of every kind that a filter does not leave out, the gravest first.
func (p *Posture) Count(ctx context.Context, q postgres.Querier, workspace core.ID, filter Filter) ([]Counted, error) {
	filter, err := filter.checked()
	if err != nil {
		return nil, err
	}
	var all []Counted
	for _, one := range kinds {
		args := p.times(workspace)
		statement, none := one.count(filter, args)
		if none {
			continue
		}
		counted := Counted{Description: one.Description}
		if err := q.QueryRow(ctx, statement, bound(statement, args)).Scan(&counted.Count); err != nil {
			return nil, postgres.Classify(err)
		}
		all = append(all, counted)
	}
	return all, nil
}

const selectBeside = `
select (select count(*) from credential_versions where workspace_id = @workspace and label = 'current' and fingerprint is null),
	(select count(*) from service_accounts where workspace_id = @workspace)`

// Overview reads how a workspace stands now. It asks nobody's leave: the caller does, of an administrator.
func (p *Posture) Overview(ctx context.Context, q postgres.Querier, workspace core.ID) (Overview, error) {
	o := Overview{At: p.now()}
	goals := p.goals()
	met := make([]int, len(goals))
	into := []any{&o.Accounts, &o.Complete}
	for i := range met {
		into = append(into, &met[i])
	}
	reached := selectReached(goals)
	if err := q.QueryRow(ctx, reached, bound(reached, p.times(workspace))).Scan(into...); err != nil {
		return Overview{}, postgres.Classify(err)
	}
	if err := q.QueryRow(ctx, selectBeside, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&o.Unjudged, &o.Services); err != nil {
		return Overview{}, postgres.Classify(err)
	}
	var err error
	if o.Findings, err = p.Count(ctx, q, workspace, Filter{}); err != nil {
		return Overview{}, err
	}
	for i, goal := range goals {
		o.Milestones = append(o.Milestones, goal.reached(met[i], o.Accounts))
	}
	o.weigh(goals)
	return o, nil
}

func (o Overview) found(name Kind) int {
	for _, one := range o.Findings {
		if one.Kind == name {
			return one.Count
		}
	}
	return 0
}

// safety are the parts of the score beside the milestones: the share of accounts without a finding.
var safety = []struct {
	kind   Kind
	words  string
	weight int
	judged bool // only a password that was judged can be good
}{
	{Orphaned, "accounts with an owner", 15, false},
	{PasswordWeak, "accounts whose password is not weak", 10, true},
	{PasswordReused, "accounts whose password no other has", 10, true},
	{RotationFailing, "accounts without a failing rotation", 10, false},
}

// ownersWeight is what it is worth that somebody answers for each service account, beside the parts about accounts.
const ownersWeight = 10

// weigh makes up the score: the sum over its parts of weight and share, of what it could be. What Postern cannot do
// here is no part of it, nor are service accounts where there are none. A hundred means that nothing is left to do.
func (o *Overview) weigh(goals []goal) {
	if o.Accounts == 0 {
		return
	}
	weights := 0
	add := func(part Part) {
		if part.Of == 0 {
			part.Of = o.Accounts
		}
		part.Good = max(part.Good, 0)
		weights += part.Weight
		o.Parts = append(o.Parts, part)
	}
	for i, goal := range goals {
		if goal.Available {
			add(Part{Name: string(goal.Milestone), Words: goal.Words, Weight: goal.weight, Good: o.Milestones[i].Met, Next: goal.next})
		}
	}
	for _, one := range safety {
		said, _ := described(one.kind)
		part := Part{Name: string(one.kind), Words: one.words, Weight: one.weight, Good: o.Accounts - o.found(one.kind), Next: said.Next}
		if one.judged {
			part.Good -= o.Unjudged
		}
		add(part)
	}
	if o.Services > 0 {
		said, _ := described(ServiceOwnerless)
		add(Part{Name: string(ServiceOwnerless), Words: "service accounts with two owners or a team", Weight: ownersWeight,
			Good: o.Services - o.found(ServiceOwnerless) - o.found(ServiceOneOwner), Of: o.Services, Next: said.Next})
	}
	total := 0.0
	for i := range o.Parts {
		part := &o.Parts[i]
		worth := 100 * float64(part.Weight) / float64(weights)
		part.Points = worth * float64(part.Good) / float64(part.Of)
		part.Lost = worth - part.Points
		total += part.Points
	}
	o.Score = new(int(total + 1e-9)) // what is whole stays whole
	slices.SortStableFunc(o.Parts, func(one, other Part) int {
		switch {
		case one.Lost > other.Lost:
			return -1
		case one.Lost < other.Lost:
			return 1
		}
		return strings.Compare(one.Name, other.Name)
	})
}

// reached says how a workspace stands with a goal.
func (g goal) reached(met, of int) Reached {
	one := Reached{Goal: g.Goal, Met: met, Of: of, Next: g.next}
	switch {
	case !g.Available:
		one.Why, one.Next = noMail, ""
	case of == 0:
		one.Why, one.Next = "there is no account yet", ""
	case met == of:
		one.Why, one.Next = "every account meets it", ""
	case of-met == 1:
		one.Why = fmt.Sprintf("1 account of %d does not: %s", of, g.lacks)
	default:
		one.Why = fmt.Sprintf("%d accounts of %d do not: %s", of-met, of, g.lacks)
	}
	return one
}
