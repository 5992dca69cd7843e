package accounts

import (
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// MaxSuccessors bounds a succession list.
const MaxSuccessors = 50

// Successor is an entry of a succession list: a user, a team, or the manager of whoever goes.
type Successor struct {
	User    core.ID `db:"user_id"`
	Team    core.ID `db:"team_id"`
	Manager bool    `db:"manager"`
	Name    string  `db:"name"` // of the user or team; only Succession fills it
}

const selectSuccessors = `
select s.user_id, s.team_id, s.user_id is null and s.team_id is null as manager,
	coalesce(nullif(u.display_name, ''), u.user_name, t.display_name, '') as name
from successors s
left join users u on u.workspace_id = s.workspace_id and u.id = s.user_id
left join teams t on t.workspace_id = s.workspace_id and t.id = s.team_id
where s.workspace_id = @workspace and s.account_id is not distinct from @account
order by s.place`

// Succession is who an account passes to when its last living owner goes, in this order; of the zero
// account it is the workspace's list, which comes after each account's own.
func (a *Accounts) Succession(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Successor, error) {
	return postgres.Many[Successor](ctx, q, selectSuccessors, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

const lockWorkspace = `select name from workspaces where id = @workspace for no key update`

const deleteSuccessors = `delete from successors where workspace_id = @workspace and account_id is not distinct from @account`

const insertSuccessor = `
insert into successors (workspace_id, account_id, place, user_id, team_id) values (@workspace, @account, @place, @user, @team)`

// SetSuccession replaces an account's succession list, which its owners and administrators may, or with
// the zero account the workspace's, which administrators may. An account that has no living owner passes
// on at once. Whoever is on the list may be inactive: they are passed over until they are back.
func (a *Accounts) SetSuccession(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, list []Successor) error {
	kind, target, orphaned := core.WorkspaceSuccessionChanged, core.Target{Kind: "workspace", ID: workspace}, false
	if account.IsZero() {
		if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&target.Name); err != nil {
			return postgres.Classify(err)
		}
	} else {
		if err := a.authorize(ctx, tx, cause, workspace, right{owner: account}); err != nil {
			return err
		}
		found, err := a.lock(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		kind, target, orphaned = core.AccountSuccessionChanged, found.Target(), found.Orphaned
	}
	if err := a.checkSuccessors(ctx, tx, workspace, list); err != nil {
		return err
	}
	before, err := a.Succession(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	same := func(one, other Successor) bool { return one.User == other.User && one.Team == other.Team }
	if !slices.EqualFunc(before, list, same) {
		if err := a.writeSuccessors(ctx, tx, workspace, account, list); err != nil {
			return err
		}
		event := core.NewEvent(kind, workspace, cause, a.now(), target).With("successors", strconv.Itoa(len(list)))
		if err := audit.Append(ctx, tx, event); err != nil {
			return err
		}
	}
	if !orphaned {
		return nil
	}
	events, err := a.passOn(ctx, tx, cause, workspace, []core.ID{account}, true, loss{why: "nobody active owned it"})
	if err != nil {
		return err
	}
	if err := audit.Append(ctx, tx, events...); err != nil {
		return err
	}
	_, err = a.CheckOwners(ctx, tx, cause, workspace, account)
	return err
}

func (a *Accounts) writeSuccessors(ctx context.Context, tx pgx.Tx, workspace, account core.ID, list []Successor) error {
	batch := &pgx.Batch{}
	batch.Queue(deleteSuccessors, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
	for i, one := range list {
		batch.Queue(insertSuccessor, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "place": i + 1, "user": one.User, "team": one.Team})
	}
	return postgres.Classify(tx.SendBatch(ctx, batch).Close())
}

// checkSuccessors refuses a list that names somebody twice, or nobody the workspace has.
func (a *Accounts) checkSuccessors(ctx context.Context, tx pgx.Tx, workspace core.ID, list []Successor) error {
	if len(list) > MaxSuccessors {
		return core.Invalid("successors", "at most %d are kept, these are %d", MaxSuccessors, len(list))
	}
	for i, one := range list {
		named := 0
		for _, is := range []bool{!one.User.IsZero(), !one.Team.IsZero(), one.Manager} {
			if is {
				named++
			}
		}
		if named != 1 {
			return core.Invalid("successors", "each is either a user, a team, or the manager of whoever goes")
		}
		if slices.ContainsFunc(list[:i], func(other Successor) bool { return other.User == one.User && other.Team == one.Team }) {
			return core.Invalid("successors", "the same one comes twice")
		}
		var err error
		switch {
		case !one.User.IsZero():
			_, err = a.Directory.User(ctx, tx, workspace, one.User)
		case !one.Team.IsZero():
			_, err = a.Directory.Team(ctx, tx, workspace, one.Team)
		}
		if core.KindOf(err) == core.KindNotFound {
			return core.Invalid("successors", "there is no such user or team in this workspace")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loss is what took an account's last owner.
type loss struct {
	leaver core.ID // whose manager is meant by a list; zero: nobody's
	except core.ID // who is as good as gone, though their row and their teams do not say so yet
	team   core.ID // likewise
	why    string
}

// choice is whom an account passes to.
type choice struct {
	Account     core.ID `db:"account_id"`
	AppName     string  `db:"app_name"`
	Username    string  `db:"username"`
	Team        core.ID `db:"team_id"` // zero: the user
	User        core.ID `db:"user_id"` // who is alive: the successor, or somebody of the team
	Name        string  `db:"name"`
	Manager     bool    `db:"manager"`
	OfWorkspace bool    `db:"of_workspace"`
}

// The first of an account's list, or else of the workspace's, who is alive. A team is if somebody in it is.
const selectChoices = `
select distinct on (a.id) a.id as account_id, p.name as app_name, a.username, s.team_id, alive.id as user_id,
	coalesce(t.display_name, nullif(alive.display_name, ''), alive.user_name) as name,
	s.user_id is null and s.team_id is null as manager, s.account_id is null as of_workspace
from accounts a
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
join successors s on s.workspace_id = a.workspace_id and (s.account_id = a.id or s.account_id is null)
left join teams t on t.workspace_id = s.workspace_id and t.id = s.team_id
cross join lateral (
	select u.id, u.display_name, u.user_name
	from (
		select s.user_id as id where s.user_id is not null
		union all
		select m.user_id from team_members m
		where s.team_id is not null and t.deleted is null and m.workspace_id = s.workspace_id and m.team_id = s.team_id and m.suspended is null
			and m.team_id is distinct from @team::uuid
		union all
		select manager_of(a.workspace_id, @leaver::uuid) where s.user_id is null and s.team_id is null
	) named
	join users u on u.workspace_id = a.workspace_id and u.id = named.id
	where u.active and u.deleted is null and u.role not in ('login_only', 'guest') and u.id is distinct from @except::uuid
	order by u.id limit 1
) alive
where a.workspace_id = @workspace and a.id = any(@accounts) and a.orphaned = @orphaned and not ` + livingOwner + `
order by a.id, s.account_id is null, s.place`

const holdUsers = `
select u.id from users u where u.workspace_id = @workspace and u.id = any(@users::uuid[]) order by u.id for share`

const holdTeams = `
select t.id from teams t where t.workspace_id = @workspace and t.id = any(@teams::uuid[]) order by t.id for share`

const holdMembers = `
select u.id from users u
where u.workspace_id = @workspace and u.id in (
	select m.user_id from team_members m
	where m.workspace_id = @workspace and m.team_id = any(@teams::uuid[]) and m.suspended is null
)
order by u.id for share`

const revokeReplaced = `
update grants set revoked = @now, revoke_cause = 'replaced'
where workspace_id = @workspace and account_id = @account and revoked is null and (user_id = @user or team_id = @team)`

// passOn gives locked accounts that have no living owner, and are known to be orphaned or not, to whom
// their succession lists lead. What is to be told is returned. Accounts whose lists lead to nobody stay
// as they are.
func (a *Accounts) passOn(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, accounts []core.ID, orphaned bool, lost loss) ([]core.Event, error) {
	now := a.now()
	chosen, err := a.choose(ctx, tx, workspace, pgx.StrictNamedArgs{
		"workspace": workspace, "accounts": accounts, "orphaned": orphaned, "leaver": lost.leaver, "except": lost.except,
		"team": lost.team, "now": now,
	})
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	batch := &pgx.Batch{}
	var events []core.Event
	for _, one := range chosen {
		grant := Grant{ID: core.NewID(), Workspace: workspace, Account: one.Account, User: one.User, Name: one.Name, Role: Owner, Created: now}
		list := "account"
		if one.OfWorkspace {
			list = "workspace"
		}
		why := lost.why + "; " + one.Name + " is next on the " + list + "'s succession list"
		if !one.Team.IsZero() {
			grant.User, grant.Team = core.ID{}, one.Team
		}
		if one.Manager {
			why += ", as the manager of whoever went"
		}
		batch.Queue(revokeReplaced, pgx.StrictNamedArgs{"workspace": workspace, "account": one.Account, "user": grant.User, "team": grant.Team, "now": now})
		if _, err := a.insertGrant(ctx, postgres.Queueing(batch), cause.Actor, grant); err != nil {
			return nil, err
		}
		account := Account{ID: one.Account, AppName: one.AppName, Username: one.Username}
		events = append(events, core.NewEvent(core.AccountOwnerSucceeded, workspace, cause, now, account.Target(), grant.Target()).
			Because(why).With("grant", grant.ID.String()).With("list", list))
	}
	return events, postgres.Classify(tx.SendBatch(ctx, batch).Close())
}

// holdNewOwners waits for whoever of teams, which become owners, is leaving at this moment: they have read
// already what they own, so nobody would ask, when they are gone, whether these accounts still have an
// owner. Who leaves later finds the grant. O(members), paid by whom gives a team an account.
func holdNewOwners(ctx context.Context, tx pgx.Tx, workspace core.ID, teams ...core.ID) error {
	_, err := postgres.Column[core.ID](ctx, tx, holdMembers, pgx.StrictNamedArgs{"workspace": workspace, "teams": teams})
	return err
}

// choose finds whom accounts pass to, and keeps those alive, and in their teams, until the transaction
// ends: nobody is chosen who is leaving at this moment. Looked up again after each wait for a lock.
func (a *Accounts) choose(ctx context.Context, tx pgx.Tx, workspace core.ID, args pgx.StrictNamedArgs) ([]choice, error) {
	held := map[core.ID]bool{{}: true} // the zero team is nobody's
	for {
		chosen, err := postgres.Many[choice](ctx, tx, selectChoices, args)
		if err != nil {
			return nil, err
		}
		var users, teams []core.ID
		for _, one := range chosen {
			if !held[one.User] {
				users = append(users, one.User)
			}
			if !held[one.Team] {
				teams = append(teams, one.Team)
			}
			held[one.User], held[one.Team] = true, true
		}
		if len(users)+len(teams) == 0 {
			return chosen, nil
		}
		// A team before its people, as in every command.
		if _, err := postgres.Column[core.ID](ctx, tx, holdTeams, pgx.StrictNamedArgs{"workspace": workspace, "teams": teams}); err != nil {
			return nil, err
		}
		if err := holdNewOwners(ctx, tx, workspace, teams...); err != nil {
			return nil, err
		}
		if _, err := postgres.Column[core.ID](ctx, tx, holdUsers, pgx.StrictNamedArgs{"workspace": workspace, "users": users}); err != nil {
			return nil, err
		}
	}
}
