package rotation_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// crowd is many accounts of many apps, each app with one password for all of its accounts in mind: whatever was set is good.
type crowd struct {
	*house
	t       *testing.T
	engine  *rotation.Rotations
	lock    sync.Mutex
	set     map[core.ID]string  // passwords the apps have
	hanging map[string]bool     // apps that do not answer
	busy    map[string]int      // changes under way, by app
	most    map[string]int      // at once
	begun   map[string][]string // accounts in the order of their changes, by app
	times   map[string][]time.Time
	thaw    chan struct{}
}

func (h *house) crowd(t *testing.T, options rotation.Options) *crowd {
	c := &crowd{
		house: h, t: t, set: map[core.ID]string{}, hanging: map[string]bool{}, busy: map[string]int{}, most: map[string]int{},
		begun: map[string][]string{}, times: map[string][]time.Time{}, thaw: make(chan struct{}),
	}
	h.accounts.Now, h.accounts.Directory.Now = nil, nil
	c.engine = &rotation.Rotations{
		DB: h.db, Accounts: h.accounts, Queue: h.queue, Options: options, Connectors: rotation.Connectors{"simulated": c},
	}
	return c
}

// app makes an app with so many accounts.
func (c *crowd) app(workspace int, name string, many int) (app core.ID, made []core.ID) {
	c.t.Helper()
	c.tx(c.t, func(ctx context.Context, tx pgx.Tx) error {
		one, err := c.accounts.CreateApp(ctx, tx, system, c.workspace[workspace], accounts.NewApp{
			Name: name, Domains: []string{"app.example"}, SignInURL: "https://app.example/", Connector: "simulated",
		})
		if err != nil {
			return err
		}
		app = one.ID
		for i := range many {
			account, err := c.accounts.CreateAccount(ctx, tx, system, c.workspace[workspace], accounts.NewAccount{
				App: app, Username: fmt.Sprintf("shared-%d", i), Password: seal.NewSecret("Original-1"), Owner: c.owner[workspace],
			})
			if err != nil {
				return err
			}
			made = append(made, account.ID)
		}
		return nil
	})
	return app, made
}

func (c *crowd) leave(workspace int, of ...core.ID) {
	c.t.Helper()
	wishes := make([]rotation.Wish, len(of))
	for i, account := range of {
		wishes[i] = rotation.Wish{Account: account, Target: core.Target{Kind: "account", ID: account}, Priority: 1}
	}
	c.tx(c.t, func(ctx context.Context, tx pgx.Tx) error {
		_, _, err := c.engine.PlanAll(ctx, tx, core.NewCause(core.System, time.Now()), c.workspace[workspace], rotation.ReasonDeprovision, wishes)
		return err
	})
}

func (c *crowd) work(places int) {
	c.t.Helper()
	var handlers jobs.Handlers
	c.engine.Register(&handlers)
	worker, err := jobs.NewWorker(c.db, &handlers, jobs.WorkerOptions{Concurrency: places, Poll: 10 * time.Millisecond})
	if err != nil {
		c.t.Fatal(err)
	}
	coretest.Run(c.t, worker.Run)
}

func (c *crowd) count(where string) (count int) {
	c.t.Helper()
	if err := c.db.QueryRow(c.t.Context(), `select count(*) from rotations r join accounts a on a.id = r.account_id join apps p on p.id = a.app_id where `+where).Scan(&count); err != nil {
		c.t.Fatal(err)
	}
	return count
}

func (c *crowd) Verify(_ context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	c.lock.Lock()
	defer c.lock.Unlock()
	if have, changed := c.set[target.Account]; changed && have != credential.Password.Reveal() {
		return rotation.Report{Outcome: rotation.Rejected}
	}
	return rotation.Report{Outcome: rotation.Accepted}
}

