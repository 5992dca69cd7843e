package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
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

// apply changes a policy by the flags that are given.
func (f policyFlags) apply(ctx context.Context, s *setup, policy *policies.Policy) error {
	if f.Delay != nil {
		policy.Delay = *f.Delay
	}
	if f.Spacing != nil {
		policy.Spacing = *f.Spacing
	}
	if len(f.App)+len(f.Tag)+len(f.Account) > 0 || f.All {
		policy.Scope = policies.Scope{Covers: policies.All, Tags: f.Tag, Excluded: policy.Scope.Excluded}
		var err error
		if policy.Scope.Apps, err = f.apps(ctx, s); err != nil {
			return err
		}
		if policy.Scope.Accounts, err = ids("--account", f.Account); err != nil {
			return err
		}
		switch {
		case len(f.App) > 0:
			policy.Scope.Covers = policies.Apps
		case len(f.Tag) > 0:
			policy.Scope.Covers = policies.Tags
		case len(f.Account) > 0:
			policy.Scope.Covers = policies.Accounts
		}
	}
	if len(f.Exclude) > 0 {
		excluded, err := ids("--exclude", f.Exclude)
		if err != nil {
			return err
		}
		policy.Scope.Excluded = excluded
	}
	return f.schedule(policy)
}

// schedule changes when, if one of its flags is given.
func (f policyFlags) schedule(policy *policies.Policy) error {
	days := f.Every != 0 || len(f.Weekday)+len(f.MonthDay) > 0
	if !days && f.Start == "" && f.Zone == "" && f.Window == "" {
		return nil
	}
	from, to, window := strings.Cut(f.Window, "-")
	if f.Window != "" && !window {
		return core.Invalid("--window", "a window is written as 02:00-04:00")
	}
	wanted, err := policies.ParseSchedule(f.Every, f.Start, f.Weekday, f.MonthDay, f.Zone, from, to)
	if err != nil {
		return err
	}
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

func (f policyFlags) apps(ctx context.Context, s *setup) ([]core.ID, error) {
	if len(f.App) == 0 {
		return nil, nil
	}
	all, err := s.policies().Accounts.Apps(ctx, s.db, s.workspace.ID)
	if err != nil {
		return nil, err
	}
	var found []core.ID
	for _, wanted := range f.App {
		at := slices.IndexFunc(all, func(app accounts.App) bool { return app.ID.String() == wanted || strings.EqualFold(app.Name, wanted) })
		if at < 0 {
			var names []string
			for _, app := range all {
				names = append(names, app.Name)
			}
			return nil, missing("app", wanted, names, "POST /api/v1/apps")
		}
		found = append(found, all[at].ID)
	}
	return found, nil
}

func ids(flag string, texts []string) ([]core.ID, error) {
	var all []core.ID
	for _, text := range texts {
		id, err := core.ParseID(text)
		if err != nil {
			return nil, core.Invalid(flag, "an account is named by its id")
		}
		all = append(all, id)
	}
	return all, nil
}

type addPolicy struct {
	inWorkspace `embed:""`
	policyFlags `embed:""`
	Name        string `arg:"" help:"What administrators call it."`
	Trigger     string `help:"What makes it act: schedule, sign_in, deprovision, logout, revocation, owner_change, admin_change or link_end." required:"" enum:"schedule,sign_in,deprovision,logout,revocation,owner_change,admin_change,link_end"`
	Off         bool   `help:"Leave it off for now. Of a trigger with a default, this is how nothing is rotated."`
}

// Help is shown by 'postern policy add --help'.
func (addPolicy) Help() string {
	return `Rotate the accounts of an app every 90 days, at night:

  postern policy add Quarterly --trigger schedule --every 90 --window 02:00-04:00 --zone Europe/Berlin --app Harbour --workspace acme

Four hours after somebody signed in with an account tagged shared:

  postern policy add Shared --trigger sign_in --delay 4h --tag shared --workspace acme`
}

func (c addPolicy) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	wanted := policies.Policy{Name: c.Name, Trigger: policies.Trigger(c.Trigger), Enabled: !c.Off, Spacing: policies.Trigger(c.Trigger).Spacing()}
	if err := c.apply(ctx, s, &wanted); err != nil {
		return err
	}
	made, err := s.policies().Create(ctx, s.cause, s.workspace.ID, wanted)
	if err != nil {
		return err
	}
	line, err := s.policyLine(ctx, made)
	if err != nil {
		return err
	}
	return c.show(terminal, line, func(sheet sheet) { sheet.policy(line) })
}

type changePolicy struct {
	onePolicy   `embed:""`
	policyFlags `embed:""`
	Name        string `help:"Call it otherwise."`
	On          bool   `help:"Switch it on." xor:"enabled"`
	Off         bool   `help:"Switch it off." xor:"enabled"`
}

func (c changePolicy) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, policy policies.Policy) error {
		wanted := policy
		if c.Name != "" {
			wanted.Name = c.Name
		}
		wanted.Enabled = c.On || policy.Enabled && !c.Off
		if err := c.apply(ctx, s, &wanted); err != nil {
			return err
		}
		changed, err := s.policies().Change(ctx, s.cause, s.workspace.ID, policy.ID, policy.Version, func(one *policies.Policy) { *one = wanted })
		if err != nil {
			return err
		}
		line, err := s.policyLine(ctx, changed)
		if err != nil {
			return err
		}
		return c.show(terminal, line, func(sheet sheet) { sheet.policy(line) })
	})
}
