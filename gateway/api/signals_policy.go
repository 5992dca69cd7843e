package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/signals"
)

// SignalPolicy is what is done about a kind of signal.
type SignalPolicy struct {
	Case       string     `json:"case" doc:"A kind, or a kind and what it says, such as risk_changed.high; the narrower one wins"`
	Commands   []string   `json:"commands" nullable:"false"`
	Why        string     `json:"why,omitempty"`
	Default    bool       `json:"default" doc:"Nobody said otherwise"`
	Connection core.ID    `json:"connection,omitzero" doc:"It is this connection's own"`
	Updated    *time.Time `json:"updated,omitempty"`
	UpdatedBy  string     `json:"updated_by,omitempty"`
}

func signalPolicyOf(policy signals.Policy) SignalPolicy {
	one := SignalPolicy{
		Case: string(policy.Case), Commands: texts(policy.Commands), Why: policy.Why, Default: policy.Default, Connection: policy.Connection,
		UpdatedBy: policy.UpdatedBy,
	}
	if !policy.Updated.IsZero() {
		one.Updated = &policy.Updated
	}
	return one
}

type signalPolicyList struct {
	Connection core.ID `query:"connection" doc:"As it holds for this connection"`
}

type signalPolicyByCase struct {
	Case       string  `path:"case" maxLength:"100" doc:"A kind, or a kind and what it says"`
	Connection core.ID `query:"connection" doc:"For this connection alone"`
}

type newSignalPolicy struct {
	Case       string  `path:"case" maxLength:"100" doc:"A kind, or a kind and what it says"`
	Connection core.ID `query:"connection" doc:"For this connection alone"`
	Body       struct {
		Commands []string `json:"commands" minItems:"1" nullable:"false" doc:"end_sessions, step_up, restrict, lift, rotate_seen, rotate, deprovision, unlink, relink, reactivate_proposal, or record alone"`
	}
}

// SignalSettings are what holds for all signals of the workspace.
type SignalSettings struct {
	WindowSeconds int `json:"window_seconds" minimum:"0" maximum:"86400" doc:"Tellings of one incident this close together rotate once"`
	RetentionDays int `json:"retention_days" minimum:"1" maximum:"36500" doc:"How long receipts are kept"`
}

func signalSettingsOf(settings signals.Settings) SignalSettings {
	return SignalSettings{int(settings.Window / time.Second), int(settings.Retention / (24 * time.Hour))}
}

type newSignalSettings struct{ Body SignalSettings }

func (s *Service) signalPolicies(api huma.API) {
	tags := []string{"Signals"}
	add(api, huma.Operation{OperationID: "listSignalPolicies", Method: http.MethodGet, Path: "/signal-policies", Tags: tags,
		Summary: "List what is done about each kind of signal"},
		SignalsRead, func(ctx context.Context, by caller, in *signalPolicyList) (*listed[SignalPolicy], error) {
			if !in.Connection.IsZero() {
				if _, err := s.Directory.Connection(ctx, s.DB, by.Workspace, in.Connection); core.KindOf(err) == core.KindNotFound {
					return nil, core.Invalid("connection", "there is no such connection in this workspace")
				} else if err != nil {
					return nil, err
				}
			}
			found, err := s.Signals.Policies(ctx, s.DB, by.Workspace, in.Connection)
			if err != nil {
				return nil, err
			}
			return listing(found, signalPolicyOf), nil
		})
	add(api, huma.Operation{OperationID: "putSignalPolicy", Method: http.MethodPut, Path: "/signal-policies/{case}", Tags: tags,
		Summary: "Say what is done about a kind of signal", Description: "That a logout ends sessions cannot be taken away.",
		DefaultStatus: http.StatusNoContent},
		SignalsWrite, func(ctx context.Context, by caller, in *newSignalPolicy) (*struct{}, error) {
			var commands []signals.Command
			for _, one := range in.Body.Commands {
				commands = append(commands, signals.Command(one))
			}
			return nil, s.Signals.SetPolicy(ctx, by.cause, by.Workspace, in.Connection, signals.Case(in.Case), commands)
		})
	add(api, huma.Operation{OperationID: "deleteSignalPolicy", Method: http.MethodDelete, Path: "/signal-policies/{case}", Tags: tags,
		Summary: "Go back to the workspace's policy, or the default", DefaultStatus: http.StatusNoContent},
		SignalsWrite, func(ctx context.Context, by caller, in *signalPolicyByCase) (*struct{}, error) {
			return nil, s.Signals.ResetPolicy(ctx, by.cause, by.Workspace, in.Connection, signals.Case(in.Case))
		})
	add(api, huma.Operation{OperationID: "getSignalSettings", Method: http.MethodGet, Path: "/signal-settings", Tags: tags,
		Summary: "Get what holds for all signals"},
		SignalsRead, func(ctx context.Context, by caller, _ *struct{}) (*single[SignalSettings], error) {
			found, err := s.Signals.Settings(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return &single[SignalSettings]{signalSettingsOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "putSignalSettings", Method: http.MethodPut, Path: "/signal-settings", Tags: tags,
		Summary: "Change what holds for all signals"},
		SignalsWrite, func(ctx context.Context, by caller, in *newSignalSettings) (*single[SignalSettings], error) {
			err := s.Signals.SetSettings(ctx, by.cause, by.Workspace, signals.Settings{
				Window: time.Duration(in.Body.WindowSeconds) * time.Second, Retention: time.Duration(in.Body.RetentionDays) * 24 * time.Hour,
			})
			if err != nil {
				return nil, err
			}
			return &single[SignalSettings]{in.Body}, nil
		})
}
