package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

func (s sheet) campaign(one api.ReviewCampaign) {
	s.say("%s", visible(one.Name))
	s.say("  %s", visible(one.Sentence))
	s.row("id", one.ID.String())
	s.row("reviewers have", core.Count(one.Days, "day", "days"))
	s.row("where nobody decides", one.Fallback)
	if one.Next != nil {
		s.row("begins next (UTC)", utc(one.Next))
	}
}

type listCampaigns struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l listCampaigns) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	if l.Output != "table" {
		return rows[api.ReviewCampaign](terminal, l.remote, c.pages(ctx, "/review-campaigns", nil, 0))
	}
	all, err := found[api.ReviewCampaign](c.pages(ctx, "/review-campaigns", nil, 0))
	if err != nil {
		return err
	}
	if len(all) == 0 {
		sheet{terminal.out}.say("There is none yet; make one with 'postern review create'.")
	}
	for _, one := range all {
		sheet{terminal.out}.campaign(one)
	}
	return nil
}

// reviewScope says what is asked about.
type reviewScope struct {
	App     []string `help:"Accounts of this app: its name or id." group:"What is asked about" placeholder:"NAME"`
	Tag     []string `help:"Accounts with this tag." group:"What is asked about"`
	Account []string `help:"This account, by its id." group:"What is asked about" placeholder:"ID"`
	Exclude []string `help:"Never this account, by its id." group:"What is asked about" placeholder:"ID"`
	Role    string   `help:"Only owners, or only collaborators." enum:",owner,collaborator" default:"" group:"What is asked about"`
	Kind    []string `help:"Only access of users, guests or teams." enum:"user,guest,team" group:"What is asked about"`
	Older   int      `help:"Only what was given at least so many days ago." group:"What is asked about" placeholder:"DAYS"`
	Unused  int      `help:"Only what nobody used for so many days." group:"What is asked about" placeholder:"DAYS"`
}

func (r reviewScope) scope(ctx context.Context, c *apiClient) (api.ReviewScope, error) {
	wanted := api.ReviewScope{Tags: r.Tag, Role: r.Role, Kinds: r.Kind, OlderDays: r.Older, UnusedDays: r.Unused}
	var err error
	if wanted.Accounts, err = ids("--account", r.Account); err != nil {
		return wanted, err
	}
	if wanted.Excluded, err = ids("--exclude", r.Exclude); err != nil || len(r.App) == 0 {
		return wanted, err
	}
	all, err := found[api.App](c.pages(ctx, "/apps", nil, 0))
	if err != nil {
		return wanted, err
	}
	var names []string
	known := map[string]core.ID{}
	for _, app := range all {
		known[app.ID.String()], known[strings.ToLower(app.Name)] = app.ID, app.ID
		names = append(names, app.Name)
	}
	for _, given := range r.App {
		app, there := known[strings.ToLower(given)]
		if !there {
			return wanted, missing("app", given, names, "POST /api/v1/apps")
		}
		wanted.Apps = append(wanted.Apps, app)
	}
	return wanted, nil
}

type createCampaign struct {
	remote      `embed:""`
	reviewScope `embed:""`
	Name        string `arg:"" help:"What it is called."`
	Days        int    `help:"How many days reviewers have." default:"14"`
	Fallback    string `help:"What is done where nobody decides." enum:"keep,revoke" default:"revoke"`
	Remind      []int  `help:"So many days before the last one; 0 is on it. 7, 3 and 0 when left out." placeholder:"DAYS"`
	Months      int    `help:"It begins again every so many months; by hand only when 0." default:"0"`
	Begins      string `help:"With --months: the day on which it begins for the first time." placeholder:"2027-01-01"`
}

// Help is shown by 'postern review create --help'.
func (createCampaign) Help() string {
	return `Ask every quarter whether all access to production accounts is still needed, and revoke what nobody vouches for:

  postern review create Production --tag prod --months 3 --begins 2027-01-04

Look at what it would ask, and ask it now:

  postern review preview --tag prod
  postern review start Production`
}

// Run asks the gateway.
func (o createCampaign) Run(ctx context.Context, terminal terminal) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	scope, err := o.scope(ctx, c)
	if err != nil {
		return err
	}
	body := map[string]any{"name": o.Name, "scope": scope, "days": o.Days, "fallback": o.Fallback, "months": o.Months}
	if len(o.Remind) > 0 {
		body["reminders"] = o.Remind
	}
	if o.Begins != "" {
		at, err := time.Parse(time.DateOnly, o.Begins)
		if err != nil {
			return core.Invalid("--begins", "a day is written as 2027-01-04")
		}
		body["begins"] = at
	}
	text, err := c.ask(ctx, http.MethodPost, "/review-campaigns", nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, sheet.campaign)
}

