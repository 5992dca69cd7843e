package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/gateway/api"
)

// listUsers lists people.
type listUsers struct {
	remote `embed:""`
	Email  string `help:"Whose address this is." placeholder:"ADDRESS"`
	Active string `help:"true or false: only who is active, or who is not." enum:",true,false" default:"" placeholder:"true|false"`
	Limit  int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listUsers) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"email": l.Email, "active": l.Active} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return rows(terminal, l.remote, c.pages(ctx, "/users", query, l.Limit),
		column[api.User]{"ID", func(one api.User) string { return one.ID.String() }},
		column[api.User]{"USERNAME", func(one api.User) string { return one.UserName }},
		column[api.User]{"NAME", func(one api.User) string { return dash(one.DisplayName) }},
		column[api.User]{"ROLE", func(one api.User) string { return one.Role }},
		column[api.User]{"ACTIVE", func(one api.User) string { return strconv.FormatBool(one.Active) }})
}

// namedUser is part of every command about one user of a gateway.
type namedUser struct {
	remote   `embed:""`
	UserName string `arg:"" help:"userName at the identity provider, or the user's id."`
}

// find gives the gateway and the user.
func (n namedUser) find(ctx context.Context) (*apiClient, api.User, error) {
	c, err := n.connect()
	if err != nil {
		return nil, api.User{}, err
	}
	user, err := c.user(ctx, n.UserName)
	return c, user, err
}

// showUser shows one person.
type showUser struct {
	namedUser `embed:""`
}

// Run asks the gateway.
func (s showUser) Run(ctx context.Context, terminal terminal) error {
	c, user, err := s.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/users/"+user.ID.String(), nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, func(sheet sheet, one api.UserWithTeams) {
		var teams []string
		for _, team := range one.Teams {
			teams = append(teams, visible(team.DisplayName))
		}
		sheet.say("%s", visible(one.UserName))
		sheet.row("id", one.ID.String())
		sheet.row("name", dash(visible(one.DisplayName)))
		sheet.row("email", dash(visible(one.Email)))
		sheet.row("role", one.Role)
		sheet.row("active", strconv.FormatBool(one.Active))
		sheet.row("teams", dash(strings.Join(teams, ", ")))
		sheet.row("live sessions", strconv.Itoa(one.Sessions))
		if one.Restricted != nil {
			sheet.row("restricted since (UTC)", utc(one.Restricted))
		}
	})
}

// deprovisionUser takes everything from a user.
type deprovisionUser struct {
	namedUser `embed:""`
}

// Help is shown by 'postern user deprovision --help'.
func (deprovisionUser) Help() string {
	return `Usually the identity provider says who left. This is for whom it does not: also for somebody whose departure waits in a hold, or left after all although the hold was rejected.

  postern user deprovision dana@acme.example

Sessions end, grants are revoked, and what they saw is rotated. The identity provider is not told: deactivate them there too, or it may make them active again. The last owner of a workspace is refused.`
}

// Run asks the gateway.
func (d deprovisionUser) Run(ctx context.Context, terminal terminal) error {
	c, user, err := d.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/users/"+user.ID.String()+"/deprovision", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, d.remote, text, func(sheet sheet, effect api.Deprovisioned) {
		sheet.say("%s is deprovisioned: %d sessions ended, %d grants revoked, %d rotations planned.",
			visible(user.UserName), effect.SessionsEnded, effect.GrantsRevoked, len(effect.Rotations))
	})
}

// assignRole gives a user a role in the workspace.
type assignRole struct {
	namedUser `embed:""`
	Role      string `arg:"" help:"admin, user or login_only." enum:"admin,user,login_only"`
}

// Help is shown by 'postern user assign --help'.
func (assignRole) Help() string {
	return `  postern user assign dana@acme.example admin

Owners and super admins are made by people, in the console; the first owner by 'postern user role', on the database. Teams come from the identity provider: put people into them there.`
}

// Run asks the gateway.
func (a assignRole) Run(ctx context.Context, terminal terminal) error {
	c, user, err := a.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPut, "/users/"+user.ID.String()+"/role", nil, map[string]string{"role": a.Role})
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, text, func(sheet sheet, one api.User) {
		sheet.say("%s is %s now (was %s).", visible(one.UserName), one.Role, user.Role)
	})
}

// reactivateUser lets a user in again.
type reactivateUser struct {
	namedUser `embed:""`
}

// Help is shown by 'postern user reactivate --help'.
func (reactivateUser) Help() string {
	return `Usually the identity provider says who is back. This is for whom it does not:

  postern user reactivate dana@acme.example

They can sign in, and have nothing back: 'postern proposal list' shows what they had. The identity provider is not told: activate them there too, or it may deactivate them again. Guests are invited again instead.`
}

// Run asks the gateway.
func (r reactivateUser) Run(ctx context.Context, terminal terminal) error {
	c, user, err := r.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/users/"+user.ID.String()+"/reactivate", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, func(sheet sheet, one api.User) {
		sheet.say("%s is active, and has nothing back by it: see 'postern proposal list %s'.", visible(one.UserName), one.ID)
	})
}

type teamCommands struct {
	List listTeams `cmd:"" help:"List the teams."`
}

type listTeams struct {
	remote `embed:""`
	Member string `help:"userName or id: only their teams." placeholder:"NAME"`
	Limit  int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listTeams) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.Member != "" {
		user, err := c.user(ctx, l.Member)
		if err != nil {
			return err
		}
		query.Set("member", user.ID.String())
	}
	return rows(terminal, l.remote, c.pages(ctx, "/teams", query, l.Limit),
		column[api.Team]{"ID", func(one api.Team) string { return one.ID.String() }},
		column[api.Team]{"TEAM", func(one api.Team) string { return one.DisplayName }})
}
