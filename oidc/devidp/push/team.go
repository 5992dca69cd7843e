package push

import (
	"context"
	"net/http"
)

// PushTeam looks the team up by its name, creates it when missing, and makes the members known:
// Okta states the whole membership, Entra adds these members to those already there.
func (c *Client) PushTeam(ctx context.Context, team Team, members []Member) (Result, error) {
	call := c.begin()
	filter := escape("displayName eq " + quote(team.DisplayName))
	path := "/Groups?filter=" + filter
	if c.Style.IsEntra() {
		path = "/Groups?excludedAttributes=members&filter=" + filter
	}
	id, err := call.find(ctx, path)
	if err != nil {
		return call.result, err
	}
	created := id == ""
	if created {
		if _, err := call.create(ctx, "/Groups", c.newTeam(team, members)); err != nil {
			return call.result, err
		}
		id = call.result.ID
	}
	call.result.ID = id
	switch {
	case c.Style.IsEntra():
		if len(members) == 0 {
			return call.result, nil
		}
		return call.result, call.send(ctx, http.MethodPatch, "/Groups/"+id, entraMembers(c.Style, members, nil), nil)
	case c.Style == OktaWizard:
		if created {
			return call.result, nil
		}
		return call.result, call.send(ctx, http.MethodPut, "/Groups/"+id, oktaWholeTeam(id, team, members), nil)
	}
	// Okta names the group again with every change of its members.
	if err := call.send(ctx, http.MethodPatch, "/Groups/"+id, oktaRename(id, team), nil); err != nil {
		return call.result, err
	}
	return call.result, call.send(ctx, http.MethodPatch, "/Groups/"+id, oktaReplaceMembers(members), nil)
}

// ChangeMembers adds and removes members of a team pushed before. A wizard app of Okta cannot send
// a change: it sends the whole team, so use PushTeam there.
func (c *Client) ChangeMembers(ctx context.Context, id string, team Team, add, remove []Member) (Result, error) {
	call := c.begin()
	call.result.ID = id
	if c.Style.IsEntra() {
		return call.result, call.send(ctx, http.MethodPatch, "/Groups/"+id, entraMembers(c.Style, add, remove), nil)
	}
	if err := call.send(ctx, http.MethodPatch, "/Groups/"+id, oktaRename(id, team), nil); err != nil {
		return call.result, err
	}
	return call.result, call.send(ctx, http.MethodPatch, "/Groups/"+id, oktaMembers(add, remove), nil)
}

// DeleteTeam removes a team pushed before.
func (c *Client) DeleteTeam(ctx context.Context, id string) (Result, error) {
	call := c.begin()
	call.result.ID = id
	return call.result, call.send(ctx, http.MethodDelete, "/Groups/"+id, nil, nil)
}

func (c *Client) newTeam(team Team, members []Member) any {
	switch {
	case c.Style.IsEntra():
		return entraNewTeam(team)
	case c.Style == OktaWizard:
		return oktaNewTeam(team, members)
	}
	return oktaNewTeam(team, nil)
}
