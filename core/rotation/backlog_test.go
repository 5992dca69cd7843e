package rotation_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core/jobs"
	"postern/core/rotation"
)

// down is a connector whose app is.
type down struct{}

func (down) Verify(context.Context, rotation.Target, rotation.Credential) rotation.Report {
	return rotation.Report{Outcome: rotation.Unreachable, Stage: rotation.StageNavigate}
}

func TestOneIsToldOfEveryRest(t *testing.T) {
	h := build(t)
	for name, test := range map[string]struct {
		reason     rotation.Reason
		connectors func(s *subject) rotation.Connectors
		state      rotation.State
		check      func(r rotation.Rotation) bool
	}{
		"rotated":  {rotation.ReasonLogout, nil, rotation.StateDone, func(r rotation.Rotation) bool { return r.Finished != nil && r.Receipt != nil }},
		"verified": {rotation.ReasonVerify, nil, rotation.StateDone, func(r rotation.Rotation) bool { return r.Finished != nil && r.Receipt == nil }},
		"waits": {
			rotation.ReasonVerify, func(*subject) rotation.Connectors { return rotation.Connectors{"simulated": down{}} },
			rotation.StateProbing, func(r rotation.Rotation) bool { return r.Finished == nil && r.NextAttempt != nil },
		},
		"blocked": {
			rotation.ReasonLogout, func(*subject) rotation.Connectors { return nil },
			rotation.StateBlocked, func(r rotation.Rotation) bool { return r.Finished == nil && r.NextAttempt == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.open(t, 0)
			var told []rotation.Rotation
			engine := s.engine()
			if test.connectors != nil {
				engine.Connectors = test.connectors(s)
			}
			engine.Rested = func(r rotation.Rotation) { told = append(told, r) }
			planned := s.plan(test.reason)
			ctx := context.WithValue(t.Context(), lifeKey{}, &life{})
			if err := engine.Advance(ctx, s.workspace, planned.ID); err != nil {
				if _, snoozed := jobs.SnoozeOf(err); !snoozed {
					t.Fatal(err)
				}
			}
			if len(told) != 1 || told[0].ID != planned.ID || told[0].State != test.state || !test.check(told[0]) {
				t.Fatalf("told %+v", told)
			}
			// What is finished or blocked already does not rest again.
			if err := engine.Advance(ctx, s.workspace, planned.ID); len(told) != 1 {
				t.Errorf("told again: %v, %v", told, err)
			}
		})
	}
}

func TestBacklog(t *testing.T) {
	h := build(t)
	read := func() map[rotation.State]int64 {
		t.Helper()
		found, err := rotation.ReadBacklog(t.Context(), h.db)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[rotation.State]int64{}
		for _, one := range found {
			counts[one.State] = one.Count
		}
		return counts
	}
	if got := read(); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	here, there, done := h.open(t, 0), h.open(t, 1), h.open(t, 0)
	here.plan(rotation.ReasonManual)
	there.plan(rotation.ReasonManual)
	done.advance(done.plan(rotation.ReasonManual).ID, &life{})
	if diff := cmp.Diff(map[rotation.State]int64{rotation.StatePlanned: 2}, read()); diff != "" {
		t.Error(diff)
	}
}
