package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/directory"
)

// User is a person as the identity provider describes them.
type User struct {
	ID          core.ID   `json:"id"`
	Connection  core.ID   `json:"connection,omitzero" doc:"Absent for a guest"`
	UserName    string    `json:"user_name"`
	ExternalID  string    `json:"external_id,omitempty"`
	DisplayName string    `json:"display_name,omitempty"`
	Email       string    `json:"email,omitempty"`
	Active      bool      `json:"active"`
	Role        string    `json:"role" enum:"owner,super_admin,admin,user,login_only,guest"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

func userOf(user directory.User) User {
	return User{
		user.ID, user.Connection, user.UserName, user.ExternalID, user.DisplayName, user.Email, user.Active, string(user.Role),
		user.Created, user.Updated,
	}
}

// UserWithTeams is a user and the teams they are in.
type UserWithTeams struct {
	User
	Teams    []Team `json:"teams" nullable:"false"`
	Sessions int    `json:"sessions" etag:"-" doc:"How many are live"`

	Restricted        *time.Time `json:"restricted,omitempty" etag:"-" doc:"Since when signals keep them from passwords: none is revealed to them or filled for them"`
	RestrictedBecause []string   `json:"restricted_because,omitempty" etag:"-" doc:"The kinds of signal that restrict them"`
	FreshAfter        *time.Time `json:"fresh_after,omitempty" etag:"-" doc:"A password is revealed to them only after a sign-in since then"`
}

// Team is a group as the identity provider describes it.
type Team struct {
	ID          core.ID   `json:"id"`
	Connection  core.ID   `json:"connection,omitzero"`
	DisplayName string    `json:"display_name"`
	ExternalID  string    `json:"external_id,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

func teamOf(team directory.Team) Team {
	return Team{team.ID, team.Connection, team.DisplayName, team.ExternalID, team.Created, team.Updated}
}

type userList struct {
	Limit      int     `query:"limit" default:"100" minimum:"1" maximum:"200"`
	Cursor     int     `query:"cursor" minimum:"0" doc:"next of the page before"`
	Connection core.ID `query:"connection"`
	UserName   string  `query:"user_name" doc:"Whatever its case"`
	Email      string  `query:"email" doc:"Whatever its case"`
	Active     string  `query:"active" enum:"true,false"`
}

type teamList struct {
	Limit       int     `query:"limit" default:"100" minimum:"1" maximum:"200"`
	Cursor      int     `query:"cursor" minimum:"0" doc:"next of the page before"`
	Connection  core.ID `query:"connection"`
	DisplayName string  `query:"display_name" doc:"Whatever its case"`
	Member      core.ID `query:"member" doc:"Only the teams of this user"`
}

type newRole struct {
	ID   core.ID `path:"id" doc:"The user"`
	Body struct {
		Role string `json:"role" enum:"owner,super_admin,admin,user,login_only,guest"`
	}
}

func (s *Service) people(api huma.API) {
	tags := []string{"Directory"}
	add(api, huma.Operation{OperationID: "listUsers", Method: http.MethodGet, Path: "/users", Tags: tags, Summary: "List users, oldest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *userList) (*listed[User], error) {
			query := directory.UserQuery{Connection: in.Connection, UserName: in.UserName, Email: in.Email, Offset: in.Cursor, Limit: in.Limit}
			if in.Active != "" {
				query.Active = new(in.Active == "true")
			}
			found, total, err := s.Directory.Users(ctx, s.DB, by.Workspace, query)
			if err != nil {
				return nil, err
			}
			answer := listing(found, userOf)
			answer.Body.Next = following(in.Cursor, len(found), total)
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getUser", Method: http.MethodGet, Path: "/users/{id}", Tags: tags, Summary: "Get a user with their teams and what signals left with them"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*single[UserWithTeams], error) {
			user, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			teams, err := s.Directory.TeamsOf(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			sessions, err := s.Directory.Sessions(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			standing, err := s.Directory.Standing(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[UserWithTeams]{UserWithTeams{
				userOf(user), listing(teams, teamOf).Body.Items, len(sessions), standing.Restricted, standing.Reasons, standing.FreshAfter,
			}}, nil
		})
	add(api, huma.Operation{OperationID: "putUserRole", Method: http.MethodPut, Path: "/users/{id}/role", Tags: tags, Summary: "Give a user a role in the workspace",
		Description: "Up to admin, and to nobody above that: owners and super admins are made by people. Guests and login-only users own no account by it, whatever they were given. The last owner stays one."},
		DirectoryWrite, func(ctx context.Context, by caller, in *newRole) (*single[User], error) {
			user, err := s.Lifecycle.GiveRole(ctx, by.cause, by.Workspace, in.ID, directory.Role(in.Body.Role))
			if err != nil {
				return nil, err
			}
			s.wake()
			return &single[User]{userOf(user)}, nil
		})
	add(api, huma.Operation{OperationID: "listTeams", Method: http.MethodGet, Path: "/teams", Tags: tags, Summary: "List teams, oldest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *teamList) (*listed[Team], error) {
			found, total, err := s.Directory.Teams(ctx, s.DB, by.Workspace, directory.TeamQuery{
				Connection: in.Connection, DisplayName: in.DisplayName, Member: in.Member, Offset: in.Cursor, Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, teamOf)
			answer.Body.Next = following(in.Cursor, len(found), total)
			return answer, nil
		})
}

// following is the cursor after a page of a list that is read by offset.
func following(offset, got, total int) string {
	if got == 0 || offset+got >= total {
		return ""
	}
	return strconv.Itoa(offset + got)
}
