package accounts

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// livingOwner is true of an account a that somebody active owns, directly or through a team. What
// teams give to the user @except (NULL is nobody) does not count: they are about to leave, and their
// own grants are revoked already.
const livingOwner = `(
	exists (
		select from grants g
		join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
		where g.workspace_id = a.workspace_id and g.account_id = a.id and g.role = 'owner'
			and g.revoked is null and (g.expires is null or g.expires > @now)
			and u.active and u.deleted is null and u.role not in ('login_only', 'guest')
	) or exists (
		select from grants g
		join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.suspended is null
		join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
		where g.workspace_id = a.workspace_id and g.account_id = a.id and g.role = 'owner'
			and g.revoked is null and (g.expires is null or g.expires > @now)
			and u.active and u.deleted is null and u.role not in ('login_only', 'guest') and u.id is distinct from @except::uuid
	)
)`

const selectMisjudged = `
select a.id from accounts a
where a.workspace_id = @workspace and a.id = any(@accounts) and a.orphaned = ` + livingOwner + `
order by a.id`

const selectAllMisjudged = `
select a.id from accounts a
where a.workspace_id = @workspace and a.orphaned = ` + livingOwner + `
order by a.id`

const lockAccounts = `
select a.id from accounts a
where a.workspace_id = @workspace and a.id = any(@accounts)
order by a.id
for no key update`

const updateOrphaned = `
update accounts a set orphaned = not a.orphaned
from apps p
where a.workspace_id = @workspace and a.id = any(@accounts) and p.workspace_id = a.workspace_id and p.id = a.app_id
	and a.orphaned = ` + livingOwner + `
returning a.id, a.workspace_id, a.app_id, a.vault_id, p.name as app_name, a.username, a.state, a.state_finding, a.state_reason,
	a.state_since, a.orphaned, a.tags, a.validated, a.rotated, a.created, coalesce(a.risk, 0) as risk, '' as role`

// CheckOwners looks whether accounts have a living owner. Those that lost theirs pass on, as their
// succession lists say, or are marked as orphaned, both with an event; those that have one again are
// marked as not. It returns the newly orphaned. No accounts means all of the workspace.
func (a *Accounts) CheckOwners(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, accounts ...core.ID) ([]core.ID, error) {
	orphaned, events, err := a.judgeOwners(ctx, tx, cause, workspace, accounts, loss{why: "nobody active owned it any more"})
	if err != nil {
		return nil, err
	}
	return orphaned, audit.Append(ctx, tx, events...)
}

const selectOwnedByUser = `
select g.account_id from grants g
where g.workspace_id = @workspace and g.user_id = @subject and g.revoked is null and g.role = 'owner'
union
select g.account_id from team_members m
join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id
where m.workspace_id = @workspace and m.user_id = @subject and g.revoked is null and g.role = 'owner'`

const selectOwnedByTeam = `
select distinct g.account_id from grants g
where g.workspace_id = @workspace and g.team_id = @subject and g.revoked is null and g.role = 'owner'`

// Ownership is that somebody active owns an account, directly or through a team.
type Ownership struct {
	Account core.ID `db:"account_id"`
	User    core.ID `db:"user_id"`
}

const selectOwners = `
select g.account_id, u.id as user_id
from (
	select g.account_id, g.user_id from grants g
	where g.workspace_id = @workspace and g.account_id = any(@accounts::uuid[]) and g.user_id is not null and g.role = 'owner'
		and g.revoked is null and (g.expires is null or g.expires > @now)
	union
	select g.account_id, m.user_id from grants g
	join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.suspended is null
	where g.workspace_id = @workspace and g.account_id = any(@accounts::uuid[]) and g.role = 'owner'
		and g.revoked is null and (g.expires is null or g.expires > @now)
) g
join users u on u.workspace_id = @workspace and u.id = g.user_id and u.active and u.deleted is null and u.role not in ('login_only', 'guest')`

// Owners lists the people who own accounts, in no order.
func (a *Accounts) Owners(ctx context.Context, q postgres.Querier, workspace core.ID, accounts ...core.ID) ([]Ownership, error) {
	return postgres.Many[Ownership](ctx, q, selectOwners, pgx.StrictNamedArgs{"workspace": workspace, "accounts": accounts, "now": a.now()})
}

