package accounts

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// App is a managed application.
type App struct {
	ID        core.ID         `db:"id"`
	Workspace core.ID         `db:"workspace_id"`
	Name      string          `db:"name"`
	Domains   []string        `db:"domains"` // host or host:port, in lower case; the only hosts a connector may reach
	SignInURL string          `db:"sign_in_url"`
	ChangeURL string          `db:"change_url"` // empty: the connector finds the way
	Connector string          `db:"connector"`
	Settings  json.RawMessage `db:"settings"` // per-app overrides, a JSON object in the connector's own shape
	Created   time.Time       `db:"created"`
}

// Target is the app as what something happened to.
func (a App) Target() core.Target { return core.Target{Kind: "app", ID: a.ID, Name: a.Name} }

// NewApp is what an app is made of. ChangeURL and Settings may be empty.
type NewApp struct {
	Name      string
	Domains   []string // host names or IP addresses, each with or without a port; no scheme, no wildcard
	SignInURL string   // http or https, at one of the domains
	ChangeURL string
	Connector string // such as browser
	Settings  json.RawMessage
}

const insertApp = `
insert into apps (id, workspace_id, name, domains, sign_in_url, change_url, connector, settings, created)
values (@id, @workspace, @name, @domains, @signIn, @change, @connector, @settings, @created)`

// CreateApp adds an app. Only administrators, service accounts and the system may. A faulty field is
// Invalid and named in the column's word: name, domains, sign_in_url, change_url, connector, settings.
func (a *Accounts) CreateApp(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted NewApp) (App, error) {
	if err := checkText("name", wanted.Name, MaxName); err != nil {
		return App{}, err
	}
	domains, err := checkDomains(wanted.Domains)
	if err != nil {
		return App{}, err
	}
	if err := checkURL("sign_in_url", wanted.SignInURL, domains); err != nil {
		return App{}, err
	}
	if wanted.ChangeURL != "" {
		if err := checkURL("change_url", wanted.ChangeURL, domains); err != nil {
			return App{}, err
		}
	}
	if !connectorName(wanted.Connector) {
		return App{}, core.Invalid("connector", "name the connector that talks to the app, such as browser")
	}
	settings, err := checkSettings(wanted.Settings)
	if err != nil {
		return App{}, err
	}
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return App{}, err
	}
	app := App{
		ID: core.NewID(), Workspace: workspace, Name: wanted.Name, SignInURL: wanted.SignInURL, ChangeURL: wanted.ChangeURL,
		Connector: wanted.Connector, Settings: settings, Created: a.now(),
	}
	for _, domain := range domains {
		app.Domains = append(app.Domains, domain.String())
	}
	if _, err := tx.Exec(ctx, insertApp, pgx.StrictNamedArgs{
		"id": app.ID, "workspace": workspace, "name": app.Name, "domains": app.Domains, "signIn": app.SignInURL,
		"change": app.ChangeURL, "connector": app.Connector, "settings": app.Settings, "created": app.Created,
	}); err != nil {
		return App{}, collision(err, "app_name", "name", "another app has this name")
	}
	return app, audit.Append(ctx, tx, core.NewEvent(core.AppCreated, workspace, cause, app.Created, app.Target()))
}

const selectApp = `
select id, workspace_id, name, domains, sign_in_url, change_url, connector, settings, created
from apps where workspace_id = @workspace and id = @id`

// App finds an app by its id.
func (a *Accounts) App(ctx context.Context, q postgres.Querier, workspace, id core.ID) (App, error) {
	return one[App](ctx, q, "app", selectApp, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectApps = `
select id, workspace_id, name, domains, sign_in_url, change_url, connector, settings, created
from apps where workspace_id = @workspace
order by lower(name), id`

// Apps lists a workspace's apps by name.
func (a *Accounts) Apps(ctx context.Context, q postgres.Querier, workspace core.ID) ([]App, error) {
	return many[App](ctx, q, selectApps, pgx.StrictNamedArgs{"workspace": workspace})
}
