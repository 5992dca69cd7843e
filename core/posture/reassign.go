package posture

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/jobs"
	"postern/core/postgres"
)

// The limits of a reassignment.
const (
	MaxOwners = 5
	MaxListed = 5000 // accounts that are named; a filter may find any number
	atOnce    = 25   // accounts that are seen to before the command returns
)

// Reassignment gives accounts new owners: those listed, or the orphaned ones of a filter.
type Reassignment struct {
	Owners   []accounts.Subject
	Accounts []core.ID // these, orphaned or not
	Orphaned *Filter   // or those without an owner that it leaves; only App and Tag narrow it
	Expected *int      // refused if there are not so many; nil: however many there are
}

// Plan is what a reassignment would do.
type Plan struct {
	Total    int
	Owners   []core.Target
	Accounts []Standing // the first of them
}

// Progress is how far a reassignment has come.
type Progress struct {
	ID        core.ID
	By        core.Actor
	Owners    []core.Target
	Total     int
	Done      int // accounts that have the owners now and did not before
	Unchanged int // that had them
	Failed    int
	Waiting   int
	Created   time.Time
	Finished  *time.Time
}

// planned is a condition on an account a that a reassignment is about.
func (r Reassignment) planned(args pgx.StrictNamedArgs) (condition string, err error) {
	switch {
	case len(r.Accounts) > 0 && r.Orphaned != nil:
		return "", core.Invalid("accounts", "either list accounts, or take those without an owner")
	case len(r.Accounts) > MaxListed:
		return "", core.Invalid("accounts", "list at most %d accounts; take those without an owner by a filter", MaxListed)
	case len(r.Accounts) > 0:
		args["accounts"] = r.Accounts
		return `a.id = any(@accounts::uuid[])`, nil
	case r.Orphaned == nil:
		return "", core.Invalid("accounts", "list the accounts, or take those without an owner")
	}
	filter, err := Filter{App: r.Orphaned.App, Tag: r.Orphaned.Tag}.checked()
	if err != nil {
		return "", err
	}
	narrowed, _ := filter.of(kind{Description: Description{Account: true}}, args)
	return `a.orphaned` + narrowed, nil
}

const countPlanned = `select count(*) from accounts a where a.workspace_id = @workspace and `

// Preview tells what a reassignment would do. Nothing is changed by it. It asks nobody's leave: the caller does.
func (p *Posture) Preview(ctx context.Context, q postgres.Querier, workspace core.ID, wanted Reassignment) (Plan, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace}
	condition, err := wanted.planned(args)
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	if plan.Owners, err = p.owners(ctx, q, workspace, wanted.Owners); err != nil {
		return Plan{}, err
	}
	if err := q.QueryRow(ctx, countPlanned+condition, args).Scan(&plan.Total); err != nil {
		return Plan{}, postgres.Classify(err)
	}
	if unknown := len(distinct(wanted.Accounts)) - plan.Total; wanted.Orphaned == nil && unknown > 0 {
		return Plan{}, core.Invalid("accounts", "%d of them are no accounts of this workspace", unknown)
	}
	plan.Accounts, err = p.planned(ctx, q, workspace, condition, args)
	return plan, err
}

// Orphans gives the first accounts without an owner that a filter leaves; only App and Tag narrow it.
func (p *Posture) Orphans(ctx context.Context, q postgres.Querier, workspace core.ID, filter Filter) ([]Standing, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace}
	condition, err := Reassignment{Orphaned: &filter}.planned(args)
	if err != nil {
		return nil, err
	}
	return p.planned(ctx, q, workspace, condition, args)
}

func (p *Posture) planned(ctx context.Context, q postgres.Querier, workspace core.ID, condition string, args pgx.StrictNamedArgs) ([]Standing, error) {
	all := p.times(workspace)
	for name, value := range args {
		all[name] = value
	}
	statement := selectStandings + met(func(condition string) string { return condition }) + fromStandings + ` and ` + condition + ` order by a.id limit 100`
	found, err := postgres.Many[standing](ctx, q, statement, bound(statement, all))
	if err != nil {
		return nil, err
	}
	return p.shown(found), nil
}

