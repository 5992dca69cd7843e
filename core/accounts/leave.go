package accounts

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Exposed is an account whose password somebody knows or could have looked at.
type Exposed struct {
	Account  core.ID `db:"account_id"`
	AppName  string  `db:"app_name"`
	Username string  `db:"username"`
	// Saw: they were given its password at some time, or entered it.
	Saw bool `db:"saw"`
	// SawVersionCurrent: a password they were given or entered is the current one, or an older one that the app
	// was never seen to refuse.
	SawVersionCurrent bool `db:"saw_current"`
	// Could: they could look at its password when they left.
	Could bool `db:"could"`
	// Direct: they had a live grant of their own, which RevokeAll takes; otherwise access came through
	// a team or is over.
	Direct bool `db:"direct"`
}

// Target is the account as what something happened to.
func (e Exposed) Target() core.Target {
	return Account{ID: e.Account, AppName: e.AppName, Username: e.Username}.Target()
}

// What was taken back since they could last look counts as given: they could.
const selectExposed = `
with could as (
	select given.account_id, bool_or(given.direct) as direct
	from (
		select g.account_id, true as direct from grants g
		where g.workspace_id = @workspace and g.user_id = @user
			and g.revoked is null and (g.expires is null or g.expires > @since)
		union all
		select g.account_id, false from grants g
		where g.workspace_id = @workspace and g.user_id = @user
			and g.revoked is not null and g.revoked > @since and (g.expires is null or g.expires > @since)
		union all
		select g.account_id, false from team_members m
		join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id
		where m.workspace_id = @workspace and m.user_id = @user and m.suspended is null
			and g.revoked is null and (g.expires is null or g.expires > @since)
		union all
		select g.account_id, false from team_members m
		join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id
		where m.workspace_id = @workspace and m.user_id = @user and m.suspended is null
			and g.revoked is not null and g.revoked > @since and (g.expires is null or g.expires > @since)
	) given
	group by given.account_id
), saw as (
	select e.account_id, bool_or(v.label is not distinct from 'current' or v.refused is null or coalesce(v.proven > v.refused, false)) as alive
	from exposures e
	join credential_versions v on v.workspace_id = e.workspace_id and v.account_id = e.account_id
		and v.field = 'password' and v.version = e.version
	where e.workspace_id = @workspace and e.user_id = @user and e.level in ` + PasswordLevels + `
	group by e.account_id
)
select account_id, p.name as app_name, a.username,
	saw.alive is not null as saw, coalesce(saw.alive, false) as saw_current, could.direct is not null as could, coalesce(could.direct, false) as direct
from could full join saw using (account_id)
join accounts a on a.workspace_id = @workspace and a.id = account_id
join apps p on p.workspace_id = @workspace and p.id = a.app_id
where could.direct is not null or saw.alive
order by saw_current desc, saw desc, account_id`

// Exposed lists the accounts whose passwords must be changed to shut a user out: first those they
// saw, then those they could see through a live grant, direct or by a team. What they saw is left
// out once the app was seen to refuse it. Call it before the user's memberships are suspended: a
// suspended membership shows nothing.
func (a *Accounts) Exposed(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]Exposed, error) {
	return postgres.Many[Exposed](ctx, q, selectExposed, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "since": a.now()})
}

// Leaver is what somebody who leaves leaves behind.
type Leaver struct {
	Exposed []Exposed // as Exposed says
	Owned   []core.ID // what they have an owner's grant on, directly or through a team
}

// QueueLeaver reads a leaver as part of what is sent to the database together. since is when they could
// look at something last; what they were given then counts, though somebody took it back meanwhile.
func (a *Accounts) QueueLeaver(batch *pgx.Batch, workspace, user core.ID, since time.Time) *Leaver {
	leaver := &Leaver{}
	batch.Queue(selectExposed, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "since": since}).Query(func(rows pgx.Rows) (err error) {
		leaver.Exposed = nil
		var found Exposed
		_, err = pgx.ForEachRow(rows, []any{
			&found.Account, &found.AppName, &found.Username, &found.Saw, &found.SawVersionCurrent, &found.Could, &found.Direct,
		}, func() error {
			leaver.Exposed = append(leaver.Exposed, found)
			return nil
		})
		return err
	})
	batch.Queue(selectOwnedByUser, pgx.StrictNamedArgs{"workspace": workspace, "subject": user}).Query(func(rows pgx.Rows) (err error) {
		leaver.Owned, err = pgx.CollectRows(rows, pgx.RowTo[core.ID])
		return err
	})
	return leaver
}

// QueueRevoke takes back every grant of a user's own as part of what is sent to the database together,
// and sets events to what is to be told of it. Orphans is to follow.
func (a *Accounts) QueueRevoke(batch *pgx.Batch, cause core.Cause, workspace core.ID, user core.Target, leaver *Leaver, events *[]core.Event) {
	if len(leaver.Owned) > 0 {
		batch.Queue(lockAccounts, pgx.StrictNamedArgs{"workspace": workspace, "accounts": leaver.Owned})
	}
	now := a.now()
	batch.Queue(revokeUser, pgx.StrictNamedArgs{"workspace": workspace, "user": user.ID, "now": now, "why": left}).Query(func(rows pgx.Rows) error {
		var revoked []revokedGrant
		grant := revokedGrant{Grant: Grant{Workspace: workspace, User: user.ID, Name: user.Name}}
		_, err := pgx.ForEachRow(rows, []any{&grant.ID, &grant.Account, &grant.Role, &grant.Purpose, &grant.Expires}, func() error {
			revoked = append(revoked, leaver.name(grant))
			return nil
		})
		slices.SortFunc(revoked, func(one, other revokedGrant) int { return bytes.Compare(one.Account[:], other.Account[:]) })
		*events = tellUnshared(cause, now, revoked)
		return err
	})
}

