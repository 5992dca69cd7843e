package rotation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/rotation"
)

func (c *crowd) risk(workspace int, by core.Cause, account core.ID, risk int) error {
	return c.db.Tx(c.t.Context(), func(tx pgx.Tx) error {
		_, err := c.engine.SetRisk(c.t.Context(), tx, by, c.workspace[workspace], account, risk)
		return err
	})
}

func (c *crowd) began(app string) []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return slices.Clone(c.begun[app])
}

// TestRiskierAccountsComeFirst parks many in an app of each of two workspaces, some before and some after their risk was said,
// and some in the lane behind.
func TestRiskierAccountsComeFirst(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 1, FirstRetry: 10 * time.Hour})
	own := [2][]int{{0, 2, 5, 1, 0, 4}, {0, 1, 0, 5, 4, 2}} // 0: as the app, which is 3
	expected := [2][]string{{"2", "5", "4", "1", "3"}, {"3", "4", "2", "5", "1"}}
	var made [2][]core.ID
	for i, name := range []string{"Near", "Far"} {
		_, made[i] = c.app(i, name, 8)
		c.hanging[name] = true
		c.leave(i, made[i][0])
		for n, risk := range own[i][:3] {
			coretest.Must(t, c.risk(i, system, made[i][n], risk))
		}
	}
	c.work(4)
	coretest.Until(t, "one of each app is under way", func() bool { return c.count(`r.lease_until is not null`) == 2 })
	for i := range made {
		c.leave(i, made[i][1:6]...)
		for n, risk := range own[i][3:] {
			coretest.Must(t, c.risk(i, system, made[i][n+3], risk))
		}
		// The most critical of all, for a lesser reason.
		coretest.Must(t, c.risk(i, system, made[i][7], 5))
		c.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			for _, account := range made[i][6:] {
				if _, err := c.engine.Plan(ctx, tx, system, c.workspace[i], account, rotation.ReasonDeprovision, 2); err != nil {
					return err
				}
			}
			return nil
		})
	}
	coretest.Until(t, "the others are parked", func() bool { return c.count(`r.parked`) == 14 })
	c.lock.Lock()
	clear(c.hanging)
	c.lock.Unlock()
	close(c.thaw)
	coretest.Until(t, "they are locked out", func() bool { return c.count(done) == 14 })
	for i, name := range []string{"Near", "Far"} {
		want := append(append([]string{"0"}, expected[i]...), "7", "6")
		if got := strings.ReplaceAll(strings.Join(c.began(name), " "), "shared-", ""); got != strings.Join(want, " ") {
			t.Errorf("%s: %s, wanted %s", name, got, want)
		}
	}
}

// TestTheAccountsOfARiskierAppComeFirst has one place left in a workspace: the turn is the riskier app's, though the other one's
// accounts were planned before, and although it was said only then.
func TestTheAccountsOfARiskierAppComeFirst(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 1})
	_, stuck := c.app(0, "Stuck", 1)
	c.hanging["Stuck"] = true
	c.leave(0, stuck...)
	c.work(2)
	coretest.Until(t, "one place is taken", func() bool { return c.count(`r.lease_until is not null`) == 1 })
	_, low := c.app(0, "Low", 1)
	ledger, high := c.app(0, "High", 1)
	cause := core.NewCause(core.System, time.Now())
	c.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		for _, account := range slices.Concat(low, high) {
			if _, err := c.engine.Plan(ctx, tx, cause, c.workspace[0], account, rotation.ReasonDeprovision, 1); err != nil {
				return err
			}
		}
		_, err := c.engine.ChangeApp(ctx, tx, system, c.workspace[0], ledger, func(made *accounts.NewApp) error {
			made.Risk = 5
			return nil
		})
		return err
	})
	coretest.Until(t, "both are locked out", func() bool { return c.count(done) == 2 })
	if !c.times["High"][0].Before(c.times["Low"][0]) {
		t.Error("the less risky one came first")
	}
	close(c.thaw)
}

// TestJobsAreAddedRiskiestFirst: those that no app holds up are worked as they come.
func TestJobsAreAddedRiskiestFirst(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 9})
	_, made := c.app(0, "Wiki II", 4)
	for n, risk := range []int{2, 4, 1, 5} {
		coretest.Must(t, c.risk(0, system, made[n], risk))
	}
	c.leave(0, made...)
	var order []string
	rows, err := c.db.Query(t.Context(), `select a.username from river_job j join rotations r on r.id = (j.args->>'rotation')::uuid join accounts a on a.id = r.account_id order by j.priority, j.scheduled_at, j.id`)
	coretest.Must(t, err)
	order, err = pgx.CollectRows(rows, pgx.RowTo[string])
	coretest.Must(t, err)
	if got := fmt.Sprint(order); got != "[shared-3 shared-1 shared-0 shared-2]" {
		t.Error(got)
	}
}

func TestWhoSaysWhatIsRisky(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{})
	app, made := c.app(0, "Wiki II", 1)
	ana := core.NewCause(core.Actor{Kind: core.ActorUser, ID: c.owner[0]}, time.Now())
	for name, one := range map[string]struct {
		workspace int
		by        core.Cause
		risk      int
		kind      core.Kind
	}{
		"too much":         {0, system, 6, core.KindInvalid},
		"less than none":   {0, system, -1, core.KindInvalid},
		"of somebody else": {1, system, 5, core.KindNotFound},
	} {
		if err := c.risk(one.workspace, one.by, made[0], one.risk); core.KindOf(err) != one.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	coretest.Must(t, c.risk(0, ana, made[0], 5))
	c.exec(`update users set role = 'user' where id = $1`, c.owner[0])
	if err := c.risk(0, ana, made[0], 1); core.KindOf(err) != core.KindDenied {
		t.Errorf("an owner who administers nothing: %v", err)
	}
	if found, err := c.accounts.Account(t.Context(), c.db, c.workspace[0], made[0]); err != nil || found.Risk != 5 {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := c.accounts.App(t.Context(), c.db, c.workspace[0], app); err != nil || found.Risk != 3 {
		t.Errorf("%+v, %v", found, err)
	}
	for _, faulty := range []int{-1, 6} {
		err := c.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := c.engine.ChangeApp(t.Context(), tx, system, c.workspace[0], app, func(made *accounts.NewApp) error { made.Risk = faulty; return nil })
			return err
		})
		if core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "risk" {
			t.Errorf("an app of risk %d: %v", faulty, err)
		}
	}
}
