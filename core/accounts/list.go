package accounts

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// ListQuery narrows List. The zero query is the workspace's first page; what is set holds of every account given.
type ListQuery struct {
	Limit    int     // default 100, at most 500
	After    core.ID // the last account of the page before
	State    State   // only those in this state
	Orphaned bool    // only those nobody owns
	App      core.ID // only those of this app
	Tag      string  // only those with this tag, as CheckTags keeps it
	Search   string  // only those whose username begins like this, whatever the case
}

const selectListed = accountColumns + `'' as role
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and `

const inOrder = ` order by a.id limit @limit`

// List gives the workspace's accounts, oldest first, a page at a time. A page costs what it shows; with a tag or a
// search, what has the tag or begins like that. It asks nobody's leave: the caller does.
func (a *Accounts) List(ctx context.Context, q postgres.Querier, workspace core.ID, query ListQuery) ([]Account, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "after": query.After, "limit": postgres.Page(query.Limit)}
	where := []string{`(@after::uuid is null or a.id > @after)`}
	if query.State != "" {
		where, args["state"] = append(where, `a.state = @state and a.state <> ''`), string(query.State)
	}
	if query.Orphaned {
		where = append(where, `a.orphaned`)
	}
	if !query.App.IsZero() {
		where, args["app"] = append(where, `a.app_id = @app`), query.App
	}
	narrow := len(where)
	if query.Tag != "" {
		where, args["tag"] = append(where, `a.tags @> array[@tag::text] and a.tags <> '{}'`), query.Tag
	}
	if query.Search != "" {
		where, args["search"] = append(where, `a.username > '' and `+begins("a.username")), query.Search
	}
	all := strings.Join(where, ` and `)
	if len(where) > narrow {
		// Found first: in the order of the page, all accounts might be looked at for the few there are.
		return postgres.Many[Account](ctx, q, `
with found as materialized (select a.id from accounts a where a.workspace_id = @workspace and `+all+`)`+selectListed+`a.id in (select id from found)`+inOrder, args)
	}
	return postgres.Many[Account](ctx, q, selectListed+all+inOrder, args)
}
