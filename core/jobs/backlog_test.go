package jobs_test

import (
	"context"
	"testing"
	"time"

	"postern/core/jobs"
	"postern/core/postgres/postgrestest"
)

func TestBacklog(t *testing.T) {
	db := postgrestest.Open(t, jobs.Migrate)
	read := func() map[string]jobs.Backlog {
		t.Helper()
		found, err := jobs.ReadBacklog(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]jobs.Backlog{}
		for _, one := range found {
			states[one.State] = one
		}
		return states
	}
	if got := read(); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	add(t, db, "due", jobs.Options{RunAt: time.Now().Add(-time.Minute)})
	add(t, db, "now", jobs.Options{})
	add(t, db, "later", jobs.Options{RunAt: time.Now().Add(time.Hour)})
	got := read()
	if now := got["available"]; now.Count != 1 {
		t.Errorf("now: %+v", now)
	}
	// River moves a job that was scheduled to available when a worker runs.
	if scheduled := got["scheduled"]; scheduled.Count != 2 || scheduled.Oldest < time.Minute || scheduled.Oldest > time.Hour {
		t.Errorf("scheduled: %+v", scheduled)
	}
	done := make(chan struct{}, 2)
	stop := run(t, db, jobs.WorkerOptions{}, func(context.Context, chore, int) error { done <- struct{}{}; return nil })
	<-done
	<-done
	stop()
	if got := read(); got["available"].Count != 0 || got["scheduled"].Count != 1 || got["scheduled"].Oldest != 0 {
		t.Errorf("after the work: %+v", got)
	}
}
