package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

// policyFlags say what a policy is to be.
type policyFlags struct {
	App      []string       `help:"Cover the accounts of this app: its name or id." group:"Which accounts" placeholder:"NAME"`
	Tag      []string       `help:"Cover the accounts with this tag." group:"Which accounts"`
	Account  []string       `help:"Cover this account, by its id." group:"Which accounts" placeholder:"ID"`
	All      bool           `help:"Cover all accounts." group:"Which accounts"`
	Exclude  []string       `help:"Never touch this account, by its id." group:"Which accounts" placeholder:"ID"`
	Every    int            `help:"Rotate every so many days." group:"When" placeholder:"DAYS"`
	Start    string         `help:"With --every: the first day." group:"When" placeholder:"2026-11-23"`
	Weekday  []string       `help:"Rotate on this day of the week." group:"When" placeholder:"MONDAY"`
	MonthDay []int          `help:"Rotate on this day of each month; in a shorter one on its last." group:"When" placeholder:"1-31"`
	Zone     string         `help:"Time zone of the schedule; UTC when left out." group:"When" placeholder:"Europe/Berlin"`
	Window   string         `help:"Hours of the day in which rotations begin, spread over them; the whole day when left out." group:"When" placeholder:"02:00-04:00"`
	Delay    *time.Duration `help:"How long after a sign-in." group:"When" placeholder:"4h"`
	Spacing  *time.Duration `help:"How long ago an account's last rotation must have finished." group:"When" placeholder:"24h"`
}

// wantedPolicy is what the gateway is asked for.
type wantedPolicy struct {
	Name     string              `json:"name"`
	Trigger  string              `json:"trigger"`
	Enabled  bool                `json:"enabled"`
	Scope    *api.PolicyScope    `json:"scope,omitempty"`
	Spacing  *int64              `json:"spacing_seconds,omitempty"`
	Delay    int64               `json:"delay_seconds,omitempty"`
	Schedule *api.PolicySchedule `json:"schedule,omitempty"`
}

// apply changes a policy by the flags that are given.
func (f policyFlags) apply(ctx context.Context, c *apiClient, policy *wantedPolicy) error {
	if f.Delay != nil {
		policy.Delay = int64(*f.Delay / time.Second)
	}
	if f.Spacing != nil {
		policy.Spacing = new(int64(*f.Spacing / time.Second))
	}
	if err := f.scope(ctx, c, policy); err != nil {
		return err
	}
	return f.schedule(policy)
}

// scope changes which accounts are covered, if one of its flags is given.
func (f policyFlags) scope(ctx context.Context, c *apiClient, policy *wantedPolicy) error {
	scope := api.PolicyScope{Covers: "all"}
	if policy.Scope != nil {
		scope = *policy.Scope
	}
	if len(f.App)+len(f.Tag)+len(f.Account) > 0 || f.All {
		scope = api.PolicyScope{Covers: "all", Tags: f.Tag, Excluded: scope.Excluded}
		for _, name := range f.App {
			app, err := c.app(ctx, name)
			if err != nil {
				return err
			}
			scope.Apps = append(scope.Apps, app)
		}
		var err error
		if scope.Accounts, err = ids("--account", f.Account); err != nil {
			return err
		}
		switch {
		case len(f.App) > 0:
			scope.Covers = "apps"
		case len(f.Tag) > 0:
			scope.Covers = "tags"
		case len(f.Account) > 0:
			scope.Covers = "accounts"
		}
	}
	if len(f.Exclude) > 0 {
		excluded, err := ids("--exclude", f.Exclude)
		if err != nil {
			return err
		}
		scope.Excluded = excluded
	}
	policy.Scope = &scope
	return nil
}

// schedule changes when, if one of its flags is given.
func (f policyFlags) schedule(policy *wantedPolicy) error {
	days := f.Every != 0 || len(f.Weekday)+len(f.MonthDay) > 0
	if !days && f.Start == "" && f.Zone == "" && f.Window == "" {
		return nil
	}
	from, to, window := strings.Cut(f.Window, "-")
	if f.Window != "" && !window {
		return core.Invalid("--window", "a window is written as 02:00-04:00")
	}
	wanted := &api.PolicySchedule{Days: f.Every, Start: f.Start, Weekdays: f.Weekday, MonthDays: f.MonthDay, Zone: f.Zone, From: from, To: to}
	if before := policy.Schedule; before != nil {
		if !days {
			wanted.Days, wanted.Weekdays, wanted.MonthDays = before.Days, before.Weekdays, before.MonthDays
			if f.Start == "" {
				wanted.Start = before.Start
			}
		}
		if f.Zone == "" {
			wanted.Zone = before.Zone
		}
		if f.Window == "" {
			wanted.From, wanted.To = before.From, before.To
		}
	}
	policy.Schedule = wanted
	return nil
}

type addPolicy struct {
	remote      `embed:""`
	policyFlags `embed:""`
	Name        string `arg:"" help:"What administrators call it."`
	Trigger     string `help:"What makes it act: schedule, sign_in, deprovision, logout, revocation, owner_change, admin_change or link_end." required:"" enum:"schedule,sign_in,deprovision,logout,revocation,owner_change,admin_change,link_end"`
	Off         bool   `help:"Leave it off for now. Of a trigger with a default, this is how nothing is rotated."`
}

// Help is shown by 'postern policy add --help'.
func (addPolicy) Help() string {
	return `Rotate the accounts of an app every 90 days, at night:

  postern policy add Quarterly --trigger schedule --every 90 --window 02:00-04:00 --zone Europe/Berlin --app Harbour

Four hours after somebody signed in with an account tagged shared:

  postern policy add Shared --trigger sign_in --delay 4h --tag shared`
}

// Run asks the gateway.
func (a addPolicy) Run(ctx context.Context, terminal terminal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	wanted := wantedPolicy{Name: a.Name, Trigger: a.Trigger, Enabled: !a.Off}
	if err := a.apply(ctx, c, &wanted); err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, "/policies", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, sheet.policy)
}

type changePolicy struct {
	onePolicy   `embed:""`
	policyFlags `embed:""`
	Name        string `help:"Call it otherwise."`
	On          bool   `help:"Switch it on." xor:"enabled"`
	Off         bool   `help:"Switch it off." xor:"enabled"`
}

// Run changes the policy as it was read: if somebody else changed it meanwhile, the gateway refuses.
func (p changePolicy) Run(ctx context.Context, terminal terminal) error {
	c, path, err := p.find(ctx)
	if err != nil {
		return err
	}
	text, tag, err := c.exchange(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	var before api.Policy
	if err := json.Unmarshal(text, &before); err != nil {
		return err
	}
	wanted := wantedPolicy{
		Name: before.Name, Trigger: before.Trigger, Enabled: p.On || before.Enabled && !p.Off, Scope: &before.Scope,
		Spacing: &before.SpacingSeconds, Delay: before.DelaySeconds, Schedule: before.Schedule,
	}
	if p.Name != "" {
		wanted.Name = p.Name
	}
	if err := p.apply(ctx, c, &wanted); err != nil {
		return err
	}
	var unchanged []string
	if tag != "" {
		unchanged = []string{"If-Match", tag}
	}
	changed, err := c.ask(ctx, http.MethodPut, path, nil, wanted, unchanged...)
	if err != nil {
		return err
	}
	return thing(terminal, p.remote, changed, sheet.policy)
}