type previewReview struct {
	remote      `embed:""`
	reviewScope `embed:""`
	Limit       int `help:"How many items, up to 500." default:"100"`
}

// Run asks the gateway.
func (p previewReview) Run(ctx context.Context, terminal terminal) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	scope, err := p.scope(ctx, c)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/review-previews", url.Values{"limit": {strconv.Itoa(p.Limit)}}, scope)
	if err != nil {
		return err
	}
	return thing(terminal, p.remote, text, func(sheet sheet, draft struct {
		Items    []api.ReviewPreview `json:"items"`
		Total    int                 `json:"total"`
		Sentence string              `json:"sentence"`
	}) {
		sheet.say("%s It would ask about %s:", visible(draft.Sentence), core.Count(draft.Total, "item", "items"))
		for _, one := range draft.Items {
			asked := "administrators"
			if one.ReviewerName != "" {
				asked = one.ReviewerName + ", as " + one.AskedAs
			}
			sheet.say("  %s (%s) of %s, %s: %s", visible(one.AppName), visible(one.Username), visible(one.Subject), one.Role, visible(asked))
		}
		if draft.Total > len(draft.Items) {
			sheet.say("  and %d more", draft.Total-len(draft.Items))
		}
	})
}

// oneCampaign is part of every command about one campaign.
type oneCampaign struct {
	remote   `embed:""`
	Campaign string `arg:"" help:"Id or name of the campaign."`
}

func (o oneCampaign) find(ctx context.Context) (*apiClient, string, error) {
	c, err := o.connect()
	if err != nil {
		return nil, "", err
	}
	all, err := found[api.ReviewCampaign](c.pages(ctx, "/review-campaigns", nil, 0))
	if err != nil {
		return nil, "", err
	}
	var names []string
	for _, one := range all {
		if one.ID.String() == o.Campaign || strings.EqualFold(one.Name, o.Campaign) {
			return c, "/review-campaigns/" + one.ID.String(), nil
		}
		names = append(names, one.Name)
	}
	return nil, "", missing("campaign", o.Campaign, names, "postern review create")
}

type startCampaign struct {
	oneCampaign `embed:""`
}

// Run asks the gateway.
func (s startCampaign) Run(ctx context.Context, terminal terminal) error {
	c, path, err := s.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/start", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.review)
}

type removeCampaign struct {
	oneCampaign `embed:""`
}

// Run asks the gateway.
func (r removeCampaign) Run(ctx context.Context, terminal terminal) error {
	c, path, err := r.find(ctx)
	if err != nil {
		return err
	}
	if _, err := c.ask(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return thing(terminal, r.remote, removed(strings.TrimPrefix(path, "/review-campaigns/")), func(sheet sheet, _ json.RawMessage) { sheet.say("%s is removed.", visible(r.Campaign)) })
}

type reviewSettings struct {
	remote   `embed:""`
	Trigger  string `help:"Change the small reviews about new owners, about service accounts that may do more, or about access unused for 90 days." enum:",owner_change,scope_growth,unused" default:""`
	Enabled  *bool  `help:"With --trigger: whether they begin." negatable:"" name:"begin"`
	Days     int    `help:"With --trigger: how many days reviewers have." placeholder:"N"`
	Fallback string `help:"With --trigger: what is done where nobody decides." enum:",keep,revoke" default:""`
}

// Run asks the gateway.
func (o reviewSettings) Run(ctx context.Context, terminal terminal) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/review-settings", nil, nil)
	if err != nil {
		return err
	}
	var settings api.ReviewSettings
	if err := json.Unmarshal(text, &settings); err != nil {
		return core.Internal(err)
	}
	for _, one := range settings.Triggers {
		if one.Trigger != o.Trigger {
			continue
		}
		if o.Enabled != nil {
			one.Enabled = *o.Enabled
		}
		if o.Days > 0 {
			one.Days = o.Days
		}
		if o.Fallback != "" {
			one.Fallback = o.Fallback
		}
		if text, err = c.ask(ctx, http.MethodPut, "/review-settings", nil, api.ReviewSettings{Triggers: []api.ReviewSetting{one}}); err != nil {
			return err
		}
	}
	return thing(terminal, o.remote, text, func(sheet sheet, settings api.ReviewSettings) {
		for _, one := range settings.Triggers {
			begins := "off"
			if one.Enabled {
				begins = "on"
			}
			sheet.say("%-14s %-4s reviewers have %s, then: %s", one.Trigger, begins, core.Count(one.Days, "day", "days"), one.Fallback)
		}
	})
}
