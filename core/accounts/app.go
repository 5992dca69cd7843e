package accounts

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/passwordrules"
	"postern/core/postgres"
	"postern/core/seal"
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
	// ReconcileAccount is the account of this app whose password sets those of the others, as an administrator; zero: none.
	ReconcileAccount core.ID `db:"reconcile_account"`
	// PasswordRules and SeenRules are what is known of the passwords the app takes, in the language of passwordrules:
	// as whoever made the app says, and as its forms and refusals say.
	PasswordRules string `db:"password_rules"`
	SeenRules     string `db:"seen_rules"`
	// DisableOnLeave has an account of this app disabled there when the one person who has it leaves.
	DisableOnLeave bool `db:"disable_on_leave"`
	Risk           int  `db:"risk"` // 1 to 5: how bad its accounts were in wrong hands; see Account.Risk
}

// Target is the app as what something happened to.
func (a App) Target() core.Target { return core.Target{Kind: "app", ID: a.ID, Name: a.Name} }

// NewApp is what an app is made of. ChangeURL, Settings and PasswordRules may be empty.
type NewApp struct {
	Name      string
	Domains   []string // host names or IP addresses, each with or without a port; no scheme, no wildcard
	SignInURL string   // http or https, or what the connector speaks (postgres, mysql, ldap, ldaps, ssh), at one of the domains
	ChangeURL string
	Connector string // such as browser
	Settings  json.RawMessage
	// PasswordRules are those of its passwords, such as "minlength: 12; required: digit; allowed: lower, upper".
	PasswordRules string
	// Risk is from 1 (least) to 5 (most); 0 is of the middle.
	Risk int
}

const insertApp = `
insert into apps (id, workspace_id, name, domains, sign_in_url, change_url, connector, settings, created, password_rules, risk)
values (@id, @workspace, @name, @domains, @signIn, @change, @connector, @settings, @created, @rules, @risk)`

// CreateApp adds an app. Only administrators, service accounts and the system may. A faulty field is
// Invalid and named in the column's word: name, domains, sign_in_url, change_url, connector, settings,
// password_rules, risk.
func (a *Accounts) CreateApp(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted NewApp) (App, error) {
	wanted, err := a.checkApp(wanted)
	if err != nil {
		return App{}, err
	}
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return App{}, err
	}
	app := App{ID: core.NewID(), Workspace: workspace, Created: a.now()}.with(wanted)
	if _, err := tx.Exec(ctx, insertApp, pgx.StrictNamedArgs{
		"id": app.ID, "workspace": workspace, "name": app.Name, "domains": app.Domains, "signIn": app.SignInURL,
		"change": app.ChangeURL, "connector": app.Connector, "settings": app.Settings, "created": app.Created,
		"rules": app.PasswordRules, "risk": app.Risk,
	}); err != nil {
		return App{}, collision(err, "app_name", "name", "another app has this name")
	}
	return app, audit.Append(ctx, tx, core.NewEvent(core.AppCreated, workspace, cause, app.Created, app.Target()))
}

// checkApp returns what an app is to be made of in the form in which it is kept, or which field is faulty.
func (a *Accounts) checkApp(wanted NewApp) (NewApp, error) {
	if err := checkText("name", wanted.Name, MaxName); err != nil {
		return NewApp{}, err
	}
	domains, err := checkDomains(wanted.Domains)
	if err != nil {
		return NewApp{}, err
	}
	if err := checkURL("sign_in_url", wanted.SignInURL, domains); err != nil {
		return NewApp{}, err
	}
	if wanted.ChangeURL != "" {
		if err := checkURL("change_url", wanted.ChangeURL, domains); err != nil {
			return NewApp{}, err
		}
	}
	if !connectorName(wanted.Connector) {
		return NewApp{}, core.Invalid("connector", "name the connector that talks to the app, such as browser")
	}
	if wanted.Settings, err = checkSettings(wanted.Settings); err != nil {
		return NewApp{}, err
	}
	if err := a.checkConnector(wanted.Connector, wanted.Settings); err != nil {
		return NewApp{}, err
	}
	if wanted.Risk = cmp.Or(wanted.Risk, middleRisk); wanted.Risk < 1 || wanted.Risk > 5 {
		return NewApp{}, core.Invalid("risk", "1 (least) to 5 (most)")
	}
	rules, err := passwordrules.Parse(wanted.PasswordRules)
	if err == nil {
		_, err = rules.Generate(seal.PasswordPolicy{})
	}
	if err != nil {
		return NewApp{}, core.Invalid("password_rules", "%s", core.AsError(err).Message)
	}
	wanted.PasswordRules, wanted.Domains = rules.String(), nil
	for _, domain := range domains {
		wanted.Domains = append(wanted.Domains, domain.String())
	}
	return wanted, nil
}

