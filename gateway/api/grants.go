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

// Grant is a user's, guest's or team's role on an account.
type Grant struct {
	ID      core.ID    `json:"id"`
	Account core.ID    `json:"account"`
	User    core.ID    `json:"user,omitzero"`
	Team    core.ID    `json:"team,omitzero"`
	Name    string     `json:"name" doc:"Of the user or team"`
	Role    string     `json:"role" enum:"owner,collaborator"`
	Purpose string     `json:"purpose,omitempty" doc:"What for, in the words of whoever gave it"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
}

func grantOf(grant accounts.Grant) Grant {
	return Grant{grant.ID, grant.Account, grant.User, grant.Team, grant.Name, string(grant.Role), grant.Purpose, grant.Created, grant.Expires}
}

type newGrant struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		User    core.ID    `json:"user,omitzero" doc:"Either a user, who may be a guest"`
		Team    core.ID    `json:"team,omitzero" doc:"or a team"`
		Role    string     `json:"role" enum:"owner,collaborator" doc:"Guests and login-only users can be collaborators only, through a team too"`
		Expires *time.Time `json:"expires,omitempty" doc:"When it ends by itself"`
		Purpose string     `json:"purpose,omitempty" maxLength:"200" doc:"What for, for people to read"`
	}
}

func (s *Service) grants(api huma.API) {
	tags := []string{"Grants"}
	add(api, huma.Operation{OperationID: "listGrants", Method: http.MethodGet, Path: "/accounts/{id}/grants", Tags: tags, Summary: "List an account's grants, owners first"},
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
		Description: "A user or team has one grant per account: sharing again replaces role, expiry and purpose.", DefaultStatus: http.StatusCreated},
		GrantsWrite, func(ctx context.Context, by caller, in *newGrant) (*single[Grant], error) {
			if in.Body.User.IsZero() == in.Body.Team.IsZero() {
				return nil, core.Invalid("user", "name either a user or a team")
			}
			var grant accounts.Grant
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				grant, err = s.Lifecycle.Share(ctx, tx, by.cause, by.Workspace, in.ID, accounts.Sharing{
					Subject: accounts.Subject{User: in.Body.User, Team: in.Body.Team}, Role: accounts.Role(in.Body.Role), Expires: in.Body.Expires, Purpose: in.Body.Purpose,
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
	s.access(api, tags)
}

// Via is a team through which somebody has access.
type Via struct {
	Team core.ID `json:"team"`
	Name string  `json:"name"`
}

func viaOf(teams []accounts.Via) []Via {
	via := make([]Via, 0, len(teams))
	for _, team := range teams {
		via = append(via, Via(team))
	}
	return via
}

// Access is somebody who may use an account now, and how they came to it.
type Access struct {
	User          core.ID    `json:"user"`
	UserName      string     `json:"user_name"`
	Name          string     `json:"name"`
	WorkspaceRole string     `json:"workspace_role" enum:"owner,super_admin,admin,user,login_only,guest"`
	Role          string     `json:"role" enum:"owner,collaborator" doc:"The strongest of what they were given, as far as their role in the workspace lets them"`
	Grant         core.ID    `json:"grant,omitzero" doc:"Their own; absent if they have it only through teams"`
	Teams         []Via      `json:"teams" nullable:"false" doc:"Through which they have it"`
	Expires       *time.Time `json:"expires,omitempty" doc:"When the role ends by itself"`
}

func heldOf(one accounts.Access) Access {
	return Access{one.User, one.UserName, one.Name, string(one.Workspace), string(one.Role), one.Grant, viaOf(one.Teams), one.Expires}
}

// UsableAccount is an account somebody may use now, and how they came to it.
type UsableAccount struct {
	Account
	Role    string     `json:"role" enum:"owner,collaborator" doc:"The strongest of what they were given, as far as their role in the workspace lets them"`
	Direct  bool       `json:"direct" doc:"They have a grant of their own"`
	Teams   []Via      `json:"teams" nullable:"false" doc:"Through which they have it"`
	Expires *time.Time `json:"expires,omitempty" doc:"When the role ends by itself"`
}

func usableOf(one accounts.Usable) UsableAccount {
	return UsableAccount{accountOf(one.Account), string(one.Role), one.Direct, viaOf(one.Teams), one.Expires}
}

type accessList struct {
	ID     core.ID `path:"id" doc:"The account"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type usableList struct {
	ID     core.ID `path:"id" doc:"The user"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
	Search string  `query:"search" maxLength:"320" doc:"How the app's name or the username begins, whatever the case"`
}

func (s *Service) access(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listAccess", Method: http.MethodGet, Path: "/accounts/{id}/access", Tags: tags,
		Summary: "List everybody who may use an account now, and through what", Description: "Oldest first. Whoever is deactivated is not among them."},
		AccountsRead, func(ctx context.Context, by caller, in *accessList) (*listed[Access], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.Access(ctx, s.DB, by.Workspace, in.ID, accounts.AccessQuery{Limit: in.Limit, After: in.Cursor})
			if err != nil {
				return nil, err
			}
			answer := listing(found, heldOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].User.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "listUsableAccounts", Method: http.MethodGet, Path: "/users/{id}/accounts", Tags: tags,
		Summary: "List what a user may use now, and through what", Description: "Oldest first. Of somebody deactivated, nothing."},
		AccountsRead, func(ctx context.Context, by caller, in *usableList) (*listed[UsableAccount], error) {
			if _, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.Usable(ctx, s.DB, by.Workspace, in.ID, accounts.UsableQuery{Search: in.Search, Limit: in.Limit, After: in.Cursor})
			if err != nil {
				return nil, err
			}
			answer := listing(found, usableOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
}
