package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/connectors/recipe"
	"postern/core"
	"postern/core/accounts"
)

// Recipe is how an app is signed in to, and how a password is changed there, as somebody recorded it.
type Recipe struct {
	App        core.ID         `json:"app"`
	Title      string          `json:"title,omitempty"`
	SignIn     []string        `json:"sign_in" nullable:"false" doc:"What the steps of the sign-in do, in words; empty: the form is detected"`
	Change     []string        `json:"change" nullable:"false" doc:"What the steps of the change do, in words; empty: the form is detected"`
	ChangeFrom int             `json:"change_from" doc:"The number of the first step of the change; 0 if there is none"`
	Notes      []string        `json:"notes,omitempty" doc:"What was done to the recording"`
	Recording  json.RawMessage `json:"recording" doc:"The recipe as a file that Chrome's Recorder opens"`
}

type newRecipe struct {
	ID   core.ID `path:"id" doc:"The app"`
	Body struct {
		Recording json.RawMessage `json:"recording" doc:"A recording of Chrome's Recorder with {{username}}, {{current_password}}, {{new_password}} and {{code}} for what was typed. 'postern recipe import' makes it of what Chrome exports, so that no password leaves the machine it was recorded on."`
	}
}

// setting is the member of an app's settings that holds its recipe.
const setting = "recipe"

func recipeOf(app accounts.App) (*single[Recipe], error) {
	var settings struct {
		Recipe *recipe.Recipe `json:"recipe"`
	}
	if err := json.Unmarshal(app.Settings, &settings); err != nil {
		return nil, core.Internal(err)
	}
	if settings.Recipe == nil {
		return nil, core.NotFound("recipe of this app")
	}
	shown := Recipe{App: app.ID, Title: settings.Recipe.Title, ChangeFrom: settings.Recipe.ChangeFrom}
	shown.SignIn, shown.Change = recipe.Words(settings.Recipe.SignIn()), recipe.Words(settings.Recipe.Change())
	var err error
	shown.Recording, err = settings.Recipe.Encode()
	return &single[Recipe]{shown}, err
}

func (s *Service) recipes(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "getRecipe", Method: http.MethodGet, Path: "/apps/{id}/recipe", Tags: tags, Summary: "Get an app's recipe"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[Recipe], error) {
			app, err := s.Accounts.App(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return recipeOf(app)
		})
	add(api, huma.Operation{OperationID: "putRecipe", Method: http.MethodPut, Path: "/apps/{id}/recipe", Tags: tags, Summary: "Have an app signed in to by a recording",
		Description: "Takes the place of an earlier one. A recording that holds a text somebody typed, runs a script or leads out of the app's domains is refused, with the number of the step. A dry run follows."},
		AppsWrite, func(ctx context.Context, by caller, in *newRecipe) (*single[Recipe], error) {
			var app accounts.App
			var notes []string
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				app, err = s.Rotations.ChangeApp(ctx, tx, by.cause, by.Workspace, in.ID, func(app *accounts.NewApp) error {
					if app.Connector != "browser" {
						return core.Invalid("recording", "only the browser follows recordings, and the app is reached by %s", app.Connector)
					}
					made, said, err := recipe.Import(in.Body.Recording, recipe.Given{Domains: app.Domains})
					if err != nil {
						return err
					}
					notes = said
					app.Settings, err = with(app.Settings, made)
					return err
				})
				if err != nil {
					return err
				}
				_, err = s.DryRuns.Ask(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			shown, err := recipeOf(app)
			if err == nil {
				shown.Body.Notes = notes
			}
			return shown, err
		})
	add(api, huma.Operation{OperationID: "removeRecipe", Method: http.MethodDelete, Path: "/apps/{id}/recipe", Tags: tags, Summary: "Have an app's forms detected again", DefaultStatus: http.StatusNoContent},
		AppsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				_, err := s.Rotations.ChangeApp(ctx, tx, by.cause, by.Workspace, in.ID, func(app *accounts.NewApp) (err error) {
					if _, err := recipeOf(accounts.App{Settings: app.Settings}); err != nil {
						return err
					}
					app.Settings, err = with(app.Settings, nil)
					return err
				})
				return err
			})
		})
}

// with is an app's settings with another recipe, or none.
func with(settings json.RawMessage, made *recipe.Recipe) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(settings, &members); err != nil {
		return nil, core.Internal(err)
	}
	delete(members, setting)
	if made != nil {
		text, err := json.Marshal(made)
		if err != nil {
			return nil, core.Internal(err)
		}
		members[setting] = text
	}
	return json.Marshal(members)
}
