package cli

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type postureCommands struct {
	Show     showPosture    `cmd:"" default:"withargs" help:"Show the score, what raises it, the milestones and how much is found."`
	Findings listFindings   `cmd:"" help:"List what is wrong or is about to be, the gravest first."`
	Export   exportFindings `cmd:"" help:"Print all findings as a file: CSV or JSON lines."`
	Accounts listStandings  `cmd:"" help:"List accounts with their milestones."`
	History  listDays       `cmd:"" help:"List the score, a row a day."`
	Reassign reassignOwners `cmd:"" help:"Give many accounts new owners: those without one, or some you name."`
	Report   showReassigned `cmd:"" help:"Show how far a reassignment has come, and what became of each account."`
}

type showPosture struct {
	remote `embed:""`
}

// Run asks the gateway.
func (s showPosture) Run(ctx context.Context, terminal terminal) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/posture", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, func(sheet sheet, one api.Posture) {
		if one.Score == nil {
			sheet.say("There is no account yet, and nothing to judge.")
			return
		}
		sheet.say("Score: %d of 100. %d of %d accounts meet every milestone there is.", *one.Score, one.Complete, one.Accounts)
		sheet.say("\nMilestones")
		for _, goal := range one.Milestones {
			sheet.say("  %4d of %-5d %s", goal.Met, goal.Of, goal.Words)
			if goal.Met < goal.Of {
				sheet.say("               %s. %s", visible(goal.Why), goal.Next)
			}
		}
		sheet.say("\nWhat raises the score most")
		for _, part := range one.Parts {
			if part.Lost > 0 {
				sheet.say("  +%-5.1f %s: %d of %d. %s", part.Lost, part.Words, part.Good, part.Of, part.Next)
			}
		}
		sheet.say("\nFindings")
		for _, kind := range one.Findings {
			if kind.Count > 0 {
				sheet.say("  %-8s  %5d  %-18s  %s", kind.Severity, kind.Count, kind.Kind, kind.Words)
			}
		}
	})
}

// ofFindings is part of every command about findings.
type ofFindings struct {
	remote   `embed:""`
	Kind     string `help:"Only of this kind, as 'postern posture' names it." placeholder:"KIND"`
	Severity string `help:"critical, high, medium or low." enum:",critical,high,medium,low" default:"" placeholder:"SEVERITY"`
	State    string `help:"Only in this state, such as blocked." placeholder:"STATE"`
	App      string `help:"Only about accounts of this app: its name or id." placeholder:"NAME"`
	Tag      string `help:"Only about accounts with this tag." placeholder:"TAG"`
	Owner    string `help:"Only about accounts of this user: userName or id." placeholder:"NAME" xor:"owner"`
	Team     string `help:"Only about accounts of this team: name or id." placeholder:"NAME" xor:"owner"`
	Account  string `help:"Only about this account: its id." placeholder:"ID"`
}

// query is what is asked of the gateway.
func (o ofFindings) query(ctx context.Context, c *apiClient) (url.Values, error) {
	query := url.Values{}
	for name, value := range map[string]string{"kind": o.Kind, "severity": o.Severity, "state": o.State, "tag": o.Tag, "account": o.Account} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.App != "" {
		app, err := c.app(ctx, o.App)
		if err != nil {
			return nil, err
		}
		query.Set("app", app.String())
	}
	if o.Owner != "" {
		user, err := c.user(ctx, o.Owner)
		if err != nil {
			return nil, err
		}
		query.Set("owner", user.ID.String())
	}
	if o.Team != "" {
		team, err := c.team(ctx, o.Team)
		if err != nil {
			return nil, err
		}
		query.Set("owner", team.String())
	}
	return query, nil
}

type listFindings struct {
	ofFindings `embed:""`
	Limit      int `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listFindings) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query, err := l.query(ctx, c)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/posture/findings", query, l.Limit),
		column[api.PostureFinding]{"SEVERITY", func(one api.PostureFinding) string { return one.Severity }},
		column[api.PostureFinding]{"KIND", func(one api.PostureFinding) string { return one.Kind }},
		column[api.PostureFinding]{"ABOUT", func(one api.PostureFinding) string { return one.Name }},
		column[api.PostureFinding]{"OWNERS", func(one api.PostureFinding) string { return dash(strings.Join(one.Owners, ", ")) }},
		column[api.PostureFinding]{"SINCE (UTC)", func(one api.PostureFinding) string { return utc(one.Since) }},
		column[api.PostureFinding]{"WHY", func(one api.PostureFinding) string { return one.Why }})
}

type exportFindings struct {
	ofFindings `embed:""`
	Format     string `help:"csv or jsonl." enum:"csv,jsonl" default:"csv"`
}

// Help is shown by 'postern posture export --help'.
func (exportFindings) Help() string {
	return `However many there are, they are printed as they come:

  postern posture export --severity high > findings.csv`
}

// Run asks the gateway.
func (e exportFindings) Run(ctx context.Context, terminal terminal) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	query, err := e.query(ctx, c)
	if err != nil {
		return err
	}
	query.Set("format", e.Format)
	response, err := c.send(ctx, http.MethodGet, "/posture/findings/export", query, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(terminal.out, response.Body); err != nil {
		return core.Unavailable(0, "the file of %s broke off: it is incomplete", c.base).Because(plainly(err))
	}
	return nil
}

type listStandings struct {
	remote  `embed:""`
	Missing string `help:"Only accounts that do not meet this milestone." enum:",credentials_correct,managed_email,managed_mfa,shared,rotated" default:"" placeholder:"MILESTONE"`
	Limit   int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listStandings) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.Missing != "" {
		query.Set("missing", l.Missing)
	}
	return rows(terminal, l.remote, c.pages(ctx, "/posture/accounts", query, l.Limit),
		column[api.AccountPosture]{"ACCOUNT", func(one api.AccountPosture) string { return one.ID.String() }},
		column[api.AccountPosture]{"NAME", func(one api.AccountPosture) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.AccountPosture]{"MET", func(one api.AccountPosture) string {
			met, of := 0, 0
			for _, step := range one.Steps {
				if step.Met {
					met++
				}
				if step.Available {
					of++
				}
			}
			return strconv.Itoa(met) + "/" + strconv.Itoa(of)
		}},
		column[api.AccountPosture]{"NEXT", func(one api.AccountPosture) string {
			for _, step := range one.Steps {
				if step.Available && !step.Met {
					return step.Next
				}
			}
			return "-"
		}})
}

type listDays struct {
	remote `embed:""`
	Days   int `help:"How many, up to today." default:"30" placeholder:"N"`
}

// Run asks the gateway.
func (l listDays) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/posture/days", url.Values{"days": {strconv.Itoa(l.Days)}}, 0),
		column[api.PostureDay]{"DAY (UTC)", func(one api.PostureDay) string { return one.Day }},
		column[api.PostureDay]{"SCORE", func(one api.PostureDay) string {
			if one.Score == nil {
				return "-"
			}
			return strconv.Itoa(*one.Score)
		}},
		column[api.PostureDay]{"ACCOUNTS", func(one api.PostureDay) string { return strconv.Itoa(one.Accounts) }})
}
