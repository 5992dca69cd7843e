package policies_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/policies"
)

func (h house) dues(t testing.TB) int {
	t.Helper()
	return h.count(t, `select count(*) from policy_dues where workspace_id = @workspace`, nil)
}

func TestSignInsRotateAfterAWhile(t *testing.T) {
	h, other := pair(t)
	h.fill(t, 0)
	if h.dues(t) != 0 {
		t.Fatal("a sign-in counts without a policy")
	}
	h.add(t, policies.Policy{
		Name: "after use", Trigger: policies.TriggerSignIn, Enabled: true, Delay: 4 * time.Hour, Spacing: 24 * time.Hour,
		Scope: policies.Scope{Covers: policies.Apps, Apps: []core.ID{h.apps[0].ID}},
	})
	h.fill(t, 0)
	h.clock.Pass(time.Hour)
	h.fill(t, 0) // the first one counts
	h.fill(t, 3) // another app
	h.clock.Pass(3*time.Hour - time.Second)
	if done := h.tick(t); done != 0 || h.dues(t) != 1 {
		t.Fatalf("%d rotations too early, %d wait", done, h.dues(t))
	}
	h.clock.Pass(time.Second)
	if done := h.tick(t); done != 1 || h.planned(t, h.accounts[0].ID) != 1 || h.dues(t) != 0 {
		t.Fatalf("%d rotations, %d wait", done, h.dues(t))
	}
	h.finish(t)
	if done := h.tick(t); done != 0 {
		t.Fatal("rotated twice for one sign-in")
	}
	// Four hours later it is due, but rotated too short ago: it waits for that.
	h.fill(t, 0)
	h.clock.Pass(5 * time.Hour)
	if done := h.tick(t); done != 0 || h.dues(t) != 1 {
		t.Fatalf("%d rotations within the spacing, %d wait", done, h.dues(t))
	}
	h.clock.Pass(19 * time.Hour)
	if done := h.tick(t); done != 1 || h.dues(t) != 0 {
		t.Fatalf("%d rotations after the spacing, %d wait", done, h.dues(t))
	}
	h.finish(t)
	// Changed by somebody else meanwhile: nobody knows it any more, until the next sign-in, from which the delay counts.
	h.fill(t, 1)
	h.clock.Pass(time.Hour)
	coretest.Must(t, h.DB.QueryRow(t.Context(), `update accounts set rotated = $3 where workspace_id = $1 and id = $2 returning 1`, h.workspace, h.accounts[1].ID, h.clock.Now()).Scan(new(int)))
	h.clock.Pass(time.Hour)
	h.fill(t, 1)
	h.clock.Pass(2 * time.Hour)
	if done := h.tick(t); done != 0 || h.dues(t) != 1 {
		t.Fatalf("%d rotations for a password nobody knows, %d wait", done, h.dues(t))
	}
	h.clock.Pass(23 * time.Hour)
	if done := h.tick(t); done != 1 {
		t.Fatalf("%d rotations after the second sign-in", done)
	}
	if other.rotations(t)+other.dues(t) != 0 {
		t.Error("the other workspace was touched")
	}
}

func TestSignInsWhosePolicyIsGone(t *testing.T) {
	h, _ := pair(t)
	off := h.add(t, policies.Policy{Name: "off", Trigger: policies.TriggerSignIn, Enabled: true})
	gone := h.add(t, policies.Policy{Name: "gone", Trigger: policies.TriggerSignIn, Enabled: true})
	h.fill(t, 0)
	h.fill(t, 1)
	if h.dues(t) != 4 {
		t.Fatalf("%d wait", h.dues(t))
	}
	coretest.Must(t, h.Remove(t.Context(), h.system, h.workspace, gone.ID))
	_, err := h.Change(t.Context(), h.system, h.workspace, off.ID, 0, func(p *policies.Policy) { p.Enabled = false })
	coretest.Must(t, err)
	h.clock.Pass(time.Minute)
	if done := h.tick(t); done != 0 || h.dues(t) != 0 {
		t.Fatalf("%d rotations, %d wait", done, h.dues(t))
	}
}

