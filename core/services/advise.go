package services

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// The budgets: the blast radius no service account should exceed. One term alone is 25 at most, so that every budget can be kept.
const (
	DefaultBudget = 50
	LeastBudget   = 25
)

// critical is the risk at which something has a service account of its own.
const critical = 5

// sensitive is from where on data is kept apart from other data.
const sensitive = 4

// Part is a service account that is proposed instead of a larger one.
type Part struct {
	Name  string
	Why   string // for a person
	Terms []Term
}

// Blast is the part's blast radius.
func (p Part) Blast() int { return Sum(p.Terms) }

// Split proposes how to divide what a service account gets at so that no part exceeds a budget: what is of the highest risk by itself,
// and of the rest only what belongs to one unit, and to sensitive data or not, together. Each term is in one part. Nothing is proposed
// for what keeps the budget.
func Split(terms []Term, budget int) []Part {
	budget = max(budget, LeastBudget)
	if Sum(terms) <= budget {
		return nil
	}
	var parts []Part
	open := map[band][]int{} // indexes of parts
	for _, term := range slices.SortedStableFunc(slices.Values(terms), func(one, other Term) int {
		return cmp.Or(strings.Compare(one.Unit, other.Unit), other.Sensitivity-one.Sensitivity, other.Product()-one.Product(), strings.Compare(one.Name, other.Name))
	}) {
		if term.Risk >= critical {
			parts = append(parts, Part{Why: "of the highest risk: alone", Terms: []Term{term}})
			continue
		}
		in := band{term.Unit, term.Sensitivity >= sensitive}
		at := slices.IndexFunc(open[in], func(i int) bool { return parts[i].Blast()+term.Product() <= budget })
		if at >= 0 {
			parts[open[in][at]].Terms = append(parts[open[in][at]].Terms, term)
			continue
		}
		open[in] = append(open[in], len(parts))
		parts = append(parts, Part{Why: in.words(), Terms: []Term{term}})
	}
	for i := range parts {
		parts[i].Name = fmt.Sprintf("part %d of %d", i+1, len(parts))
	}
	return parts
}

// band is what may be together.
type band struct {
	unit      string
	sensitive bool
}

func (b band) words() string {
	what, whose := "other data", "no unit"
	if b.sensitive {
		what = "sensitive data"
	}
	if b.unit != "" {
		whose = b.unit
	}
	return what + " of " + whose
}

// Advice is what is proposed for one service account.
type Advice struct {
	Account Account
	Terms   []Term
	Parts   []Part
}

// Group is service accounts that have something in common.
type Group struct {
	Key      string // the unit, or the level
	Accounts int
	Blast    int // of all together
	Most     int // of the one with the most
	Unowned  int // how many lack owners
	Findings int // open ones of all
}

const selectAllReaches = `
select service_account_id, name, app_id, unit, risk, sensitivity from service_reaches where workspace_id = @workspace order by service_account_id, name`

// all reads every service account of a workspace.
func (s *Services) all(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Account, error) {
	var found []Account
	query := Query{Limit: 500}
	for {
		page, err := s.List(ctx, q, workspace, query)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if len(page) < query.Limit {
			return found, nil
		}
		query.After = page[len(page)-1].ID
	}
}

// Advise proposes splits of every service account whose blast radius exceeds a budget, the greatest first.
func (s *Services) Advise(ctx context.Context, q postgres.Querier, workspace core.ID, budget int) ([]Advice, error) {
	found, err := s.all(ctx, q, workspace)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, selectAllReaches, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	reaches := map[core.ID][]Reach{}
	var account core.ID
	var reach Reach
	_, err = pgx.ForEachRow(rows, []any{&account, &reach.Name, &reach.App, &reach.Unit, &reach.Risk, &reach.Sensitivity}, func() error {
		reaches[account] = append(reaches[account], reach)
		return nil
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	var advice []Advice
	for _, one := range found {
		terms := Terms(one, reaches[one.ID])
		if parts := Split(terms, budget); parts != nil {
			advice = append(advice, Advice{one, terms, parts})
		}
	}
	slices.SortStableFunc(advice, func(one, other Advice) int { return Sum(other.Terms) - Sum(one.Terms) })
	return advice, nil
}

// Groups sorts a workspace's service accounts by risk, sensitivity or unit, the group with the greatest blast radius first.
func (s *Services) Groups(ctx context.Context, q postgres.Querier, workspace core.ID, by string) ([]Group, error) {
	key, ok := map[string]func(Account) string{
		"risk":        func(a Account) string { return fmt.Sprint(a.Risk) },
		"sensitivity": func(a Account) string { return fmt.Sprint(a.Sensitivity) },
		"unit":        func(a Account) string { return a.Unit },
	}[by]
	if !ok {
		return nil, core.Invalid("by", "by risk, sensitivity or unit")
	}
	found, err := s.all(ctx, q, workspace)
	if err != nil {
		return nil, err
	}
	groups := map[string]*Group{}
	for _, one := range found {
		group := groups[key(one)]
		if group == nil {
			group = &Group{Key: key(one)}
			groups[group.Key] = group
		}
		group.Accounts++
		group.Blast += one.Blast()
		group.Most = max(group.Most, one.Blast())
		group.Findings += one.Findings
		if !one.Owned() {
			group.Unowned++
		}
	}
	sorted := make([]Group, 0, len(groups))
	for _, group := range groups {
		sorted = append(sorted, *group)
	}
	slices.SortFunc(sorted, func(one, other Group) int { return cmp.Or(other.Blast-one.Blast, strings.Compare(one.Key, other.Key)) })
	return sorted, nil
}
