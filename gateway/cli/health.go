package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type showHealth struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (h showHealth) Run(ctx context.Context, terminal terminal) error {
	text, err := h.ask(ctx, http.MethodGet, "/health", nil)
	if err != nil {
		return err
	}
	return thing(terminal, h.remote, text, sheet.health)
}

func (s sheet) health(one api.AccountHealth) {
	s.say("%s since %s", strings.ReplaceAll(one.State, "_", " "), utc(&one.Since))
	if one.Why != "" {
		s.say("%s", visible(one.Why))
	}
	if one.Closed != "" {
		s.say("Nobody is given its password: %s.", strings.ReplaceAll(one.Closed, "_", " "))
	}
	if one.Next != "" {
		s.say("\nNext: %s", visible(one.Next))
		s.row("who can", one.Who)
		s.row("by", strings.Join(one.Steps, ", "))
	}
	s.say("")
	if check := one.LastCheck; check != nil {
		s.row("last sign-in (UTC)", utc(check.Started)+" "+check.Outcome)
	} else {
		s.row("last sign-in (UTC)", "none yet")
	}
	if check := one.OpenCheck; check != nil {
		s.row("under way", check.ID.String()+" "+visible(check.Detail))
	}
	s.row("proved (UTC)", utc(one.Validated))
	s.row("next check (UTC)", utc(one.NextCheck))
	if len(one.Reported) > 0 {
		s.row("did not work for", visible(strings.Join(one.Reported, ", ")))
	}
}

type checkAccount struct {
	oneAccount `embed:""`
	Resync     bool `help:"Try the other stored passwords too, newest first, until the app accepts one."`
}

// Help is shown by 'postern account check --help'.
func (checkAccount) Help() string {
	return `Answers at once with the check that will do it; a worker signs in. It keeps within the lockout budget.

  postern account check 0198c7e2-…
  postern account health 0198c7e2-…     what came of it`
}

// Run asks the gateway.
func (c checkAccount) Run(ctx context.Context, terminal terminal) error {
	part := "/check"
	if c.Resync {
		part = "/resync"
	}
	return c.wanted(ctx, terminal, part, nil)
}

// wanted asks for a check.
func (o oneAccount) wanted(ctx context.Context, terminal terminal, part string, body any) error {
	text, err := o.ask(ctx, http.MethodPost, part, body)
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, func(sheet sheet, one api.Check) {
		sheet.say("A sign-in will tell.")
		sheet.row("check", one.ID.String())
		sheet.say("\nSee what came of it: postern account health %s", one.Account)
	})
}

type listChecks struct {
	oneAccount `embed:""`
	Limit      int `help:"At most so many rows; 0 is all." default:"20" placeholder:"N"`
}

// Run asks the gateway.
func (l listChecks) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/accounts/", l.Account)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, path+"/checks", nil, l.Limit),
		column[api.Check]{"ASKED (UTC)", func(one api.Check) string { return utc(&one.Asked) }},
		column[api.Check]{"REASON", func(one api.Check) string { return one.Reason }},
		column[api.Check]{"OUTCOME", func(one api.Check) string { return dash(one.Outcome) }},
		column[api.Check]{"STATE", func(one api.Check) string { return dash(one.State) }},
		column[api.Check]{"DETAIL", func(one api.Check) string { return visible(one.Detail) }},
	)
}

type storePassword struct {
	oneAccount   `embed:""`
	PasswordFile string `help:"File that holds the password, in one line; - is standard input." required:"" placeholder:"PATH"`
}

// Help is shown by 'postern account password --help'.
func (storePassword) Help() string {
	return `For a password that was set outside of Postern. It is the account's once a sign-in has proved it.

  postern account password 0198c7e2-… --password-file -`
}

// Run asks the gateway.
func (p storePassword) Run(ctx context.Context, terminal terminal) error {
	password, err := readLine("--password-file", p.PasswordFile)
	if err != nil {
		return err
	}
	return p.wanted(ctx, terminal, "/password", map[string]string{"password": password.Reveal()})
}

type manageAccount struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (m manageAccount) Run(ctx context.Context, terminal terminal) error {
	return m.wanted(ctx, terminal, "/manage", nil)
}

type unmanageAccount struct {
	oneAccount `embed:""`
	Reason     string `help:"Why, for people to read." placeholder:"TEXT"`
}

// Run asks the gateway.
func (u unmanageAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := u.ask(ctx, http.MethodPost, "/unmanage", map[string]string{"reason": u.Reason})
	if err != nil {
		return err
	}
	return thing(terminal, u.remote, text, sheet.health)
}

type reportFill struct {
	oneAccount `embed:""`
	User       string `help:"userName or id of the user who could not sign in." required:"" placeholder:"NAME"`
}

// Run asks the gateway.
func (r reportFill) Run(ctx context.Context, terminal terminal) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	user, err := c.user(ctx, r.User)
	if err != nil {
		return err
	}
	if _, err := r.ask(ctx, http.MethodPost, "/reports", map[string]core.ID{"user": user.ID}); err != nil {
		return err
	}
	return thing(terminal, r.remote, nil, func(sheet sheet, _ struct{}) { sheet.say("It is noted.") })
}

// healthSettings shows or changes how often passwords are checked.
type healthSettings struct {
	remote    `embed:""`
	Interval  *time.Duration `help:"Between two scheduled checks of an account, about: 1h to 2160h; 0 is never." placeholder:"24h"`
	Retention *int           `help:"Days for which it is kept what checks saw." placeholder:"90"`

	ResetDesynced *bool `negatable:"" help:"Have another password set where a check finds that the app refuses the stored one, by the app's administrator or its mail."`
	Quiet         *bool `negatable:"" help:"Mail nobody that an account needs a person."`
}

// Run asks the gateway.
func (h healthSettings) Run(ctx context.Context, terminal terminal) error {
	c, err := h.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/health-settings", nil, nil)
	if err != nil {
		return err
	}
	if h.Interval != nil || h.Retention != nil || h.ResetDesynced != nil || h.Quiet != nil {
		var now api.HealthSettings
		if err := json.Unmarshal(text, &now); err != nil {
			return err
		}
		if h.Interval != nil {
			now.IntervalSeconds = int(*h.Interval / time.Second)
		}
		if h.Retention != nil {
			now.RetentionDays = *h.Retention
		}
		if h.ResetDesynced != nil {
			now.ResetDesynced = *h.ResetDesynced
		}
		if h.Quiet != nil {
			now.Quiet = *h.Quiet
		}
		if text, err = c.ask(ctx, http.MethodPut, "/health-settings", nil, now); err != nil {
			return err
		}
	}
	return thing(terminal, h.remote, text, func(sheet sheet, one api.HealthSettings) {
		interval := "never"
		if one.IntervalSeconds > 0 {
			interval = "every " + (time.Duration(one.IntervalSeconds) * time.Second).String() + ", about"
		}
		sheet.row("scheduled checks", interval)
		sheet.row("kept for", strconv.Itoa(one.RetentionDays)+" days")
		sheet.row("desynchronised", map[bool]string{true: "another password is set, where somebody can", false: "waits for a person"}[one.ResetDesynced])
		sheet.row("mails", map[bool]string{true: "none", false: "to owners, or administrators, when an account needs a person"}[one.Quiet])
	})
}
