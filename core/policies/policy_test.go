package policies_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/policies"
)

func TestPoliciesAreKeptAndTold(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	made := h.add(t, policies.Policy{
		Name: " Quarterly ", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: time.Hour,
		Scope:    policies.Scope{Covers: policies.Apps, Apps: []core.ID{h.apps[0].ID, h.apps[0].ID}},
		Schedule: &policies.Schedule{Days: 90, Zone: "Europe/Berlin", From: 120, To: 240},
	})
	if made.Name != "Quarterly" || made.Version != 1 || len(made.Scope.Apps) != 1 || made.Schedule.Start.String() != "2026-11-22" {
		t.Fatalf("kept as %+v %+v", made, made.Schedule)
	}
	described, err := h.Describe(ctx, h.DB, h.workspace, made)
	coretest.Must(t, err)
	want := "Rotates 3 accounts of Harbour every 90 days, 02:00–04:00 Europe/Berlin, each at most once in 1 hour, next: Sunday 22 November 2026 02:00."
	if described.Sentence != want || described.Accounts != 3 {
		t.Errorf("described as %q", described.Sentence)
	}
	if _, err := other.Policy(ctx, h.DB, other.workspace, made.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the other workspace finds it: %v", err)
	}
	coretest.Wants(t, other.Remove(ctx, other.system, other.workspace, made.ID), core.KindNotFound, "")
	_, err = other.Change(ctx, other.system, other.workspace, made.ID, 0, func(p *policies.Policy) { p.Name = "mine" })
	coretest.Wants(t, err, core.KindNotFound, "")

	same, err := h.Change(ctx, h.system, h.workspace, made.ID, 1, func(*policies.Policy) {})
	coretest.Must(t, err)
	if same.Version != 1 {
		t.Errorf("a change of nothing is version %d", same.Version)
	}
	h.clock.Pass(30 * time.Hour)
	same, err = h.Change(ctx, h.system, h.workspace, made.ID, 1, func(p *policies.Policy) {
		p.Schedule = &policies.Schedule{Days: 90, Zone: "Europe/Berlin", From: 120, To: 240}
	})
	coretest.Must(t, err)
	h.clock.Set(morning)
	if same.Version != 1 || h.events(t, core.PolicyChanged) != 0 {
		t.Error("a change without a difference counts")
	}
	renamed, err := h.Change(ctx, h.system, h.workspace, made.ID, 1, func(p *policies.Policy) { p.Name = "Every quarter" })
	coretest.Must(t, err)
	if renamed.Version != 2 || !renamed.Round.Starts.Equal(made.Round.Starts) {
		t.Errorf("renamed to %+v", renamed)
	}
	_, err = h.Change(ctx, h.system, h.workspace, made.ID, 1, func(p *policies.Policy) { p.Enabled = false })
	coretest.Wants(t, err, core.KindStale, "")
	off, err := h.Change(ctx, h.system, h.workspace, made.ID, 2, func(p *policies.Policy) { p.Enabled = false })
	coretest.Must(t, err)
	h.clock.Set(made.Round.Starts.Add(time.Hour))
	if done := h.tick(t); done != 0 || !off.Round.Day.IsZero() {
		t.Errorf("a policy that is off rotated %d", done)
	}
	told := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = 'policy.changed'
		and event -> 'data' ->> 'before' like '%"enabled":true%' and event -> 'data' ->> 'after' like '%"enabled":false%'`, nil)
	if told != 1 {
		t.Error("nobody is told what it was before and after")
	}
	coretest.Must(t, h.Remove(ctx, h.system, h.workspace, made.ID))
	coretest.Wants(t, h.Remove(ctx, h.system, h.workspace, made.ID), core.KindNotFound, "")
	if h.events(t, core.PolicyCreated) != 1 || h.events(t, core.PolicyRemoved) != 1 || other.events(t, core.PolicyCreated) != 0 {
		t.Error("told otherwise than it happened")
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	h, other := pair(t)
	h.add(t, policies.Policy{Name: "taken", Trigger: policies.TriggerLogout})
	for name, one := range map[string]struct {
		field  string
		kind   core.Kind
		wanted policies.Policy
	}{
		"no name":           {"name", core.KindInvalid, policies.Policy{Trigger: policies.TriggerLogout}},
		"a long name":       {"name", core.KindInvalid, policies.Policy{Name: strings.Repeat("x", 101), Trigger: policies.TriggerLogout}},
		"a nul":             {"name", core.KindInvalid, policies.Policy{Name: "a\x00b", Trigger: policies.TriggerLogout}},
		"no trigger":        {"trigger", core.KindInvalid, policies.Policy{Name: "x"}},
		"manual":            {"trigger", core.KindInvalid, policies.Policy{Name: "x", Trigger: "manual"}},
		"the same name":     {"name", core.KindConflict, policies.Policy{Name: "taken", Trigger: policies.TriggerDeprovision}},
		"no schedule":       {"schedule", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerSchedule}},
		"a schedule":        {"schedule", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Schedule: nightly(t)}},
		"a delay":           {"delay", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Delay: time.Hour}},
		"a negative delay":  {"delay", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerSignIn, Delay: -1}},
		"years":             {"spacing", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Spacing: 9000 * time.Hour}},
		"no such scope":     {"covers", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Covers: "users"}}},
		"apps without":      {"apps", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Covers: policies.Apps}}},
		"two scopes":        {"tags", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Tags: []string{"a"}}}},
		"somebody's app":    {"apps", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Covers: policies.Apps, Apps: []core.ID{other.apps[0].ID}}}},
		"their account":     {"accounts", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Covers: policies.Accounts, Accounts: []core.ID{other.accounts[0].ID}}}},
		"excludes theirs":   {"accounts", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Excluded: []core.ID{other.accounts[0].ID}}}},
		"a tag of nonsense": {"tags", core.KindInvalid, policies.Policy{Name: "x", Trigger: policies.TriggerLogout, Scope: policies.Scope{Covers: policies.Tags, Tags: []string{"a b"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Create(t.Context(), h.system, h.workspace, one.wanted)
			coretest.Wants(t, err, one.kind, one.field)
		})
	}
	_, err := h.Create(t.Context(), core.NewCause(h.ana.Actor(), h.clock.Now()), h.workspace, policies.Policy{Name: "x", Trigger: policies.TriggerLogout})
	if core.KindOf(err) != core.KindDenied {
		t.Errorf("anybody may add a policy: %v", err)
	}
	made := h.add(t, policies.Policy{Name: "one", Trigger: policies.TriggerLogout})
	_, err = h.Change(t.Context(), h.system, h.workspace, made.ID, 0, func(p *policies.Policy) { p.Trigger = policies.TriggerLinkEnd })
	coretest.Wants(t, err, core.KindInvalid, "trigger")
}

// Two administrators change one policy at the same time: one of them is told.
func TestTwoChangesAtOnce(t *testing.T) {
	h, _ := pair(t)
	made := h.add(t, policies.Policy{Name: "one", Trigger: policies.TriggerLogout})
	var stale atomic.Int64
	change := func(name string) func() {
		return func() {
			_, err := h.Change(t.Context(), h.system, h.workspace, made.ID, made.Version, func(p *policies.Policy) { p.Name = name })
			if core.KindOf(err) == core.KindStale {
				stale.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	together(change("a"), change("b"), change("c"))
	if stale.Load() != 2 {
		t.Errorf("%d of 3 were told", stale.Load())
	}
}

func TestListHoldsTheDefaultsThatHold(t *testing.T) {
	h, _ := pair(t)
	h.add(t, policies.Policy{Name: "never", Trigger: policies.TriggerDeprovision})
	found, err := h.List(t.Context(), h.DB, h.workspace)
	coretest.Must(t, err)
	var told []string
	for _, one := range found {
		described, err := h.Describe(t.Context(), h.DB, h.workspace, one)
		coretest.Must(t, err)
		told = append(told, described.Sentence)
	}
	want := []string{
		"Off. Switched on, it rotates all 6 accounts as soon as somebody leaves who could use them.",
		"Rotates all 6 accounts as soon as somebody who could use them is logged out, or a signal asks for it.",
		"Rotates all 6 accounts as soon as somebody who knows their password loses access.",
		"Rotates all 6 accounts as soon as a link to them ends.",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told:\n%s", strings.Join(told, "\n"))
	}
}

// What a preview says is what happens.
func TestPreviewTellsWhatHappens(t *testing.T) {
	h, other := pair(t)
	h.many(t, 30)
	draft := policies.Policy{Trigger: policies.TriggerSchedule, Enabled: true, Spacing: time.Hour, Schedule: nightly(t)}
	said := map[core.ID]time.Time{}
	var after core.ID
	for {
		page, err := h.Preview(t.Context(), h.DB, h.workspace, draft, after, 7)
		coretest.Must(t, err)
		for _, one := range page {
			if one.When == nil || one.Why != "" {
				t.Fatalf("%+v", one)
			}
			said[one.Account], after = *one.When, one.Account
		}
		if len(page) < 7 {
			break
		}
	}
	if len(said) != 36 || h.rotations(t) != 0 || h.events(t, core.PolicyCreated) != 0 {
		t.Fatalf("%d accounts, %d rotations", len(said), h.rotations(t))
	}
	draft.Name = "nightly"
	made := h.add(t, draft)
	for h.clock.Set(made.Round.Starts); h.clock.Now().Before(made.Round.Ends); h.clock.Pass(10 * time.Second) {
		h.tick(t)
	}
	rows, err := h.DB.Query(t.Context(), `select account_id, created from rotations where workspace_id = $1`, h.workspace)
	coretest.Must(t, err)
	var account core.ID
	var began time.Time
	count := 0
	_, err = pgx.ForEachRow(rows, []any{&account, &began}, func() error {
		count++
		if late := began.Sub(said[account]); late < 0 || late > 10*time.Second {
			t.Errorf("an account said to be rotated %v was rotated %v", said[account], began)
		}
		return nil
	})
	coretest.Must(t, err)
	if count != 36 {
		t.Errorf("%d rotations", count)
	}
	if page, err := other.Preview(t.Context(), h.DB, other.workspace, draft, core.ID{}, 500); err != nil || len(page) != 6 {
		t.Errorf("of the other workspace %d are told (%v)", len(page), err)
	}
	signIn := policies.Policy{Trigger: policies.TriggerSignIn, Enabled: true}
	page, err := h.Preview(t.Context(), h.DB, h.workspace, signIn, core.ID{}, 1)
	coretest.Must(t, err)
	if len(page) != 1 || page[0].When != nil || page[0].Why != policies.WhyState && page[0].Why != "" && page[0].Why != policies.WhyUnderWay {
		t.Errorf("after a sign-in: %+v", page)
	}
}
