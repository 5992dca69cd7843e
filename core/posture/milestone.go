package posture

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Milestone is one of the five steps of an account that is kept well.
type Milestone string

// The milestones, in their order.
const (
	Correct      Milestone = "credentials_correct"
	ManagedEmail Milestone = "managed_email"
	ManagedMFA   Milestone = "managed_mfa"
	Shared       Milestone = "shared"
	Rotated      Milestone = "rotated"
)

// Goal is a milestone as people are told of it.
type Goal struct {
	Milestone Milestone `json:"milestone"`
	Words     string    `json:"words"`     // what an account that meets it is
	Available bool      `json:"available"` // false: this Postern has nothing to meet it with, and it counts nowhere
}

const noMail = "not available: this Postern receives no e-mail, so it does not count"

// goal is a milestone and how it is seen. met is true of an account a that meets it, s being what is shared of it,
// o its TOTP secret and m its mailbox; it reads columns.
type goal struct {
	Goal
	met    string
	weight int    // in the score
	lacks  string // what an account lacks that does not meet it
	next   string
}

var milestones = []goal{
	{Goal{Correct, "credentials are correct: a sign-in proved them", true}, `a.state = 'validated'`, 25,
		"no sign-in proves their password, or something speaks against it", "Verify the password, and set right what the app refuses."},
	{Goal{ManagedEmail, "the account's e-mail address is managed", true}, `m.address is not null`, 10,
		"they have no address whose messages come to Postern", "Give the account an address, and enter it in the app."},
	{Goal{ManagedMFA, "the account's second factor is managed", true}, `o.account_id is not null`, 10,
		"Postern makes no one-time codes for them", "Turn on one-time codes in the app, and store the secret its QR code says."},
	{Goal{Shared, "shared with a team or with more than one person", true}, `coalesce(s.teams > 0 or s.people > 1, false)`, 10,
		"only one person has a grant on them, or nobody", "Share the account with a team, or with a second person."},
	{Goal{Rotated, "rotated within half a year", true}, `coalesce(a.rotated > @stale, false)`, 20,
		"no rotation changed their password within half a year", "Rotate the password, or let a policy do so on a schedule."},
}

// goals are the milestones, in their order, as they stand here: without e-mail no address is managed.
func (p *Posture) goals() []goal {
	all := slices.Clone(milestones)
	for i := range all {
		all[i].Available = p.Mail || all[i].Milestone != ManagedEmail
	}
	return all
}

// Goals lists the milestones, in their order.
func (p *Posture) Goals() []Goal {
	all := make([]Goal, len(milestones))
	for i, one := range p.goals() {
		all[i] = one.Goal
	}
	return all
}

// shared is how many live grants an account has, by whom they name.
const shared = `count(g.user_id) as people, count(g.team_id) as teams from grants g
	where g.workspace_id = @workspace and g.revoked is null and (g.expires is null or g.expires > @now)`

const beside = `
left join account_totps o on o.workspace_id = a.workspace_id and o.account_id = a.id and o.removed is null
left join mailboxes m on m.workspace_id = a.workspace_id and m.account_id = a.id`

// whole is true of an account that meets every milestone there is.
func whole(goals []goal) string {
	var all []string
	for _, one := range goals {
		if one.Available {
			all = append(all, one.met)
		}
	}
	return strings.Join(all, " and ")
}

func met(each func(condition string) string) string {
	var all []string
	for _, one := range milestones {
		all = append(all, each(one.met))
	}
	return strings.Join(all, ", ")
}

const fromReached = `
from accounts a
left join (select g.account_id, ` + shared + ` group by g.account_id) s on s.account_id = a.id` + beside + `
where a.workspace_id = @workspace`

// selectReached counts the accounts, those that meet every milestone there is, and those that meet each.
func selectReached(goals []goal) string {
	return `select count(*), count(*) filter (where ` + whole(goals) + `), ` +
		met(func(condition string) string { return `count(*) filter (where ` + condition + `)` }) + fromReached
}

// Step is how an account stands with a milestone.
type Step struct {
	Goal
	Met  bool   `json:"met"`
	Why  string `json:"why"`
	Next string `json:"next,omitempty"`
}

// Standing is an account with its milestones.
type Standing struct {
	ID       core.ID
	App      core.ID
	AppName  string
	Username string
	State    accounts.State
	Rotated  *time.Time
	Tags     []string
	Orphaned bool
	Complete bool // it meets every milestone there is
	Steps    []Step
}

// StandingQuery narrows and pages Standings. The zero query is the workspace's first page.
type StandingQuery struct {
	Filter            // Kind and Severity narrow nothing; State is the account's
	Missing Milestone // accounts that do not meet it
	Limit   int       // default 100, at most 500
	After   core.ID   // the last account of the page before
}

const selectStandings = `
select a.id, a.app_id as app, p.name as app_name, a.username, a.state, a.state_reason, a.rotated, a.tags, a.orphaned, s.people, s.teams, array[`

const fromStandings = `] as met
from accounts a
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
left join lateral (select ` + shared + ` and g.account_id = a.id) s on true` + beside + `
where a.workspace_id = @workspace`

