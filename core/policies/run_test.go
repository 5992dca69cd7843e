package policies_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/policies"
)

// many adds accounts to the house's first app, about which nothing but their row is known.
func (h house) many(t testing.TB, count int) {
	t.Helper()
	_, err := h.DB.Exec(t.Context(), `
		insert into accounts (id, workspace_id, app_id, vault_id, username)
		select gen_random_uuid(), @workspace, a.app_id, a.vault_id, 'many' || n
		from accounts a, generate_series(1, @count) n where a.workspace_id = @workspace and a.id = @like`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "count": count, "like": h.accounts[0].ID})
	coretest.Must(t, err)
}

// once fails unless every account of the house has been rotated so often.
func (h house) once(t testing.TB, times int) {
	t.Helper()
	if wrong := h.count(t, `
		select count(*) from accounts a where a.workspace_id = @workspace
		and (select count(*) from rotations r where r.workspace_id = a.workspace_id and r.account_id = a.id) <> @times`,
		pgx.StrictNamedArgs{"times": times}); wrong > 0 {
		t.Fatalf("%d accounts were not rotated exactly %d times (%d rotations in all)", wrong, times, h.rotations(t))
	}
}

func TestScheduleRotatesEachAccountOnceWithinItsWindow(t *testing.T) {
	h, other := pair(t)
	h.many(t, 50)
	made := h.add(t, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: time.Hour, Schedule: nightly(t)})
	opens := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC) // two in Berlin
	if !made.Round.Starts.Equal(opens) {
		t.Fatalf("the first window opens %v, want %v", made.Round.Starts, opens)
	}
	for night := range 3 {
		busiest := 0
		for h.clock.Set(opens.AddDate(0, 0, night).Add(-time.Hour)); h.clock.Now().Before(opens.AddDate(0, 0, night).Add(3 * time.Hour)); h.clock.Pass(time.Minute) {
			done := h.tick(t)
			busiest = max(busiest, done)
			if open := h.clock.Now().Sub(opens.AddDate(0, 0, night)); done > 0 && (open < 0 || open >= 2*time.Hour) {
				t.Fatalf("%d rotations began at %v, outside the window", done, h.clock.Now())
			}
		}
		h.once(t, night+1)
		if busiest > 8 {
			t.Errorf("%d of 56 rotations began at once", busiest)
		}
		h.finish(t)
	}
	if other.rotations(t) != 0 {
		t.Error("the other workspace rotated")
	}
	found, err := h.Policy(t.Context(), h.DB, h.workspace, made.ID)
	coretest.Must(t, err)
	if found.Round.Planned != 56 || found.Round.Passed != 0 || found.Round.Finished == nil {
		t.Errorf("the last occurrence is told as %+v", found.Round)
	}
}

func TestMissedScheduleIsMadeUpForOnceInTheNextWindow(t *testing.T) {
	h, _ := pair(t)
	h.many(t, 94)
	schedule, err := policies.ParseSchedule(7, "2026-11-22", nil, nil, "Europe/Berlin", "02:00", "04:00")
	coretest.Must(t, err)
	h.add(t, policies.Policy{Name: "weekly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: 0, Schedule: schedule})
	opens := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	h.clock.Set(opens)
	h.tick(t)
	for range 60 { // an hour, then nobody runs until the next day
		h.clock.Pass(time.Minute)
		h.tick(t)
	}
	half := h.rotations(t)
	if half < 25 || half > 75 {
		t.Fatalf("%d of 100 rotations in half of the window", half)
	}
	h.clock.Set(opens.Add(30 * time.Hour)) // the next day, between the windows
	if done := h.tick(t); done != 0 {
		t.Fatalf("%d rotations began outside the window", done)
	}
	busiest := 0
	for h.clock.Set(opens.Add(24*2*time.Hour - time.Minute)); h.clock.Now().Before(opens.Add(51 * time.Hour)); h.clock.Pass(time.Minute) {
		busiest = max(busiest, h.tick(t))
	}
	h.once(t, 1)
	if busiest > 10 {
		t.Errorf("%d were made up for at once", busiest)
	}
	h.finish(t)
	h.clock.Set(opens.AddDate(0, 0, 35).Add(time.Hour)) // five weeks later, in the middle of a window: one of five
	for range 70 {
		h.tick(t)
		h.clock.Pass(time.Minute)
	}
	h.once(t, 2)
}

func TestSchedulePassesOver(t *testing.T) {
	h, other := pair(t)
	h.state(t, 0, accounts.Desynced)
	h.state(t, 1, accounts.Unmanaged)
	h.state(t, 2, accounts.AppDisabled)
	h.state(t, 4, accounts.DesyncSuspected)
	made := h.add(t, policies.Policy{
		Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: 24 * time.Hour, Schedule: nightly(t),
		Scope: policies.Scope{Excluded: []core.ID{h.accounts[5].ID}},
	})
	rotated := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	_, err := h.DB.Exec(t.Context(), `update accounts set rotated = @at where workspace_id = @workspace and id = @account`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "account": h.accounts[3].ID, "at": rotated})
	coretest.Must(t, err)
	want := map[int]policies.Why{0: policies.WhyState, 1: policies.WhyState, 2: policies.WhyState, 3: policies.WhySpacing, 5: policies.WhyExcluded}
	told, err := h.Preview(t.Context(), h.DB, h.workspace, made, core.ID{}, 100)
	coretest.Must(t, err)
	for i, one := range told {
		if one.Account != h.accounts[i].ID || one.Why != want[i] || (one.Why == "") != (one.When != nil) || (one.Why == "") != (one.Reason == "") {
			t.Errorf("account %d is told as %+v", i, one)
		}
	}
	for h.clock.Set(made.Round.Starts); h.clock.Now().Before(made.Round.Ends); h.clock.Pass(time.Minute) {
		h.tick(t)
	}
	for i := range h.accounts {
		count := 0
		if i == 4 {
			count = 1
		}
		if h.planned(t, h.accounts[i].ID) != count {
			t.Errorf("account %d was rotated %d times", i, h.planned(t, h.accounts[i].ID))
		}
	}
	if passed := h.events(t, core.RotationPassedOver); passed != 3 {
		t.Errorf("%d events tell what was passed over, want 3", passed)
	}
	if other.rotations(t)+other.events(t, core.RotationPassedOver) != 0 {
		t.Error("the other workspace was touched")
	}
	found, err := h.Policy(t.Context(), h.DB, h.workspace, made.ID)
	coretest.Must(t, err)
	if found.Round.Planned != 1 || found.Round.Passed != 4 {
		t.Errorf("told as %+v", found.Round)
	}
}

// Four processes, killed again and again in the middle, rotate each account once for each occurrence.
func TestManySchedulersAndKills(t *testing.T) {
	w := open(t)
	houses := []house{w.house(t, "acme", 1), w.house(t, "globex", 1), w.house(t, "idle", 1)}
	for _, h := range houses[:2] {
		h.many(t, 398)
		h.add(t, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: 0, Schedule: nightly(t)})
		h.add(t, policies.Policy{Name: "later", Trigger: policies.TriggerSchedule, Schedule: nightly(t)})
	}
	processes := make([]*policies.Policies, 4)
	for i := range processes {
		processes[i] = w.another(t, w.DB)
	}
	opens := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	for night := range 2 {
		var killed atomic.Int64
		for minute := 0; minute < 120; minute += 3 {
			w.clock.Set(opens.AddDate(0, 0, night).Add(time.Duration(minute) * time.Minute))
			var work []func()
			for _, process := range processes {
				work = append(work, func() {
					for range 2 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(40_000))*time.Microsecond)
						if _, err := process.Tick(ctx); err != nil {
							killed.Add(1)
						}
						cancel()
					}
				})
			}
			together(work...)
			// One that lives, or all of them are late. What was killed may hold its locks a little longer.
			_, err := w.DB.Exec(t.Context(), `select id from policies order by id for update`)
			coretest.Must(t, err)
			w.clock.Set(opens.AddDate(0, 0, night).Add(time.Duration(minute+2) * time.Minute))
			_, err = w.Tick(t.Context())
			coretest.Must(t, err)
		}
		for _, h := range houses[:2] {
			h.once(t, night+1)
			h.finish(t)
		}
		if killed.Load() == 0 {
			t.Error("nobody was killed: the test proves nothing")
		}
	}
	if houses[2].rotations(t) != 0 {
		t.Error("a workspace without a schedule rotated")
	}
}

