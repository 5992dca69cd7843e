package reviews

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// AskedAs is why somebody is a reviewer.
type AskedAs string

// The reasons, in the order in which people are asked.
const (
	AsOwner         AskedAs = "owner"         // of the account, or of the service account
	AsManager       AskedAs = "manager"       // of the person
	AsAdministrator AskedAs = "administrator" // of the workspace
	AsDelegate      AskedAs = "delegate"      // the reviewer before, or an administrator, said so
	AsNobody        AskedAs = ""              // there is nobody: administrators decide
)

// able is true of a user u who may review an item i: not what they have themselves, by a grant or through a team.
const able = `u.active and u.deleted is null and u.role not in ('login_only', 'guest')
		and u.id is distinct from i.user_id and u.id is distinct from i.avoid_id and not exists (
			select from team_members own where own.workspace_id = i.workspace_id and own.team_id = i.team_id and own.user_id = u.id and own.suspended is null)`

// chain finds the reviewer of items i. Each step is taken only where the ones before lead to nobody. Of several
// administrators one gets all of an account.
const chain = `
left join lateral (
	select u.id from grants o
	join users u on u.workspace_id = o.workspace_id and u.id = o.user_id
	where o.workspace_id = i.workspace_id and o.account_id = i.account_id and o.user_id is not null and o.role = 'owner'
		and o.revoked is null and (o.expires is null or o.expires > @now) and ` + able + `
	order by o.created, o.id limit 1
) direct on true
left join lateral (
	select u.id from grants o
	join team_members m on m.workspace_id = o.workspace_id and m.team_id = o.team_id and m.suspended is null
	join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
	where direct.id is null and o.workspace_id = i.workspace_id and o.account_id = i.account_id and o.team_id is not null and o.role = 'owner'
		and o.revoked is null and (o.expires is null or o.expires > @now) and ` + able + `
	order by o.created, u.id limit 1
) member on true
left join lateral (
	select u.id from service_owners o
	left join team_members m on m.workspace_id = o.workspace_id and m.team_id = o.team_id and m.suspended is null
	join users u on u.workspace_id = o.workspace_id and u.id = coalesce(o.user_id, m.user_id)
	where i.service_account_id is not null and o.workspace_id = i.workspace_id and o.service_account_id = i.service_account_id and ` + able + `
	order by o.team_id is not null, o.added, u.id limit 1
) responsible on true
left join lateral (
	select u.id from users u
	where direct.id is null and member.id is null and i.user_id is not null
		and u.workspace_id = i.workspace_id and u.id = manager_of(i.workspace_id, i.user_id) and ` + able + `
) manager on true
left join lateral (
	select u.id from users u
	where direct.id is null and member.id is null and responsible.id is null and manager.id is null
		and u.workspace_id = i.workspace_id and u.role in ('owner', 'super_admin', 'admin') and ` + able + `
	order by md5(u.id::text || coalesce(i.account_id, i.service_account_id)::text) limit 1
) administrator on true`

const (
	reviewer = `coalesce(direct.id, member.id, responsible.id, manager.id, administrator.id)`
	askedAs  = `case when direct.id is not null or member.id is not null or responsible.id is not null then 'owner' when manager.id is not null then 'manager'
	when administrator.id is not null then 'administrator' else '' end`
)

// A reviewer who still may be one stays, but for what they were asked about as an owner and own no more.
const pickAgain = `
update review_items x set reviewer_id = next.reviewer_id, asked_as = next.asked_as
from (
	select i.workspace_id, i.review_id, i.id, ` + reviewer + ` as reviewer_id, ` + askedAs + ` as asked_as
	from review_items i
	join users u on u.workspace_id = i.workspace_id and u.id = i.reviewer_id` + chain + `
	where i.workspace_id = @workspace and i.decision is null and i.reviewer_id = @user
		and case when @account::uuid is null and @service::uuid is null then not (` + able + `)
			else (i.account_id = @account or i.service_account_id = @service) and i.asked_as = 'owner' end
) next
where x.workspace_id = next.workspace_id and x.review_id = next.review_id and x.id = next.id and x.decision is null
	and x.reviewer_id is distinct from next.reviewer_id
returning x.review_id`

