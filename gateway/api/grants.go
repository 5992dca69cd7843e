package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// Grant is a user's or team's role on an account.
type Grant struct {
	ID      core.ID    `json:"id"`
	Account core.ID    `json:"account"`
	User    core.ID    `json:"user,omitzero"`
	Team    core.ID    `json:"team,omitzero"`
	Name    string     `json:"name" doc:"Of the user or team"`
	Role    string     `json:"role" enum:"owner,collaborator"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
}

func grantOf(grant accounts.Grant) Grant {
	return Grant{grant.ID, grant.Account, grant.User, grant.Team, grant.Name, string(grant.Role), grant.Created, grant.Expires}
}

type newGrant struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		User    core.ID    `json:"user,omitzero" doc:"Either a user"`
		Team    core.ID    `json:"team,omitzero" doc:"or a team"`
		Role    string     `json:"role" enum:"owner,collaborator"`
		Expires *time.Time `json:"expires,omitempty" doc:"When it ends by itself"`
	}
}

func (s *Service) grants(api huma.API) {
	tags := []string{"Grants"}
	add(api, huma.Operation{OperationID: "listGrants", Method: http.MethodGet, Path: "/accounts/{id}/grants", Tags: tags, Summary: "List who may use an account, owners first"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*listed[Grant], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.Grants(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, grantOf), nil
		})
	add(api, huma.Operation{OperationID: "shareAccount", Method: http.MethodPost, Path: "/accounts/{id}/grants", Tags: tags, Summary: "Share an account",
		Description: "A user or team has one grant per account: sharing again replaces role and expiry.", DefaultStatus: http.StatusCreated},
		GrantsWrite, func(ctx context.Context, by caller, in *newGrant) (*single[Grant], error) {
			if in.Body.User.IsZero() == in.Body.Team.IsZero() {
				return nil, core.Invalid("user", "name either a user or a team")
			}
			var grant accounts.Grant
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				grant, err = s.Lifecycle.Share(ctx, tx, by.cause, by.Workspace, in.ID, accounts.Sharing{
					Subject: accounts.Subject{User: in.Body.User, Team: in.Body.Team}, Role: accounts.Role(in.Body.Role), Expires: in.Body.Expires,
				})
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Grant]{grantOf(grant)}, nil
		})
	add(api, huma.Operation{OperationID: "unshareAccount", Method: http.MethodDelete, Path: "/grants/{id}", Tags: tags, Summary: "Take a grant back", DefaultStatus: http.StatusNoContent},
		GrantsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Lifecycle.Unshare(ctx, tx, by.cause, by.Workspace, in.ID)
			})
		})
}
