package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/audit"
)

// LegalHold keeps a workspace's records, however old.
type LegalHold struct {
	Held   bool       `json:"held"`
	Reason string     `json:"reason,omitempty"`
	Placed *time.Time `json:"placed,omitempty"`
}

type placeLegalHold struct {
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why: kept in the activity, and shown to who lifts it"`
	}
}

func (s *Service) legalHold(api huma.API) {
	tags := []string{"Activity"}
	held := func(ctx context.Context, by caller) (*single[LegalHold], error) {
		hold, err := audit.HoldOf(ctx, s.DB, by.Workspace)
		switch {
		case core.KindOf(err) == core.KindNotFound:
			return &single[LegalHold]{}, nil
		case err != nil:
			return nil, err
		}
		return &single[LegalHold]{LegalHold{true, hold.Reason, &hold.Placed}}, nil
	}
	add(api, huma.Operation{OperationID: "getLegalHold", Method: http.MethodGet, Path: "/audit/legal-hold", Tags: tags, Summary: "Get the legal hold on the workspace's records",
		Description: "Without one, records go when they are older than the operator keeps them."},
		ActivityRead, func(ctx context.Context, by caller, _ *struct{}) (*single[LegalHold], error) { return held(ctx, by) })
	add(api, huma.Operation{OperationID: "placeLegalHold", Method: http.MethodPost, Path: "/audit/legal-hold", Tags: tags, Summary: "Keep all of the workspace's records until the hold is lifted", DefaultStatus: http.StatusCreated,
		Description: "What retention took before does not come back. 409 when there is a hold: lift it first, so that the activity tells of both."},
		OperationsWrite, func(ctx context.Context, by caller, in *placeLegalHold) (*single[LegalHold], error) {
			if err := audit.PlaceHold(ctx, s.DB, by.cause, by.Workspace, in.Body.Reason, s.now()); err != nil {
				return nil, err
			}
			return held(ctx, by)
		})
	add(api, huma.Operation{OperationID: "liftLegalHold", Method: http.MethodDelete, Path: "/audit/legal-hold", Tags: tags, Summary: "Give the workspace's records back to retention", DefaultStatus: http.StatusNoContent},
		OperationsWrite, func(ctx context.Context, by caller, _ *struct{}) (*struct{}, error) {
			err := audit.LiftHold(ctx, s.DB, by.cause, by.Workspace, s.now())
			if core.KindOf(err) == core.KindNotFound {
				err = core.Conflict("", "the records of this workspace are not on hold")
			}
			return nil, err
		})
}
