package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/signals"
	"postern/webhooks/delivery"
	"postern/webhooks/outlogout"
)

// LogoutTarget is an app that ends a person's sessions when Postern ended theirs.
type LogoutTarget struct {
	ID            core.ID   `json:"id"`
	App           core.ID   `json:"app,omitzero" doc:"The app of the workspace it belongs to, if it is one"`
	Name          string    `json:"name"`
	Kind          string    `json:"kind" enum:"back_channel,global_token_revocation"`
	Address       string    `json:"address"`
	ClientID      string    `json:"client_id" doc:"The aud of a logout token, or the sub of a revocation's token"`
	SubjectFormat string    `json:"subject_format" enum:"email,iss_sub,user_id,external_id" doc:"How the app knows people"`
	Issuer        string    `json:"issuer" doc:"The iss of the tokens"`
	Created       time.Time `json:"created"`
	Lane          Lane      `json:"lane"`
}

type createLogoutTarget struct {
	Body struct {
		App           core.ID `json:"app,omitzero" required:"false"`
		Name          string  `json:"name" minLength:"1" maxLength:"100"`
		Kind          string  `json:"kind" enum:"back_channel,global_token_revocation"`
		Address       string  `json:"address" maxLength:"1024"`
		ClientID      string  `json:"client_id" minLength:"1" maxLength:"255"`
		SubjectFormat string  `json:"subject_format,omitempty" enum:"email,iss_sub,user_id,external_id" default:"email"`
	}
}

type changeLogoutTarget struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Name          *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Address       *string `json:"address,omitempty" maxLength:"1024"`
		ClientID      *string `json:"client_id,omitempty" minLength:"1" maxLength:"255"`
		SubjectFormat *string `json:"subject_format,omitempty" enum:"email,iss_sub,user_id,external_id"`
		State         *string `json:"state,omitempty" enum:"running,paused,disabled"`
	}
}

// LoggedOut is what a logout everywhere did here.
type LoggedOut struct {
	SessionsEnded int       `json:"sessions_ended"`
	Rotations     []core.ID `json:"rotations" nullable:"false" doc:"Of every account they could see; those whose password they saw first"`
	Signal        core.ID   `json:"signal" doc:"Its receipt: GET /signals/{id}"`
	Outcome       string    `json:"outcome" enum:"done,duplicate,failed" doc:"duplicate: it was said before, here or by the identity provider; nothing was done twice. Whoever signed in again in between is logged out anew"`
	DuplicateOf   core.ID   `json:"duplicate_of,omitzero" doc:"The signal that told of the incident first"`
	Note          string    `json:"note,omitempty" doc:"Why"`
}

func (s *Service) targetOf(ctx context.Context, one outlogout.Target, err error) (*single[LogoutTarget], error) {
	if err != nil {
		return nil, err
	}
	lane, err := s.lane(ctx, one.Workspace, one.ID)
	if err != nil {
		return nil, err
	}
	return &single[LogoutTarget]{LogoutTarget{
		one.ID, one.App, one.Name, one.Kind, one.Address, one.ClientID, one.SubjectFormat, s.Logouts.Issuer(one.Workspace), one.Created, lane,
	}}, nil
}