// A workspace with a long backlog leaves another one its turn.
func TestNoWorkspaceWaitsForAnothersBacklog(t *testing.T) {
	w := open(t)
	large, small := w.house(t, "large", 1), w.house(t, "small", 1)
	large.many(t, 2000)
	for _, h := range []house{large, small} {
		h.add(t, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: 0, Schedule: nightly(t)})
	}
	var order []string
	moving := *w.Policies // a clock that moves with each look
	moving.Now = func() time.Time { w.clock.Pass(time.Millisecond); return w.clock.Now() }
	w.clock.Set(time.Date(2026, 11, 22, 2, 59, 0, 0, time.UTC))
	moving.Wake = func() {
		if small.rotations(t) == 2 && len(order) == 0 {
			order = append(order, "small")
			if large.rotations(t) == 2002 {
				t.Error("the small workspace came after all of the large one")
			}
		}
	}
	_, err := w.DB.Exec(t.Context(), `update policies set next = @now`, pgx.StrictNamedArgs{"now": w.clock.Now()})
	coretest.Must(t, err)
	_, err = moving.Tick(t.Context())
	coretest.Must(t, err)
	large.once(t, 1)
	small.once(t, 1)
}

// A policy that cannot be carried out keeps no other from being done, and is tried again.
func TestOneThatFailsKeepsNobodyWaiting(t *testing.T) {
	h, other := pair(t)
	for _, one := range []house{h, other} {
		one.add(t, policies.Policy{Name: "nightly", Trigger: policies.TriggerSchedule, Enabled: true, Spacing: 0, Schedule: nightly(t)})
	}
	_, err := h.DB.Exec(t.Context(), `create function refuse() returns trigger language plpgsql as
		$$ begin if new.workspace_id = '`+h.workspace.String()+`' then raise 'the disk is full'; end if; return new; end $$`)
	coretest.Must(t, err)
	_, err = h.DB.Exec(t.Context(), `create trigger refuse before insert on rotations for each row execute function refuse()`)
	coretest.Must(t, err)
	h.clock.Set(time.Date(2026, 11, 22, 2, 57, 0, 0, time.UTC))
	_, err = h.DB.Exec(t.Context(), `update policies set next = @now`, pgx.StrictNamedArgs{"now": h.clock.Now()})
	coretest.Must(t, err)
	if _, err := h.Tick(t.Context()); err == nil {
		t.Fatal("nothing failed")
	}
	if h.rotations(t) != 0 || other.rotations(t) == 0 {
		t.Fatalf("%d rotations, %d elsewhere", h.rotations(t), other.rotations(t))
	}
	_, err = h.DB.Exec(t.Context(), `drop trigger refuse on rotations`)
	coretest.Must(t, err)
	h.clock.Pass(2 * time.Minute)
	h.tick(t)
	h.once(t, 1)
}
