package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/lifecycle"
)

// Hold is departures that wait for an administrator, because more people left than the connection's
// guard lets through.
type Hold struct {
	ID             core.ID    `json:"id"`
	Connection     core.ID    `json:"connection"`
	ConnectionName string     `json:"connection_name"`
	Opened         time.Time  `json:"opened"`
	Share          int        `json:"share" doc:"Percent the guard let through"`
	Floor          int        `json:"floor" doc:"People the guard let through"`
	Active         int        `json:"active" doc:"How many were active when it began"`
	LetGo          int        `json:"let_go" doc:"How many left within the hour before: they were deprovisioned as usual"`
	People         int        `json:"people" doc:"How many left from then on, and were held"`
	Waiting        int        `json:"waiting" doc:"How many of them still wait: the others are back, or it was decided"`
	Deleted        int        `json:"deleted" doc:"How many of the held the identity provider deleted"`
	Decided        *time.Time `json:"decided,omitempty"`
	Decision       string     `json:"decision,omitempty"`
	DecidedBy      string     `json:"decided_by,omitempty"`
}

func holdOf(hold lifecycle.Hold) Hold {
	return Hold{
		hold.ID, hold.Connection, hold.ConnectionName, hold.Opened, hold.Share, hold.Floor, hold.Active, hold.LetGo, hold.People, hold.Waiting, hold.Deleted,
		hold.Decided, hold.Decision, hold.DecidedBy,
	}
}

// HeldUser is somebody whose departure waits. Their sessions are dead.
type HeldUser struct {
	User        core.ID   `json:"user"`
	UserName    string    `json:"user_name"`
	DisplayName string    `json:"display_name,omitempty"`
	At          time.Time `json:"at" doc:"When they left"`
	Deleted     bool      `json:"deleted" doc:"The identity provider deleted them"`
	State       string    `json:"state" doc:"held, done, withdrawn (back by themselves), kept (inactive, with all they had), restored or name_taken (still deleted: somebody else has the name)"`
}

func heldUserOf(user lifecycle.HeldUser) HeldUser {
	return HeldUser{user.User, user.UserName, user.DisplayName, user.At, user.Deleted, string(user.State)}
}

// HoldWithPeople is a hold and whom it is about.
type HoldWithPeople struct {
	Hold
	Users []HeldUser `json:"users" nullable:"false"`
}

type holdList struct {
	Open bool `query:"open" doc:"Only those that wait for a decision"`
}

type holdByID struct {
	ID    core.ID `path:"id" doc:"Its id"`
	Limit int     `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"How many people to list"`
}

func (s *Service) holds(api huma.API) {
	tags := []string{"Provisioning"}
	add(api, huma.Operation{OperationID: "listHolds", Method: http.MethodGet, Path: "/holds", Tags: tags, Summary: "List the departures that waited for an administrator, newest first"},
		ProvisioningRead, func(ctx context.Context, by caller, in *holdList) (*listed[Hold], error) {
			found, err := s.Lifecycle.Holds(ctx, s.DB, by.Workspace, in.Open)
			if err != nil {
				return nil, err
			}
			return listing(found, holdOf), nil
		})
	add(api, huma.Operation{OperationID: "getHold", Method: http.MethodGet, Path: "/holds/{id}", Tags: tags, Summary: "Get a hold with its people"},
		ProvisioningRead, func(ctx context.Context, by caller, in *holdByID) (*single[HoldWithPeople], error) {
			hold, err := s.hold(ctx, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			people, err := s.Lifecycle.HeldUsers(ctx, s.DB, by.Workspace, in.ID, in.Limit)
			if err != nil {
				return nil, err
			}
			return &single[HoldWithPeople]{HoldWithPeople{holdOf(hold), listing(people, heldUserOf).Body.Items}}, nil
		})
	decide := func(how func(context.Context, core.Cause, core.ID, core.ID) error) func(ctx context.Context, by caller, in *byID) (*single[Hold], error) {
		return func(ctx context.Context, by caller, in *byID) (*single[Hold], error) {
			if err := how(ctx, by.cause, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			s.wake()
			hold, err := s.hold(ctx, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Hold]{holdOf(hold)}, nil
		}
	}
	add(api, huma.Operation{OperationID: "approveHold", Method: http.MethodPost, Path: "/holds/{id}/approval", Tags: tags, Summary: "Let the departures go on",
		Description: "Access is taken from everybody who still waits, and the passwords they saw are rotated."},
		HoldsWrite, decide(func(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
			return s.Lifecycle.ApproveHold(ctx, cause, workspace, hold)
		}))
	add(api, huma.Operation{OperationID: "rejectHold", Method: http.MethodPost, Path: "/holds/{id}/rejection", Tags: tags, Summary: "Call the departures a mistake",
		Description: "Nothing is taken. People the identity provider deleted are restored; what it deactivated stays so until it says otherwise."},
		HoldsWrite, decide(func(ctx context.Context, cause core.Cause, workspace, hold core.ID) error {
			return s.Lifecycle.RejectHold(ctx, cause, workspace, hold)
		}))
}

func (s *Service) hold(ctx context.Context, workspace, id core.ID) (lifecycle.Hold, error) {
	all, err := s.Lifecycle.Holds(ctx, s.DB, workspace, false)
	if err != nil {
		return lifecycle.Hold{}, err
	}
	for _, hold := range all {
		if hold.ID == id {
			return hold, nil
		}
	}
	return lifecycle.Hold{}, core.NotFound("hold")
}
