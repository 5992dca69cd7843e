package accounts

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Role is what a grant allows on an account.
type Role string

// The roles of a grant.
const (
	Owner        Role = "owner"        // uses, shares, configures and sees the password
	Collaborator Role = "collaborator" // uses it, without a view of the password in Postern
)

// Subject is who is given access: a user or a team, not both.
type Subject struct {
	User core.ID
	Team core.ID
}

// Grant is a subject's role on an account.
type Grant struct {
	ID        core.ID    `db:"id"`
	Workspace core.ID    `db:"workspace_id"`
	Account   core.ID    `db:"account_id"`
	User      core.ID    `db:"user_id"` // zero for a team's grant
	Team      core.ID    `db:"team_id"` // zero for a user's grant
	Name      string     `db:"name"`    // of the user or team, now
	Role      Role       `db:"role"`
	Created   time.Time  `db:"created"`
	Expires   *time.Time `db:"expires"`
	Revoked   *time.Time `db:"revoked"`
}

// Subject is who the grant names.
func (g Grant) Subject() Subject { return Subject{User: g.User, Team: g.Team} }

// Target is the user or team as what something happened to.
func (g Grant) Target() core.Target {
	if g.User.IsZero() {
		return core.Target{Kind: "team", ID: g.Team, Name: g.Name}
	}
	return core.Target{Kind: "user", ID: g.User, Name: g.Name}
}

// Live reports whether the grant gives access at a time, as far as the grant alone can say.
func (g Grant) Live(at time.Time) bool {
	return g.Revoked == nil && (g.Expires == nil || g.Expires.After(at))
}

const grantColumns = `
select g.id, g.workspace_id, g.account_id, g.user_id, g.team_id,
	coalesce(nullif(u.display_name, ''), u.user_name, t.display_name, '') as name,
	g.role, g.created, g.expires, g.revoked
from grants g
left join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
left join teams t on t.workspace_id = g.workspace_id and t.id = g.team_id
`

const selectGrants = grantColumns + `
where g.workspace_id = @workspace and g.account_id = @account
	and g.revoked is null and (g.expires is null or g.expires > @now)
order by g.role = 'owner' desc, name, g.id`