func (c *crowd) Change(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	c.lock.Lock()
	c.busy[target.AppName]++
	c.most[target.AppName] = max(c.most[target.AppName], c.busy[target.AppName])
	c.begun[target.AppName] = append(c.begun[target.AppName], current.Username)
	c.times[target.AppName] = append(c.times[target.AppName], time.Now())
	hangs := c.hanging[target.AppName]
	c.lock.Unlock()
	defer func() {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.busy[target.AppName]--
	}()
	if hangs {
		select {
		case <-c.thaw:
		case <-ctx.Done():
		}
		return rotation.Report{Outcome: rotation.TimedOut}
	}
	if err := release(ctx); err != nil {
		return rotation.Report{Outcome: rotation.NotSent}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.set[target.Account] = next.Reveal()
	return rotation.Report{Outcome: rotation.Applied, Released: true}
}

const done = `r.state = 'done'`

// TestAHangingAppHoldsUpNobodyElse has an app that never answers lose 40 people, before another app of the same workspace and
// one of another workspace lose somebody.
func TestAHangingAppHoldsUpNobodyElse(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 2})
	_, stuck := c.app(0, "Stuck", 40)
	_, near := c.app(0, "Near", 2)
	_, far := c.app(1, "Far", 2)
	c.hanging["Stuck"] = true
	c.leave(0, stuck...)
	c.work(3)
	coretest.Until(t, "the app has all it may, and the others are parked", func() bool { return c.count(`p.name = 'Stuck' and r.parked`) == 38 })
	c.leave(0, near...)
	c.leave(1, far...)
	coretest.Until(t, "the others are locked out", func() bool { return c.count(`p.name in ('Near', 'Far') and `+done) == 4 })
	if c.most["Stuck"] != 2 || c.count(`p.name = 'Stuck' and r.lease_until is not null`) != 2 {
		t.Errorf("%d at once", c.most["Stuck"])
	}
	coretest.Until(t, "no job asks for what cannot be", func() bool { return c.jobs() == 2 })
	c.lock.Lock()
	c.hanging["Stuck"] = false
	c.lock.Unlock()
	c.engine.Options.FirstRetry = 10 * time.Millisecond
	close(c.thaw)
	coretest.Until(t, "all are locked out once the app answers", func() bool { return c.count(done) == 44 })
}

// jobs counts what is queued or runs.
func (c *crowd) jobs() (count int) {
	c.t.Helper()
	if err := c.db.QueryRow(c.t.Context(), `select count(*) from river_job where state in ('available', 'running', 'scheduled', 'retryable')`).Scan(&count); err != nil {
		c.t.Fatal(err)
	}
	return count
}

// TestALeaverIsNotBehindFiveHundredOfAnotherApp has only one place, which the crowd may have to itself: the turn after the
// one under way is the other app's, and then the other workspace's.
func TestALeaverIsNotBehindFiveHundredOfAnotherApp(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 3})
	_, many := c.app(0, "Many", 500)
	_, one := c.app(0, "One", 1)
	_, far := c.app(1, "Far", 1)
	c.leave(0, many...)
	c.work(2)
	coretest.Until(t, "the crowd is under way", func() bool { return c.count(done) > 20 })
	c.leave(0, one...)
	c.leave(1, far...)
	behind := 0
	coretest.Until(t, "both are locked out", func() bool {
		behind = c.count(`p.name = 'Many' and not (` + done + `)`)
		return c.count(`p.name in ('One', 'Far') and `+done) == 2
	})
	if behind < 300 {
		t.Errorf("only %d of the crowd came after them", behind)
	}
	coretest.Until(t, "so is the crowd", func() bool { return c.count(done) == 502 })
	if slices.Max([]int{c.most["Many"], c.most["One"], c.most["Far"]}) > 2 {
		t.Errorf("more at once than there are places: %v", c.most)
	}
}

// TestAnAppIsGivenTime spaces the changes of one app: each is known before its turn, and asks once.
func TestAnAppIsGivenTime(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{})
	app, some := c.app(0, "Slow", 6)
	const spacing = 200 * time.Millisecond
	c.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := c.engine.SetPace(ctx, tx, system, c.workspace[0], app, rotation.Pace{Spacing: spacing})
		return err
	})
	c.leave(0, some...)
	begun := time.Now()
	c.work(4)
	coretest.Until(t, "all are locked out", func() bool { return c.count(done) == len(some) })
	for i, at := range c.times["Slow"] {
		// Before it stood the spacing of as many turns; how long after its turn the app hears of it is the machine's affair.
		if after := at.Sub(begun); after < time.Duration(i)*spacing {
			t.Errorf("number %d is asked %s after the first could be", i+1, after)
		}
	}
}

