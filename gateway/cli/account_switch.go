package cli

import (
	"context"
	"net/http"

	"postern/gateway/api"
)

type disableAccount struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern account disable --help'.
func (disableAccount) Help() string {
	return `  postern account disable 0198c7e2-…

The app's reconcile account ('postern app reconcile') has the app let the account in no more. A sign-in that is turned away
proves it, and nobody is given the password from then on.`
}

// Run asks the gateway.
func (d disableAccount) Run(ctx context.Context, terminal terminal) error {
	return d.set(ctx, terminal, "/disable", "The app's administrator disables it; a sign-in will prove that.")
}

type enableAccount struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern account enable --help'.
func (enableAccount) Help() string {
	return `  postern account enable 0198c7e2-…

The app lets the account in again. Its password is then rotated, since who knew it knows it still, and the account opens once
the new one is proved.`
}

// Run asks the gateway.
func (e enableAccount) Run(ctx context.Context, terminal terminal) error {
	return e.set(ctx, terminal, "/enable", "The app's administrator enables it; then its password is rotated.")
}

func (o oneAccount) set(ctx context.Context, terminal terminal, part, said string) error {
	text, err := o.ask(ctx, http.MethodPost, part, nil)
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, func(sheet sheet, one api.Switch) {
		sheet.say("%s", said)
		sheet.row("state", one.State)
		sheet.say("\nSee what came of it: postern account switches %s", one.Account)
	})
}

type listSwitches struct {
	oneAccount `embed:""`
	Limit      int `help:"At most so many rows." default:"20" placeholder:"N"`
}

// Run asks the gateway.
func (l listSwitches) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/accounts/", l.Account)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, path+"/switches", nil, l.Limit),
		column[api.Switch]{"ASKED (UTC)", func(one api.Switch) string { return utc(&one.Created) }},
		column[api.Switch]{"WANTED", func(one api.Switch) string { return map[bool]string{true: "enabled", false: "disabled"}[one.Enabled] }},
		column[api.Switch]{"STATE", func(one api.Switch) string { return one.State }},
		column[api.Switch]{"RECORDED (UTC)", func(one api.Switch) string { return utc(one.Recorded) }},
		column[api.Switch]{"TURNED AWAY (UTC)", func(one api.Switch) string { return utc(one.Proven) }},
		column[api.Switch]{"DETAIL", func(one api.Switch) string { return dash(visible(one.Detail)) }},
	)
}

type leaversOfApp struct {
	remote  `embed:""`
	App     string `arg:"" help:"Name or id of the app."`
	Disable bool   `help:"Disable an account in the app when the one person who has it leaves." xor:"what" required:""`
	Keep    bool   `help:"Only rotate it, as at first." xor:"what" required:""`
}

// Help is shown by 'postern app leavers --help'.
func (leaversOfApp) Help() string {
	return `  postern app leavers Ledger --disable
  postern app leavers Ledger --keep`
}

// Run asks the gateway.
func (l leaversOfApp) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	app, err := c.app(ctx, l.App)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPut, "/apps/"+app.String()+"/disable-on-leave", nil, map[string]bool{"disable": l.Disable})
	if err != nil {
		return err
	}
	return thing(terminal, l.remote, text, sheet.app)
}
