package rotation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/jobs"
	"postern/core/rotation"
)

func TestASecondWishJoinsTheFirst(t *testing.T) {
	s := build(t).open(t, 0)
	s.app.signIn = rotation.Unreachable
	first := s.plan(rotation.ReasonSchedule)
	s.clock.Pass(time.Minute)
	_ = s.engine().Advance(t.Context(), s.workspace, first.ID) // waits for the app
	s.app.signIn = ""
	s.clock.Pass(time.Second)
	second := s.plan(rotation.ReasonDeprovision)
	if second.ID != first.ID || second.Reason != rotation.ReasonDeprovision || second.Priority != 1 || second.Cause.Correlation == first.Cause.Correlation {
		t.Fatalf("joined: %+v", second)
	}
	third := s.plan(rotation.ReasonLogout)
	if third.Reason != rotation.ReasonDeprovision || third.Cause.Correlation != second.Cause.Correlation {
		t.Fatalf("joined: %+v", third)
	}
	// The wish wakes it: it need not wait until its next attempt.
	if err := s.engine().Advance(t.Context(), s.workspace, first.ID); err != nil {
		t.Fatal(err)
	}
	s.mustBeRotated(first.ID)
	if receipt := s.rotation(first.ID).Receipt; !receipt.Received.Equal(second.Cause.Received) || receipt.Correlation != second.Cause.Correlation {
		t.Errorf("receipt: %+v", receipt)
	}
	if next := s.plan(rotation.ReasonManual); next.ID == first.ID {
		t.Error("a finished rotation was joined")
	}
}

func TestAVerificationThatIsJoinedGoesOnToRotate(t *testing.T) {
	s := build(t).open(t, 0)
	verification := s.plan(rotation.ReasonVerify)
	joined := false
	s.connector.beforeVerify = func() {
		if !joined {
			joined = true
			s.plan(rotation.ReasonDeprovision)
		}
	}
	s.advance(verification.ID, &life{})
	s.mustBeRotated(verification.ID)
}

// A leaver who read the new password while its rotation was being proven must be locked out too.
func TestAWishThatComesTooLateIsFollowed(t *testing.T) {
	s := build(t).open(t, 0)
	first := s.plan(rotation.ReasonManual)
	signIns := 0
	s.connector.beforeVerify = func() {
		if signIns++; signIns == 2 { // the candidate is the current password; the old one is being tried
			s.plan(rotation.ReasonLogout)
			s.plan(rotation.ReasonDeprovision)
		}
	}
	s.advance(first.ID, &life{})
	s.mustBeRotated(first.ID)
	seen := s.current()
	latest, err := s.engine().List(t.Context(), s.db, s.workspace, s.account, 10)
	if err != nil || len(latest) != 2 {
		t.Fatalf("%v, %v", latest, err)
	}
	follower := latest[0]
	if follower.ID == first.ID || follower.Reason != rotation.ReasonDeprovision || follower.Priority != 1 || follower.Finished != nil {
		t.Fatalf("%+v", follower)
	}
	s.clock.Pass(time.Hour)
	s.advance(follower.ID, &life{})
	s.mustBeRotated(follower.ID)
	if s.app.password == seen {
		t.Error("the password that was seen still works")
	}
}

func TestPlansOfOneAccountAtOnceAreOne(t *testing.T) {
	s := build(t).open(t, 0)
	var group sync.WaitGroup
	ids := make([]core.ID, 8)
	for i := range ids {
		group.Go(func() { ids[i] = s.plan(rotation.ReasonLogout).ID })
	}
	group.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several rotations: %v", ids)
		}
	}
}

