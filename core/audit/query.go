package audit

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Query narrows Search and List. Zero values narrow nothing.
type Query struct {
	Target      core.ID          // events that tell of this thing
	Actor       core.ID          // events of what this user, service account or connection did
	Correlation core.ID          // events of one story
	Types       []core.EventType // any of these
	Outcome     core.Outcome
	Text        string    // part of the actor's name or of a target's, whatever the case
	Since       time.Time // written to the log then or later
	Until       time.Time // written to the log before
	Reader      *Reader   // only what they may see

	AfterSequence  int64
	BeforeSequence int64
	Limit          int // default 100, at most 1000
	Descending     bool
}

// Reader is somebody who sees what they did, what tells of them, and what tells of some accounts.
type Reader struct {
	User     core.ID
	Accounts []core.ID
}

// visible are the targets whose events the reader sees.
func (r Reader) visible() []core.ID { return append([]core.ID{r.User}, r.Accounts...) }

// Found is a part of the log.
type Found struct {
	Records []Record
	// Next is how far was looked: go on with it as AfterSequence, or as BeforeSequence when descending.
	Next int64
	// More is whether there may be more before the end of the log, also if Records are few or none.
	More bool
}

// Reach is about how many events Search looks at for one answer, at most.
const Reach = 20_000

// nearby is how many events are looked at first for each that is wanted.
const nearby = 10

// Search reads a part of a workspace's log in the order of its sequence. One of the conditions leads, by its
// index; the others are looked at event by event, and after Reach of them the answer is given as far as it is.
// Records are only ever added at the end, so what lies between two sequences stays as it is.
func Search(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) (Found, error) {
	after, before, err := bounds(ctx, q, workspace, query)
	if err != nil {
		return Found{}, err
	}
	end := before - 1 // where the search ends if it is not cut short
	if query.Descending {
		end = after + 1
	}
	if before <= after+1 {
		return Found{Next: max(query.AfterSequence, after)}, nil
	}
	limit := 100
	if query.Limit > 0 {
		limit = min(query.Limit, 1000)
	}
	led := query.lead()
	if len(led.filters) == 0 {
		led.reach = limit
	}
	led.args["workspace"], led.args["after"], led.args["before"], led.args["reach"] = workspace, after, before, led.reach
	way := func(text string) string {
		return strings.ReplaceAll(text, "{order}", map[bool]string{true: "desc", false: "asc"}[query.Descending])
	}
	source := way(led.source)
	args := maps.Clone(led.args)
	for name, value := range led.filtered {
		args[name] = value
	}
	args["limit"] = limit
	// Most pages are full soon, which PostgreSQL cannot know: told that it may need all the reach, it would rather sort it.
	var records []Record
	for _, args["reach"] = range slices.Compact([]int{min(nearby*limit, led.reach), led.reach}) {
		if records, err = collect(ctx, q, selectFound+source+where(led.filters)+"order by "+way(led.order)+"\nlimit @limit", args); err != nil {
			return Found{}, err
		}
		if len(records) == limit {
			return Found{records, records[limit-1].Sequence, true}, nil
		}
	}
	if len(led.filters) == 0 {
		return Found{records, end, false}, nil
	}
	// Fewer than could be: because there are no more, or because the search was cut short.
	var looked int
	var last *int64
	if err := q.QueryRow(ctx, "select count(*), "+map[bool]string{true: "min", false: "max"}[query.Descending]+"(l.sequence) from ("+source+") l", led.args).Scan(&looked, &last); err != nil {
		return Found{}, postgres.Classify(err)
	}
	if looked < led.reach {
		return Found{records, end, false}, nil
	}
	return Found{records, *last, true}, nil
}

const selectHead = `
select coalesce((select sequence from audit_log where workspace_id = @workspace order by sequence desc limit 1), 0)`

// Head is the sequence of a workspace's newest record; 0 while there is none.
func Head(ctx context.Context, q postgres.Querier, workspace core.ID) (int64, error) {
	var head int64
	err := q.QueryRow(ctx, selectHead, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&head)
	return head, postgres.Classify(err)
}

// The log of a workspace is without gaps and in the order of its times, so a moment is found by halves. What retention
// took away lies before all of it.
const selectRecorded = `
with recursive halves (low, high) as (
	select 0::bigint, @head::bigint
	union all
	select case when m.earlier then m.middle else h.low end, case when m.earlier then h.high else least(m.middle, (h.low + h.high + 1) / 2) - 1 end
	from halves h cross join lateral (
		select l.sequence as middle, l.sequenced < @moment as earlier
		from audit_log l where (l.workspace_id, l.sequence) >= (@workspace, (h.low + h.high + 1) / 2)
		order by l.workspace_id, l.sequence limit 1
	) m
	where h.low < h.high
)
select max(low) from halves`

// recorded is the sequence of the last record before a moment; 0 if there is none.
func recorded(ctx context.Context, q postgres.Querier, workspace core.ID, head int64, moment time.Time) (int64, error) {
	var sequence int64
	err := q.QueryRow(ctx, selectRecorded, pgx.StrictNamedArgs{"workspace": workspace, "head": head, "moment": moment}).Scan(&sequence)
	return sequence, postgres.Classify(err)
}

// bounds are the sequences a query lies between, neither of which it includes. What is added from now on lies
// beyond them.
func bounds(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) (after, before int64, err error) {
	head, err := Head(ctx, q, workspace)
	if err != nil {
		return 0, 0, err
	}
	after, before = query.AfterSequence, head+1
	if query.BeforeSequence > 0 {
		before = min(before, query.BeforeSequence)
	}
	if !query.Since.IsZero() {
		earlier, err := recorded(ctx, q, workspace, head, query.Since)
		if err != nil {
			return 0, 0, err
		}
		after = max(after, earlier)
	}
	if !query.Until.IsZero() {
		earlier, err := recorded(ctx, q, workspace, head, query.Until)
		if err != nil {
			return 0, 0, err
		}
		before = min(before, earlier+1)
	}
	return after, before, nil
}

// List is as much of Search as fits the limit, however far it has to look.
func List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Record, error) {
	limit := 100
	if query.Limit > 0 {
		limit = min(query.Limit, 1000)
	}
	var records []Record
	for {
		query.Limit = limit - len(records)
		found, err := Search(ctx, q, workspace, query)
		if err != nil {
			return nil, err
		}
		if records = append(records, found.Records...); !found.More || len(records) == limit {
			return records, nil
		}
		if query.Descending {
			query.BeforeSequence = found.Next
		} else {
			query.AfterSequence = found.Next
		}
	}
}
