package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type policyCommands struct {
	List    listPolicies  `cmd:"" help:"List what starts rotations, the defaults among them."`
	Show    showPolicy    `cmd:"" help:"Show a policy and how far its schedule has come."`
	Add     addPolicy     `cmd:"" help:"Add a policy: from then on it holds instead of its trigger's default."`
	Change  changePolicy  `cmd:"" help:"Change what is given, and leave the rest."`
	Remove  removePolicy  `cmd:"" help:"Remove a policy. After the last one about a trigger its default holds again."`
	Preview previewPolicy `cmd:"" help:"List what a policy would do now, account by account. Nothing is changed by it."`
}

func (s sheet) policy(one api.Policy) {
	name := visible(one.Name)
	if one.ID.IsZero() {
		name += " (default)"
	}
	s.say("%s", name)
	s.say("  %s", visible(one.Sentence))
	if !one.ID.IsZero() {
		s.row("id", one.ID.String())
	}
	s.row("trigger", one.Trigger)
	if one.Finished != nil {
		s.row("last carried out (UTC)", utc(one.Finished))
	}
	if one.Planned+one.Passed > 0 {
		s.say("  %d rotations begun, %d accounts passed over", one.Planned, one.Passed)
	}
}

type listPolicies struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l listPolicies) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	if l.Output != "table" {
		return rows[api.Policy](terminal, l.remote, c.pages(ctx, "/policies", nil, 0))
	}
	all, err := found[api.Policy](c.pages(ctx, "/policies", nil, 0))
	if err != nil {
		return err
	}
	for _, one := range all {
		sheet{terminal.out}.policy(one)
	}
	return nil
}

// onePolicy is part of every command about one policy.
type onePolicy struct {
	remote `embed:""`
	Policy string `arg:"" help:"Id or name of the policy."`
}

// find gives the gateway and the policy's address there.
func (o onePolicy) find(ctx context.Context) (c *apiClient, path string, err error) {
	if c, err = o.connect(); err != nil {
		return nil, "", err
	}
	all, err := found[api.Policy](c.pages(ctx, "/policies", nil, 0))
	if err != nil {
		return nil, "", err
	}
	var names []string
	for _, one := range all {
		switch {
		case one.ID.IsZero():
		case one.ID.String() == o.Policy || strings.EqualFold(one.Name, o.Policy):
			return c, "/policies/" + one.ID.String(), nil
		default:
			names = append(names, one.Name)
		}
	}
	return nil, "", missing("policy", o.Policy, names, "postern policy add")
}

type showPolicy struct {
	onePolicy `embed:""`
}

// Run asks the gateway.
func (s showPolicy) Run(ctx context.Context, terminal terminal) error {
	c, path, err := s.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.policy)
}

type removePolicy struct {
	onePolicy `embed:""`
}

// Run asks the gateway.
func (r removePolicy) Run(ctx context.Context, terminal terminal) error {
	c, path, err := r.find(ctx)
	if err != nil {
		return err
	}
	if _, err := c.ask(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return thing(terminal, r.remote, removed(strings.TrimPrefix(path, "/policies/")), func(sheet sheet, _ struct{}) { sheet.say("%s is removed.", r.Policy) })
}

// removed is what is printed where the gateway has nothing to say.
func removed(id string) json.RawMessage { return json.RawMessage(`{"removed":"` + id + `"}`) }

type previewPolicy struct {
	onePolicy `embed:""`
	Limit     int `help:"At most so many accounts; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (p previewPolicy) Run(ctx context.Context, terminal terminal) error {
	c, path, err := p.find(ctx)
	if err != nil {
		return err
	}
	if p.Output == "table" {
		policy, err := get[api.Policy](ctx, c, path, nil)
		if err != nil {
			return err
		}
		sheet{terminal.out}.say("%s\n", visible(policy.Sentence))
	}
	return rows(terminal, p.remote, c.pages(ctx, path+"/preview", nil, p.Limit),
		column[api.PolicyPreview]{"ACCOUNT", func(one api.PolicyPreview) string { return one.Account.String() }},
		column[api.PolicyPreview]{"NAME", func(one api.PolicyPreview) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.PolicyPreview]{"WHEN (UTC)", func(one api.PolicyPreview) string {
			switch {
			case one.WhyNot != "":
				return "not: " + one.Reason
			case one.When != nil:
				return utc(one.When)
			}
			return "as soon as it is triggered"
		}})
}

// ids reads the ids of accounts.
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