// Standings gives accounts with their milestones, oldest first, a page at a time.
func (p *Posture) Standings(ctx context.Context, q postgres.Querier, workspace core.ID, query StandingQuery) ([]Standing, error) {
	query.Kind, query.Severity = "", ""
	filter, err := query.checked()
	if err != nil {
		return nil, err
	}
	args := p.times(workspace)
	condition, _ := filter.of(kind{Description: Description{Account: true}, state: `a.state`}, args)
	if query.Missing != "" {
		lacking := ""
		for _, one := range milestones {
			if one.Milestone == query.Missing {
				lacking = one.met
			}
		}
		if lacking == "" {
			return nil, core.Invalid("missing", "there is no milestone %q", core.Cut(string(query.Missing), 40))
		}
		condition += "\n\tand not " + `(` + lacking + `)`
	}
	if !query.After.IsZero() {
		condition += "\n\tand a.id > @after"
		args["after"] = query.After
	}
	args["limit"] = postgres.Page(query.Limit)
	statement := selectStandings + met(func(condition string) string { return condition }) + fromStandings + condition + "\norder by a.id limit @limit"
	found, err := postgres.Many[standing](ctx, q, statement, bound(statement, args))
	if err != nil {
		return nil, err
	}
	return p.shown(found), nil
}

func (p *Posture) shown(found []standing) []Standing {
	all, goals := make([]Standing, len(found)), p.goals()
	for i, one := range found {
		all[i] = one.standing(goals)
	}
	return all
}

// Standing finds one account's milestones.
func (p *Posture) Standing(ctx context.Context, q postgres.Querier, workspace, account core.ID) (Standing, error) {
	if account.IsZero() {
		return Standing{}, core.NotFound("account")
	}
	found, err := p.Standings(ctx, q, workspace, StandingQuery{Filter: Filter{Account: account}, Limit: 1})
	if err == nil && len(found) == 0 {
		err = core.NotFound("account")
	}
	if err != nil {
		return Standing{}, err
	}
	return found[0], nil
}

type standing struct {
	ID       core.ID        `db:"id"`
	App      core.ID        `db:"app"`
	AppName  string         `db:"app_name"`
	Username string         `db:"username"`
	State    accounts.State `db:"state"`
	Reason   string         `db:"state_reason"`
	Rotated  *time.Time     `db:"rotated"`
	Tags     []string       `db:"tags"`
	Orphaned bool           `db:"orphaned"`
	People   int            `db:"people"`
	Teams    int            `db:"teams"`
	Met      []bool         `db:"met"`
}

func (s standing) standing(goals []goal) Standing {
	one := Standing{
		ID: s.ID, App: s.App, AppName: s.AppName, Username: s.Username, State: s.State, Rotated: s.Rotated, Tags: s.Tags, Orphaned: s.Orphaned, Complete: true,
	}
	for i, goal := range goals {
		step := Step{Goal: goal.Goal, Met: s.Met[i] && goal.Available, Next: goal.next}
		switch {
		case !goal.Available:
			step.Why, step.Next = noMail, ""
		case goal.Milestone == Correct:
			step.Why = s.correct()
		case goal.Milestone == ManagedEmail:
			step.Why = "the app's messages to it do not come to Postern"
			if step.Met {
				step.Why = "it has an address whose messages come to Postern"
			}
		case goal.Milestone == ManagedMFA:
			step.Why = "Postern makes no one-time codes for it"
			if step.Met {
				step.Why = "Postern makes its one-time codes"
			}
		case goal.Milestone == Shared:
			step.Why = s.shared()
		case goal.Milestone == Rotated:
			step.Why = "no rotation has changed the password yet"
			if s.Rotated != nil {
				step.Why = "a rotation changed the password last on " + s.Rotated.UTC().Format(time.DateOnly)
			}
		}
		if step.Met {
			step.Next = ""
		}
		one.Complete = one.Complete && (step.Met || !goal.Available)
		one.Steps = append(one.Steps, step)
	}
	return one
}

// correct says why the credentials are, or are not, taken for correct.
func (s standing) correct() string {
	if s.Reason != "" {
		return s.Reason
	}
	switch s.State {
	case accounts.Validated:
		return "a sign-in proved the stored password"
	case accounts.Unvalidated:
		return "no sign-in has proved the stored password yet"
	case accounts.DesyncSuspected:
		return "the app may have another password"
	case accounts.Desynced:
		return "the app refuses the stored password"
	case accounts.Unmanaged:
		return "nobody keeps the password up to date"
	case accounts.AppDisabled:
		return "the app has locked or disabled the login"
	case accounts.AtRisk:
		return "somebody who left may still know the password"
	}
	return string(s.State)
}

func (s standing) shared() string {
	count := func(number int, one, more string) string {
		if number == 1 {
			return "1 " + one
		}
		return strconv.Itoa(number) + " " + more
	}
	if s.People+s.Teams == 0 {
		return "nobody has a grant on it"
	}
	var with []string
	if s.People > 0 {
		with = append(with, count(s.People, "person", "people"))
	}
	if s.Teams > 0 {
		with = append(with, count(s.Teams, "team", "teams"))
	}
	return strings.Join(with, " and ") + " may use it by a grant"
}
