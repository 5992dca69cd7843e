package rotation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectLatest = `select ` + latestColumns + `
from unnest(@accounts::uuid[]) asked (account)
cross join lateral (
	select ` + columns + ` from rotations where workspace_id = @workspace and account_id = asked.account order by created desc limit 1
) r`

const latestColumns = `r.id, r.workspace_id, r.account_id, r.reason, r.cause, r.priority, r.state, r.detail, r.attempts, r.next_attempt,
	r.created, r.updated, r.finished, r.receipt`

// Latest gives the newest rotation of each of these accounts that ever had one.
func (r *Rotations) Latest(ctx context.Context, q postgres.Querier, workspace core.ID, accounts []core.ID) (map[core.ID]Rotation, error) {
	found, err := collect(ctx, q, selectLatest, pgx.StrictNamedArgs{"workspace": workspace, "accounts": accounts})
	latest := make(map[core.ID]Rotation, len(found))
	for _, one := range found {
		latest[one.Account] = one
	}
	return latest, err
}

// Place is where in the list of a workspace's rotations one stands.
type Place struct {
	Created time.Time
	ID      core.ID
}

// Place is where the rotation stands.
func (r Rotation) Place() Place { return Place{r.Created, r.ID} }

const (
	selectEarlier = `select ` + columns + ` from rotations
where workspace_id = @workspace and (created, id) < (@created, @id)
order by created desc, id desc limit @limit`

	selectOpen = `select ` + columns + ` from rotations
where workspace_id = @workspace and finished is null and account_id > coalesce(@after::uuid, '00000000-0000-0000-0000-000000000000')
order by account_id limit @limit`

	selectOfApp = `select ` + latestColumns + `
from accounts a
cross join lateral (
	select ` + columns + ` from rotations where workspace_id = @workspace and account_id = a.id order by created desc limit 1
) r
where a.workspace_id = @workspace and a.app_id = @app
order by r.updated desc, r.id limit @limit`

	selectSome = `select ` + columns + ` from rotations where workspace_id = @workspace and id = any(@ids::uuid[])`
)

// Earlier gives the workspace's rotations that were planned before one, newest first.
func (r *Rotations) Earlier(ctx context.Context, q postgres.Querier, workspace core.ID, than Place, limit int) ([]Rotation, error) {
	return collect(ctx, q, selectEarlier, pgx.StrictNamedArgs{"workspace": workspace, "created": than.Created, "id": than.ID, "limit": min(max(limit, 1), 500)})
}

// Open gives rotations of the workspace that are under way, in the order of their accounts, from behind one of those on.
func (r *Rotations) Open(ctx context.Context, q postgres.Querier, workspace, after core.ID, limit int) ([]Rotation, error) {
	return collect(ctx, q, selectOpen, pgx.StrictNamedArgs{"workspace": workspace, "after": after, "limit": min(max(limit, 1), 500)})
}

// OfApp gives the newest rotation of each account of an app, those first that something happened to last.
func (r *Rotations) OfApp(ctx context.Context, q postgres.Querier, workspace, app core.ID, limit int) ([]Rotation, error) {
	return collect(ctx, q, selectOfApp, pgx.StrictNamedArgs{"workspace": workspace, "app": app, "limit": min(max(limit, 1), 500)})
}

// Some gives the rotations with these ids, as far as the workspace has them.
func (r *Rotations) Some(ctx context.Context, q postgres.Querier, workspace core.ID, ids []core.ID) ([]Rotation, error) {
	return collect(ctx, q, selectSome, pgx.StrictNamedArgs{"workspace": workspace, "ids": ids})
}

func collect(ctx context.Context, q postgres.Querier, query string, args pgx.StrictNamedArgs) ([]Rotation, error) {
	rows, err := q.Query(ctx, query, args)
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Rotation])
	return found, postgres.Classify(err)
}
