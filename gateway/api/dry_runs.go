package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/dryruns"
)

// DryRun is whether passwords of an app could be changed: a change that is called off before it is sent.
type DryRun struct {
	App          core.ID         `json:"app"`
	Open         bool            `json:"open" doc:"One is under way, or will be soon; the rest is of the one before"`
	Result       string          `json:"result,omitempty" enum:"passed,failed,no_account,put_off" doc:"no_account: none has a password that is proved; put_off: another sign-in might lock the account"`
	Outcome      string          `json:"outcome,omitempty" doc:"What the connector saw; of a passed one not_sent"`
	Stage        string          `json:"stage,omitempty" doc:"How far it came"`
	Detail       string          `json:"detail,omitempty"`
	Account      *core.ID        `json:"account,omitempty" doc:"It signed in with"`
	Started      *time.Time      `json:"started,omitempty"`
	Finished     *time.Time      `json:"finished,omitempty"`
	FailingSince *time.Time      `json:"failing_since,omitempty"`
	Due          *time.Time      `json:"due,omitempty" doc:"When the next one is made by itself, as of apps with a recipe"`
	Model        json.RawMessage `json:"model,omitempty" doc:"The pages: their forms and fields, never what is in them; where one was not found, what has gone and what is new"`
}

func dryRunOf(one dryruns.DryRun) *single[DryRun] {
	return &single[DryRun]{DryRun{
		App: one.App, Open: one.Open(), Result: string(one.Result), Outcome: string(one.Outcome), Stage: one.Stage, Detail: one.Detail,
		Account: one.Account, Started: one.Started, Finished: one.Finished, FailingSince: one.FailingSince, Due: one.Due, Model: one.Model,
	}}
}

func (s *Service) dryRuns(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "getDryRun", Method: http.MethodGet, Path: "/apps/{id}/dry-run", Tags: tags, Summary: "Find out whether passwords of an app could be changed"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[DryRun], error) {
			found, err := s.DryRuns.Of(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return dryRunOf(found), nil
		})
	add(api, huma.Operation{OperationID: "createDryRun", Method: http.MethodPost, Path: "/apps/{id}/dry-run", Tags: tags, Summary: "Go through a password change of an app without sending it",
		Description: "Signs in with an account whose password is proved and fills the change form in; the request is dropped. Nothing is changed in the app. Apps with a recipe are tried every night.", DefaultStatus: http.StatusAccepted},
		AppsWrite, func(ctx context.Context, by caller, in *byID) (*single[DryRun], error) {
			var made dryruns.DryRun
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				made, err = s.DryRuns.Ask(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return dryRunOf(made), nil
		})
}
