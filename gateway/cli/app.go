package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/core"
	"postern/core/accounts"
	"postern/gateway/api"
)

type appCommands struct {
	List listApps `cmd:"" help:"List the apps."`
	Show showApp  `cmd:"" help:"Show an app."`
	Add  addApp   `cmd:"" help:"Add an app whose passwords are to be kept."`

	Update updateApp `cmd:"" help:"Change how an app is reached, or what its passwords are like."`

	Logins     loginsOfApp    `cmd:"" help:"List the accounts an app has, also those Postern does not manage."`
	Leavers    leaversOfApp   `cmd:"" help:"Say whether an account is disabled in the app when the one person who has it leaves."`
	Pace       paceOfApp      `cmd:"" help:"See, or say, how fast an app may be asked when many people leave at once."`
	Reconcile  reconcileApp   `cmd:"" help:"Name the account that sets the others' passwords when nobody knows them any more."`
	Connectors listConnectors `cmd:"" help:"List what can talk to apps, and what it can do."`

	DryRun dryRunApp `cmd:"" help:"Go through a password change up to the request that would do it, which is not sent."`
}

type listApps struct {
	remote `embed:""`
	Limit  int `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listApps) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/apps", nil, l.Limit),
		column[api.App]{"ID", func(one api.App) string { return one.ID.String() }},
		column[api.App]{"NAME", func(one api.App) string { return one.Name }},
		column[api.App]{"CONNECTOR", func(one api.App) string { return one.Connector }},
		column[api.App]{"SIGN-IN", func(one api.App) string { return one.SignInURL }},
	)
}

type showApp struct {
	remote `embed:""`
	App    string `arg:"" help:"Name or id of the app."`
}

// Run asks the gateway.
func (s showApp) Run(ctx context.Context, terminal terminal) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	id, err := c.app(ctx, s.App)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/apps/"+id.String(), nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.app)
}

func (s sheet) app(one api.App) {
	s.say("%s", visible(one.Name))
	s.row("id", one.ID.String())
	s.row("connector", visible(one.Connector))
	s.row("sign-in", visible(one.SignInURL))
	s.row("change", dash(visible(one.ChangeURL)))
	s.row("domains", visible(strings.Join(one.Domains, " ")))
	s.row("settings", visible(string(one.Settings)))
	s.row("can", strings.Join(one.Capabilities, ", "))
	if one.DisableOnLeave {
		s.row("leavers", "accounts that were theirs alone are disabled")
	}
	if one.ReconcileAccount != nil {
		s.row("reconcile account", one.ReconcileAccount.String())
	}
	s.row("risk", strconv.Itoa(one.Risk))
	s.row("password rules", dash(visible(one.PasswordRules)))
	s.row("rules it told", dash(visible(one.SeenRules)))
	s.row("rules published", dash(visible(one.PublishedRules)))
	s.row("created (UTC)", utc(&one.Created))
}

// app finds an app by id or name.
func (c *apiClient) app(ctx context.Context, given string) (core.ID, error) {
	if id, err := core.ParseID(given); err == nil {
		return id, nil
	}
	all, err := found[api.App](c.pages(ctx, "/apps", nil, 0))
	if err != nil {
		return core.ID{}, err
	}
	var names []string
	for _, one := range all {
		if strings.EqualFold(one.Name, given) {
			return one.ID, nil
		}
		names = append(names, one.Name)
	}
	return core.ID{}, missing("app", given, names, "'postern app add'")
}

// connecting is what a connector needs to know of an app.
type connecting struct {
	Definition   string            `help:"How the app's API is spoken to: the name of a definition that comes with Postern, or @FILE. With --connector http." placeholder:"NAME"`
	Values       map[string]string `name:"value" help:"What a definition asks for, such as tenant=72f9…; may be given again." placeholder:"NAME=VALUE"`
	SettingsFile string            `help:"File that holds the connector's settings for this app, a JSON object; - is standard input." placeholder:"PATH"`
}

type addApp struct {
	remote     `embed:""`
	connecting `embed:""`
	Name       string   `arg:"" help:"What people call it."`
	SignInURL  string   `name:"sign-in-url" help:"The page with the sign-in form, or the address of the API, database, directory or host." required:"" placeholder:"URL"`
	ChangeURL  string   `name:"change-url" help:"The page where a signed-in user changes the password. Default: found by itself." placeholder:"URL"`
	Domains    []string `help:"The only hosts a connector may reach. Default: that of the sign-in address." placeholder:"HOST"`
	Connector  string   `help:"What talks to the app: browser, http, postgresql, mysql, ldap or ssh." default:"browser" placeholder:"NAME"`
	Rules      string   `name:"password-rules" help:"What its passwords have to be like, such as 'minlength: 12; required: digit; allowed: lower, upper, [-_]'. Default: learned from its form and its refusals." placeholder:"RULES"`
	Risk       int      `help:"How bad its accounts were in wrong hands, from 1 (least) to 5 (most): the riskier are rotated first." default:"3" placeholder:"LEVEL"`
}

// Help is shown by 'postern app add --help'.
func (addApp) Help() string {
	return `  postern app add Wiki --sign-in-url https://wiki.example.com/login
  postern app add Ledger --sign-in-url postgres://db.example.com/ledger --connector postgresql
  postern app add Wiki --sign-in-url https://wiki.example.com/w --connector http --definition mediawiki
  postern app add CRM --sign-in-url https://crm.example.com/api --connector http --definition @crm.yaml

What a connector needs is in connectors/README.md. What is wrong with a definition is told with its line.`
}

// Run asks the gateway.
func (a addApp) Run(ctx context.Context, terminal terminal) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	address, err := url.Parse(a.SignInURL)
	if err != nil || address.Host == "" {
		return core.Invalid("--sign-in-url", "give a whole address, such as https://wiki.example.com/login")
	}
	domains := a.Domains
	if len(domains) == 0 {
		domains = []string{address.Host}
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, "/apps", nil, struct {
		Name      string          `json:"name"`
		Domains   []string        `json:"domains"`
		SignInURL string          `json:"sign_in_url"`
		ChangeURL string          `json:"change_url,omitempty"`
		Connector string          `json:"connector"`
		Settings  json.RawMessage `json:"settings,omitempty"`
		Rules     string          `json:"password_rules,omitempty"`
		Risk      int             `json:"risk"`
	}{a.Name, domains, a.SignInURL, a.ChangeURL, a.Connector, settings, a.Rules, a.Risk})
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, sheet.app)
}

// settings are those of the file, or name the definition; nil if there are none.
func (c connecting) settings() (json.RawMessage, error) {
	switch {
	case c.Definition != "" && c.SettingsFile != "":
		return nil, core.Invalid("--definition", "give a definition or settings, not both")
	case c.Definition != "":
		definition := c.Definition
		if path, named := strings.CutPrefix(definition, "@"); named {
			text, err := readGiven("--definition", path, accounts.MaxSettings)
			if err != nil {
				return nil, err
			}
			definition = string(text) + "\n"
		}
		return json.Marshal(struct {
			Definition string            `json:"definition"`
			Values     map[string]string `json:"values,omitempty"`
		}{definition, c.Values})
	case len(c.Values) > 0:
		return nil, core.Invalid("--value", "values belong to a --definition")
	case c.SettingsFile != "":
		return readGiven("--settings-file", c.SettingsFile, accounts.MaxSettings)
	}
	return nil, nil
}
