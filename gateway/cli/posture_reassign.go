package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

// reassignOwners gives accounts new owners.
type reassignOwners struct {
	remote   `embed:""`
	To       []string `help:"New owners: userName or id of a user, or team:NAME. May be given several times." required:"" placeholder:"NAME"`
	Orphaned bool     `help:"All accounts without an owner." xor:"which"`
	App      string   `help:"With --orphaned: only of this app." placeholder:"NAME"`
	Tag      string   `help:"With --orphaned: only with this tag." placeholder:"TAG"`
	Account  []string `help:"These accounts, by their ids. May be given several times." xor:"which" placeholder:"ID"`
	Yes      bool     `help:"Do it. Without, what would be done is shown."`
}

// Help is shown by 'postern posture reassign --help'.
func (reassignOwners) Help() string {
	return `First look, then do it:

  postern posture reassign --orphaned --to team:Operations
  postern posture reassign --orphaned --to team:Operations --yes

If the accounts are others by then, nothing happens. Nothing but the owners changes.`
}

// reassignment is what is asked for.
type reassignment struct {
	Owners   []api.NewOwner    `json:"owners"`
	Accounts []core.ID         `json:"accounts,omitempty"`
	Orphaned *api.OrphanFilter `json:"orphaned,omitempty"`
	Expected *int              `json:"expected,omitempty"`
}

func (r reassignOwners) wanted(ctx context.Context, c *apiClient) (reassignment, error) {
	var wanted reassignment
	for _, name := range r.To {
		var owner api.NewOwner
		if team, ok := strings.CutPrefix(name, "team:"); ok {
			id, err := c.team(ctx, team)
			if err != nil {
				return wanted, err
			}
			owner.Team = id
		} else {
			user, err := c.user(ctx, name)
			if err != nil {
				return wanted, err
			}
			owner.User = user.ID
		}
		wanted.Owners = append(wanted.Owners, owner)
	}
	for _, given := range r.Account {
		id, err := core.ParseID(given)
		if err != nil {
			return wanted, core.Invalid("--account", "%q is no id; lists show ids", given)
		}
		wanted.Accounts = append(wanted.Accounts, id)
	}
	if !r.Orphaned {
		if len(r.Account) == 0 || r.App != "" || r.Tag != "" {
			return wanted, core.Invalid("--orphaned", "say which accounts: --orphaned, perhaps with --app or --tag, or --account")
		}
		return wanted, nil
	}
	wanted.Orphaned = &api.OrphanFilter{Tag: r.Tag}
	if r.App == "" {
		return wanted, nil
	}
	var err error
	wanted.Orphaned.App, err = c.app(ctx, r.App)
	return wanted, err
}

// Run asks the gateway.
func (r reassignOwners) Run(ctx context.Context, terminal terminal) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	wanted, err := r.wanted(ctx, c)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/posture/reassignment-previews", nil, wanted)
	if err != nil {
		return err
	}
	if !r.Yes {
		return thing(terminal, r.remote, text, func(sheet sheet, plan api.ReassignmentPlan) {
			sheet.say("%d accounts would be given to %s:", plan.Total, ownersOf(plan.Owners))
			for _, one := range plan.Accounts {
				sheet.say("  %s  %s", one.ID, visible(one.AppName+" ("+one.Username+")"))
			}
			if plan.Total > len(plan.Accounts) {
				sheet.say("  and %d more", plan.Total-len(plan.Accounts))
			}
			sheet.say("\nNothing was done. Say --yes to do it.")
		})
	}
	var plan api.ReassignmentPlan
	if err := json.Unmarshal(text, &plan); err != nil {
		return core.Internal(err)
	}
	wanted.Expected = &plan.Total
	if text, err = c.ask(ctx, http.MethodPost, "/posture/reassignments", nil, wanted); err != nil {
		return err
	}
	return thing(terminal, r.remote, text, sheet.reassigned)
}

func ownersOf(owners []api.NewOwner) string {
	var names []string
	for _, one := range owners {
		names = append(names, visible(one.Name))
	}
	return strings.Join(names, ", ")
}

func (s sheet) reassigned(one api.Reassignment) {
	s.say("%d accounts to %s: %d given, %d owned already, %d refused, %d waiting.", one.Total, ownersOf(one.Owners), one.Done, one.Unchanged, one.Failed, one.Waiting)
	s.say("\nSee what became of each: postern posture report %s", one.ID)
}

// showReassigned is the report of a reassignment.
type showReassigned struct {
	remote       `embed:""`
	Reassignment string `arg:"" help:"Id of the reassignment."`
	Outcome      string `help:"Only waiting, done, unchanged or failed ones." enum:",waiting,done,unchanged,failed" default:"" placeholder:"OUTCOME"`
}

// Run asks the gateway.
func (s showReassigned) Run(ctx context.Context, terminal terminal) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/posture/reassignments/", s.Reassignment)
	if err != nil {
		return err
	}
	query := url.Values{}
	if s.Outcome != "" {
		query.Set("outcome", s.Outcome)
	}
	if s.Output == "table" {
		one, err := get[api.Reassignment](ctx, c, path, nil)
		if err != nil {
			return err
		}
		sheet{terminal.out}.say("%d accounts to %s: %d given, %d owned already, %d refused, %d waiting.\n",
			one.Total, ownersOf(one.Owners), one.Done, one.Unchanged, one.Failed, one.Waiting)
	}
	return rows(terminal, s.remote, c.pages(ctx, path+"/accounts", query, 0),
		column[api.ReassignedAccount]{"ACCOUNT", func(one api.ReassignedAccount) string { return one.Account.String() }},
		column[api.ReassignedAccount]{"NAME", func(one api.ReassignedAccount) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.ReassignedAccount]{"OUTCOME", func(one api.ReassignedAccount) string { return one.Outcome }},
		column[api.ReassignedAccount]{"WHY", func(one api.ReassignedAccount) string { return dash(one.Why) }})
}
