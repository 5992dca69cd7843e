package rotation_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
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
			told := &told{}
			engine := s.engine()
			if test.connectors != nil {
				engine.Connectors = test.connectors(s)
			}
			engine.Meter = told
			planned := s.plan(test.reason)
			ctx := context.WithValue(t.Context(), lifeKey{}, &life{})
			if err := engine.Advance(ctx, s.workspace, planned.ID); err != nil {
				if _, snoozed := jobs.SnoozeOf(err); !snoozed {
					t.Fatal(err)
				}
			}
			if len(told.rested) != 1 || told.rested[0].ID != planned.ID || told.rested[0].State != test.state || told.apps[0] != "Wiki" || !test.check(told.rested[0]) {
				t.Fatalf("told %+v", told)
			}
			// What is finished or blocked already does not rest again.
			if err := engine.Advance(ctx, s.workspace, planned.ID); len(told.rested) != 1 {
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

// told is a meter that remembers.
type told struct {
	rested []rotation.Rotation
	apps   []string
	tried  []string
	shut   []rotation.Keeper
}

func (m *told) Rested(app accounts.App, r rotation.Rotation) {
	m.rested, m.apps = append(m.rested, r), append(m.apps, app.Name)
}

func (m *told) Tried(connector string, change bool, outcome rotation.Outcome) {
	m.tried = append(m.tried, fmt.Sprintf("%s %t %s", connector, change, outcome))
}

func (m *told) Shut(_ string, by rotation.Keeper) { m.shut = append(m.shut, by) }

// Every sign-in, change and change that was kept from being sent is told; words a connector makes up are not.
func TestOneIsToldOfEveryAttempt(t *testing.T) {
	h := build(t)
	for name, test := range map[string]struct {
		connector func(s *subject) rotation.Connector
		tried     []string
		shut      []rotation.Keeper
	}{
		"works": {func(s *subject) rotation.Connector { return s.connector },
			[]string{"simulated true applied", "simulated false accepted", "simulated false rejected"}, nil},
		"page": {func(s *subject) rotation.Connector {
			return &careless{s.connector, rotation.Report{Outcome: rotation.NotSent, Stage: rotation.StageSubmit}}
		}, []string{"simulated true not_sent"}, []rotation.Keeper{rotation.KeeperPage}},
		"made up": {func(s *subject) rotation.Connector {
			return &careless{s.connector, rotation.Report{Outcome: "a word of its own"}}
		}, []string{"simulated true unknown"}, nil},
	} {
		s, meter := h.open(t, 0), &told{}
		engine := s.engine()
		engine.Meter, engine.Connectors = meter, rotation.Connectors{"simulated": test.connector(s)}
		if err := engine.Advance(t.Context(), s.workspace, s.plan(rotation.ReasonManual).ID); err != nil {
			if _, snoozed := jobs.SnoozeOf(err); !snoozed {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(test.tried, meter.tried); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(test.shut, meter.shut); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What the app's administrator signs in for is told too: to set a password, and to end the sessions.
func TestOneIsToldOfWhatAnAdministratorDoes(t *testing.T) {
	s, meter := build(t).open(t, 0), &told{}
	s.administered()
	engine := s.engine()
	engine.Meter, engine.Connectors = meter, rotation.Connectors{"simulated": &revoking{simulated: s.connector, says: rotation.AdminDenied}}
	var planned rotation.Rotation
	s.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = engine.PlanReset(ctx, tx, system, s.workspace, s.account)
		return err
	})
	if err := engine.Advance(t.Context(), s.workspace, planned.ID); err != nil {
		t.Fatal(err)
	}
	wanted := []string{"simulated true applied", "simulated false accepted", "simulated false rejected", "simulated false admin_denied"}
	if diff := cmp.Diff(wanted, meter.tried); diff != "" {
		t.Error(diff)
	}
}

// A lockout is late when its proof came after the objective, or has not come by then; other rotations are none.
func TestLockoutsAreCountedAgainstAnObjective(t *testing.T) {
	h := build(t)
	start := h.clock.Now()
	read := func(within, objective time.Duration) rotation.Lockouts {
		t.Helper()
		found, err := rotation.ReadLockouts(t.Context(), h.db, h.clock.Now(), within, objective)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for i, reason := range []rotation.Reason{rotation.ReasonDeprovision, rotation.ReasonLinkEnd, rotation.ReasonManual, rotation.ReasonOwnerChange} {
		s := h.open(t, i%2)
		s.advance(s.plan(reason).ID, &life{})
	}
	took := h.clock.Now().Sub(start)
	if found := read(time.Hour, took); found != (rotation.Lockouts{Done: 2}) || found.Burn(0.99) != 0 {
		t.Errorf("%+v", found)
	}
	if found := read(time.Hour, time.Millisecond); found != (rotation.Lockouts{Done: 2, Late: 2}) || math.Abs(found.Burn(0.99)-100) > 0.001 {
		t.Errorf("%+v burns %v", found, found.Burn(0.99))
	}
	blocked := h.open(t, 1)
	blocked.plan(rotation.ReasonRevocation)
	h.clock.Pass(30 * time.Minute)
	if found := read(time.Hour, 29*time.Minute); found != (rotation.Lockouts{Done: 2, Open: 1}) {
		t.Errorf("%+v", found)
	}
	if found := read(time.Hour, 31*time.Minute); found != (rotation.Lockouts{Done: 2}) {
		t.Errorf("%+v", found)
	}
	if found := read(time.Minute, 31*time.Minute); found != (rotation.Lockouts{}) || found.Burn(0.5) != 0 {
		t.Errorf("%+v", found)
	}
}
