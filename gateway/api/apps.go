package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
)

// App is a managed application.
type App struct {
	ID        core.ID         `json:"id"`
	Name      string          `json:"name"`
	Domains   []string        `json:"domains" nullable:"false" doc:"The only hosts a connector may reach"`
	SignInURL string          `json:"sign_in_url"`
	ChangeURL string          `json:"change_url,omitempty"`
	Connector string          `json:"connector"`
	Settings  json.RawMessage `json:"settings,omitempty" doc:"Overrides of the connector for this app"`
	Created   time.Time       `json:"created"`

	ReconcileAccount *core.ID `json:"reconcile_account,omitempty" doc:"The account that sets the others' passwords when nobody knows them any more"`
	Risk             int      `json:"risk" doc:"1 (least) to 5 (most): how bad its accounts were in wrong hands, where they do not say otherwise"`
	DisableOnLeave   bool     `json:"disable_on_leave" doc:"An account is disabled in the app when the one person who has it leaves"`
	Capabilities     []string `json:"capabilities" nullable:"false" doc:"What its connector can do there: verify, change, enrol, reset, recover, disable, end_sessions, list, tokens"`
	// PasswordRules are as given, SeenRules as the app's forms and refusals say.
	PasswordRules string `json:"password_rules,omitempty" doc:"What the app's passwords have to be like, as given"`
	SeenRules     string `json:"seen_rules,omitempty" doc:"What the app itself has said of that"`
	// PublishedRules are Apple's of the app's site.
	PublishedRules string `json:"published_rules,omitempty" doc:"What is published of the app's site in Apple's Password Manager Resources; it counts where nothing else says otherwise"`
}

// Connector is what talks to a kind of app.
type Connector struct {
	Name         string   `json:"name" doc:"As an app names it"`
	Capabilities []string `json:"capabilities" nullable:"false" doc:"What it can do: verify passwords, change them as the account itself, turn on a second factor, reset them, disable accounts, end their sessions and list them as an administrator, make tokens and end them; in some apps less"`
}

func (s *Service) capabilities(connector string, settings json.RawMessage) []string {
	can := []string{}
	for _, one := range rotation.Capabilities(s.Connectors[connector], settings) {
		can = append(can, string(one))
	}
	return can
}

func (s *Service) appOf(app accounts.App) App {
	out := App{
		ID: app.ID, Name: app.Name, Domains: app.Domains, SignInURL: app.SignInURL, ChangeURL: app.ChangeURL, Connector: app.Connector,
		Settings: app.Settings, Created: app.Created, Capabilities: s.capabilities(app.Connector, app.Settings),
		PasswordRules: app.PasswordRules, SeenRules: app.SeenRules, PublishedRules: app.PublishedRules().String(), DisableOnLeave: app.DisableOnLeave, Risk: app.Risk,
	}
	if !app.ReconcileAccount.IsZero() {
		out.ReconcileAccount = &app.ReconcileAccount
	}
	return out
}

type newApp struct {
	Body struct {
		Name      string          `json:"name" doc:"What people call it" example:"Wiki"`
		Domains   []string        `json:"domains" nullable:"false" doc:"Host names, with a port where it is not the usual one" example:"[\"wiki.example.com\"]"`
		SignInURL string          `json:"sign_in_url" doc:"The page with the sign-in form, or the address of the database, directory or host, at one of the domains" example:"https://wiki.example.com/login"`
		ChangeURL string          `json:"change_url,omitempty" doc:"The page where a signed-in user changes the password; found by itself when empty"`
		Connector string          `json:"connector,omitempty" default:"browser" doc:"What talks to the app: browser, http, postgresql, mysql, ldap or ssh"`
		Settings  json.RawMessage `json:"settings,omitempty" doc:"Overrides of the connector for this app, a JSON object"`

		PasswordRules string `json:"password_rules,omitempty" doc:"What the app's passwords have to be like, as in the passwordrules attribute; learned from its form and its refusals when empty" example:"minlength: 12; maxlength: 64; required: digit; allowed: lower, upper, [-_]"`
		Risk          int    `json:"risk,omitempty" minimum:"1" maximum:"5" default:"3" doc:"1 (least) to 5 (most): how bad its accounts were in wrong hands; of those that wait alike, the riskier are rotated first"`
	}
}

type changedApp struct {
	ID   core.ID `path:"id" doc:"The app"`
	Body struct {
		Name      *string         `json:"name,omitempty"`
		Domains   *[]string       `json:"domains,omitempty" doc:"All of them: passwords are typed nowhere else"`
		SignInURL *string         `json:"sign_in_url,omitempty"`
		ChangeURL *string         `json:"change_url,omitempty" doc:"Empty: found by itself"`
		Connector *string         `json:"connector,omitempty"`
		Settings  json.RawMessage `json:"settings,omitempty" doc:"Takes the place of all settings, of a recipe among them"`

		PasswordRules *string `json:"password_rules,omitempty" doc:"Empty: learned from its form and its refusals"`
		Risk          *int    `json:"risk,omitempty" minimum:"1" maximum:"5"`
	}
}

