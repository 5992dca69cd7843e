package accounts

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// left is why grants of a leaver were revoked.
const left = "the user left"

// Proposal is a grant somebody lost by leaving, and could be given anew now that they are back. Nothing
// gives it back by itself.
type Proposal struct {
	Grant    core.ID    `db:"id"`
	Account  core.ID    `db:"account_id"`
	AppName  string     `db:"app_name"`
	Username string     `db:"username"`
	User     core.ID    `db:"user_id"`
	Role     Role       `db:"role"`
	Purpose  string     `db:"purpose"`
	Expires  *time.Time `db:"expires"` // when it would have ended, and ends
	Revoked  time.Time  `db:"revoked"`
}

// Of the last departure alone, and of somebody active: what has expired since, what they have already, and
// what was declined is no proposal.
const selectProposals = `
select g.id, g.account_id, p.name as app_name, a.username, g.user_id, g.role, g.purpose, g.expires, g.revoked
from users u
cross join lateral (
	select last.revoked from grants last
	where last.workspace_id = u.workspace_id and last.user_id = u.id and last.revoked is not null and last.revoke_cause = '` + left + `'
	order by last.revoked desc limit 1
) departure
join grants g on g.workspace_id = u.workspace_id and g.user_id = u.id and g.revoked = departure.revoked and g.revoke_cause = '` + left + `'
join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where u.workspace_id = @workspace and u.id = @user and u.active and u.deleted is null
	and g.declined is null and (g.expires is null or g.expires > @now)
	and (g.role <> 'owner' or u.role not in ('login_only', 'guest'))
	and not exists (
		select from grants h
		where h.workspace_id = g.workspace_id and h.account_id = g.account_id and h.user_id = g.user_id
			and h.revoked is null and (h.expires is null or h.expires > @now) and (h.role = 'owner' or h.role = g.role)
	)
	and (@grant::uuid is null or g.id = @grant)
order by p.name, a.username, g.id`

// Proposals lists what an active user had when they left last, and does not have now. Whoever never left,
// or is gone, has none.
func (a *Accounts) Proposals(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]Proposal, error) {
	return postgres.Many[Proposal](ctx, q, selectProposals, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "grant": core.ID{}, "now": a.now()})
}

// AcceptProposal gives a user anew what they lost by leaving: a new grant, as Share makes it, which the
// account's owners and administrators may. What is no proposal (any more) is NotFound.
func (a *Accounts) AcceptProposal(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) (Grant, error) {
	found, err := a.proposal(ctx, tx, cause, workspace, grant)
	if err != nil {
		return Grant{}, err
	}
	return a.Share(ctx, tx, cause, workspace, found.Account, Sharing{Subject: Subject{User: found.User}, Role: found.Role, Expires: found.Expires, Purpose: found.Purpose})
}

const declineGrant = `update grants set declined = @now where workspace_id = @workspace and id = @grant and declined is null`

// DeclineProposal has what a user lost by leaving proposed no longer. The account's owners and
// administrators may. What is no proposal (any more) is NotFound.
func (a *Accounts) DeclineProposal(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) error {
	found, err := a.proposal(ctx, tx, cause, workspace, grant)
	if err != nil {
		return err
	}
	now := a.now()
	done, err := tx.Exec(ctx, declineGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant, "now": now})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return core.NotFound("proposal")
	}
	named, err := a.Directory.Targets(ctx, tx, workspace, []core.ID{found.User})
	if err != nil {
		return err
	}
	account := Account{ID: found.Account, AppName: found.AppName, Username: found.Username}
	return audit.Append(ctx, tx, core.NewEvent(core.AccountProposalDeclined, workspace, cause, now, account.Target(), named[found.User]).
		With("grant", grant.String()).With("role", string(found.Role)))
}

// proposal finds one that whoever acts may decide on, and keeps the account as it is meanwhile.
func (a *Accounts) proposal(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) (Proposal, error) {
	lost, err := postgres.One[Grant](ctx, tx, "proposal", selectGrant, pgx.StrictNamedArgs{"workspace": workspace, "grant": grant})
	if err != nil {
		return Proposal{}, err
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "user": lost.User, "grant": grant, "now": a.now()}
	found, err := postgres.One[Proposal](ctx, tx, "proposal", selectProposals, args)
	if err != nil {
		return Proposal{}, err
	}
	if err := a.authorize(ctx, tx, cause, workspace, right{owner: found.Account}); err != nil {
		return Proposal{}, err
	}
	if _, err := a.Directory.HoldUser(ctx, tx, workspace, found.User); err != nil { // before the account, as in Share
		return Proposal{}, err
	}
	if _, err := a.lock(ctx, tx, workspace, found.Account); err != nil {
		return Proposal{}, err
	}
	return postgres.One[Proposal](ctx, tx, "proposal", selectProposals, args)
}

// TeamProposal is a team that counts for somebody no more because they left, and could count again now that they are
// back. Nothing lets it by itself.
type TeamProposal struct {
	Team      core.ID   `db:"team_id"`
	Name      string    `db:"name"`
	Accounts  int       `db:"accounts"` // that it may use
	Suspended time.Time `db:"suspended"`
}

const selectTeamProposals = `
select m.team_id, t.display_name as name, m.suspended, (
		select count(distinct g.account_id) from grants g
		where g.workspace_id = m.workspace_id and g.team_id = m.team_id and g.revoked is null and (g.expires is null or g.expires > @now)
	) as accounts
from users u
join team_members m on m.workspace_id = u.workspace_id and m.user_id = u.id and m.suspended is not null
join teams t on t.workspace_id = m.workspace_id and t.id = m.team_id and t.deleted is null
where u.workspace_id = @workspace and u.id = @user and u.active and u.deleted is null
	and (m.declined is null or m.declined < m.suspended) and (@team::uuid is null or m.team_id = @team)
order by t.display_name, m.team_id`

// TeamProposals lists the teams an active user is in that give them nothing since they left. A team that a connection
// describes is among them as long as the connection lists them in it.
func (a *Accounts) TeamProposals(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]TeamProposal, error) {
	return postgres.Many[TeamProposal](ctx, q, selectTeamProposals, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "team": core.ID{}, "now": a.now()})
}

// TeamProposal finds one of a user's: NotFound if it is none, or none any more.
func (a *Accounts) TeamProposal(ctx context.Context, q postgres.Querier, workspace, user, team core.ID) (TeamProposal, error) {
	if team.IsZero() {
		return TeamProposal{}, core.NotFound("proposal")
	}
	return postgres.One[TeamProposal](ctx, q, "proposal", selectTeamProposals, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "team": team, "now": a.now()})
}

const declineTeam = `
update team_members set declined = greatest(@now::timestamptz, suspended)
where workspace_id = @workspace and team_id = @team and user_id = @user and suspended is not null and (declined is null or declined < suspended)`

// DeclineTeamProposal has a team be proposed to somebody no longer, until their identity provider adds them anew and they leave again.
// Administrators may, service accounts and the system. What TeamProposals does not list is NotFound.
func (a *Accounts) DeclineTeamProposal(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, team core.ID) error {
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return err
	}
	found, err := a.TeamProposal(ctx, tx, workspace, user, team)
	if err != nil {
		return err
	}
	now := a.now()
	done, err := tx.Exec(ctx, declineTeam, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "team": team, "now": now})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() == 0 {
		return core.NotFound("proposal")
	}
	named, err := a.Directory.Targets(ctx, tx, workspace, []core.ID{user})
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.TeamProposalDeclined, workspace, cause, now, core.Target{Kind: "team", ID: team, Name: found.Name}, named[user]))
}