func distinct(ids []core.ID) map[core.ID]bool {
	set := map[core.ID]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

const selectOwner = `
select coalesce(nullif(u.display_name, ''), u.user_name), u.active and u.deleted is null and u.role not in ('login_only', 'guest')
from users u where u.workspace_id = @workspace and u.id = @id`

const selectOwningTeam = `
select t.display_name, exists (
	select from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
	where m.workspace_id = t.workspace_id and m.team_id = t.id and m.suspended is null
		and u.active and u.deleted is null and u.role not in ('login_only', 'guest'))
from teams t where t.workspace_id = @workspace and t.id = @id and t.deleted is null`

// owners names those who are to own accounts, or says who cannot.
func (p *Posture) owners(ctx context.Context, q postgres.Querier, workspace core.ID, wanted []accounts.Subject) ([]core.Target, error) {
	if len(wanted) == 0 || len(wanted) > MaxOwners {
		return nil, core.Invalid("owners", "name 1 to %d new owners, each a user or a team", MaxOwners)
	}
	var named []core.Target
	for i, one := range wanted {
		if one.User.IsZero() == one.Team.IsZero() {
			return nil, core.Invalid("owners", "each new owner is either a user or a team")
		}
		for _, before := range wanted[:i] {
			if before == one {
				return nil, core.Invalid("owners", "the same owner comes twice")
			}
		}
		target, statement := core.Target{Kind: "user", ID: one.User}, selectOwner
		if one.User.IsZero() {
			target, statement = core.Target{Kind: "team", ID: one.Team}, selectOwningTeam
		}
		able := false
		err := postgres.Classify(q.QueryRow(ctx, statement, pgx.StrictNamedArgs{"workspace": workspace, "id": target.ID}).Scan(&target.Name, &able))
		switch {
		case core.KindOf(err) == core.KindNotFound:
			return nil, core.Invalid("owners", "there is no such %s in this workspace", target.Kind)
		case err != nil:
			return nil, err
		case !able && target.Kind == "team":
			return nil, core.Invalid("owners", "nobody active in the team %s may own accounts", target.Name)
		case !able:
			return nil, core.Invalid("owners", "%s may not own accounts: deactivated, a guest or login-only", target.Name)
		}
		named = append(named, target)
	}
	return named, nil
}

const insertReassignment = `
insert into reassignments (id, workspace_id, cause, users, teams, total, created)
values (@id, @workspace, @cause, @users, @teams, 0, @now)`

const insertReassigned = `
insert into reassignment_rows (workspace_id, reassignment_id, account_id)
select a.workspace_id, @id::uuid, a.id from accounts a where a.workspace_id = @workspace and `

const updateTotal = `update reassignments set total = @total where workspace_id = @workspace and id = @id`

// Reassign gives accounts new owners, beside those they have. Administrators may, service accounts and the system. What is
// to be done is committed first; few accounts are seen to before it returns, many by the workers, each in a
// transaction of its own. Progress and Rows tell what became of them.
func (p *Posture) Reassign(ctx context.Context, cause core.Cause, workspace core.ID, wanted Reassignment) (Progress, error) {
	id, total := core.NewID(), 0
	err := p.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := p.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{"workspace": workspace, "id": id}
		condition, err := wanted.planned(args)
		if err != nil {
			return err
		}
		owners, err := p.owners(ctx, tx, workspace, wanted.Owners)
		if err != nil {
			return err
		}
		users, teams := []core.ID{}, []core.ID{}
		for _, one := range wanted.Owners {
			if one.Team.IsZero() {
				users = append(users, one.User)
			} else {
				teams = append(teams, one.Team)
			}
		}
		now := p.now()
		if _, err := tx.Exec(ctx, insertReassignment, pgx.StrictNamedArgs{
			"id": id, "workspace": workspace, "cause": cause, "users": users, "teams": teams, "now": now,
		}); err != nil {
			return err
		}
		inserted, err := tx.Exec(ctx, insertReassigned+condition, args)
		if err != nil {
			return err
		}
		total = int(inserted.RowsAffected())
		switch unknown := len(distinct(wanted.Accounts)) - total; {
		case wanted.Orphaned == nil && unknown > 0:
			return core.Invalid("accounts", "%d of them are no accounts of this workspace", unknown)
		case wanted.Expected != nil && *wanted.Expected != total:
			return core.Stale("there are %d accounts now, not %d: look again what would be done", total, *wanted.Expected).WithCode("changed")
		case total == 0:
			return core.Invalid("accounts", "there is no such account without an owner")
		}
		if _, err := tx.Exec(ctx, updateTotal, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "total": total}); err != nil {
			return err
		}
		event := core.NewEvent(core.ReassignmentStarted, workspace, cause, now, append([]core.Target{{Kind: "reassignment", ID: id}}, owners...)...).
			With("accounts", strconv.Itoa(total))
		if err := audit.Append(ctx, tx, event); err != nil {
			return err
		}
		return p.Queue.Add(ctx, tx, reassign{workspace, id}, jobs.Options{Priority: 2})
	})
	if err != nil {
		return Progress{}, err
	}
	p.wake()
	if total <= atOnce {
		// What fails here is the job's to do.
		if _, err := p.Carry(ctx, workspace, id); err != nil && ctx.Err() == nil && p.Log != nil {
			p.Log.WarnContext(ctx, "a reassignment is left to the workers", "reassignment", id, "error", err)
		}
	}
	return p.Progress(ctx, p.DB, workspace, id)
}

