package policies_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/policies"
)

func TestWhatHoldsAboutTriggersNobodySpokeAbout(t *testing.T) {
	h, other := pair(t)
	all := []int{0, 1, 2, 3, 4, 5}
	other.add(t, policies.Policy{Name: "never", Trigger: policies.TriggerDeprovision})
	h.add(t, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Schedule: nightly(t)})
	for _, trigger := range policies.Triggers {
		want := all
		switch trigger {
		case policies.TriggerSchedule, policies.TriggerSignIn, policies.TriggerOwnerChange, policies.TriggerAdminChange:
			want = nil
		case policies.TriggerDeprovision, policies.TriggerLogout, policies.TriggerRevocation, policies.TriggerLinkEnd:
		}
		if trigger == policies.TriggerSchedule {
			continue
		}
		if diff := cmp.Diff(want, h.chosen(t, trigger)); diff != "" {
			t.Errorf("%s: %s", trigger, diff)
		}
	}
	if found := other.chosen(t, policies.TriggerDeprovision); found != nil {
		t.Errorf("the other workspace rotates %v", found)
	}
}

func TestPoliciesChooseByScope(t *testing.T) {
	h, other := pair(t)
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		for _, account := range []int{1, 4} {
			if _, err := h.Accounts.SetTags(t.Context(), tx, h.system, h.workspace, h.accounts[account].ID, []string{"Prod", "b"}); err != nil {
				return err
			}
		}
		_, err := other.Accounts.SetTags(t.Context(), tx, h.system, other.workspace, other.accounts[0].ID, []string{"prod"})
		return err
	}))
	made := h.add(t, policies.Policy{Name: "one", Trigger: policies.TriggerDeprovision, Enabled: true})
	for _, one := range []struct {
		name  string
		scope policies.Scope
		want  []int
	}{
		{"all", policies.Scope{}, []int{0, 1, 2, 3, 4, 5}},
		{"all but two", policies.Scope{Excluded: []core.ID{h.accounts[0].ID, h.accounts[5].ID}}, []int{1, 2, 3, 4}},
		{"an app", policies.Scope{Covers: policies.Apps, Apps: []core.ID{h.apps[1].ID}}, []int{3, 4, 5}},
		{"a tag", policies.Scope{Covers: policies.Tags, Tags: []string{"PROD", "none"}}, []int{1, 4}},
		{"accounts", policies.Scope{Covers: policies.Accounts, Accounts: []core.ID{h.accounts[2].ID, h.accounts[3].ID}, Excluded: []core.ID{h.accounts[3].ID}}, []int{2}},
	} {
		_, err := h.Change(t.Context(), h.system, h.workspace, made.ID, 0, func(p *policies.Policy) { p.Scope = one.scope })
		coretest.Must(t, err)
		if diff := cmp.Diff(one.want, h.chosen(t, policies.TriggerDeprovision)); diff != "" {
			t.Errorf("%s: %s", one.name, diff)
		}
		if found := other.chosen(t, policies.TriggerDeprovision); len(found) != 6 {
			t.Errorf("%s: the other workspace rotates %v", one.name, found)
		}
	}
	h.add(t, policies.Policy{Name: "another", Trigger: policies.TriggerDeprovision, Enabled: true, Scope: policies.Scope{Covers: policies.Apps, Apps: []core.ID{h.apps[0].ID}}})
	if diff := cmp.Diff([]int{0, 1, 2}, h.chosen(t, policies.TriggerDeprovision)); diff != "" {
		t.Errorf("two policies: %s", diff)
	}
}

func TestSpacingNeverSparesWhoKnowsThePassword(t *testing.T) {
	h, _ := pair(t)
	h.add(t, policies.Policy{Name: "spaced", Trigger: policies.TriggerDeprovision, Enabled: true, Spacing: 2 * time.Hour})
	_, err := h.DB.Exec(t.Context(), `update accounts set rotated = @now where workspace_id = @workspace and id = any(@accounts)`, pgx.StrictNamedArgs{
		"workspace": h.workspace, "now": h.clock.Now().Add(-time.Hour), "accounts": []core.ID{h.accounts[0].ID, h.accounts[1].ID},
	})
	coretest.Must(t, err)
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, h.chosen(t, policies.TriggerDeprovision, 1)); diff != "" {
		t.Error(diff)
	}
	h.clock.Pass(time.Hour)
	if found := h.chosen(t, policies.TriggerDeprovision); len(found) != 6 {
		t.Errorf("after the spacing %v are rotated", found)
	}
}

