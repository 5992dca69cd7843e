package sink

import (
	"context"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/stream"
)

// Shared is a sink for all workspaces, as it is seen by the operator, or by one workspace.
type Shared struct {
	audit.SinkState
	Lag       int64 // events of the log that were not delivered
	Dead      int64 // letters
	Replaying bool  // events are delivered once more, and what is new waits
}

// Silent reports whether no process speaks of the sink.
func (s Shared) Silent(now time.Time) bool {
	return s.Served == nil || now.Sub(*s.Served) > audit.ServedWithin
}

// ReadShared lists the sinks for all workspaces with their figures: of one workspace's events, or of all when it is zero. The
// topic has so many partitions.
func ReadShared(ctx context.Context, q postgres.Querier, workspace core.ID, partitions int) ([]Shared, error) {
	states, err := audit.SinkStates(ctx, q)
	if err != nil || len(states) == 0 {
		return nil, err
	}
	dead, err := audit.CountSharedLetters(ctx, q, workspace)
	if err != nil {
		return nil, err
	}
	workspaces := []core.ID{workspace}
	if workspace.IsZero() {
		if workspaces, err = audit.Heads(ctx, q); err != nil {
			return nil, err
		}
	}
	all := make([]Shared, len(states))
	for i, state := range states {
		cursors, err := audit.SinkCursors(ctx, q, state.Name)
		if err != nil {
			return nil, err
		}
		after := map[core.ID]int64{}
		for _, one := range workspaces {
			after[one] = cursors[audit.SinkCursor(state.Name, stream.Partition(one, partitions))]
		}
		waiting, err := audit.Waiting(ctx, q, after)
		if err != nil {
			return nil, err
		}
		all[i] = Shared{SinkState: state, Dead: dead[state.Name]}
		for _, count := range waiting {
			all[i].Lag += count
		}
		for cursor := range cursors {
			all[i].Replaying = all[i].Replaying || audit.IsReplay(cursor)
		}
	}
	return all, nil
}
