package accounts

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Driven by the few grants whose end is not told yet: an index holds no others. An account somebody is
// at, another process that tells of ends for one, comes next time.
const selectEnded = grantColumns + `
join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
where g.expires <= @now and g.expired is null and (g.revoked is null or g.revoked >= g.expires) and (g.expires, g.id) > (@expires, @after)
order by g.expires, g.id limit 1
for no key update of a skip locked`

const expireGrant = `
update grants set expired = @now, revoked = coalesce(revoked, @now), revoke_cause = case when revoked is null then 'expired' else revoke_cause end
where workspace_id = @workspace and id = @grant and expired is null and (revoked is null or revoked >= expires)`

// EndNext tells, once, of a grant of any workspace that has ended by the clock, since when it gave nothing
// any more: the next one after another, or after the zero Grant the first. found is false when there is
// none. If the account lost its last living owner by it, it passes on, or that is reported. What else follows is the
// caller's, in the same transaction.
func (a *Accounts) EndNext(ctx context.Context, tx pgx.Tx, cause core.Cause, after Grant) (ended Grant, found bool, err error) {
	now, since, done := a.now(), time.Time{}, int64(0)
	for ended = after; done == 0; {
		if ended.Expires != nil {
			since = *ended.Expires
		}
		ended, err = postgres.One[Grant](ctx, tx, "grant", selectEnded, pgx.StrictNamedArgs{"now": now, "expires": since, "after": [16]byte(ended.ID)})
		if core.KindOf(err) == core.KindNotFound {
			return Grant{}, false, nil
		}
		if err != nil {
			return Grant{}, false, err
		}
		// None, if somebody told of it between the look and the lock.
		tag, err := tx.Exec(ctx, expireGrant, pgx.StrictNamedArgs{"workspace": ended.Workspace, "grant": ended.ID, "now": now})
		if err != nil {
			return ended, true, postgres.Classify(err)
		}
		done = tag.RowsAffected()
	}
	account, err := a.Account(ctx, tx, ended.Workspace, ended.Account)
	if err != nil {
		return ended, true, err
	}
	_, orphaned, err := a.judgeOwners(ctx, tx, cause, ended.Workspace, []core.ID{account.ID}, loss{leaver: ended.User, why: "its last owner's access ended"})
	if err != nil {
		return ended, true, err
	}
	return ended, true, audit.Append(ctx, tx, append([]core.Event{ended.tell(core.AccountGrantExpired, cause, now, account.Target())}, orphaned...)...)
}