const appColumns = `select id, workspace_id, name, domains, sign_in_url, change_url, connector, settings, created, reconcile_account, password_rules, seen_rules, disable_on_leave, risk`

const selectApp = appColumns + `
from apps where workspace_id = @workspace and id = @id`

// App finds an app by its id.
func (a *Accounts) App(ctx context.Context, q postgres.Querier, workspace, id core.ID) (App, error) {
	return postgres.One[App](ctx, q, "app", selectApp, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const countStates = `select state, count(*) as count from accounts where workspace_id = @workspace and app_id = @app group by state`

// AppStates counts an app's accounts by state. A state none is in is left out.
func (a *Accounts) AppStates(ctx context.Context, q postgres.Querier, workspace, app core.ID) (map[State]int, error) {
	type counted struct {
		State State `db:"state"`
		Count int   `db:"count"`
	}
	found, err := postgres.Many[counted](ctx, q, countStates, pgx.StrictNamedArgs{"workspace": workspace, "app": app})
	states := make(map[State]int, len(found))
	for _, one := range found {
		states[one.State] = one.Count
	}
	return states, err
}

const selectApps = appColumns + `
from apps where workspace_id = @workspace
order by lower(name), id`

// Apps lists a workspace's apps by name.
func (a *Accounts) Apps(ctx context.Context, q postgres.Querier, workspace core.ID) ([]App, error) {
	return postgres.Many[App](ctx, q, selectApps, pgx.StrictNamedArgs{"workspace": workspace})
}

const selectAppsPage = appColumns + `
from apps where workspace_id = @workspace
	and (@after::uuid is null or (lower(name), id) > (select lower(name), id from apps where workspace_id = @workspace and id = @after))
order by lower(name), id
limit @limit`

// AppsPage is Apps, a page at a time: what comes after an app.
func (a *Accounts) AppsPage(ctx context.Context, q postgres.Querier, workspace, after core.ID, limit int) ([]App, error) {
	return postgres.Many[App](ctx, q, selectAppsPage, pgx.StrictNamedArgs{"workspace": workspace, "after": after, "limit": postgres.Page(limit)})
}

const updateReconcileAccount = `update apps set reconcile_account = @account where workspace_id = @workspace and id = @id`

// SetReconcileAccount names the account of an app that may set the passwords of the app's other accounts; zero names none any
// more. Only administrators, service accounts and the system may. An account of another app, or an app whose connector sets
// nobody else's password, is Invalid.
func (a *Accounts) SetReconcileAccount(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id, account core.ID) (App, error) {
	if err := a.Administrator(ctx, tx, cause, workspace); err != nil {
		return App{}, err
	}
	app, err := postgres.One[App](ctx, tx, "app", lockApp, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil || app.ReconcileAccount == account {
		return app, err
	}
	event := core.NewEvent(core.AppReconcileAccountChanged, workspace, cause, a.now(), app.Target())
	if !account.IsZero() {
		found, err := a.Account(ctx, tx, workspace, account)
		switch {
		case core.KindOf(err) == core.KindNotFound || err == nil && found.App != app.ID:
			return App{}, core.Invalid("account", "name an account of this app").WithCode("not_of_this_app")
		case err != nil:
			return App{}, err
		case a.Resets != nil && !a.Resets(app.Connector, app.Settings):
			return App{}, core.Invalid("account", "the connector %s sets nobody else's password in this app", app.Connector).WithCode("cannot_reset")
		}
		event.Targets = append(event.Targets, found.Target())
	}
	if !app.ReconcileAccount.IsZero() {
		event = event.With("before", app.ReconcileAccount.String())
	}
	app.ReconcileAccount = account
	if _, err := tx.Exec(ctx, updateReconcileAccount, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "account": account}); err != nil {
		return App{}, postgres.Classify(err)
	}
	return app, audit.Append(ctx, tx, event)
}
