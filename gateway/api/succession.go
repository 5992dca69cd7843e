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

// Successor is an entry of a succession list.
type Successor struct {
	User    core.ID `json:"user,omitzero" doc:"Either a user"`
	Team    core.ID `json:"team,omitzero" doc:"or a team"`
	Manager bool    `json:"manager,omitempty" doc:"or the manager of whoever goes, as their identity provider names them"`
	Name    string  `json:"name,omitempty" readOnly:"true" doc:"Of the user or team"`
}

// Succession is who an account passes to when its last living owner goes: the first who is alive.
type Succession struct {
	Successors []Successor `json:"successors" nullable:"false" maxItems:"50"`
}

type newSuccession struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body Succession
}

// Proposal is what somebody had who left and is back. Nothing gives it back by itself.
type Proposal struct {
	ID       core.ID    `json:"id" doc:"Of the grant that was revoked when they left"`
	Account  core.ID    `json:"account"`
	AppName  string     `json:"app_name"`
	Username string     `json:"username"`
	Role     string     `json:"role" enum:"owner,collaborator"`
	Purpose  string     `json:"purpose,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
	Revoked  time.Time  `json:"revoked"`
}

// TeamProposal is a team that gives somebody nothing since they left, and could again. Nothing lets it by itself.
type TeamProposal struct {
	Team        core.ID   `json:"team"`
	DisplayName string    `json:"display_name"`
	Accounts    int       `json:"accounts" doc:"That the team may use"`
	Suspended   time.Time `json:"suspended"`
}

type userAndTeam struct {
	ID   core.ID `path:"id" doc:"The user"`
	Team core.ID `path:"team"`
}

func (s *Service) succession(api huma.API) {
	tags := []string{"Succession"}
	read := func(ctx context.Context, workspace, account core.ID) (*single[Succession], error) {
		found, err := s.Accounts.Succession(ctx, s.DB, workspace, account)
		if err != nil {
			return nil, err
		}
		return &single[Succession]{Succession{listing(found, func(one accounts.Successor) Successor {
			return Successor{one.User, one.Team, one.Manager, one.Name}
		}).Body.Items}}, nil
	}
	write := func(ctx context.Context, by caller, account core.ID, body Succession) (*single[Succession], error) {
		var list []accounts.Successor
		for _, one := range body.Successors {
			list = append(list, accounts.Successor{User: one.User, Team: one.Team, Manager: one.Manager})
		}
		err := s.change(ctx, func(tx pgx.Tx) error {
			return s.Lifecycle.SetSuccession(ctx, tx, by.cause, by.Workspace, account, list)
		})
		if err != nil {
			return nil, err
		}
		return read(ctx, by.Workspace, account)
	}
	add(api, huma.Operation{OperationID: "getAccountSuccession", Method: http.MethodGet, Path: "/accounts/{id}/succession", Tags: tags, Summary: "Get who an account passes to"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[Succession], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			return read(ctx, by.Workspace, in.ID)
		})
	add(api, huma.Operation{OperationID: "putAccountSuccession", Method: http.MethodPut, Path: "/accounts/{id}/succession", Tags: tags, Summary: "Say who an account passes to",
		Description: "When its last living owner goes, the first of the list who is alive owns it: an active user who may own accounts, or a team with one. An account without an owner passes on at once."},
		GrantsWrite, func(ctx context.Context, by caller, in *newSuccession) (*single[Succession], error) {
			return write(ctx, by, in.ID, in.Body)
		})
	add(api, huma.Operation{OperationID: "getSuccession", Method: http.MethodGet, Path: "/succession", Tags: tags, Summary: "Get who accounts pass to whose own list leads to nobody"},
		AccountsRead, func(ctx context.Context, by caller, _ *struct{}) (*single[Succession], error) {
			return read(ctx, by.Workspace, core.ID{})
		})
	add(api, huma.Operation{OperationID: "putSuccession", Method: http.MethodPut, Path: "/succession", Tags: tags, Summary: "Say who accounts pass to whose own list leads to nobody"},
		GrantsWrite, func(ctx context.Context, by caller, in *struct{ Body Succession }) (*single[Succession], error) {
			return write(ctx, by, core.ID{}, in.Body)
		})
}

func (s *Service) proposals(api huma.API) {
	tags := []string{"Proposals"}
	add(api, huma.Operation{OperationID: "listProposals", Method: http.MethodGet, Path: "/users/{id}/proposals", Tags: tags, Summary: "List what a user who is back had when they left",
		Description: "What they have by now, what has expired and what was declined is not among it."},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*listed[Proposal], error) {
			if _, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.Proposals(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one accounts.Proposal) Proposal {
				return Proposal{one.Grant, one.Account, one.AppName, one.Username, string(one.Role), one.Purpose, one.Expires, one.Revoked}
			}), nil
		})
	add(api, huma.Operation{OperationID: "acceptProposal", Method: http.MethodPost, Path: "/proposals/{id}/accept", Tags: tags, Summary: "Give a user anew what they had",
		Description: "A new grant with the role, the purpose and the end of the old one.", DefaultStatus: http.StatusCreated},
		GrantsWrite, func(ctx context.Context, by caller, in *byID) (*single[Grant], error) {
			var grant accounts.Grant
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				grant, err = s.Lifecycle.AcceptProposal(ctx, tx, by.cause, by.Workspace, in.ID)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &single[Grant]{grantOf(grant)}, nil
		})
	add(api, huma.Operation{OperationID: "declineProposal", Method: http.MethodPost, Path: "/proposals/{id}/decline", Tags: tags, Summary: "Propose it no longer", DefaultStatus: http.StatusNoContent},
		GrantsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Accounts.DeclineProposal(ctx, tx, by.cause, by.Workspace, in.ID)
			})
		})
	add(api, huma.Operation{OperationID: "listTeamProposals", Method: http.MethodGet, Path: "/users/{id}/team-proposals", Tags: tags, Summary: "List the teams that give a user who is back nothing since they left",
		Description: "Teams an identity provider describes are among them as long as it lists the user in them."},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*listed[TeamProposal], error) {
			if _, err := s.Directory.User(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Accounts.TeamProposals(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one accounts.TeamProposal) TeamProposal {
				return TeamProposal{one.Team, one.Name, one.Accounts, one.Suspended}
			}), nil
		})
	add(api, huma.Operation{OperationID: "acceptTeamProposal", Method: http.MethodPost, Path: "/users/{id}/team-proposals/{team}/accept", Tags: tags, Summary: "Let a team count for a user again",
		Description: "They may use again what the team may.", DefaultStatus: http.StatusNoContent},
		GrantsWrite, func(ctx context.Context, by caller, in *userAndTeam) (*struct{}, error) {
			err := s.Lifecycle.AcceptTeam(ctx, by.cause, by.Workspace, in.ID, in.Team)
			if err == nil {
				s.wake()
			}
			return nil, err
		})
	add(api, huma.Operation{OperationID: "declineTeamProposal", Method: http.MethodPost, Path: "/users/{id}/team-proposals/{team}/decline", Tags: tags, Summary: "Propose a team to a user no longer",
		Description: "Until their identity provider adds them anew, and they leave and are back once more.", DefaultStatus: http.StatusNoContent},
		GrantsWrite, func(ctx context.Context, by caller, in *userAndTeam) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error {
				return s.Accounts.DeclineTeamProposal(ctx, tx, by.cause, by.Workspace, in.ID, in.Team)
			})
		})
}
