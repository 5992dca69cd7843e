package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/lifecycle"
)

// Deprovisioned is what a deprovision took.
type Deprovisioned struct {
	User
	SessionsEnded int       `json:"sessions_ended" doc:"Sessions that were live"`
	GrantsRevoked int       `json:"grants_revoked" doc:"Accounts the person had a grant of their own on"`
	Rotations     []core.ID `json:"rotations" nullable:"false" doc:"Of every account they could see; those whose password they saw first"`
}

func deprovisionedOf(user User, effect lifecycle.Effect) Deprovisioned {
	return Deprovisioned{user, effect.SessionsEnded, effect.GrantsRevoked, append([]core.ID{}, effect.Rotations...)}
}

func (s *Service) departures(api huma.API) {
	add(api, huma.Operation{OperationID: "deprovisionUser", Method: http.MethodPost, Path: "/users/{id}/deprovision", Tags: []string{"Directory"},
		Summary: "Take everything from a user by hand",
		Description: "Sessions end, grants are revoked and the passwords they saw are rotated, whatever the identity provider says: also of somebody whose departure waits, " +
			"or was rejected. Of whom nothing is left to take, nothing changes. The last owner is refused. The identity provider is not told, and can make them active again."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[Deprovisioned], error) {
			effect, err := s.Lifecycle.Dismiss(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			s.wake()
			user, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Deprovisioned]{deprovisionedOf(userOf(user), effect)}, nil
		})
	add(api, huma.Operation{OperationID: "reactivateUser", Method: http.MethodPost, Path: "/users/{id}/reactivate", Tags: []string{"Directory"},
		Summary: "Let a user in again by hand",
		Description: "They can sign in, and have nothing back: what they had is proposed. Of somebody whose departure waits it is withdrawn. The identity provider is not told, " +
			"and can deactivate them again. A guest is invited again instead. Of an active user nothing changes."},
		DirectoryWrite, func(ctx context.Context, by caller, in *byID) (*single[User], error) {
			user, err := s.Lifecycle.Readmit(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			s.wake()
			return &single[User]{userOf(user)}, nil
		})
}
