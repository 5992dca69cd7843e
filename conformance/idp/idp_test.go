package idp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/conformance/idp"
	"postern/conformance/partstest"
	"postern/core/directory"
)

// kindOf is what a connection of the shape is set up as.
func kindOf(shape idp.Shape) directory.ConnectionKind {
	if shape == idp.Entra || shape == idp.EntraLegacy {
		return directory.Entra
	}
	return directory.Okta
}

func play(t *testing.T, shape idp.Shape, size idp.Size, sharedAccounts int, seed uint64) *idp.Report {
	t.Helper()
	w := open(t, kindOf(shape), sharedAccounts)
	report, err := idp.Run(t.Context(), w.options(shape, size, seed))
	must(t, err)
	var text strings.Builder
	report.WriteText(&text)
	t.Log(text.String())
	if report.Failed() {
		t.Errorf("%d faults", len(report.Faults)+report.More)
	}
	if e := report.Effects; e.Told != e.Departures || e.Revoked == 0 || e.Planned == 0 || e.Returned == 0 {
		t.Errorf("the effects are %+v", *e)
	}
	if people := w.count(t, `select count(*) from users where workspace_id = @workspace`, w.other); people != 0 {
		t.Errorf("%d people came into the other workspace", people)
	}
	w.frugal(t)
	return report
}

// frugal wants nobody to have gone through a whole table on the way, but for the moments before the
// planner knew that there was anything in it, and those who prepare and check the run.
func (w *world) frugal(t *testing.T) {
	t.Helper()
	for _, table := range []string{"users", "teams", "team_members", "grants", "accounts", "departures"} {
		if read := w.count(t, `select seq_tup_read::int from pg_stat_user_tables where relname = '`+table+`' and @workspace::uuid is not null`, w.workspace); read > 2_000 {
			t.Errorf("%d rows of %s were read from the first to the last", read, table)
		}
	}
}

// Every shape, over a bad network, ends in exactly what was intended.
func TestSmallPopulations(t *testing.T) {
	for i, shape := range idp.Shapes {
		t.Run(string(shape), func(t *testing.T) {
			if i > 0 {
				partstest.Long(t, "another shape")
			}
			report := play(t, shape, idp.Size{Users: 200, Groups: 12, Cycles: 3}, 10, 3+uint64(i))
			if report.Lost == 0 || report.Twice == 0 || report.OnTheWay == 0 || report.Overtaken == 0 {
				t.Error("nothing was lost, nothing came twice: the network is no test")
			}
		})
	}
}

// The same in the size the product is meant for. It takes a minute for each; -short leaves it out.
func TestLargePopulations(t *testing.T) {
	for i, shape := range []idp.Shape{idp.Okta, idp.Entra} {
		t.Run(string(shape), func(t *testing.T) {
			partstest.Long(t, "10,000 users")
			play(t, shape, idp.Size{Users: 10_000, Groups: 200, Cycles: 2}, 100, 11+uint64(i))
		})
	}
}

// Requests that come by the hundred, then none for a while: who is sent away comes again.
func TestBursts(t *testing.T) {
	for i, shape := range []idp.Shape{idp.Okta, idp.Entra} {
		t.Run(string(shape), func(t *testing.T) {
			partstest.Long(t, "hundreds of people")
			w := open(t, kindOf(shape), 10)
			options := w.options(shape, idp.Size{Users: 150, Groups: 6, Cycles: 1}, 31+uint64(i))
			options.Burst = 150
			report, err := idp.Run(t.Context(), options)
			must(t, err)
			var text strings.Builder
			report.WriteText(&text)
			t.Log(text.String())
			if report.Failed() || report.AtOnce <= 16 {
				t.Errorf("%d faults, %d requests at once", len(report.Faults)+report.More, report.AtOnce)
			}
		})
	}
}

// A plan is its seed.
func TestPlansRepeat(t *testing.T) {
	for _, shape := range idp.Shapes {
		size := idp.Size{Users: 300, Groups: 20, Cycles: 4}
		one, again := idp.NewPlan(7, shape, size), idp.NewPlan(7, shape, size)
		if diff := cmp.Diff(one, again); diff != "" {
			t.Fatalf("%s: %s", shape, diff)
		}
		if cmp.Equal(one, idp.NewPlan(8, shape, size)) {
			t.Fatalf("%s: another seed is the same plan", shape)
		}
	}
}

// Fewer leave in all cycles together than the guard against mass departures lets through, and every
// kind of change is in a plan.
func TestPlansStayBelowTheGuard(t *testing.T) {
	for _, shape := range idp.Shapes {
		for _, users := range []int{200, 10_000} {
			plan := idp.NewPlan(5, shape, idp.Size{Users: users, Groups: 12, Cycles: 3})
			left, back, deleted := 0, 0, 0
			for _, count := range plan.Departures {
				left += count
			}
			for _, count := range plan.Returns {
				back += count
			}
			last := plan.States[len(plan.States)-1]
			names := map[string]int{}
			for _, p := range last.People {
				if p.Status == idp.Deleted {
					deleted++
				}
				names[p.UserName]++
			}
			if left*5 >= users || left == 0 || back == 0 {
				t.Errorf("%s: %d of %d leave and %d return", shape, left, users, back)
			}
			if entra := kindOf(shape) == directory.Entra; entra != (deleted > 0) || entra != (len(names) < len(last.People)) {
				t.Errorf("%s: %d deleted, %d names for %d people", shape, deleted, len(names), len(last.People))
			}
		}
	}
}
