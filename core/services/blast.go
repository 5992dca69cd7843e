package services

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Reach is something a service account gets at: an app Postern manages, or any other system.
type Reach struct {
	Name        string  `db:"name"`
	App         core.ID `db:"app_id"`      // zero: no app of Postern's
	Unit        string  `db:"unit"`        // of the organisation it belongs to
	Risk        int     `db:"risk"`        // 1 to 5
	Sensitivity int     `db:"sensitivity"` // 1 to 5
}

// maxReaches is how many one service account may have.
const maxReaches = 200

const selectReaches = `
select name, app_id, unit, risk, sensitivity from service_reaches
where workspace_id = @workspace and service_account_id = @account order by name`

// Reaches lists what a service account gets at, by name.
func (s *Services) Reaches(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Reach, error) {
	return postgres.Many[Reach](ctx, q, selectReaches, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

const deleteReaches = `delete from service_reaches where workspace_id = @workspace and service_account_id = @account`

const insertReach = `
insert into service_reaches (id, workspace_id, service_account_id, name, app_id, unit, risk, sensitivity)
values (@id, @workspace, @account, @name, @app, @unit, @risk, @sensitivity)`

// SetReaches replaces what a service account gets at. Its owners may, administrators, other service accounts and the system.
func (s *Services) SetReaches(ctx context.Context, cause core.Cause, workspace, account core.ID, wanted []Reach) error {
	if len(wanted) > maxReaches {
		return core.Invalid("reaches", "%d at most", maxReaches)
	}
	for _, reach := range wanted {
		if err := cmp.Or(checkText("reaches", reach.Name, 1, maxName), checkText("reaches", reach.Unit, 0, maxName), checkLevel("risk", reach.Risk), checkLevel("sensitivity", reach.Sensitivity)); err != nil {
			return err
		}
	}
	wanted = slices.SortedFunc(slices.Values(wanted), func(one, other Reach) int { return strings.Compare(one.Name, other.Name) })
	return s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		found, err := s.ownersOf(ctx, tx, cause, workspace, account)
		if err != nil {
			return nil, err
		}
		before, err := s.Reaches(ctx, tx, workspace, account)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, deleteReaches, pgx.StrictNamedArgs{"workspace": workspace, "account": account}); err != nil {
			return nil, postgres.Classify(err)
		}
		for _, reach := range wanted {
			if !reach.App.IsZero() {
				if _, err := s.Accounts.App(ctx, tx, workspace, reach.App); core.KindOf(err) == core.KindNotFound {
					return nil, core.Invalid("reaches", "there is no such app in this workspace")
				} else if err != nil {
					return nil, err
				}
			}
			if _, err := tx.Exec(ctx, insertReach, pgx.StrictNamedArgs{
				"id": core.NewID(), "workspace": workspace, "account": account, "name": reach.Name, "app": reach.App, "unit": reach.Unit,
				"risk": reach.Risk, "sensitivity": reach.Sensitivity,
			}); err != nil {
				return nil, collision(err)
			}
		}
		after, err := s.Reaches(ctx, tx, workspace, account)
		if err != nil || slices.Equal(before, after) {
			return nil, err
		}
		event := core.NewEvent(core.ServiceAccountUpdated, workspace, cause, s.now(), found.Target()).
			With("reaches", names(after)).With("reaches_before", names(before))
		return []core.Event{event}, nil
	})
}

func names(reaches []Reach) string {
	all := make([]string, len(reaches))
	for i, reach := range reaches {
		all[i] = reach.Name
	}
	return strings.Join(all, ", ")
}

// Term is one part of a blast radius: what could be harmed, and how much.
type Term struct {
	Name        string
	Scope       bool // a scope in Postern; otherwise a reach
	Unit        string
	Risk        int
	Sensitivity int
}

// Product is what the term adds.
func (t Term) Product() int { return t.Risk * t.Sensitivity }

// sensitivities are of what scopes open in Postern. What is not here is of the middle.
var sensitivities = map[string]int{
	"*": 5, "credentials": 5, "service-accounts": 5, "connections": 5, "grants": 5, "accounts": 4, "directory": 4, "policies": 4, "holds": 4, "signals": 4,
	"activity": 3, "provisioning": 3, "apps": 2, "operations": 1,
}

// verbRisks are of what is done there.
var verbRisks = map[string]int{"*": 5, "write": 4, "use": 4, "read": 2}

// Terms explains a blast radius: every scope and every reach with its risk and its sensitivity, the greatest first. A scope for one
// resource alone counts one step less sensitive than for all of its kind.
func Terms(account Account, reaches []Reach) []Term {
	var terms []Term
	for _, text := range account.Scopes {
		scope, err := ParseScope(text)
		if err != nil {
			continue // allows nothing
		}
		term := Term{Name: "Postern: " + text, Scope: true, Unit: account.Unit, Risk: cmp.Or(verbRisks[scope.Verb], 3), Sensitivity: cmp.Or(sensitivities[scope.Kind], 3)}
		if !scope.ID.IsZero() {
			term.Sensitivity = max(1, term.Sensitivity-1)
		}
		terms = append(terms, term)
	}
	for _, reach := range reaches {
		terms = append(terms, Term{Name: reach.Name, Unit: reach.Unit, Risk: reach.Risk, Sensitivity: reach.Sensitivity})
	}
	slices.SortStableFunc(terms, func(one, other Term) int {
		return cmp.Or(other.Product()-one.Product(), strings.Compare(one.Name, other.Name))
	})
	return terms
}

// Sum is the blast radius of terms.
func Sum(terms []Term) int {
	sum := 0
	for _, term := range terms {
		sum += term.Product()
	}
	return sum
}

// Blast is the account's blast radius: the sum of its Terms.
func (a Account) Blast() int { return Sum(Terms(a, nil)) + a.Reached }