func TestSignInsOfTwoPoliciesAndStates(t *testing.T) {
	h, _ := pair(t)
	h.add(t, policies.Policy{Name: "one", Trigger: policies.TriggerSignIn, Enabled: true})
	h.add(t, policies.Policy{Name: "two", Trigger: policies.TriggerSignIn, Enabled: true})
	h.fill(t, 0)
	h.fill(t, 1)
	h.state(t, 1, accounts.AppDisabled)
	h.clock.Pass(time.Second)
	if done := h.tick(t); done != 1 || h.planned(t, h.accounts[0].ID) != 1 || h.planned(t, h.accounts[1].ID) != 0 || h.dues(t) != 0 {
		t.Fatalf("%d rotations, %d wait", done, h.dues(t))
	}
	if passed := h.events(t, core.RotationPassedOver); passed != 2 {
		t.Errorf("%d events tell what was passed over", passed)
	}
}

func TestSignInsAreSeenToOnceByMany(t *testing.T) {
	w := open(t)
	h, small := w.house(t, "acme", 150), w.house(t, "small", 1)
	for _, one := range []house{h, small} {
		one.add(t, policies.Policy{Name: "after use", Trigger: policies.TriggerSignIn, Enabled: true})
		for i := range one.accounts {
			coretest.Must(t, one.DB.QueryRow(t.Context(), `
				insert into policy_dues (workspace_id, policy_id, account_id, since, due)
				select workspace_id, id, $2, $3, $3 from policies where workspace_id = $1 returning 1`, one.workspace, one.accounts[i].ID, w.clock.Now()).Scan(new(int)))
		}
	}
	w.clock.Pass(time.Minute)
	var work []func()
	for range 4 {
		process := w.another(t, w.DB)
		work = append(work, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, _ = process.Tick(ctx) // killed, or done
			if _, err := process.Tick(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	together(work...)
	coretest.Until(t, "the server has noticed who was killed, and lets go", func() bool {
		return h.count(t, `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null and @workspace::uuid is not null`, nil) == 0
	})
	h.tick(t)
	h.once(t, 1)
	small.once(t, 1)
	if h.dues(t)+small.dues(t) != 0 {
		t.Error("some still wait")
	}
}

// What an owner's change finds rotated too short ago is rotated when the spacing is over, unless it was meanwhile.
func TestAnOwnersChangeWaitsForTheSpacing(t *testing.T) {
	h, other := pair(t)
	h.add(t, policies.Policy{
		Name: "new owners", Trigger: policies.TriggerOwnerChange, Enabled: true, Spacing: 24 * time.Hour,
		Scope: policies.Scope{Covers: policies.Apps, Apps: []core.ID{h.apps[0].ID}},
	})
	changed := func(want int, indexes ...int) {
		t.Helper()
		var logins []core.ID
		for _, i := range indexes {
			logins = append(logins, h.accounts[i].ID)
		}
		var rotations []core.ID
		coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			rotations, err = h.Rotate(t.Context(), tx, h.system, h.workspace, policies.TriggerOwnerChange, logins...)
			return err
		}))
		if len(rotations) != want {
			t.Fatalf("%d rotations at once, want %d", len(rotations), want)
		}
	}
	changed(2, 0, 1, 3) // the last is of another app
	if h.dues(t) != 0 {
		t.Fatalf("%d wait", h.dues(t))
	}
	h.finish(t)
	h.clock.Pass(time.Hour)
	changed(1, 0, 1, 2, 3)
	if done := h.tick(t); done != 0 || h.dues(t) != 2 {
		t.Fatalf("%d rotations within the spacing, %d wait", done, h.dues(t))
	}
	h.finish(t)
	// One of them is rotated meanwhile, for another reason.
	h.clock.Pass(time.Hour)
	coretest.Must(t, h.DB.QueryRow(t.Context(), `update accounts set rotated = $3 where workspace_id = $1 and id = $2 returning 1`, h.workspace, h.accounts[1].ID, h.clock.Now()).Scan(new(int)))
	h.clock.Pass(22*time.Hour - time.Second)
	if done := h.tick(t); done != 0 || h.dues(t) != 2 {
		t.Fatalf("%d rotations too early, %d wait", done, h.dues(t))
	}
	h.clock.Pass(time.Second)
	if done := h.tick(t); done != 1 || h.planned(t, h.accounts[0].ID) != 2 || h.dues(t) != 0 {
		t.Fatalf("%d rotations, %d wait", done, h.dues(t))
	}
	if told := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event::text like '%"trigger":"owner_change"%'`, nil); told != 4 {
		t.Errorf("%d rotations are told as an owner's change, want 4", told)
	}
	if other.rotations(t) != 0 || other.dues(t) != 0 {
		t.Error("another workspace is rotated")
	}
}