const lookNow = `update reviews set look = @now where workspace_id = @workspace and id = any(@reviews::uuid[]) and state = 'open'`

// lost is a reviewer who perhaps may not be one any more: at all, or of what they own no more.
type lost struct{ workspace, user, account, service core.ID }

// replace asks the next in the chain instead.
func (r *Reviews) replace(ctx context.Context, tx pgx.Tx, of lost) error {
	now := r.now()
	rows, err := tx.Query(ctx, pickAgain, pgx.StrictNamedArgs{
		"workspace": of.workspace, "user": of.user, "account": of.account, "service": of.service, "now": now,
	})
	if err != nil {
		return postgres.Classify(err)
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	if err != nil || len(touched) == 0 {
		return postgres.Classify(err)
	}
	_, err = tx.Exec(ctx, lookNow, pgx.StrictNamedArgs{"workspace": of.workspace, "reviews": core.Each(touched), "now": now})
	return postgres.Classify(err)
}

// Reassignment says who is to decide instead.
type Reassignment struct {
	Items []core.ID // none: all open ones of From
	From  core.ID   // whose items; not with Items
	To    core.ID
}

const reassignItems = `
update review_items i set reviewer_id = @to, asked_as = 'delegate'
from users u
where i.workspace_id = @workspace and i.review_id = @review and i.decision is null and u.workspace_id = i.workspace_id and u.id = @to
	and (cardinality(@items::uuid[]) > 0 and i.id = any(@items) or cardinality(@items::uuid[]) = 0 and i.reviewer_id = @from)
	and (@any or i.reviewer_id = @by) and i.reviewer_id is distinct from @to
	and ` + able

// Reassign has somebody else decide, whom mail tells: a reviewer hands on what is theirs, an administrator
// anything. Items that are decided, or whose access the other one has, are left where they are. It returns how
// many changed hands; none is a Conflict.
func (r *Reviews) Reassign(ctx context.Context, cause core.Cause, workspace, review core.ID, wanted Reassignment) (int, error) {
	if wanted.To.IsZero() || len(wanted.Items) > MaxTogether || len(wanted.Items) > 0 && !wanted.From.IsZero() {
		return 0, core.Invalid("to", "say who is to decide, about up to %d items or all of one reviewer", MaxTogether)
	}
	moved := 0
	err := r.tx(ctx, func(tx pgx.Tx) error {
		by, err := r.asks(ctx, tx, cause, workspace)
		if err != nil {
			return err
		}
		of, err := r.lockOpen(ctx, tx, workspace, review, `for no key update`)
		if err != nil {
			return err
		}
		if len(wanted.Items) == 0 && wanted.From.IsZero() {
			wanted.From = by.user
		}
		to, err := r.Directory.HoldUser(ctx, tx, workspace, wanted.To)
		if core.KindOf(err) == core.KindNotFound || err == nil && (!to.Active || !to.Role.MayOwn()) {
			return core.Invalid("to", "a reviewer is an active user of the workspace, and no guest or login-only one")
		}
		if err != nil {
			return err
		}
		done, err := tx.Exec(ctx, reassignItems, pgx.StrictNamedArgs{
			"workspace": workspace, "review": review, "to": wanted.To, "from": wanted.From, "items": core.Each(wanted.Items), "any": by.administers, "by": by.user,
		})
		if err != nil {
			return postgres.Classify(err)
		}
		if moved = int(done.RowsAffected()); moved == 0 {
			return core.Conflict("to", "nothing could be handed on: it is decided, not yours, or the other one's own access").WithCode("nothing_reassigned")
		}
		now := r.now()
		if _, err := tx.Exec(ctx, lookNow, pgx.StrictNamedArgs{"workspace": workspace, "reviews": []core.ID{review}, "now": now}); err != nil {
			return postgres.Classify(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.ReviewReassigned, workspace, cause, now, of.Target(), to.Target()).With("items", number(moved)))
	})
	return moved, err
}
