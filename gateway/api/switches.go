package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/rotation"
)

// Switch is an account that is to be disabled in its app, or enabled again.
type Switch struct {
	ID            core.ID    `json:"id"`
	Account       core.ID    `json:"account"`
	Enabled       bool       `json:"enabled" doc:"What is wanted"`
	State         string     `json:"state" enum:"wanted,applied,blocked,done"`
	Detail        string     `json:"detail,omitempty" doc:"Why it is where it is"`
	Administrator *core.ID   `json:"administrator,omitempty" doc:"The account that asked the app"`
	Hosts         []string   `json:"hosts" nullable:"false" doc:"Every host contacted"`
	Applied       *time.Time `json:"applied,omitempty" doc:"When the app said that it did"`
	Recorded      *time.Time `json:"recorded,omitempty" doc:"When the app's own record of the account, read back, said so too. Missing: it was not read"`
	Proven        *time.Time `json:"proven,omitempty" doc:"When a fresh sign-in was turned away. Without recorded, detail says whether that proves it or whether the stored password may have been refused for another reason"`
	Attempts      int        `json:"attempts" doc:"Without progress"`
	NextAttempt   *time.Time `json:"next_attempt,omitempty"`
	Correlation   core.ID    `json:"correlation" doc:"Find its whole story: GET /events?correlation="`
	Created       time.Time  `json:"created"`
	Finished      *time.Time `json:"finished,omitempty"`
}

func switchOf(one rotation.Switch) Switch {
	out := Switch{
		ID: one.ID, Account: one.Account, Enabled: one.Enabled, State: string(one.State), Detail: one.Detail, Hosts: append([]string{}, one.Hosts...),
		Applied: one.Applied, Recorded: one.Recorded, Proven: one.Proven, Attempts: one.Attempts, NextAttempt: one.NextAttempt, Correlation: one.Cause.Correlation,
		Created: one.Created, Finished: one.Finished,
	}
	if !one.Administrator.IsZero() {
		out.Administrator = &one.Administrator
	}
	return out
}

type switchList struct {
	ID    core.ID `path:"id" doc:"The account"`
	Limit int     `query:"limit" default:"20" minimum:"1" maximum:"500"`
}

func (s *Service) switches(api huma.API) {
	tags := []string{"Rotations"}
	set := func(enabled bool) func(ctx context.Context, by caller, in *byID) (*single[Switch], error) {
		return func(ctx context.Context, by caller, in *byID) (*single[Switch], error) {
			var planned rotation.Switch
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				planned, err = s.Health.SetEnabled(ctx, tx, by.cause, by.Workspace, in.ID, enabled)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Switch]{switchOf(planned)}, nil
		}
	}
	add(api, huma.Operation{OperationID: "disableAccount", Method: http.MethodPost, Path: "/accounts/{id}/disable", Tags: tags, Summary: "Have the app let the account in no more",
		Description: "The app's reconcile account does it, and a fresh sign-in that is turned away proves it. A rotation that is under way goes first, for at most a quarter of an hour. Nobody is given the password from then on.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, set(false))
	add(api, huma.Operation{OperationID: "enableAccount", Method: http.MethodPost, Path: "/accounts/{id}/enable", Tags: tags, Summary: "Have the app let the account in again",
		Description: "A rotation follows, since who knew the password knows it still; the account opens once that is proved.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, set(true))
	add(api, huma.Operation{OperationID: "listSwitches", Method: http.MethodGet, Path: "/accounts/{id}/switches", Tags: tags, Summary: "List when an account was to be disabled or enabled, newest first"},
		AccountsRead, func(ctx context.Context, by caller, in *switchList) (*listed[Switch], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Rotations.Switches(ctx, s.DB, by.Workspace, in.ID, in.Limit)
			if err != nil {
				return nil, err
			}
			return listing(found, switchOf), nil
		})
}
