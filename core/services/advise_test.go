package services_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/coretest"
	"postern/core/services"
)

func TestEveryPartKeepsTheBudgetAndNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := 0
		terms := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) services.Term {
			number++
			return services.Term{
				Name: fmt.Sprint("t", number), Unit: rapid.SampledFrom([]string{"", "sales", "ops"}).Draw(t, "unit"),
				Risk: rapid.IntRange(1, 5).Draw(t, "risk"), Sensitivity: rapid.IntRange(1, 5).Draw(t, "sensitivity"),
			}
		}), 0, 40).Draw(t, "terms")
		budget := rapid.IntRange(services.LeastBudget, 120).Draw(t, "budget")
		parts := services.Split(terms, budget)
		if services.Sum(terms) <= budget {
			if parts != nil {
				t.Fatalf("%d keep %d, and are divided", services.Sum(terms), budget)
			}
			return
		}
		left := map[services.Term]int{}
		for _, term := range terms {
			left[term]++
		}
		for _, part := range parts {
			if part.Blast() > budget || len(part.Terms) == 0 || part.Name == "" || part.Why == "" {
				t.Fatalf("%+v exceeds %d, or is nothing", part, budget)
			}
			for _, term := range part.Terms {
				left[term]--
				if term.Risk == 5 && len(part.Terms) > 1 {
					t.Fatalf("%+v is not alone", term)
				}
				if term.Unit != part.Terms[0].Unit || (term.Sensitivity >= 4) != (part.Terms[0].Sensitivity >= 4) {
					t.Fatalf("%+v mixes what does not belong together", part)
				}
			}
		}
		if slices.ContainsFunc(slices.Collect(maps.Values(left)), func(n int) bool { return n != 0 }) {
			t.Fatalf("terms were lost or doubled: %v", left)
		}
		if again := services.Split(terms, budget); fmt.Sprint(again) != fmt.Sprint(parts) {
			t.Fatal("asked twice, it says something else")
		}
	})
}

func TestBlastRadiusIsExplainedTermByTerm(t *testing.T) {
	w := open(t)
	s, other := w.side(t), w.side(t)
	reaches := []services.Reach{
		{Name: "billing database", Unit: "finance", Risk: 5, Sensitivity: 5}, {Name: "wiki", Unit: "platform", Risk: 1, Sensitivity: 2},
	}
	coretest.Must(t, s.SetReaches(background, s.as("ana"), s.workspace, s.account.ID, reaches))
	coretest.Must(t, s.SetReaches(background, s.as("ana"), s.workspace, s.account.ID, reaches)) // twice
	changed, err := s.Change(background, s.as("ada"), s.workspace, s.account.ID, 0, func(set *services.Settings) {
		set.Scopes = []string{"accounts:read", "*:*", "*:*", "apps:read"}
	})
	coretest.Must(t, err)
	if len(changed.Scopes) != 1 || changed.Scopes[0] != "*:*" {
		t.Fatal(changed.Scopes) // what another one covers is not kept
	}
	terms := services.Terms(changed, reaches)
	if changed.Blast() != 25+25+2 || services.Sum(terms) != 52 || terms[2].Name != "wiki" {
		t.Fatal(changed.Blast(), terms)
	}
	advice, err := s.Advise(background, s.Core.DB, s.workspace, 50)
	coretest.Must(t, err)
	if len(advice) != 1 || advice[0].Account.ID != s.account.ID || len(advice[0].Parts) != 3 {
		t.Fatal(advice)
	}
	for _, by := range []string{"unit", "risk", "sensitivity"} {
		groups, err := s.Groups(background, s.Core.DB, s.workspace, by)
		coretest.Must(t, err)
		if len(groups) != 1 || groups[0].Accounts != 1 || groups[0].Blast != 52 || groups[0].Most != 52 || groups[0].Unowned != 0 {
			t.Fatal(groups)
		}
	}
	if advice, err := other.Advise(background, other.Core.DB, other.workspace, 25); err != nil || len(advice) != 0 {
		t.Fatal(advice, err)
	}
	if err := s.SetReaches(background, s.as("ana"), s.workspace, other.account.ID, reaches); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
}
