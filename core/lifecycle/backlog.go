package lifecycle

import (
	"context"
	"time"

	"postern/core/postgres"
)

// Backlog is what waits, over all workspaces: for administrators, and for takers.
type Backlog struct {
	Holds  int           // undecided
	People int           // who wait in them
	Oldest time.Duration // since when the oldest of them waits

	Leavers int           // who are shut out, and everything is to be taken
	Failing int           // with whom that has failed, and is tried again
	Longest time.Duration // since when the first of them is shut out
}

const readBacklog = `
select count(distinct h.id), count(d.user_id) filter (where d.state = 'held'), min(h.opened)
from holds h left join departures d on d.workspace_id = h.workspace_id and d.hold_id = h.id
where h.decided is null`

const readLeavers = `select count(*), count(*) filter (where attempts > 0), min(departed) from leavers`

// ReadBacklog counts the departures that wait.
func ReadBacklog(ctx context.Context, q postgres.Querier, now time.Time) (Backlog, error) {
	var found Backlog
	var oldest *time.Time
	if err := q.QueryRow(ctx, readBacklog).Scan(&found.Holds, &found.People, &oldest); err != nil {
		return Backlog{}, postgres.Classify(err)
	}
	if oldest != nil {
		found.Oldest = max(0, now.Sub(*oldest))
	}
	var first *time.Time
	if err := q.QueryRow(ctx, readLeavers).Scan(&found.Leavers, &found.Failing, &first); err != nil {
		return Backlog{}, postgres.Classify(err)
	}
	if first != nil {
		found.Longest = max(0, now.Sub(*first))
	}
	return found, nil
}
