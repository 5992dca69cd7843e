package cli

import (
	"context"
	"net/http"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type reconcileApp struct {
	remote  `embed:""`
	App     string `arg:"" help:"Name or id of the app."`
	Account string `help:"Id of the app's account that administers the others." xor:"who" placeholder:"ID"`
	None    bool   `help:"No account any more." xor:"who"`
}

// Help is shown by 'postern app reconcile --help'.
func (reconcileApp) Help() string {
	return `  postern app reconcile Ledger --account 0198c7e2-…
  postern app reconcile Ledger --none

When no stored password of an account opens it any more, Postern signs in with this account's and sets a new one. What
rights that takes is in connectors/README.md.`
}

// Run asks the gateway.
func (r reconcileApp) Run(ctx context.Context, terminal terminal) error {
	if r.Account == "" && !r.None {
		return core.Invalid("--account", "name an account of the app, or say --none")
	}
	c, err := r.connect()
	if err != nil {
		return err
	}
	app, err := c.app(ctx, r.App)
	if err != nil {
		return err
	}
	method, body := http.MethodDelete, any(nil)
	if !r.None {
		account, err := core.ParseID(r.Account)
		if err != nil {
			return core.Invalid("--account", "give the id of an account; 'postern account list' shows them")
		}
		method, body = http.MethodPut, map[string]core.ID{"account": account}
	}
	text, err := c.ask(ctx, method, "/apps/"+app.String()+"/reconcile-account", nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, sheet.app)
}

type listConnectors struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l listConnectors) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/connectors", nil, 0),
		column[api.Connector]{"CONNECTOR", func(one api.Connector) string { return one.Name }},
		column[api.Connector]{"CAN", func(one api.Connector) string { return strings.Join(one.Capabilities, ", ") }},
	)
}

type resetAccount struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern account reset --help'.
func (resetAccount) Help() string {
	return `For an account whose own password nobody knows: the app's reconcile account sets a new one, see 'postern app reconcile'.
Without one the app is asked for its forgotten-password mail, if the account has an address here ('postern account mailbox').


  postern account reset 0198c7e2-…`
}

// Run asks the gateway.
func (r resetAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := r.ask(ctx, http.MethodPost, "/reset", nil)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, func(sheet sheet, one api.Rotation) {
		sheet.say("The app's administrator, or the link of its mail, sets a new password; sign-ins will prove it.")
		sheet.row("rotation", one.ID.String())
		sheet.say("\nSee what came of it: postern account health %s", one.Account)
	})
}
