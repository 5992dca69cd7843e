package links

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

const linkColumns = `
select l.id, l.workspace_id, l.account_id, p.name as app_name, a.username, l.owner_id, coalesce(nullif(u.display_name, ''), u.user_name) as owner_name,
	l.level, l.recipients, l.domains, l.once, l.device_lock, l.purpose, l.linger, l.created, l.expires, l.views, l.viewed, l.due, l.why, l.ended, l.rotation_id
from links l
join accounts a on a.workspace_id = l.workspace_id and a.id = l.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
join users u on u.workspace_id = l.workspace_id and u.id = l.owner_id
`

const selectLink = linkColumns + `where l.workspace_id = @workspace and l.id = @id`

// Link finds a link by its id. It asks nobody's leave: MayRead does.
func (l *Links) Link(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Link, error) {
	return postgres.One[Link](ctx, q, "link", selectLink, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

// Query narrows List. The zero query is the workspace's latest links.
type Query struct {
	Account core.ID // of one account
	Owner   core.ID // of one owner
	Live    bool    // that have not ended
	Limit   int     // default 100, at most 500
	Before  core.ID // the last link of the page before
}

const selectLinks = linkColumns + `
where l.workspace_id = @workspace and (@account::uuid is null or l.account_id = @account) and (@owner::uuid is null or l.owner_id = @owner)
	and (not @live or l.ended is null and l.due > @now) and (@before::uuid is null or l.id < @before)
order by l.id desc
limit @limit`

// List gives links, latest first, a page at a time. It asks nobody's leave.
func (l *Links) List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Link, error) {
	return postgres.Many[Link](ctx, q, selectLinks, pgx.StrictNamedArgs{
		"workspace": workspace, "account": query.Account, "owner": query.Owner, "live": query.Live, "now": l.now(), "before": query.Before,
		"limit": postgres.Page(query.Limit),
	})
}

// View is a receipt: one time somebody was given the password by a link.
type View struct {
	ID        core.ID   `db:"id"`
	Recipient string    `db:"recipient"` // their e-mail address
	Version   int       `db:"version"`   // of the password
	Seen      time.Time `db:"seen"`
	Address   string    `db:"address"` // where they were
	Agent     string    `db:"agent"`   // their browser
}

const selectViews = `
select id, recipient, version, seen, address, agent from link_views
where workspace_id = @workspace and link_id = @link and (@before::uuid is null or id < @before)
order by id desc
limit @limit`

// Views gives a link's receipts, latest first, a page at a time: behind one of them, or from the first.
func (l *Links) Views(ctx context.Context, q postgres.Querier, workspace, link, before core.ID, limit int) ([]View, error) {
	return postgres.Many[View](ctx, q, selectViews, pgx.StrictNamedArgs{"workspace": workspace, "link": link, "before": before, "limit": min(max(limit, 1), 500)})
}

// MayRead lets a user see a link and its receipts, and end it: whoever made it, the owners of the account, and
// administrators. Anybody else finds no such link.
func (l *Links) MayRead(ctx context.Context, q postgres.Querier, workspace, user core.ID, link Link) error {
	reader, err := l.Directory.User(ctx, q, workspace, user)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return err
	}
	if err == nil && reader.Active {
		if reader.Role.Administers() {
			return nil
		}
		role, err := l.Accounts.MayUse(ctx, q, workspace, user, link.Account)
		if err == nil && role == accounts.Owner {
			return nil
		}
		if err != nil && core.KindOf(err) != core.KindDenied {
			return err
		}
		if link.Owner == user {
			return nil
		}
	}
	return core.NotFound("link")
}