func (s *Service) logoutTargets(api huma.API) {
	tags := []string{"Logout targets"}
	add(api, huma.Operation{OperationID: "logoutUser", Method: http.MethodPost, Path: "/users/{id}/logout", Tags: []string{"Directory"}, Summary: "Log a user out everywhere",
		Description: "Every session ends, no sign-in under way survives, the passwords of the accounts they could see are rotated, and every logout target and receiver is told. They keep their grants. It is a signal like an identity provider's own, has a receipt, and goes by the policy about logouts; no guard against crowds holds it back."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[LoggedOut], error) {
			receipt, err := s.Signals.LogOut(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			s.wake()
			return &single[LoggedOut]{loggedOutOf(receipt)}, nil
		})
	add(api, huma.Operation{OperationID: "listLogoutTargets", Method: http.MethodGet, Path: "/logout-targets", Tags: tags, Summary: "List the apps that are told of logouts, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[LogoutTarget], error) {
			found, err := s.Logouts.Targets(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			all := make([]LogoutTarget, 0, len(found))
			for _, one := range found {
				shown, err := s.targetOf(ctx, one, nil)
				if err != nil {
					return nil, err
				}
				all = append(all, shown.Body)
			}
			return &listed[LogoutTarget]{Body: page[LogoutTarget]{Items: all}}, nil
		})
	add(api, huma.Operation{OperationID: "createLogoutTarget", Method: http.MethodPost, Path: "/logout-targets", Tags: tags, Summary: "Have an app told of logouts", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *createLogoutTarget) (*single[LogoutTarget], error) {
			b := in.Body
			made, err := s.Logouts.Add(ctx, by.cause, outlogout.Target{
				Workspace: by.Workspace, App: b.App, Name: b.Name, Kind: b.Kind, Address: b.Address, ClientID: b.ClientID, SubjectFormat: b.SubjectFormat,
			})
			return s.targetOf(ctx, made, err)
		})
	add(api, huma.Operation{OperationID: "getLogoutTarget", Method: http.MethodGet, Path: "/logout-targets/{id}", Tags: tags, Summary: "Get a logout target and how it goes"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[LogoutTarget], error) {
			one, err := s.Logouts.Target(ctx, s.DB, by.Workspace, in.ID)
			return s.targetOf(ctx, one, err)
		})
	add(api, huma.Operation{OperationID: "changeLogoutTarget", Method: http.MethodPatch, Path: "/logout-targets/{id}", Tags: tags, Summary: "Change a logout target"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *changeLogoutTarget) (*single[LogoutTarget], error) {
			one, err := s.Logouts.Change(ctx, by.cause, by.Workspace, in.ID, func(target *outlogout.Target) {
				for _, one := range []struct {
					wanted *string
					field  *string
				}{{in.Body.Name, &target.Name}, {in.Body.Address, &target.Address}, {in.Body.ClientID, &target.ClientID}, {in.Body.SubjectFormat, &target.SubjectFormat}} {
					if one.wanted != nil {
						*one.field = *one.wanted
					}
				}
			})
			if err == nil && in.Body.State != nil {
				err = s.Logouts.SetState(ctx, by.cause, by.Workspace, in.ID, delivery.State(*in.Body.State), "")
			}
			return s.targetOf(ctx, one, err)
		})
	add(api, huma.Operation{OperationID: "listLogoutTargetDeadLetters", Method: http.MethodGet, Path: "/logout-targets/{id}/dead-letters", Tags: tags, Summary: "List what a logout target did not take, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[DeadLetter], error) {
			if _, err := s.Logouts.Target(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Logouts.Deliveries.DeadLetters(ctx, s.DB, by.Workspace, in.ID, 1000)
			if err != nil {
				return nil, err
			}
			return listing(found, deadLetterOf), nil
		})
	add(api, huma.Operation{OperationID: "retryLogoutTargetDeadLetters", Method: http.MethodPost, Path: "/logout-targets/{id}/dead-letters/retry", Tags: tags, Summary: "Send dead letters again"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *retryLetters) (*single[Retried], error) {
			count, err := s.Logouts.Retry(ctx, by.cause, by.Workspace, in.ID, in.Letter)
			if err != nil {
				return nil, err
			}
			return &single[Retried]{Retried{count}}, nil
		})
	add(api, huma.Operation{OperationID: "deleteLogoutTarget", Method: http.MethodDelete, Path: "/logout-targets/{id}", Tags: tags, Summary: "Tell an app of logouts no more", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Logouts.Delete(ctx, by.cause, by.Workspace, in.ID)
		})
}

func loggedOutOf(receipt signals.Receipt) LoggedOut {
	return LoggedOut{
		SessionsEnded: receipt.Sessions, Rotations: append([]core.ID{}, receipt.Rotations...), Signal: receipt.ID, Outcome: string(receipt.Outcome),
		DuplicateOf: receipt.Duplicate, Note: receipt.Note,
	}
}
