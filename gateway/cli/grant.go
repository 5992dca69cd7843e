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

type grantCommands struct {
	List   listGrants  `cmd:"" help:"List who may use an account and through what, or what somebody can use."`
	Add    addGrant    `cmd:"" help:"Share an account with a user, a guest or a team."`
	Remove removeGrant `cmd:"" help:"Take a grant back."`
}

// listGrants answers both questions.
type listGrants struct {
	remote  `embed:""`
	Account string `help:"Id of the account: who may use it." placeholder:"ID" xor:"of" required:""`
	User    string `help:"userName or id: what they can use." placeholder:"NAME" xor:"of" required:""`
	Given   bool   `help:"With --account: the grants themselves, also of teams."`
	Search  string `help:"With --user: how the app's name or the username begins." placeholder:"TEXT"`
	Limit   int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Help is shown by 'postern grant list --help'.
func (listGrants) Help() string {
	return `  postern grant list --account 0198c7e2-…             who may use it now, and through what
  postern grant list --account 0198c7e2-… --given     what was given, with the ids that 'remove' takes
  postern grant list --user dana@acme.example         what dana can use`
}

// Run asks the gateway.
func (l listGrants) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	if l.User != "" {
		user, err := c.user(ctx, l.User)
		if err != nil {
			return err
		}
		query := url.Values{}
		if l.Search != "" {
			query.Set("search", l.Search)
		}
		return rows(terminal, l.remote, c.pages(ctx, "/users/"+user.ID.String()+"/accounts", query, l.Limit),
			column[api.UsableAccount]{"ID", func(one api.UsableAccount) string { return one.ID.String() }},
			column[api.UsableAccount]{"ACCOUNT", func(one api.UsableAccount) string { return nameOf(one.Account) }},
			column[api.UsableAccount]{"ROLE", func(one api.UsableAccount) string { return one.Role }},
			column[api.UsableAccount]{"UNTIL (UTC)", func(one api.UsableAccount) string { return utc(one.Expires) }},
			column[api.UsableAccount]{"THROUGH", func(one api.UsableAccount) string { return through(one.Direct, one.Teams) }})
	}
	account, err := pathOf("/accounts/", l.Account)
	if err != nil {
		return err
	}
	if l.Given {
		return rows(terminal, l.remote, c.pages(ctx, account+"/grants", nil, l.Limit),
			column[api.Grant]{"GRANT", func(one api.Grant) string { return one.ID.String() }},
			column[api.Grant]{"TO", grantee},
			column[api.Grant]{"ROLE", func(one api.Grant) string { return one.Role }},
			column[api.Grant]{"UNTIL (UTC)", func(one api.Grant) string { return utc(one.Expires) }},
			column[api.Grant]{"FOR", func(one api.Grant) string { return dash(one.Purpose) }})
	}
	return rows(terminal, l.remote, c.pages(ctx, account+"/access", nil, l.Limit),
		column[api.Access]{"ID", func(one api.Access) string { return one.User.String() }},
		column[api.Access]{"USER", func(one api.Access) string { return one.UserName }},
		column[api.Access]{"ROLE", func(one api.Access) string { return one.Role }},
		column[api.Access]{"UNTIL (UTC)", func(one api.Access) string { return utc(one.Expires) }},
		column[api.Access]{"THROUGH", func(one api.Access) string { return through(!one.Grant.IsZero(), one.Teams) }})
}

// through is how somebody came to an account.
func through(direct bool, teams []api.Via) string {
	var ways []string
	if direct {
		ways = append(ways, "own grant")
	}
	for _, team := range teams {
		ways = append(ways, team.Name)
	}
	return strings.Join(ways, ", ")
}

func grantee(one api.Grant) string {
	if one.Team.IsZero() {
		return "user " + one.Name
	}
	return "team " + one.Name
}

func nameOf(one api.Account) string { return one.AppName + " (" + one.Username + ")" }

// addGrant shares an account.
type addGrant struct {
	remote  `embed:""`
	Account string `arg:"" help:"Id of the account."`
	User    string `help:"userName or id of a user or guest." placeholder:"NAME" xor:"to" required:""`
	Team    string `help:"Name or id of a team." placeholder:"NAME" xor:"to" required:""`
	Role    string `help:"owner or collaborator." enum:"owner,collaborator" default:"collaborator"`
	Days    int    `help:"Days until it ends by itself; it never does when 0." default:"0" placeholder:"N"`
	Purpose string `help:"What for, for people to read." placeholder:"TEXT"`
}

