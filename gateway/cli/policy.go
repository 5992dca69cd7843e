package cli

import (
	"context"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
)

type policyCommands struct {
	List    listPolicies  `cmd:"" help:"List what starts rotations, the defaults among them."`
	Show    showPolicy    `cmd:"" help:"Show a policy and how far its schedule has come."`
	Add     addPolicy     `cmd:"" help:"Add a policy: from then on it holds instead of its trigger's default."`
	Change  changePolicy  `cmd:"" help:"Change what is given, and leave the rest."`
	Remove  removePolicy  `cmd:"" help:"Remove a policy. After the last one about a trigger its default holds again."`
	Preview previewPolicy `cmd:"" help:"List what a policy would do now, account by account. Nothing is changed by it."`
	Tag     tagAccount    `cmd:"" help:"Replace the tags of an account, for policies to cover it by."`
}

// policies is what keeps them. The command line rotates nothing itself.
func (s *setup) policies() *policies.Policies {
	return &policies.Policies{DB: s.db, Accounts: &accounts.Accounts{DB: s.db, Directory: s.people}}
}

// policyLine is a policy as it is printed.
type policyLine struct {
	ID       core.ID            `json:"id,omitzero"`
	Name     string             `json:"name"`
	Trigger  policies.Trigger   `json:"trigger"`
	Enabled  bool               `json:"enabled"`
	Sentence string             `json:"sentence"`
	Accounts int                `json:"accounts"`
	Scope    policies.Scope     `json:"scope"`
	Spacing  string             `json:"spacing"`
	Delay    string             `json:"delay,omitempty"`
	Schedule *policies.Schedule `json:"schedule,omitempty"`
	Next     *time.Time         `json:"next,omitempty"`
	Finished *time.Time         `json:"finished,omitempty"`
	Planned  int                `json:"planned"`
	Passed   int                `json:"passed"`
}

func (s *setup) policyLine(ctx context.Context, policy policies.Policy) (policyLine, error) {
	one, err := s.policies().Describe(ctx, s.db, s.workspace.ID, policy)
	if err != nil {
		return policyLine{}, err
	}
	line := policyLine{
		ID: one.ID, Name: one.Name, Trigger: one.Trigger, Enabled: one.Enabled, Sentence: one.Sentence, Accounts: one.Accounts, Scope: one.Scope,
		Spacing: one.Spacing.String(), Schedule: one.Schedule, Next: one.Next, Finished: one.Round.Finished, Planned: one.Round.Planned, Passed: one.Round.Passed,
	}
	if one.Delay > 0 {
		line.Delay = one.Delay.String()
	}
	return line, nil
}

func (s sheet) policy(line policyLine) {
	name := line.Name
	if line.ID.IsZero() {
		name += " (default)"
	}
	s.say("%s", name)
	s.say("  %s", line.Sentence)
	if !line.ID.IsZero() {
		s.row("id", line.ID.String())
	}
	s.row("trigger", string(line.Trigger))
	if line.Finished != nil {
		s.row("last carried out", line.Finished.UTC().Format(time.RFC3339))
	}
	if line.Planned+line.Passed > 0 {
		s.say("  %d rotations begun, %d accounts passed over", line.Planned, line.Passed)
	}
}

type listPolicies struct {
	inWorkspace `embed:""`
}

func (l listPolicies) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := s.policies().List(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	lines := make([]policyLine, len(found))
	for i, policy := range found {
		if lines[i], err = s.policyLine(ctx, policy); err != nil {
			return err
		}
	}
	return l.show(terminal, map[string]any{"policies": lines}, func(sheet sheet) {
		for _, line := range lines {
			sheet.policy(line)
		}
	})
}

// onePolicy is part of every command about one policy.
type onePolicy struct {
	inWorkspace `embed:""`
	Policy      string `arg:"" help:"Id or name of the policy."`
}

// with finds the policy and does something with it.
func (o onePolicy) with(ctx context.Context, work func(s *setup, policy policies.Policy) error) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	all, err := s.policies().List(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		if one.ID.IsZero() {
			continue
		}
		if one.ID.String() == o.Policy || strings.EqualFold(one.Name, o.Policy) {
			return work(s, one)
		}
		names = append(names, one.Name)
	}
	return missing("policy", o.Policy, names, "postern policy add")
}

type showPolicy struct {
	onePolicy `embed:""`
}

func (c showPolicy) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, policy policies.Policy) error {
		line, err := s.policyLine(ctx, policy)
		if err != nil {
			return err
		}
		return c.show(terminal, line, func(sheet sheet) { sheet.policy(line) })
	})
}

type removePolicy struct {
	onePolicy `embed:""`
}

func (c removePolicy) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, policy policies.Policy) error {
		if err := s.policies().Remove(ctx, s.cause, s.workspace.ID, policy.ID); err != nil {
			return err
		}
		return c.show(terminal, map[string]any{"removed": policy.ID}, func(sheet sheet) { sheet.say("%s is removed.", policy.Name) })
	})
}

// previewRow is what a policy would do about an account.
type previewRow struct {
	Account  core.ID      `json:"account"`
	App      string       `json:"app"`
	Username string       `json:"username"`
	When     *time.Time   `json:"when,omitempty"`
	WhyNot   policies.Why `json:"why_not,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

type previewPolicy struct {
	onePolicy `embed:""`
	Limit     int    `help:"How many accounts." default:"100" placeholder:"N"`
	After     string `help:"Go on behind this account, by its id." placeholder:"ID"`
}

func (c previewPolicy) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, policy policies.Policy) error {
		var after core.ID
		if err := after.UnmarshalText([]byte(c.After)); err != nil {
			return core.Invalid("--after", "an account is named by its id")
		}
		found, err := s.policies().Preview(ctx, s.db, s.workspace.ID, policy, after, c.Limit)
		if err != nil {
			return err
		}
		line, err := s.policyLine(ctx, policy)
		if err != nil {
			return err
		}
		rows := make([]previewRow, len(found))
		for i, one := range found {
			rows[i] = previewRow{one.Account, one.AppName, one.Username, one.When, one.Why, one.Reason}
		}
		return c.show(terminal, map[string]any{"policy": line, "accounts": rows}, func(sheet sheet) {
			sheet.say("%s\n", line.Sentence)
			for _, row := range rows {
				what := "as soon as it is triggered"
				switch {
				case row.WhyNot != "":
					what = "not: " + row.Reason
				case row.When != nil:
					what = row.When.UTC().Format("2006-01-02 15:04 MST")
				}
				sheet.say("%s  %-40s  %s", row.Account, row.App+" ("+row.Username+")", what)
			}
		})
	})
}
