package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/signals"
)

// SignalHold is what waits because signals meant more people than the connection's guard lets through.
type SignalHold struct {
	ID             core.ID    `json:"id"`
	Connection     core.ID    `json:"connection"`
	ConnectionName string     `json:"connection_name"`
	Opened         time.Time  `json:"opened"`
	Share          int        `json:"share" doc:"Percent the guard let through"`
	Floor          int        `json:"floor" doc:"People the guard let through"`
	Active         int        `json:"active" doc:"How many were active when it began"`
	LetGo          int        `json:"let_go" doc:"How many were meant within the hour before: for them everything was done as usual"`
	Signals        int        `json:"signals" doc:"That belong to it: GET /signals?hold="`
	Waiting        int        `json:"waiting" doc:"Of which something still waits"`
	Decided        *time.Time `json:"decided,omitempty"`
	Decision       string     `json:"decision,omitempty"`
	DecidedBy      string     `json:"decided_by,omitempty"`
}

func signalHoldOf(hold signals.Hold) SignalHold {
	return SignalHold{
		hold.ID, hold.Connection, hold.ConnectionName, hold.Opened, hold.Share, hold.Floor, hold.Active, hold.LetGo, hold.Signals, hold.Waiting,
		hold.Decided, hold.Decision, hold.DecidedBy,
	}
}

func (s *Service) signalHolds(api huma.API) {
	tags := []string{"Signals"}
	add(api, huma.Operation{OperationID: "listSignalHolds", Method: http.MethodGet, Path: "/signal-holds", Tags: tags,
		Summary: "List the crowds of signals that waited for an administrator, newest first"},
		SignalsRead, func(ctx context.Context, by caller, in *holdList) (*listed[SignalHold], error) {
			found, err := s.Signals.Holds(ctx, s.DB, by.Workspace, in.Open)
			if err != nil {
				return nil, err
			}
			return listing(found, signalHoldOf), nil
		})
	read := func(ctx context.Context, by caller, in *byID) (*single[SignalHold], error) {
		hold, err := s.Signals.Hold(ctx, s.DB, by.Workspace, in.ID)
		if err != nil {
			return nil, err
		}
		return &single[SignalHold]{signalHoldOf(hold)}, nil
	}
	add(api, huma.Operation{OperationID: "getSignalHold", Method: http.MethodGet, Path: "/signal-holds/{id}", Tags: tags, Summary: "Get a hold"},
		SignalsRead, read)
	add(api, huma.Operation{OperationID: "approveSignalHold", Method: http.MethodPost, Path: "/signal-holds/{id}/approval", Tags: tags,
		Summary: "Let what waits go on", Description: "The passwords are rotated, and whatever else waits is done, by the worker."},
		HoldsWrite, func(ctx context.Context, by caller, in *byID) (*single[SignalHold], error) {
			if err := s.Signals.ApproveHold(ctx, by.cause, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			return read(ctx, by, in)
		})
	add(api, huma.Operation{OperationID: "rejectSignalHold", Method: http.MethodPost, Path: "/signal-holds/{id}/rejection", Tags: tags,
		Summary: "Call the signals a mistake", Description: "What waits is never done. Sessions that ended stay ended."},
		HoldsWrite, func(ctx context.Context, by caller, in *byID) (*single[SignalHold], error) {
			if err := s.Signals.RejectHold(ctx, by.cause, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			return read(ctx, by, in)
		})
}