const selectProgress = `
select r.id, r.cause, r.users, r.teams, r.total, r.created, r.finished,
	(select count(*) from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'done') as done,
	(select count(*) from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'unchanged') as unchanged,
	(select count(*) from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'failed') as failed,
	(select count(*) from reassignment_rows o where o.workspace_id = r.workspace_id and o.reassignment_id = r.id and o.outcome = 'waiting') as waiting,
	array(select coalesce(nullif(u.display_name, ''), u.user_name) from unnest(r.users) with ordinality as w (id, place)
		left join users u on u.workspace_id = r.workspace_id and u.id = w.id order by w.place) as user_names,
	array(select t.display_name from unnest(r.teams) with ordinality as w (id, place)
		left join teams t on t.workspace_id = r.workspace_id and t.id = w.id order by w.place) as team_names
from reassignments r
where r.workspace_id = @workspace and `

type progress struct {
	ID        core.ID    `db:"id"`
	Cause     core.Cause `db:"cause"`
	Users     []core.ID  `db:"users"`
	Teams     []core.ID  `db:"teams"`
	Total     int        `db:"total"`
	Created   time.Time  `db:"created"`
	Finished  *time.Time `db:"finished"`
	Done      int        `db:"done"`
	Unchanged int        `db:"unchanged"`
	Failed    int        `db:"failed"`
	Waiting   int        `db:"waiting"`
	UserNames []string   `db:"user_names"`
	TeamNames []string   `db:"team_names"`
}

func (r progress) progress() Progress {
	one := Progress{
		ID: r.ID, By: r.Cause.Actor, Total: r.Total, Done: r.Done, Unchanged: r.Unchanged, Failed: r.Failed, Waiting: r.Waiting, Created: r.Created.UTC(), Finished: r.Finished,
	}
	for i, id := range r.Users {
		one.Owners = append(one.Owners, core.Target{Kind: "user", ID: id, Name: r.UserNames[i]})
	}
	for i, id := range r.Teams {
		one.Owners = append(one.Owners, core.Target{Kind: "team", ID: id, Name: r.TeamNames[i]})
	}
	return one
}

// Progress says how far a reassignment has come.
func (p *Posture) Progress(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Progress, error) {
	found, err := postgres.Many[progress](ctx, q, selectProgress+`r.id = @id`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err == nil && len(found) == 0 {
		err = core.NotFound("reassignment")
	}
	if err != nil {
		return Progress{}, err
	}
	return found[0].progress(), nil
}

const reassignmentsPage = `(@after::uuid is null or (r.created, r.id) < (select created, id from reassignments where workspace_id = @workspace and id = @after))
order by r.created desc, r.id desc limit @limit`

// Reassignments lists them, latest first, a page at a time.
func (p *Posture) Reassignments(ctx context.Context, q postgres.Querier, workspace, after core.ID, limit int) ([]Progress, error) {
	found, err := postgres.Many[progress](ctx, q, selectProgress+reassignmentsPage, pgx.StrictNamedArgs{
		"workspace": workspace, "after": after, "limit": min(max(limit, 1), 500),
	})
	if err != nil {
		return nil, err
	}
	all := make([]Progress, len(found))
	for i, one := range found {
		all[i] = one.progress()
	}
	return all, nil
}

// Outcome is what became of an account of a reassignment.
type Outcome string

// The outcomes.
const (
	Waiting   Outcome = "waiting"
	Done      Outcome = "done"      // it has the owners now
	Unchanged Outcome = "unchanged" // it had them before
	Failed    Outcome = "failed"    // and why
)

// Row is an account of a reassignment.
type Row struct {
	Account  core.ID    `db:"account_id"`
	AppName  string     `db:"app_name"`
	Username string     `db:"username"`
	Outcome  Outcome    `db:"outcome"`
	Why      string     `db:"why"`
	At       *time.Time `db:"at"`
}

const selectRows = `
select o.account_id, p.name as app_name, a.username, o.outcome, o.why, o.at
from reassignment_rows o
join accounts a on a.workspace_id = o.workspace_id and a.id = o.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where o.workspace_id = @workspace and o.reassignment_id = @id and (@outcome = '' or o.outcome = @outcome) and (@after::uuid is null or o.account_id > @after)
order by o.account_id limit @limit`

// Rows is a reassignment's report, a row an account, in the order of their ids, a page at a time; outcome, if not
// empty, is the only one told.
func (p *Posture) Rows(ctx context.Context, q postgres.Querier, workspace, id core.ID, outcome Outcome, after core.ID, limit int) ([]Row, error) {
	if _, err := p.Progress(ctx, q, workspace, id); err != nil {
		return nil, err
	}
	return postgres.Many[Row](ctx, q, selectRows, pgx.StrictNamedArgs{
		"workspace": workspace, "id": id, "outcome": string(outcome), "after": after, "limit": min(max(limit, 1), 500),
	})
}
