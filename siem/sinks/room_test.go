package sinks

import (
	"testing"

	"postern/core"
	"postern/siem/stream"
)

// However much waits for some workspaces, there is room for the others: nothing is kept for a receiver that takes
// nothing, and no more than a share for a slow one. Who finds no room reads the log at once.
func TestThereIsRoomForEveryWorkspace(t *testing.T) {
	event := stream.Event{Value: make([]byte, 1000)}
	size := int64(len(event.Value) + stream.Overhead)
	runner := &Runner{Memory: 80 * size}
	offered := func(workspace core.ID, count int) *lane {
		one := &lane{entry: entry{Workspace: workspace}, runner: runner}
		one.listen(true)
		one.behind = false // it has caught up
		for i := range count {
			event.Sequence = int64(i + 1)
			one.offer(event)
		}
		return one
	}
	for range 30 {
		dead := offered(core.NewID(), 100)
		if len(dead.waiting) == 0 || !dead.behind {
			t.Fatalf("%d of 100 wait, behind: %t", len(dead.waiting), dead.behind)
		}
		dead.listen(false)
		if dead.offer(event); len(dead.waiting) != 0 {
			t.Fatal("something is kept for a receiver that takes nothing")
		}
	}
	slow, another := core.NewID(), core.NewID()
	first, second := offered(slow, 100), offered(slow, 1)
	if len(first.waiting) == 0 || len(first.waiting) > 80/shares || len(second.waiting) != 0 || !second.behind {
		t.Errorf("%d wait for the first sink of a workspace, %d for the second", len(first.waiting), len(second.waiting))
	}
	select {
	case <-second.wake.Rung():
	default:
		t.Error("it is not told to read the log")
	}
	if well := offered(another, 1); len(well.waiting) != 1 || well.behind {
		t.Error("there is no room for a workspace for which nothing waits")
	}
	first.listen(false)
	if runner.used != size || runner.by[another] != size || len(runner.by) != 1 {
		t.Errorf("%d bytes of %d workspaces are not given back", runner.used, len(runner.by))
	}
}