// Help is shown by 'postern grant add --help'.
func (addGrant) Help() string {
	return `Sharing again replaces role, end and purpose. Guests and login-only users are collaborators at most, through a team too.

  postern grant add 0198c7e2-… --user dana@acme.example --days 7 --purpose "on call"
  postern grant add 0198c7e2-… --team Operations --role owner`
}

// newGrant is what is asked for.
type newGrant struct {
	User    core.ID    `json:"user,omitzero"`
	Team    core.ID    `json:"team,omitzero"`
	Role    string     `json:"role"`
	Expires *time.Time `json:"expires,omitempty"`
	Purpose string     `json:"purpose,omitempty"`
}

// Run asks the gateway.
func (a addGrant) Run(ctx context.Context, terminal terminal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	account, err := pathOf("/accounts/", a.Account)
	if err != nil {
		return err
	}
	expires, err := (lifetime{Days: a.Days}).expires()
	if err != nil {
		return err
	}
	wanted := newGrant{Role: a.Role, Expires: expires, Purpose: a.Purpose}
	if a.User != "" {
		user, err := c.user(ctx, a.User)
		if err != nil {
			return err
		}
		wanted.User = user.ID
	} else if wanted.Team, err = c.team(ctx, a.Team); err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, account+"/grants", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, func(sheet sheet, grant api.Grant) {
		sheet.say("%s is %s now.", visible(grantee(grant)), grant.Role)
		sheet.row("grant", grant.ID.String())
	})
}

// removeGrant takes a grant back.
type removeGrant struct {
	remote `embed:""`
	Grant  string `arg:"" help:"Id of the grant ('postern grant list --given' shows it)."`
}

// Run asks the gateway.
func (r removeGrant) Run(ctx context.Context, terminal terminal) error {
	return r.remove(ctx, terminal, "/grants/", r.Grant, "Taken back.")
}

// remove takes something away by its id, and says so.
func (r remote) remove(ctx context.Context, terminal terminal, under, id, done string) error {
	return r.removeAs(ctx, terminal, under, id, nil, done)
}

// removeAs is remove in a way of its own.
func (r remote) removeAs(ctx context.Context, terminal terminal, under, id string, query url.Values, done string) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	path, err := pathOf(under, id)
	if err != nil {
		return err
	}
	if _, err := c.ask(ctx, http.MethodDelete, path, query, nil); err != nil {
		return err
	}
	return thing(terminal, r, json.RawMessage(`{"removed":`+strconv.Quote(id)+`}`), func(sheet sheet, _ struct{}) { sheet.say("%s", done) })
}

// pathOf is the address of a thing.
func pathOf(under, given string) (string, error) {
	id, err := core.ParseID(given)
	if err != nil || id.IsZero() {
		return "", core.Invalid(strings.Trim(under, "/"), "%q is no id; lists show ids", given)
	}
	return under + id.String(), nil
}

// user finds a user by id or userName.
func (c *apiClient) user(ctx context.Context, given string) (api.User, error) {
	if id, err := core.ParseID(given); err == nil {
		return get[api.User](ctx, c, "/users/"+id.String(), nil)
	}
	all, err := found[api.User](c.pages(ctx, "/users", url.Values{"user_name": {given}, "limit": {"2"}}, 2))
	switch {
	case err != nil:
		return api.User{}, err
	case len(all) == 0:
		return api.User{}, &core.Error{Kind: core.KindNotFound, Message: "nobody is called " + strconv.Quote(given) + " here: 'postern user list' shows everybody"}
	case len(all) > 1:
		return api.User{}, core.Invalid("user", "several users are called %q, of several connections; give the id", given)
	}
	return all[0], nil
}

// team finds a team by id or name.
func (c *apiClient) team(ctx context.Context, given string) (core.ID, error) {
	if id, err := core.ParseID(given); err == nil {
		return id, nil
	}
	all, err := found[api.Team](c.pages(ctx, "/teams", url.Values{"display_name": {given}, "limit": {"2"}}, 2))
	switch {
	case err != nil:
		return core.ID{}, err
	case len(all) == 0:
		return core.ID{}, &core.Error{Kind: core.KindNotFound, Message: "no team is called " + strconv.Quote(given)}
	case len(all) > 1:
		return core.ID{}, core.Invalid("--team", "several teams are called %q; give the id", given)
	}
	return all[0].ID, nil
}
