package cli

import (
	"context"
	"net/http"
	"strconv"

	"postern/gateway/api"
)

type proposalCommands struct {
	List        listProposals       `cmd:"" help:"List the grants somebody who is back had when they left."`
	Accept      acceptProposal      `cmd:"" help:"Give one of them anew."`
	Decline     declineProposal     `cmd:"" help:"Propose one of them no longer."`
	Teams       listTeamProposals   `cmd:"" help:"List the teams that give somebody who is back nothing since they left."`
	AcceptTeam  acceptTeamProposal  `cmd:"" help:"Let one of these teams count for them again."`
	DeclineTeam declineTeamProposal `cmd:"" help:"Have one of these teams proposed no longer."`
}

// listProposals lists lost grants.
type listProposals struct {
	namedUser `embed:""`
}

// Run asks the gateway.
func (l listProposals) Run(ctx context.Context, terminal terminal) error {
	c, user, err := l.find(ctx)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/users/"+user.ID.String()+"/proposals", nil, 0),
		column[api.Proposal]{"ID", func(one api.Proposal) string { return one.ID.String() }},
		column[api.Proposal]{"ACCOUNT", func(one api.Proposal) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.Proposal]{"ROLE", func(one api.Proposal) string { return one.Role }},
		column[api.Proposal]{"FOR", func(one api.Proposal) string { return dash(one.Purpose) }},
		column[api.Proposal]{"UNTIL (UTC)", func(one api.Proposal) string { return utc(one.Expires) }},
		column[api.Proposal]{"LEFT (UTC)", func(one api.Proposal) string { return utc(&one.Revoked) }})
}

// oneProposal is part of every command about one lost grant.
type oneProposal struct {
	remote `embed:""`
	ID     string `arg:"" help:"As 'postern proposal list' shows it."`
}

// acceptProposal gives one anew.
type acceptProposal struct {
	oneProposal `embed:""`
}

// Run asks the gateway.
func (a acceptProposal) Run(ctx context.Context, terminal terminal) error {
	c, path, err := a.find()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/accept", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, text, func(sheet sheet, one api.Grant) {
		sheet.say("Given anew, as %s: grant %s.", one.Role, one.ID)
	})
}

// declineProposal has one proposed no longer.
type declineProposal struct {
	oneProposal `embed:""`
}

// Run asks the gateway.
func (d declineProposal) Run(ctx context.Context, _ terminal) error {
	c, path, err := d.find()
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodPost, path+"/decline", nil, nil)
	return err
}

// find gives the gateway and where the proposal is.
func (o oneProposal) find() (*apiClient, string, error) {
	path, err := pathOf("/proposals/", o.ID)
	if err != nil {
		return nil, "", err
	}
	c, err := o.connect()
	return c, path, err
}

// listTeamProposals lists suspended memberships.
type listTeamProposals struct {
	namedUser `embed:""`
}

// Run asks the gateway.
func (l listTeamProposals) Run(ctx context.Context, terminal terminal) error {
	c, user, err := l.find(ctx)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/users/"+user.ID.String()+"/team-proposals", nil, 0),
		column[api.TeamProposal]{"ID", func(one api.TeamProposal) string { return one.Team.String() }},
		column[api.TeamProposal]{"TEAM", func(one api.TeamProposal) string { return one.DisplayName }},
		column[api.TeamProposal]{"ACCOUNTS", func(one api.TeamProposal) string { return strconv.Itoa(one.Accounts) }},
		column[api.TeamProposal]{"LEFT (UTC)", func(one api.TeamProposal) string { return utc(&one.Suspended) }})
}

// oneTeamProposal is part of every command about one of these teams.
type oneTeamProposal struct {
	namedUser `embed:""`
	Team      string `arg:"" help:"Name or id of the team."`
}

// decide tells the gateway what becomes of it.
func (o oneTeamProposal) decide(ctx context.Context, how string) error {
	c, user, err := o.find(ctx)
	if err != nil {
		return err
	}
	team, err := c.team(ctx, o.Team)
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodPost, "/users/"+user.ID.String()+"/team-proposals/"+team.String()+how, nil, nil)
	return err
}

// acceptTeamProposal lets a team count again.
type acceptTeamProposal struct {
	oneTeamProposal `embed:""`
}

// Run asks the gateway.
func (a acceptTeamProposal) Run(ctx context.Context, _ terminal) error {
	return a.decide(ctx, "/accept")
}

// declineTeamProposal has a team proposed no longer.
type declineTeamProposal struct {
	oneTeamProposal `embed:""`
}

// Run asks the gateway.
func (d declineTeamProposal) Run(ctx context.Context, _ terminal) error {
	return d.decide(ctx, "/decline")
}
