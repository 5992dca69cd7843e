package certificates

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/rotation"
)

// opened is a certificate's row with whom it is about.
type opened struct {
	ID          core.ID    `db:"id"`
	Workspace   core.ID    `db:"workspace_id"`
	User        core.ID    `db:"user_id"`
	UserName    string     `db:"user_name"`
	Name        string     `db:"name"`
	Reason      Reason     `db:"reason"`
	Cause       core.Cause `db:"cause"`
	Departed    time.Time  `db:"departed"`
	Opened      time.Time  `db:"opened"`
	Deadline    time.Time  `db:"deadline"`
	Taken       Taken      `db:"taken"`
	Reactivated *time.Time `db:"reactivated"`
	Issued      int        `db:"issued"`
	State       State      `db:"state"`
	Passwords   int        `db:"passwords"`
}

const selectOpened = `
select c.id, c.workspace_id, c.user_id, u.user_name, coalesce(nullif(u.display_name, ''), u.user_name) as name, c.reason, c.cause,
	c.departed, c.opened, c.deadline, c.taken, c.reactivated, c.issued, c.state, cardinality(c.accounts) as passwords
from certificates c join users u on u.workspace_id = c.workspace_id and u.id = c.user_id
`

// fact is what the database knows of one of its passwords.
type fact struct {
	Account      core.ID        `db:"account_id"`
	App          string         `db:"app_name"`
	Username     string         `db:"username"`
	AccountState accounts.State `db:"account_state"`
	StateReason  string         `db:"state_reason"`
	Version      int            `db:"version"`
	Saw          bool           `db:"saw"`
	Planned      core.ID        `db:"planned"` // zero: nothing
	Current      bool           `db:"current"`
	Refused      *time.Time     `db:"refused"` // and not accepted since
	First        *time.Time     `db:"first"`
	Last         *time.Time     `db:"last"`
	Times        int            `db:"times"`
	How          []string       `db:"how"`
	Killer       core.ID        `db:"killer"`
	NewAccepted  *time.Time     `db:"new_accepted"`
	OldRefused   *time.Time     `db:"old_refused"`
	Agent        string         `db:"agent"`
	Sessions     *time.Time     `db:"sessions"` // ended
	Ending       bool           `db:"ending"`   // the killer still has to say what became of them
	Replaced     *time.Time     `db:"replaced"`
	Rotation     core.ID        `db:"rotation"`
	Progress     rotation.State `db:"progress"`
	Detail       string         `db:"detail"`
}

// What was given to them counts up to when everything was taken: somebody who is back may be given it
// again. A refusal counts until the app accepts the same password again.
const selectFacts = `
select e.account_id, p.name as app_name, a.username, a.state as account_state, a.state_reason, e.version, e.saw, e.rotation_id as planned,
	v.label is not distinct from 'current' as current, case when v.proven > v.refused then null else v.refused end as refused,
	seen.first, seen.last, coalesce(seen.times, 0) as times, coalesce(seen.how, '{}') as how,
	killer.id as killer, killer.new_accepted, killer.old_refused, coalesce(killer.agent, '') as agent, killer.sessions, coalesce(killer.ending, false) as ending, newer.since as replaced,
	under_way.id as rotation, coalesce(under_way.state, '') as progress, coalesce(under_way.detail, '') as detail
from certificates c
cross join lateral unnest(c.accounts, c.versions, c.saw, c.rotations) as e (account_id, version, saw, rotation_id)
join accounts a on a.workspace_id = c.workspace_id and a.id = e.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
left join credential_versions v on v.workspace_id = c.workspace_id and v.account_id = e.account_id and v.field = 'password' and v.version = e.version
left join lateral (
	select min(x.seen) as first, max(x.seen) as last, count(*)::integer as times, array_agg(distinct x.level order by x.level) as how
	from exposures x
	where x.workspace_id = c.workspace_id and x.user_id = c.user_id and x.account_id = e.account_id and x.version = e.version
		and x.level in ` + accounts.PasswordLevels + ` and x.seen <= c.opened
) seen on e.saw
left join lateral (
	select r.id, r.new_accepted, r.old_refused, r.agent, (r.receipt ->> 'sessions_ended')::timestamptz as sessions, r.finished is null as ending
	from rotations r
	where r.workspace_id = c.workspace_id and r.account_id = e.account_id and r.previous = e.version
		and r.new_accepted is not null and r.old_refused > coalesce(v.proven, '-infinity')
	order by r.old_refused limit 1
) killer on true
left join lateral (
	select min(r.new_accepted) as since from rotations r
	where r.workspace_id = c.workspace_id and r.account_id = e.account_id and r.candidate > e.version
		and r.old_refused is not null and r.new_accepted > coalesce(v.proven, '-infinity')
) newer on true
left join rotations under_way on under_way.workspace_id = c.workspace_id and under_way.account_id = e.account_id and under_way.finished is null
	and under_way.reason <> 'verify'
where c.workspace_id = @workspace and c.id = @id
order by e.saw desc, p.name, a.username, e.account_id, e.version`

// What was good when they left, whenever it was looked at since. Whose owner has left opens nothing, and is ended.
const selectLinks = `
select l.id, l.account_id, p.name || ' (' || a.username || ')' as name, l.recipients || l.domains as recipients, l.purpose, l.views,
	case when l.ended is not null then l.due end as died, l.rotation_id
from links l
join accounts a on a.workspace_id = l.workspace_id and a.id = l.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where l.workspace_id = @workspace and l.owner_id = @user and l.created <= @opened and l.due >= @departed
order by p.name, a.username, l.id`