func TestStatesForbidWhatLocksNobodyOut(t *testing.T) {
	h, _ := pair(t)
	h.add(t, policies.Policy{Name: "owners", Trigger: policies.TriggerOwnerChange, Enabled: true})
	for i, state := range []string{"desynced", "unmanaged", "app_disabled", "at_risk"} {
		_, err := h.DB.Exec(t.Context(), `update accounts set state = @state where workspace_id = @workspace and id = @account`,
			pgx.StrictNamedArgs{"workspace": h.workspace, "account": h.accounts[i].ID, "state": state})
		coretest.Must(t, err)
	}
	if diff := cmp.Diff([]int{3, 4, 5}, h.chosen(t, policies.TriggerOwnerChange, 0)); diff != "" {
		t.Error(diff)
	}
	if found := h.chosen(t, policies.TriggerRevocation); len(found) != 6 {
		t.Errorf("of a revocation %v are rotated", found)
	}
}

// Whoever reads a rotation is told which trigger it was: in its row and in what is told of it, with the weight and the priority that has.
func TestARotationSaysWhatTriggeredIt(t *testing.T) {
	h, _ := pair(t)
	for i, trigger := range policies.Triggers {
		if trigger == policies.TriggerSchedule || trigger == policies.TriggerSignIn { // which are no command's
			continue
		}
		if !trigger.Default() {
			h.add(t, policies.Policy{Name: string(trigger), Trigger: trigger, Enabled: true})
		}
		coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			made, err := h.Rotate(t.Context(), tx, h.system, h.workspace, trigger, h.accounts[i%len(h.accounts)].ID)
			if err == nil && len(made) != 1 {
				t.Errorf("%s: %d rotations", trigger, len(made))
			}
			return err
		}))
		priority := map[bool]int{true: 1, false: 3}[trigger.Default()]
		args := pgx.StrictNamedArgs{"reason": string(trigger), "priority": priority}
		if found := h.count(t, `select count(*) from rotations where workspace_id = @workspace and reason = @reason and priority = @priority`, args); found != 1 {
			t.Errorf("%s: %d such rotations", trigger, found)
		}
		args = pgx.StrictNamedArgs{"reason": string(trigger)}
		if told := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace
			and event -> 'data' ->> 'reason' = @reason and event -> 'data' ->> 'trigger' = @reason`, args); told != 1 {
			t.Errorf("%s: %d events say so", trigger, told)
		}
	}
}

func TestRotateIsPartOfTheCommand(t *testing.T) {
	h, other := pair(t)
	rotate := func(trigger policies.Trigger, logins ...core.ID) (made []core.ID) {
		coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			made, err = h.Rotate(t.Context(), tx, h.system, h.workspace, trigger, logins...)
			return err
		}))
		return made
	}
	made := rotate(policies.TriggerLinkEnd, h.accounts[0].ID, h.accounts[1].ID, other.accounts[0].ID)
	if len(made) != 2 || h.rotations(t) != 2 || other.rotations(t) != 0 {
		t.Fatalf("%v, %d rotations, %d elsewhere", made, h.rotations(t), other.rotations(t))
	}
	if told := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event -> 'data' ->> 'trigger' = 'link_end'`, nil); told != 2 {
		t.Errorf("%d events say why", told)
	}
	if again := rotate(policies.TriggerLinkEnd, h.accounts[0].ID); len(again) != 1 || again[0] != made[0] && again[0] != made[1] || h.rotations(t) != 2 {
		t.Errorf("asked again: %v", again)
	}
	if off := rotate(policies.TriggerAdminChange, h.accounts[2].ID); off != nil || h.rotations(t) != 2 {
		t.Errorf("rotated %v without a policy", off)
	}
}
