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
	Rule        string    // only those for which this rule fired
	After       core.ID   // entries behind this one in the order asked for: with Newest, the ones before it
	Newest      bool      // newest first; otherwise oldest first
	Limit       int       // at most; 0: 100
}

// The order is that of the ids, which are made inside the transaction of the effect: of two requests
// about one row, whoever had to wait for the other's lock comes later here too.
const selectEntries = `
select id, workspace_id, connection_id, received, method, address, query, body, profile, rules, status, detail, resource_id, correlation
from provisioning_requests
where workspace_id = @workspace
  and (@connection::uuid is null or connection_id = @connection)
  and (@resource::uuid is null or resource_id = @resource)
  and (@correlation::uuid is null or correlation = @correlation)
  and (@from::timestamptz is null or received >= @from)
  and (@to::timestamptz is null or received < @to)
  and (not @refused or status >= 400)
  and (@rule = '' or @rule = any (rules))
  and (@after::uuid is null or id > @after)
order by id limit @limit`

const selectNewestEntries = `
select id, workspace_id, connection_id, received, method, address, query, body, profile, rules, status, detail, resource_id, correlation
from provisioning_requests
where workspace_id = @workspace
  and (@connection::uuid is null or connection_id = @connection)
  and (@resource::uuid is null or resource_id = @resource)
  and (@correlation::uuid is null or correlation = @correlation)
  and (@from::timestamptz is null or received >= @from)
  and (@to::timestamptz is null or received < @to)
  and (not @refused or status >= 400)
  and (@rule = '' or @rule = any (rules))
  and (@after::uuid is null or id < @after)
order by id desc limit @limit`

// List reads entries of a workspace in the order in which they took effect, or the other way round.
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
		"from": moment(query.From), "to": moment(query.To), "refused": query.Refused, "rule": query.Rule, "after": query.After,
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

const selectEntry = `
select id, workspace_id, connection_id, received, method, address, query, body, profile, rules, status, detail, resource_id, correlation
from provisioning_requests where workspace_id = @workspace and id = @id`

// Read is one entry of a workspace, or NotFound.
func Read(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Entry, error) {
	rows, err := q.Query(ctx, selectEntry, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Entry{}, postgres.Classify(err)
	}
	entry, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Entry])
	if errors.Is(err, pgx.ErrNoRows) {
		return Entry{}, core.NotFound("request")
	}
	return entry, postgres.Classify(err)
}
