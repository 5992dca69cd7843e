package accounts

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

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

// Subject is who is given access: a user, who may be a guest, or a team, not both.
type Subject struct {
	User core.ID
	Team core.ID
}

// Sharing is what a subject is given.
type Sharing struct {
	Subject Subject
	Role    Role
	Expires *time.Time // nil: for good
	Purpose string     // what for, for people to read; may be empty
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
	Purpose   string     `db:"purpose"` // in the words of whoever gave it
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
	g.role, g.purpose, g.created, g.expires, g.revoked
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
	return postgres.Many[Grant](ctx, q, selectGrants, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "now": a.now()})
}

const selectSubjectGrant = grantColumns + `
where g.workspace_id = @workspace and g.account_id = @account and g.revoked is null
	and (g.user_id = @user or g.team_id = @team)
for no key update of g`

const insertGrant = `
insert into grants (id, workspace_id, account_id, user_id, team_id, role, purpose, created, expires, giver)
values (@id, @workspace, @account, @user, @team, @role, @purpose, @created, @expires, @giver)`

const revokeGrant = `
update grants set revoked = @now, revoke_cause = @why
where workspace_id = @workspace and id = @grant and revoked is null`

// MaxPurpose bounds a purpose, in characters.
const MaxPurpose = 200

// check refuses what cannot be given and returns the rest as it is kept.
func (s Sharing) check(now time.Time) (Sharing, error) {
	if s.Role != Owner && s.Role != Collaborator {
		return Sharing{}, core.Invalid("role", "a role is owner or collaborator")
	}
	if s.Subject.User.IsZero() == s.Subject.Team.IsZero() {
		return Sharing{}, core.Invalid("subject", "name either a user or a team")
	}
	if s.Expires != nil {
		if !s.Expires.After(now) {
			return Sharing{}, core.Invalid("expires", "the time has passed already; choose a later one or none")
		}
		s.Expires = new(s.Expires.UTC().Truncate(time.Microsecond))
	}
	if s.Purpose = strings.TrimSpace(s.Purpose); s.Purpose == "" {
		return s, nil
	}
	if utf8.RuneCountInString(s.Purpose) > MaxPurpose {
		return Sharing{}, core.Invalid("purpose", "at most %d characters are kept", MaxPurpose)
	}
	return s, checkText("purpose", s.Purpose, utf8.UTFMax*MaxPurpose)
}

// Share gives a user or team a role on an account, until a time or for good. A subject has one grant
// per account: sharing again replaces role, expiry and purpose, and with nothing to change it gives
// the grant that is there. Guests and login-only users can be collaborators only; in a team they
// count as such. Taking the role from the last living owner is a Conflict.
func (a *Accounts) Share(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, sharing Sharing) (Grant, error) {
	now := a.now()
	sharing, err := sharing.check(now)
	if err != nil {
		return Grant{}, err
	}
	if err := a.authorize(ctx, tx, cause, workspace, right{owner: account}); err != nil {
		return Grant{}, err
	}
	grant := Grant{
		ID: core.NewID(), Workspace: workspace, Account: account, User: sharing.Subject.User, Team: sharing.Subject.Team,
		Role: sharing.Role, Purpose: sharing.Purpose, Created: now, Expires: sharing.Expires,
	}
	if grant.Name, err = a.holdNamed(ctx, tx, workspace, sharing); err != nil {
		return Grant{}, err
	}
	shared, err := a.lock(ctx, tx, workspace, account)
	if err != nil {
		return Grant{}, err
	}
	owned, err := a.owned(ctx, tx, shared)
	if err != nil {
		return Grant{}, err
	}
	before, err := postgres.One[Grant](ctx, tx, "grant", selectSubjectGrant, pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "user": grant.User, "team": grant.Team,
	})
	switch {
	case err == nil && before.Live(now) && before.Role == grant.Role && before.Purpose == grant.Purpose && sameTime(before.Expires, grant.Expires):
		return before, nil
	case err == nil:
		if _, err := tx.Exec(ctx, revokeGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": before.ID, "now": now, "why": "replaced"}); err != nil {
			return Grant{}, postgres.Classify(err)
		}
	case core.KindOf(err) != core.KindNotFound:
		return Grant{}, err
	}
	if grant, err = a.insertGrant(ctx, tx, cause.Actor, grant); err != nil {
		return Grant{}, err
	}
	if err := audit.Append(ctx, tx, grant.tell(core.AccountShared, cause, now, shared.Target())); err != nil {
		return Grant{}, err
	}
	return grant, a.keepOwner(ctx, tx, cause, shared, owned)
}

// holdNamed keeps whom a sharing names as they are until it is done, and gives their name.
func (a *Accounts) holdNamed(ctx context.Context, tx pgx.Tx, workspace core.ID, sharing Sharing) (string, error) {
	if sharing.Subject.Team.IsZero() {
		user, err := a.holdSubject(ctx, tx, workspace, "user", sharing.Subject.User, sharing.Role)
		return user.Name(), err
	}
	team, err := a.Directory.LockTeam(ctx, tx, workspace, sharing.Subject.Team)
	if core.KindOf(err) == core.KindNotFound {
		return "", core.Invalid("team", "there is no such team in this workspace")
	}
	if err == nil && sharing.Role == Owner {
		err = holdNewOwners(ctx, tx, workspace, team.ID)
	}
	return team.DisplayName, err
}

// insertGrant keeps a grant, and who gave it: reviews ask about that.
func (a *Accounts) insertGrant(ctx context.Context, tx pgx.Tx, giver core.Actor, grant Grant) (Grant, error) {
	_, err := tx.Exec(ctx, insertGrant, pgx.StrictNamedArgs{
		"id": grant.ID, "workspace": grant.Workspace, "account": grant.Account, "user": grant.User, "team": grant.Team,
		"role": string(grant.Role), "purpose": grant.Purpose, "created": grant.Created, "expires": grant.Expires, "giver": giver,
	})
	return grant, postgres.Classify(err)
}

const selectGrant = grantColumns + `
where g.workspace_id = @workspace and g.id = @grant`

// Unshare takes a grant back. Owners and administrators may, and whoever it was given to. A grant
// that is gone already is NotFound; taking away the last living owner is a Conflict.
func (a *Accounts) Unshare(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) error {
	revoked, err := postgres.One[Grant](ctx, tx, "grant", selectGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant})
	if err != nil {
		return err
	}
	if err := a.authorize(ctx, tx, cause, workspace, right{self: revoked.User, owner: revoked.Account}); err != nil {
		return err
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
	if !revoked.Live(now) {
		return core.NotFound("grant")
	}
	done, err := tx.Exec(ctx, revokeGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant, "now": now, "why": "unshared"})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return core.NotFound("grant")
	}
	if err := audit.Append(ctx, tx, revoked.tell(core.AccountUnshared, cause, now, account.Target())); err != nil {
		return err
	}
	return a.keepOwner(ctx, tx, cause, account, owned)
}

// tell is an event about the grant: what it gives to whom, until when and what for.
func (g Grant) tell(kind core.EventType, cause core.Cause, at time.Time, account core.Target) core.Event {
	event := core.NewEvent(kind, g.Workspace, cause, at, account, g.Target()).
		With("role", string(g.Role)).With("grant", g.ID.String())
	if g.Expires != nil {
		event = event.With("expires", g.Expires.UTC().Format(time.RFC3339Nano))
	}
	if g.Purpose != "" {
		event = event.With("purpose", g.Purpose)
	}
	return event
}

func sameTime(one, other *time.Time) bool {
	if one == nil || other == nil {
		return one == other
	}
	return one.Equal(*other)
}
