package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
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
}

func appOf(app accounts.App) App {
	return App{app.ID, app.Name, app.Domains, app.SignInURL, app.ChangeURL, app.Connector, app.Settings, app.Created}
}

type newApp struct {
	Body struct {
		Name      string          `json:"name" doc:"What people call it" example:"Wiki"`
		Domains   []string        `json:"domains" nullable:"false" doc:"Host names, with a port where it is not the usual one" example:"[\"wiki.example.com\"]"`
		SignInURL string          `json:"sign_in_url" doc:"The page with the sign-in form, at one of the domains" example:"https://wiki.example.com/login"`
		ChangeURL string          `json:"change_url,omitempty" doc:"The page where a signed-in user changes the password; found by itself when empty"`
		Connector string          `json:"connector,omitempty" default:"browser" doc:"What talks to the app"`
		Settings  json.RawMessage `json:"settings,omitempty" doc:"Overrides of the connector for this app, a JSON object"`
	}
}

type byID struct {
	ID core.ID `path:"id" doc:"Its id"`
}

func (s *Service) apps(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "createApp", Method: http.MethodPost, Path: "/apps", Tags: tags, Summary: "Add an app", DefaultStatus: http.StatusCreated},
		AppsWrite, func(ctx context.Context, by caller, in *newApp) (*single[App], error) {
			var app accounts.App
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				app, err = s.Accounts.CreateApp(ctx, tx, by.cause, by.Workspace, accounts.NewApp{
					Name: in.Body.Name, Domains: in.Body.Domains, SignInURL: in.Body.SignInURL, ChangeURL: in.Body.ChangeURL,
					Connector: in.Body.Connector, Settings: in.Body.Settings,
				})
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[App]{appOf(app)}, nil
		})
	add(api, huma.Operation{OperationID: "listApps", Method: http.MethodGet, Path: "/apps", Tags: tags, Summary: "List the apps"},
		AppsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[App], error) {
			found, err := s.Accounts.Apps(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, appOf), nil
		})
	add(api, huma.Operation{OperationID: "getApp", Method: http.MethodGet, Path: "/apps/{id}", Tags: tags, Summary: "Get an app"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[App], error) {
			app, err := s.Accounts.App(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[App]{appOf(app)}, nil
		})
}