// TestAPaceIsTheAppsOwn has one app take less than others, and then as much again.
func TestAPaceIsTheAppsOwn(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 3})
	shy, some := c.app(0, "Shy", 5)
	_, others := c.app(0, "Bold", 5)
	c.hanging["Shy"], c.hanging["Bold"] = true, true
	set := func(workspace int, by core.Cause, pace rotation.Pace) error {
		return c.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := c.engine.SetPace(t.Context(), tx, by, c.workspace[workspace], shy, pace)
			return err
		})
	}
	for name, faulty := range map[string]struct {
		workspace int
		pace      rotation.Pace
		kind      core.Kind
	}{
		"less than none":   {0, rotation.Pace{AtOnce: -1}, core.KindInvalid},
		"back in time":     {0, rotation.Pace{Spacing: -time.Second}, core.KindInvalid},
		"once a month":     {0, rotation.Pace{Spacing: 30 * 24 * time.Hour}, core.KindInvalid},
		"of somebody else": {1, rotation.Pace{AtOnce: 1}, core.KindNotFound},
	} {
		if err := set(faulty.workspace, system, faulty.pace); core.KindOf(err) != faulty.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	coretest.Must(t, set(0, system, rotation.Pace{AtOnce: 1}))
	if got, err := c.engine.Pace(t.Context(), c.db, c.workspace[0], shy); err != nil || got != (rotation.Pace{AtOnce: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	c.leave(0, slices.Concat(some, others)...)
	c.work(8)
	coretest.Until(t, "both have what they may", func() bool {
		return c.count(`p.name = 'Shy' and r.parked`) == 4 && c.count(`p.name = 'Bold' and r.parked`) == 2
	})
	coretest.Must(t, set(0, system, rotation.Pace{}))
	coretest.Until(t, "the shy one is as the others", func() bool { return c.count(`p.name = 'Shy' and r.parked`) == 2 })
	close(c.thaw)
}

// TestAPlaceIsNotLostWithAWorker has a process die after a rotation's end and before its place was passed on: the job, which
// runs again, does that. A parked one that nobody knows of is overdue.
func TestAPlaceIsNotLostWithAWorker(t *testing.T) {
	for _, way := range []string{"its job runs again", "its job is lost"} {
		t.Run(way, func(t *testing.T) {
			c := build(t).crowd(t, rotation.Options{PerApp: 1})
			_, some := c.app(0, "Wiki II", 2)
			c.leave(0, some...)
			c.exec(`update rotations set parked = account_id = $1, state = case when account_id = $1 then state else 'done' end,
				finished = case when account_id = $1 then finished else now() end, next_attempt = case when account_id = $1 then now() - interval '1 hour' end`, some[0])
			c.exec(`delete from river_job where (args->>'rotation')::uuid in (select id from rotations where parked)`)
			if way == "its job is lost" {
				c.exec(`delete from river_job`)
				if swept, err := c.engine.Sweep(t.Context()); err != nil || swept != 1 {
					t.Fatalf("%d swept, %v", swept, err)
				}
			}
			c.work(1)
			coretest.Until(t, "the parked one is locked out", func() bool { return c.count(done) == 2 })
		})
	}
}

func (c *crowd) exec(query string, arguments ...any) {
	c.t.Helper()
	if _, err := c.db.Exec(c.t.Context(), query, arguments...); err != nil {
		c.t.Fatal(err)
	}
}

// TestAnUrgentRotationComesFirst has what can wait queued before it, in the same workspace and app.
func TestAnUrgentRotationComesFirst(t *testing.T) {
	c := build(t).crowd(t, rotation.Options{PerApp: 1})
	_, some := c.app(0, "Wiki II", 3)
	c.hanging["Wiki II"] = true
	c.leave(0, some[0])
	c.work(2)
	coretest.Until(t, "one is under way", func() bool { return c.count(`r.lease_until is not null`) == 1 })
	c.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := c.engine.Plan(ctx, tx, core.NewCause(core.System, time.Now()), c.workspace[0], some[1], rotation.ReasonSchedule, 0)
		return err
	})
	coretest.Until(t, "it is parked", func() bool { return c.count(`r.parked`) == 1 })
	c.leave(0, some[2])
	coretest.Until(t, "so is the urgent one", func() bool { return c.count(`r.parked`) == 2 })
	c.lock.Lock()
	c.hanging["Wiki II"] = false
	c.lock.Unlock()
	close(c.thaw)
	coretest.Until(t, "all but who waits for the app are done", func() bool { return c.count(done) >= 2 })
	if got := c.begun["Wiki II"][1]; got != "shared-2" {
		t.Errorf("%s came before", got)
	}
}
