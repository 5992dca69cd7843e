package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"postern/core"
	"postern/gateway/api"
)

// updateApp changes what was given and nothing else.
type updateApp struct {
	remote     `embed:""`
	connecting `embed:""`
	App        string   `arg:"" help:"Name or id of the app."`
	Name       *string  `help:"Another name." placeholder:"NAME"`
	SignInURL  *string  `name:"sign-in-url" help:"The page with the sign-in form, or the address of the API, database, directory or host." placeholder:"URL"`
	ChangeURL  *string  `name:"change-url" help:"The page where a signed-in user changes the password; \"\": found by itself." placeholder:"URL"`
	Domains    []string `help:"The only hosts a connector may reach, all of them. Default: as they are, or that of --sign-in-url where it is the only one." placeholder:"HOST"`
	Connector  *string  `help:"What talks to the app: browser, http, postgresql, mysql, ldap or ssh." placeholder:"NAME"`
	Rules      *string  `name:"password-rules" help:"What its passwords have to be like; \"\": learned from its form and its refusals." placeholder:"RULES"`
	Risk       *int     `help:"How bad its accounts were in wrong hands, from 1 (least) to 5 (most)." placeholder:"LEVEL"`
}

// Help is shown by 'postern app update --help'.
func (updateApp) Help() string {
	return `What is not given stays as it is; settings are replaced as a whole, a recipe with them. The next sign-in goes by the change, and rotations that wait for a person because of how the app was reached, or of its rules, go on. The app's stored passwords are typed at the hosts you name. If somebody else changes the app meanwhile, nothing is changed.

  postern app update Wiki --sign-in-url https://wiki.example.com/start
  postern app update Wiki --change-url https://wiki.example.com/profile --settings-file settings.json
  postern app update Wiki --password-rules 'minlength: 12; required: digit; allowed: lower, upper'
  postern app update Wiki --connector http --definition mediawiki`
}

// Run changes the app as it was read: if somebody else changed it meanwhile, the gateway refuses.
func (u updateApp) Run(ctx context.Context, terminal terminal) error {
	settings, err := u.settings()
	if err != nil {
		return err
	}
	c, err := u.connect()
	if err != nil {
		return err
	}
	id, err := c.app(ctx, u.App)
	if err != nil {
		return err
	}
	at := "/apps/" + id.String()
	text, tag, err := c.exchange(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return err
	}
	var before api.App
	if err := json.Unmarshal(text, &before); err != nil {
		return core.Internal(err)
	}
	body := map[string]any{}
	for name, given := range map[string]*string{
		"name": u.Name, "sign_in_url": u.SignInURL, "change_url": u.ChangeURL, "connector": u.Connector, "password_rules": u.Rules,
	} {
		if given != nil {
			body[name] = *given
		}
	}
	if u.Risk != nil {
		body["risk"] = *u.Risk
	}
	if settings != nil {
		body["settings"] = settings
	}
	if domains := u.domains(before); domains != nil {
		body["domains"] = domains
	}
	if len(body) == 0 {
		return core.Invalid("", "say what to change: 'postern app update --help'")
	}
	if text, err = c.ask(ctx, http.MethodPatch, at, nil, body, "If-Match", tag); err != nil {
		return err
	}
	return thing(terminal, u.remote, text, sheet.app)
}

// domains are those given; or the host of a new sign-in address, of an app that had no other than that of the address before. Nil:
// they stay.
func (u updateApp) domains(before api.App) []string {
	if len(u.Domains) > 0 || u.SignInURL == nil || len(before.Domains) != 1 {
		return u.Domains
	}
	old, err := url.Parse(before.SignInURL)
	address, fault := url.Parse(*u.SignInURL)
	if err != nil || fault != nil || address.Host == "" || old.Host != before.Domains[0] {
		return nil
	}
	return []string{address.Host}
}