func TestPlanChecksWhatItIsGiven(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	plan := func(workspace, account core.ID, reason rotation.Reason, priority int) core.Kind {
		return core.KindOf(h.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := s.engine().Plan(t.Context(), tx, system, workspace, account, reason, priority)
			return err
		}))
	}
	got := []core.Kind{
		plan(s.workspace, s.account, "because", 1), plan(s.workspace, s.account, rotation.ReasonManual, 9),
		plan(s.workspace, core.NewID(), rotation.ReasonManual, 1), plan(h.workspace[1], s.account, rotation.ReasonManual, 1),
	}
	if diff := cmp.Diff([]core.Kind{core.KindInvalid, core.KindInvalid, core.KindNotFound, core.KindNotFound}, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestAnotherWorkspaceSeesAndMovesNothing(t *testing.T) {
	h := build(t)
	mine, theirs := h.open(t, 0), h.open(t, 1)
	id, other := mine.plan(rotation.ReasonManual).ID, theirs.plan(rotation.ReasonManual).ID
	engine := mine.engine()
	if _, err := engine.Rotation(t.Context(), h.db, h.workspace[1], id); core.KindOf(err) != core.KindNotFound {
		t.Errorf("read across: %v", err)
	}
	for workspace, wanted := range map[core.ID]core.ID{h.workspace[0]: id, h.workspace[1]: other} {
		all, err := engine.List(t.Context(), h.db, workspace, core.ID{}, 10)
		if err != nil || len(all) != 1 || all[0].ID != wanted {
			t.Errorf("listed: %+v, %v", all, err)
		}
	}
	if across, err := engine.List(t.Context(), h.db, h.workspace[1], mine.account, 10); err != nil || len(across) != 0 {
		t.Errorf("listed across: %+v, %v", across, err)
	}
	if steps, err := engine.Steps(t.Context(), h.db, h.workspace[1], id); err != nil || len(steps) != 0 {
		t.Errorf("steps across: %+v, %v", steps, err)
	}
	if err := engine.Advance(t.Context(), h.workspace[1], id); err != nil || mine.rotation(id).State != rotation.StatePlanned {
		t.Errorf("moved across: %v", err)
	}
	mine.advance(id, &life{})
	mine.mustBeRotated(id)
	if theirs.rotation(other).State != rotation.StatePlanned || len(theirs.stored()) != 1 || theirs.state() != accounts.Unvalidated {
		t.Error("the other workspace's account moved")
	}
}

func TestSweepQueuesWhatWasLost(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	count := func() (jobs int) {
		if err := h.db.QueryRow(t.Context(), `select count(*) from river_job`).Scan(&jobs); err != nil {
			t.Fatal(err)
		}
		return jobs
	}
	sweep := func(wanted int) {
		t.Helper()
		if swept, err := s.engine().Sweep(t.Context()); err != nil || swept != wanted {
			t.Fatalf("swept %d, %v", swept, err)
		}
	}
	id := s.plan(rotation.ReasonManual).ID
	sweep(0)
	if _, err := h.db.Exec(t.Context(), `delete from river_job`); err != nil {
		t.Fatal(err)
	}
	h.clock.Pass(2 * time.Minute)
	sweep(1)
	sweep(0) // not again at once
	if count() != 1 {
		t.Fatalf("%d jobs", count())
	}
	s.advance(id, &life{})
	s.mustBeRotated(id)
	h.clock.Pass(24 * time.Hour)
	sweep(0)
}

// TestAWorkerRunsWhatIsPlanned goes through the queue, in real time.
func TestAWorkerRunsWhatIsPlanned(t *testing.T) {
	h := build(t)
	var subjects []*subject
	var ids []core.ID
	for i := range 6 {
		s := h.open(t, i%2, []behaviour{obeys, losesAnswer, mangles}[i%3])
		s.options.FirstRetry = 10 * time.Millisecond
		subjects = append(subjects, s)
	}
	engine := subjects[0].engine()
	engine.Now, engine.Options.FirstRetry = nil, 10*time.Millisecond
	engine.Connectors = rotation.Connectors{"simulated": router{subjects}}
	h.accounts.Now, h.accounts.Directory.Now = nil, nil
	var handlers jobs.Handlers
	engine.Register(&handlers)
	worker, err := jobs.NewWorker(h.db, &handlers, jobs.WorkerOptions{Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	for _, s := range subjects {
		h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			planned, err := engine.Plan(ctx, tx, core.NewCause(core.System, time.Now()), s.workspace, s.account, rotation.ReasonDeprovision, 0)
			ids = append(ids, planned.ID)
			return err
		})
	}
	deadline := time.Now().Add(time.Minute)
	for i, s := range subjects {
		for s.rotation(ids[i]).Finished == nil && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		s.mustBe(ids[i], rotation.StateDone, accounts.Validated)
		if s.current() != s.app.password || s.app.password == s.original {
			t.Error("not rotated")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