// name adds what the account is called. A grant that gave access until now is among the exposed.
func (l *Leaver) name(grant revokedGrant) revokedGrant {
	for _, account := range l.Exposed {
		if account.Account == grant.Account {
			grant.AppName, grant.Username = account.AppName, account.Username
			break
		}
	}
	return grant
}

// Orphans passes on the accounts that lost their last owner with a user whose grants are revoked, as
// their succession lists say, or marks them as orphaned, and returns what is to be told of it.
func (a *Accounts) Orphans(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user core.ID, leaver *Leaver) ([]core.Event, error) {
	if len(leaver.Owned) == 0 {
		return nil, nil
	}
	_, events, err := a.judgeOwners(ctx, tx, cause, workspace, leaver.Owned, loss{leaver: user, except: user, why: "its last owner left"})
	return events, err
}

const revokeUser = `
update grants set revoked = @now, revoke_cause = @why
where workspace_id = @workspace and user_id = @user and revoked is null
returning id, account_id, role, purpose, expires`

const revokeTeam = `
with revoked as (
	update grants set revoked = @now, revoke_cause = @why
	where workspace_id = @workspace and team_id = @team and revoked is null
	returning id, workspace_id, account_id, user_id, team_id, role, purpose, created, expires, revoked
)` + selectRevoked

const selectRevoked = `
select r.id, r.workspace_id, r.account_id, r.user_id, r.team_id,
	coalesce(nullif(u.display_name, ''), u.user_name, t.display_name, '') as name,
	r.role, r.purpose, r.created, r.expires, r.revoked, p.name as app_name, a.username
from revoked r
join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
left join users u on u.workspace_id = r.workspace_id and u.id = r.user_id
left join teams t on t.workspace_id = r.workspace_id and t.id = r.team_id
order by r.account_id`

type revokedGrant struct {
	Grant
	AppName  string `db:"app_name"`
	Username string `db:"username"`
}

// account is the account as what something happened to.
func (g revokedGrant) account() core.Target {
	return Account{ID: g.Account, AppName: g.AppName, Username: g.Username}.Target()
}

// RevokeAll takes back every grant of a user's own, passes on or reports the accounts that lost their
// last owner by it, and returns what Exposed said before. Nothing gives the grants back. Whoever calls holds
// the user's lock, deactivates them and suspends their memberships in the same transaction, after
// this: access through teams ends there.
func (a *Accounts) RevokeAll(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user core.ID) ([]Exposed, error) {
	named, err := a.Directory.Targets(ctx, tx, workspace, []core.ID{user})
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	leaver := a.QueueLeaver(batch, workspace, user, a.now())
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, postgres.Classify(err)
	}
	batch = &pgx.Batch{}
	var events []core.Event
	a.QueueRevoke(batch, cause, workspace, named[user], leaver, &events)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, postgres.Classify(err)
	}
	orphaned, err := a.Orphans(ctx, tx, cause, workspace, user, leaver)
	if err != nil {
		return nil, err
	}
	return leaver.Exposed, audit.Append(ctx, tx, append(events, orphaned...)...)
}

// RevokeTeam takes back every grant of a team that is about to be deleted, passes on or reports the
// accounts that lost their last owner by it, and returns how many live grants there were.
func (a *Accounts) RevokeTeam(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, team core.ID) (int, error) {
	owned, err := a.lockOwned(ctx, tx, workspace, Subject{Team: team})
	if err != nil {
		return 0, err
	}
	now := a.now()
	revoked, err := postgres.Many[revokedGrant](ctx, tx, revokeTeam, pgx.StrictNamedArgs{
		"workspace": workspace, "team": team, "now": now, "why": "the team was deleted",
	})
	if err != nil {
		return 0, err
	}
	if err := appendUnshared(ctx, tx, cause, now, revoked); err != nil {
		return 0, err
	}
	if len(owned) == 0 {
		return len(revoked), nil
	}
	_, events, err := a.judgeOwners(ctx, tx, cause, workspace, owned, loss{team: team, why: "the team that owned it was deleted"})
	if err != nil {
		return 0, err
	}
	return len(revoked), audit.Append(ctx, tx, events...)
}

func appendUnshared(ctx context.Context, tx pgx.Tx, cause core.Cause, now time.Time, revoked []revokedGrant) error {
	return audit.Append(ctx, tx, tellUnshared(cause, now, revoked)...)
}

// tellUnshared tells of the grants that gave access until now; an expired one ended before.
func tellUnshared(cause core.Cause, now time.Time, revoked []revokedGrant) []core.Event {
	var events []core.Event
	for _, grant := range revoked {
		if grant.Expires != nil && !grant.Expires.After(now) {
			continue
		}
		events = append(events, grant.tell(core.AccountUnshared, cause, now, grant.account()))
	}
	return events
}