// Owned lists the accounts a subject has an owner's grant on, a user's teams included.
func (a *Accounts) Owned(ctx context.Context, q postgres.Querier, workspace core.ID, subject Subject) ([]core.ID, error) {
	query, id := selectOwnedByUser, subject.User
	if subject.User.IsZero() {
		query, id = selectOwnedByTeam, subject.Team
	}
	return postgres.Column[core.ID](ctx, q, query, pgx.StrictNamedArgs{"workspace": workspace, "subject": id})
}

// lockOwned is Owned of accounts that stay locked. Two owners may go at once: the second must see that the first is gone.
func (a *Accounts) lockOwned(ctx context.Context, tx pgx.Tx, workspace core.ID, subject Subject) ([]core.ID, error) {
	owned, err := a.Owned(ctx, tx, workspace, subject)
	if err != nil {
		return nil, err
	}
	return owned, a.lockAll(ctx, tx, workspace, owned)
}

// CheckOwned is CheckOwners of the accounts a subject has an owner's grant on. Call it when those
// grants have come to be worth more or less: a team has other members, a user another role. What is to
// be told of it is returned, and left to the caller.
func (a *Accounts) CheckOwned(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, subject Subject) ([]core.Event, error) {
	owned, err := a.lockOwned(ctx, tx, workspace, subject)
	if err != nil || len(owned) == 0 {
		return nil, err
	}
	_, events, err := a.judgeOwners(ctx, tx, cause, workspace, owned, loss{leaver: subject.User, why: "whoever owned it may not any more"})
	return events, err
}

// judgeOwners is CheckOwners of accounts that lost an owner in a certain way, and leaves the telling to
// the caller.
func (a *Accounts) judgeOwners(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, accounts []core.ID, lost loss) ([]core.ID, []core.Event, error) {
	now := a.now()
	query, args := selectAllMisjudged, pgx.StrictNamedArgs{"workspace": workspace, "now": now, "except": lost.except}
	if len(accounts) > 0 {
		query, args["accounts"] = selectMisjudged, accounts
	}
	misjudged, err := postgres.Column[core.ID](ctx, tx, query, args)
	if err != nil || len(misjudged) == 0 {
		return nil, nil, err
	}
	if err := a.lockAll(ctx, tx, workspace, misjudged); err != nil {
		return nil, nil, err
	}
	// Judged again under the locks: another transaction may have changed the owners meanwhile.
	events, err := a.passOn(ctx, tx, cause, workspace, misjudged, false, lost)
	if err != nil {
		return nil, nil, err
	}
	changed, err := postgres.Many[Account](ctx, tx, updateOrphaned, pgx.StrictNamedArgs{
		"workspace": workspace, "accounts": misjudged, "now": now, "except": lost.except,
	})
	if err != nil {
		return nil, nil, err
	}
	var orphaned []core.ID
	for _, account := range changed {
		if account.Orphaned {
			orphaned = append(orphaned, account.ID)
			events = append(events, core.NewEvent(core.AccountOrphaned, workspace, cause, now, account.Target()).
				Because("nobody active owns this account any more; an administrator must share it with an owner"))
		}
	}
	return orphaned, events, nil
}

// lockAll locks accounts in one order, so that two transactions cannot wait for each other.
func (a *Accounts) lockAll(ctx context.Context, tx pgx.Tx, workspace core.ID, accounts []core.ID) error {
	if len(accounts) == 0 {
		return nil
	}
	_, err := postgres.Column[core.ID](ctx, tx, lockAccounts, pgx.StrictNamedArgs{"workspace": workspace, "accounts": accounts})
	return err
}

const selectHasOwner = `
select ` + livingOwner + ` from accounts a where a.workspace_id = @workspace and a.id = @account`

// owned reports whether a locked account has a living owner.
func (a *Accounts) owned(ctx context.Context, tx pgx.Tx, account Account) (bool, error) {
	var owned bool
	err := tx.QueryRow(ctx, selectHasOwner, pgx.StrictNamedArgs{
		"workspace": account.Workspace, "account": account.ID, "now": a.now(), "except": core.ID{},
	}).Scan(&owned)
	return owned, postgres.Classify(err)
}

// keepOwner refuses a change that took a locked account's last living owner. An account that had
// none before the change may be changed; whether it has one now is noted.
func (a *Accounts) keepOwner(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account, before bool) error {
	after, err := a.owned(ctx, tx, account)
	if err != nil {
		return err
	}
	if before && !after {
		return core.Conflict("role", "this would leave the account without an owner; share it with another owner first").WithCode("last_owner")
	}
	if after == account.Orphaned {
		_, err = a.CheckOwners(ctx, tx, cause, account.Workspace, account.ID)
	}
	return err
}
