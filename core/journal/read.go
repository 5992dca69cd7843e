package journal

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const (
	defaultLimit = 100
	// MaxLimit bounds the entries of one List.
	MaxLimit = 1000
)

// Query says which entries are wanted. The zero value of a field asks for nothing.
type Query struct {
	Connection  core.ID
	Resource    core.ID
	Correlation core.ID
	From        time.Time // received then or later
	To          time.Time // received before
	Refused     bool      // only those that were refused
	Changes     bool      // only those that asked for a change
	Rule        string    // only those for which this rule fired
	After       core.ID   // entries behind this one in the order asked for: with Newest, the ones before it
	Newest      bool      // newest first; otherwise oldest first
	Limit       int       // at most; 0: 100
}

// The connections there are entries of, from one to the next by the index.
const connectionsWithEntries = `
with recursive talking as (
	(select connection_id from provisioning_requests
	 where workspace_id = @workspace and (@connection::uuid is null or connection_id = @connection) order by connection_id limit 1)
	union all
	select (select r.connection_id from provisioning_requests r
	        where r.workspace_id = @workspace and r.connection_id > talking.connection_id order by r.connection_id limit 1)
	from talking where talking.connection_id is not null and @connection::uuid is null
)`

const entryColumns = `e.id, e.workspace_id, e.connection_id, e.received, e.method, e.address, e.query, e.body, e.profile, e.rules, e.status, e.detail,
	e.resource_id, e.correlation`

const wantedEntries = connectionsWithEntries + `
select ` + entryColumns + `
from talking cross join lateral (
	select ` + entryColumns + ` from provisioning_requests e
	where e.workspace_id = @workspace and e.connection_id = talking.connection_id
	  and (@resource::uuid is null or e.resource_id = @resource)
	  and (@correlation::uuid is null or e.correlation = @correlation)
	  and (@from::timestamptz is null or e.received >= @from)
	  and (@to::timestamptz is null or e.received < @to)
	  and (not @refused or e.status >= 400)
	  and (not @changes or e.method not in ('GET', 'HEAD') and e.address not like '%/.search')
	  and (@rule = '' or @rule = any (e.rules))`

// The order is that of the ids, which are made inside the transaction of the effect: of two requests
// about one row, whoever had to wait for the other's lock comes later here too.
const selectEntries = wantedEntries + `
	  and (@after::uuid is null or e.id > @after)
	order by e.id limit @limit) e
order by e.id limit @limit`

const selectNewestEntries = wantedEntries + `
	  and (@after::uuid is null or e.id < @after)
	order by e.id desc limit @limit) e
order by e.id desc limit @limit`

// List reads entries of a workspace in the order in which they took effect, or the other way round. A
// page costs what it holds, and what it passes over: Resource, Correlation, Refused, Changes and Rule are looked
// for in the order asked for.
func List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Entry, error) {
	limit := query.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	statement := selectEntries
	if query.Newest {
		statement = selectNewestEntries
	}
	rows, err := q.Query(ctx, statement, pgx.StrictNamedArgs{
		"workspace": workspace, "connection": query.Connection, "resource": query.Resource, "correlation": query.Correlation,
		"from": moment(query.From), "to": moment(query.To), "refused": query.Refused, "changes": query.Changes, "rule": query.Rule, "after": query.After,
		"limit": min(limit, MaxLimit),
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
	return entries, postgres.Classify(err)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

const selectEntry = connectionsWithEntries + `
select ` + entryColumns + `
from talking join provisioning_requests e on e.workspace_id = @workspace and e.connection_id = talking.connection_id and e.id = @id`

// Read is one entry of a workspace, or NotFound.
func Read(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Entry, error) {
	rows, err := q.Query(ctx, selectEntry, pgx.StrictNamedArgs{"workspace": workspace, "connection": core.ID{}, "id": id})
	if err != nil {
		return Entry{}, postgres.Classify(err)
	}
	entry, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Entry])
	if errors.Is(err, pgx.ErrNoRows) {
		return Entry{}, core.NotFound("request")
	}
	return entry, postgres.Classify(err)
}