// onto changes what was given.
func (in changedApp) onto(app *accounts.NewApp) error {
	for _, one := range []struct{ given, field *string }{
		{in.Body.Name, &app.Name}, {in.Body.SignInURL, &app.SignInURL}, {in.Body.ChangeURL, &app.ChangeURL},
		{in.Body.Connector, &app.Connector}, {in.Body.PasswordRules, &app.PasswordRules},
	} {
		if one.given != nil {
			*one.field = *one.given
		}
	}
	if in.Body.Domains != nil {
		app.Domains = *in.Body.Domains
	}
	if in.Body.Risk != nil {
		app.Risk = *in.Body.Risk
	}
	if in.Body.Settings != nil {
		app.Settings = in.Body.Settings
	}
	return nil
}

type newReconcileAccount struct {
	ID   core.ID `path:"id" doc:"The app"`
	Body struct {
		Account core.ID `json:"account" doc:"One of the app's own accounts"`
	}
}

type newDisableOnLeave struct {
	ID   core.ID `path:"id" doc:"The app"`
	Body struct {
		Disable bool `json:"disable" doc:"Disable an account in the app when the one person who has it leaves"`
	}
}

type byID struct {
	ID core.ID `path:"id" doc:"Its id"`
}

type appList struct {
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) apps(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "createApp", Method: http.MethodPost, Path: "/apps", Tags: tags, Summary: "Add an app", DefaultStatus: http.StatusCreated},
		AppsWrite, func(ctx context.Context, by caller, in *newApp) (*single[App], error) {
			var app accounts.App
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				app, err = s.Accounts.CreateApp(ctx, tx, by.cause, by.Workspace, accounts.NewApp{
					Name: in.Body.Name, Domains: in.Body.Domains, SignInURL: in.Body.SignInURL, ChangeURL: in.Body.ChangeURL,
					Connector: in.Body.Connector, Settings: in.Body.Settings, PasswordRules: in.Body.PasswordRules, Risk: in.Body.Risk,
				})
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[App]{s.appOf(app)}, nil
		})
	add(api, huma.Operation{OperationID: "listApps", Method: http.MethodGet, Path: "/apps", Tags: tags, Summary: "List the apps, by name"},
		AppsRead, func(ctx context.Context, by caller, in *appList) (*listed[App], error) {
			found, err := s.Accounts.AppsPage(ctx, s.DB, by.Workspace, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, s.appOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getApp", Method: http.MethodGet, Path: "/apps/{id}", Tags: tags, Summary: "Get an app"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[App], error) {
			app, err := s.Accounts.App(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[App]{s.appOf(app)}, nil
		})
	add(api, huma.Operation{OperationID: "putReconcileAccount", Method: http.MethodPut, Path: "/apps/{id}/reconcile-account", Tags: tags, Summary: "Name the account that sets the others' passwords",
		Description: "One of the app's own accounts, which administers the others there. When no stored password of an account works any more, Postern signs in with this one's and sets a new one; its own password nobody sets so."},
		AppsWrite, func(ctx context.Context, by caller, in *newReconcileAccount) (*single[App], error) {
			if in.Body.Account.IsZero() {
				return nil, core.Invalid("account", "name an account of this app")
			}
			return s.reconcileAccount(ctx, by, in.ID, in.Body.Account)
		})
	add(api, huma.Operation{OperationID: "removeReconcileAccount", Method: http.MethodDelete, Path: "/apps/{id}/reconcile-account", Tags: tags, Summary: "Have no account set the others' passwords", DefaultStatus: http.StatusOK},
		AppsWrite, func(ctx context.Context, by caller, in *byID) (*single[App], error) {
			return s.reconcileAccount(ctx, by, in.ID, core.ID{})
		})
	add(api, huma.Operation{OperationID: "changeApp", Method: http.MethodPatch, Path: "/apps/{id}", Tags: tags, Summary: "Change an app",
		Description: "What is not given stays. The next sign-in goes by it, and rotations that wait for a person because of how the app was reached, or of its rules, are asked for again."},
		AppsWrite, func(ctx context.Context, by caller, in *changedApp) (*single[App], error) {
			var app accounts.App
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				app, err = s.Rotations.ChangeApp(ctx, tx, by.cause, by.Workspace, in.ID, in.onto)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[App]{s.appOf(app)}, nil
		})
	add(api, huma.Operation{OperationID: "putDisableOnLeave", Method: http.MethodPut, Path: "/apps/{id}/disable-on-leave", Tags: tags, Summary: "Say whether the accounts of leavers are disabled in the app",
		Description: "Off at first. An account is disabled when the one person who has it, its owner, leaves and it passes on to nobody; what others have too is only rotated. The app's reconcile account does it."},
		AppsWrite, func(ctx context.Context, by caller, in *newDisableOnLeave) (*single[App], error) {
			var changed accounts.App
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				changed, err = s.Accounts.SetDisableOnLeave(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Disable)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[App]{s.appOf(changed)}, nil
		})
	add(api, huma.Operation{OperationID: "listConnectors", Method: http.MethodGet, Path: "/connectors", Tags: tags, Summary: "List what can talk to apps, and what it can do"},
		AppsRead, func(context.Context, caller, *struct{}) (*listed[Connector], error) {
			return listing(slices.Sorted(maps.Keys(s.Connectors)), func(name string) Connector {
				return Connector{name, s.capabilities(name, nil)}
			}), nil
		})
}

func (s *Service) reconcileAccount(ctx context.Context, by caller, app, account core.ID) (*single[App], error) {
	var changed accounts.App
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		changed, err = s.Accounts.SetReconcileAccount(ctx, tx, by.cause, by.Workspace, app, account)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &single[App]{s.appOf(changed)}, nil
}
