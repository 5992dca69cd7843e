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

// Pace is how fast an app may be asked.
type Pace struct {
	AtOnce  int     `json:"at_once" doc:"Rotations under way at once; 0: as many as of any app (--rotation-per-app)" example:"1"`
	Spacing float64 `json:"spacing_seconds" doc:"Seconds at least between the beginnings of two, up to 3600; 0: none" example:"5"`
}

type newPace struct {
	ID   core.ID `path:"id" doc:"The app"`
	Body Pace
}

func paceOf(pace rotation.Pace) *single[Pace] {
	return &single[Pace]{Pace{AtOnce: pace.AtOnce, Spacing: pace.Spacing.Seconds()}}
}

func (s *Service) paces(api huma.API) {
	tags := []string{"Apps"}
	add(api, huma.Operation{OperationID: "getPace", Method: http.MethodGet, Path: "/apps/{id}/pace", Tags: tags, Summary: "See how fast an app may be asked"},
		AppsRead, func(ctx context.Context, by caller, in *byID) (*single[Pace], error) {
			pace, err := s.Rotations.Pace(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return paceOf(pace), nil
		})
	add(api, huma.Operation{OperationID: "putPace", Method: http.MethodPut, Path: "/apps/{id}/pace", Tags: tags, Summary: "Say how fast an app may be asked",
		Description: "For an app that turns away, or locks, whoever comes too often: when many people leave at once, their rotations go to it at this pace."},
		AppsWrite, func(ctx context.Context, by caller, in *newPace) (*single[Pace], error) {
			if !(in.Body.Spacing >= 0 && in.Body.Spacing <= time.Hour.Seconds()) {
				return nil, core.Invalid("spacing_seconds", "0 to %g seconds", time.Hour.Seconds())
			}
			var pace rotation.Pace
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				pace, err = s.Rotations.SetPace(ctx, tx, by.cause, by.Workspace, in.ID, rotation.Pace{
					AtOnce: in.Body.AtOnce, Spacing: time.Duration(in.Body.Spacing * float64(time.Second)),
				})
				return err
			})
			if err != nil {
				return nil, err
			}
			return paceOf(pace), nil
		})
}