// links are those of somebody who left.
func (c *Certificates) links(ctx context.Context, q postgres.Querier, of opened) ([]Link, error) {
	if of.Reason != Deprovision {
		return nil, nil
	}
	rows, err := q.Query(ctx, selectLinks, pgx.StrictNamedArgs{"workspace": of.Workspace, "user": of.User, "opened": of.Opened, "departed": of.Departed})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Link, error) {
		var one Link
		err := row.Scan(&one.ID, &one.Account, &one.Name, &one.For, &one.Purpose, &one.Views, &one.Died, &one.Rotation)
		one.Died = utc(one.Died)
		return one, err
	})
	return found, postgres.Classify(err)
}

// compose says what is true now. Neither number nor what it supersedes is in it.
func (c *Certificates) compose(ctx context.Context, q postgres.Querier, of opened) (Certificate, error) {
	rows, err := q.Query(ctx, selectFacts, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID})
	if err != nil {
		return Certificate{}, postgres.Classify(err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowToStructByName[fact])
	if err != nil {
		return Certificate{}, postgres.Classify(err)
	}
	now := c.now()
	made := Certificate{
		Format: Format, ID: of.ID, Workspace: of.Workspace, Issued: now, Reason: of.Reason,
		Person: Person{of.User, of.UserName, of.Name}, Cause: Cause{of.Cause.Actor, of.Cause.Received.UTC(), of.Cause.Correlation},
		Departed: of.Departed.UTC(), Deadline: of.Deadline.UTC(), State: Complete, Reactivated: utc(of.Reactivated), Taken: of.Taken,
		Credentials: make([]Credential, 0, len(facts)),
	}
	if made.Links, err = c.links(ctx, q, of); err != nil {
		return Certificate{}, err
	}
	safe, ending := made.Departed, false
	if made.Disabled, ending, err = c.disabled(ctx, q, of); err != nil {
		return Certificate{}, err
	}
	proved := map[core.ID]*time.Time{}
	for _, one := range made.Disabled {
		proved[one.Account] = one.Proved
	}
	if made.Secrets, err = c.secrets(ctx, q, of, proved); err != nil {
		return Certificate{}, err
	}
	for _, one := range made.Secrets {
		if one.Ended != nil && one.Ended.After(safe) {
			safe = *one.Ended
		}
	}
	for _, one := range facts {
		told := one.tell(of.Reason)
		if at := proved[one.Account]; at != nil && told.Fate == Open {
			told.Fate, told.Died, told.Rotation, told.NextStep = Dead, at, core.ID{}, ""
			told.Why = "The account is disabled in the app, with whatever password."
		}
		made.Credentials = append(made.Credentials, told)
		ending = ending || told.Proof != nil && one.Ending
		if told.Died != nil && told.Died.After(safe) {
			safe = *told.Died
		}
	}
	switch {
	case made.Count(Open)+made.OpenLinks()+made.OpenSecrets() == 0 && (!ending || !now.Before(made.Deadline)): // what follows the proofs belongs to it
		made.Safe, made.TimeToSafe = &safe, new(safe.Sub(made.Departed).Milliseconds())
	case now.Before(made.Deadline):
		made.State = Pending
	default:
		made.State = Incomplete
	}
	return made, nil
}

// tell says what became of a password.
func (f fact) tell(reason Reason) Credential {
	told := Credential{Account: f.Account, App: f.App, Username: f.Username, Version: f.Version}
	if f.Saw {
		told.Seen = &Seen{Times: f.Times, How: f.How}
		if f.First != nil {
			told.Seen.First, told.Seen.Last = f.First.UTC(), f.Last.UTC()
		}
	}
	switch {
	case f.Current || f.Refused == nil && f.Replaced == nil:
		told.Fate, told.Rotation = Open, f.Rotation
		told.Why, told.NextStep = f.words(reason)
	case f.Refused == nil:
		told.Fate, told.Died = Replaced, utc(f.Replaced)
		told.Why = "It was not tried since, but the app accepted a later password and refused the one before that."
	case f.OldRefused != nil:
		told.Fate, told.Died = Dead, utc(f.OldRefused)
		told.Proof = &Proof{f.Killer, f.NewAccepted.UTC(), f.OldRefused.UTC(), f.Agent, utc(f.Sessions)}
	default:
		told.Fate, told.Died = Dead, utc(f.Refused)
	}
	return told
}

// words say why a password is open, and what a person can do about it.
func (f fact) words(reason Reason) (why, next string) {
	when := map[Reason]string{Deprovision: "leaves", Logout: "is logged out", Revocation: "is compromised"}[reason]
	switch {
	case f.Rotation.IsZero() && f.AccountState == accounts.Unmanaged:
		return "Nobody keeps this password up to date.", "Change it in the app by hand, then store the new one."
	case f.Rotation.IsZero() && f.Planned.IsZero():
		return "Not rotated: no policy of the workspace has it changed when somebody " + when + ".", "Rotate the account, or change the policy."
	case f.Rotation.IsZero() && !f.Current:
		return "The app was never seen to refuse it, or accepts it again. " + f.StateReason, "Rotate the account again."
	case f.Rotation.IsZero():
		return "The rotation ended, and this is the app's password all the same. " + f.StateReason, "Rotate the account again."
	case f.Progress == rotation.StateBlocked && (accounts.Account{State: f.AccountState}).Closed() != nil:
		return f.Detail, "Settle this, then check the account: the rotation goes on once a sign-in has proved a password."
	case f.Progress == rotation.StateBlocked:
		return f.Detail, "Settle this, then rotate the account again."
	case f.Detail != "" && f.Progress != rotation.StateOldDead && f.Progress != rotation.StateStored:
		return f.Detail, "Postern goes on by itself. If the app is gone for good, have the account closed there."
	}
	return "The rotation is under way.", "Postern goes on by itself."
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	return new(at.UTC())
}