// Grants answers "who has access": the account's live grants, owners first, with their names.
func (a *Accounts) Grants(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Grant, error) {
	return many[Grant](ctx, q, selectGrants, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": a.now()})
}

const selectSubjectGrant = grantColumns + `
where g.workspace_id = @workspace and g.account_id = @account and g.revoked is null
	and (g.user_id = @user or g.team_id = @team)
for no key update of g`

const insertGrant = `
insert into grants (id, workspace_id, account_id, user_id, team_id, role, created, expires)
values (@id, @workspace, @account, @user, @team, @role, @created, @expires)`

const revokeGrant = `
update grants set revoked = @now, revoke_cause = @why
where workspace_id = @workspace and id = @grant and revoked is null`

// Share gives a user or team a role on an account, until a time or (nil) for good. A subject has one
// grant per account: sharing again replaces role and expiry, and with nothing to change it gives
// the grant that is there. Guests and login-only users can be collaborators only; in a team they
// count as such. Taking the role from the last living owner is a Conflict.
func (a *Accounts) Share(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, subject Subject, role Role, expires *time.Time) (Grant, error) {
	if role != Owner && role != Collaborator {
		return Grant{}, core.Invalid("role", "a role is owner or collaborator")
	}
	if subject.User.IsZero() == subject.Team.IsZero() {
		return Grant{}, core.Invalid("subject", "name either a user or a team")
	}
	now := a.now()
	if expires != nil {
		if !expires.After(now) {
			return Grant{}, core.Invalid("expires", "the time has passed already; choose a later one or none")
		}
		expires = new(expires.UTC().Truncate(time.Microsecond))
	}
	if err := a.authorizeOwner(ctx, tx, cause, workspace, account); err != nil {
		return Grant{}, err
	}
	grant := Grant{ID: core.NewID(), Workspace: workspace, Account: account, User: subject.User, Team: subject.Team, Role: role, Created: now, Expires: expires}
	if subject.Team.IsZero() {
		user, err := a.holdSubject(ctx, tx, workspace, "user", subject.User, role)
		if err != nil {
			return Grant{}, err
		}
		grant.Name = user.Name()
	} else {
		team, err := a.Directory.LockTeam(ctx, tx, workspace, subject.Team)
		if core.KindOf(err) == core.KindNotFound {
			return Grant{}, core.Invalid("team", "there is no such team in this workspace")
		}
		if err != nil {
			return Grant{}, err
		}
		grant.Name = team.DisplayName
	}
	shared, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return Grant{}, err
	}
	owned, err := a.owned(ctx, tx, shared)
	if err != nil {
		return Grant{}, err
	}
	before, err := one[Grant](ctx, tx, "grant", selectSubjectGrant, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "user": subject.User, "team": subject.Team,
	})
	switch {
	case err == nil && before.Live(now) && before.Role == role && sameTime(before.Expires, expires):
		return before, nil
	case err == nil:
		if _, err := tx.Exec(ctx, revokeGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": before.ID, "now": now, "why": "replaced"}); err != nil {
			return Grant{}, postgres.Classify(err)
		}
	case core.KindOf(err) != core.KindNotFound:
		return Grant{}, err
	}
	if grant, err = a.insertGrant(ctx, tx, grant); err != nil {
		return Grant{}, err
	}
	event := core.NewEvent(core.AccountShared, workspace, cause, now, shared.Target(), grant.Target()).
		With("role", string(role)).With("grant", grant.ID.String())
	if expires != nil {
		event = event.With("expires", expires.Format(time.RFC3339Nano))
	}
	if err := audit.Append(ctx, tx, event); err != nil {
		return Grant{}, err
	}
	return grant, a.keepOwner(ctx, tx, cause, shared, owned)
}

func (a *Accounts) insertGrant(ctx context.Context, tx pgx.Tx, grant Grant) (Grant, error) {
	_, err := tx.Exec(ctx, insertGrant, pgx.StrictNamedArgs{
		"id": grant.ID, "workspace": grant.Workspace, "account": grant.Account, "user": grant.User, "team": grant.Team,
		"role": string(grant.Role), "created": grant.Created, "expires": grant.Expires,
	})
	return grant, postgres.Classify(err)
}

const selectGrant = grantColumns + `
where g.workspace_id = @workspace and g.id = @grant`

// Unshare takes a grant back. Owners and administrators may, and whoever it was given to. A grant
// that is gone already is NotFound; taking away the last living owner is a Conflict.
func (a *Accounts) Unshare(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) error {
	revoked, err := one[Grant](ctx, tx, "grant", selectGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant})
	if err != nil {
		return err
	}
	own := cause.Actor.Kind == core.ActorUser && !cause.Actor.ID.IsZero() && cause.Actor.ID == revoked.User
	if !own {
		if err := a.authorizeOwner(ctx, tx, cause, workspace, revoked.Account); err != nil {
			return err
		}
	}
	account, err := a.lock(ctx, tx, workspace, revoked.Account)
	if err != nil {
		return err
	}
	owned, err := a.owned(ctx, tx, account)
	if err != nil {
		return err
	}
	now := a.now()
	done, err := tx.Exec(ctx, revokeGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant, "now": now, "why": "unshared"})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return core.NotFound("grant")
	}
	if err := audit.Append(ctx, tx, unshared(workspace, cause, now, account.Target(), revoked)); err != nil {
		return err
	}
	return a.keepOwner(ctx, tx, cause, account, owned)
}

func unshared(workspace core.ID, cause core.Cause, now time.Time, account core.Target, grant Grant) core.Event {
	return core.NewEvent(core.AccountUnshared, workspace, cause, now, account, grant.Target()).
		With("role", string(grant.Role)).With("grant", grant.ID.String())
}

func sameTime(one, other *time.Time) bool {
	if one == nil || other == nil {
		return one == other
	}
	return one.Equal(*other)
}
