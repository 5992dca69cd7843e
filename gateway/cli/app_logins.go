package cli

import (
	"context"
	"net/http"
	"net/url"

	"postern/gateway/api"
)

type loginsOfApp struct {
	remote    `embed:""`
	App       string `arg:"" help:"Name or id of the app."`
	Unmanaged bool   `help:"Only those whose passwords Postern does not keep up to date."`
	Refresh   bool   `help:"Have the app tell them anew instead; from then on that is done every day."`
	Limit     int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Help is shown by 'postern app logins --help'.
func (loginsOfApp) Help() string {
	return `  postern app logins Ledger --refresh
  postern app logins Ledger --unmanaged

The app's reconcile account ('postern app reconcile') asks the app for all accounts it has.`
}

// Run asks the gateway.
func (l loginsOfApp) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	app, err := c.app(ctx, l.App)
	if err != nil {
		return err
	}
	path := "/apps/" + app.String() + "/logins"
	if l.Refresh {
		text, err := c.ask(ctx, http.MethodPost, path, nil, nil)
		if err != nil {
			return err
		}
		return thing(terminal, l.remote, text, func(sheet sheet, _ api.Listing) { sheet.say("The app is asked for its accounts.") })
	}
	query := url.Values{}
	if l.Unmanaged {
		query.Set("unmanaged", "true")
	}
	return rows(terminal, l.remote, c.pages(ctx, path, query, l.Limit),
		column[api.Login]{"USERNAME", func(one api.Login) string { return visible(one.Username) }},
		column[api.Login]{"NAME", func(one api.Login) string { return dash(visible(one.Name)) }},
		column[api.Login]{"STATE", func(one api.Login) string {
			switch {
			case one.Disabled:
				return "disabled"
			case one.Managed:
				return "managed"
			}
			return "unmanaged"
		}},
		column[api.Login]{"SINCE (UTC)", func(one api.Login) string { return utc(&one.FirstSeen) }},
	)
}
