package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/core"
	"postern/core/coretest"
	"postern/core/lifecycle"
)

func TestWhoMayDismissWhom(t *testing.T) {
	h, other := pair(t)
	ctx, before := t.Context(), other.snapshot(t)
	people := h.crowd(t, "u", 3)
	by := func(user core.ID) core.Cause {
		found := h.read(t, user)
		return core.NewCause(found.Actor(), time.Now())
	}
	dismiss := func(cause core.Cause, user core.ID) error {
		_, err := h.Dismiss(ctx, cause, h.workspace, user)
		return err
	}
	coretest.Wants(t, dismiss(by(people[0].ID), people[1].ID), core.KindDenied, "")
	coretest.Wants(t, dismiss(h.cause, people[1].ID), core.KindDenied, "") // a connection has its own ways
	h.own(t, h.ana.ID)
	coretest.Wants(t, dismiss(by(h.ana.ID), h.ana.ID), core.KindDenied, "")
	coretest.Wants(t, dismiss(h.system, h.ana.ID), core.KindDenied, "") // the last owner
	h.own(t, people[0].ID)
	coretest.Must(t, dismiss(by(h.ana.ID), people[0].ID))
	coretest.Wants(t, dismiss(by(people[0].ID), h.ana.ID), core.KindDenied, "")
	coretest.Wants(t, dismiss(by(h.ana.ID), other.ana.ID), core.KindNotFound, "")
	effect, err := h.Dismiss(ctx, by(h.ana.ID), h.workspace, people[1].ID)
	coretest.Must(t, err)
	if effect.SessionsEnded != 1 || effect.GrantsRevoked != 1 || len(effect.Rotations) == 0 || h.has(t, people[1].ID) != "000" {
		t.Errorf("%+v, has %s", effect, h.has(t, people[1].ID))
	}
	if effect, err = h.Dismiss(ctx, by(h.ana.ID), h.workspace, people[1].ID); err != nil || !cmp.Equal(effect, lifecycle.Effect{}, cmpopts.EquateEmpty()) {
		t.Errorf("again %+v, %v", effect, err)
	}
	if got := h.events(t, core.UserDeprovisioned); got != 2 {
		t.Errorf("%d deprovisions", got)
	}
	if diff := cmp.Diff(before, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
}

// Who left after all, although the hold was rejected, or before it is decided.
func TestWhoIsHeldOrKeptCanBeDismissed(t *testing.T) {
	h, _ := pair(t)
	h.guard(t, 1, 1)
	people := h.crowd(t, "u", 4)
	for _, user := range people {
		h.deactivate(t, h.cause, user.ID)
	}
	hold := h.holds(t, true)[0]
	_, err := h.Dismiss(t.Context(), h.system, h.workspace, people[1].ID)
	coretest.Must(t, err)
	if got := h.holds(t, true)[0]; got.Waiting != 2 || got.Left() != 4 || h.has(t, people[1].ID) != "000" {
		t.Errorf("%+v, has %s", got, h.has(t, people[1].ID))
	}
	coretest.Must(t, h.RejectHold(t.Context(), h.system, h.workspace, hold.ID))
	h.carry(t)
	for i, want := range []string{"000", "000", "011", "011"} {
		if got := h.has(t, people[i].ID); got != want {
			t.Errorf("the %d. has %s, want %s", i+1, got, want)
		}
	}
	effect, err := h.Dismiss(t.Context(), h.system, h.workspace, people[2].ID)
	if err != nil || effect.GrantsRevoked != 1 || h.has(t, people[2].ID) != "000" || h.has(t, people[3].ID) != "011" {
		t.Errorf("%+v, %v, has %s", effect, err, h.has(t, people[2].ID))
	}
	if got := h.events(t, core.UserDeprovisioned); got != 3 {
		t.Errorf("%d deprovisions", got)
	}
}
