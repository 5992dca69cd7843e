package lifecycle

import (
	"context"
	"time"

	"postern/core/postgres"
)

// Backlog is what waits for administrators, over all workspaces.
type Backlog struct {
	Holds  int           // undecided
	People int           // who wait in them
	Oldest time.Duration // since when the oldest of them waits
}

const readBacklog = `
select count(distinct h.id), count(d.user_id) filter (where d.state = 'held'), min(h.opened)
from holds h left join departures d on d.workspace_id = h.workspace_id and d.hold_id = h.id
where h.decided is null`

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
	return found, nil
}
