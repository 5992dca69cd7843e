package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/services"
)

// ServiceFinding is something odd about a service account.
type ServiceFinding struct {
	ID             core.ID    `json:"id"`
	ServiceAccount core.ID    `json:"service_account"`
	Name           string     `json:"name" doc:"Of the service account"`
	Kind           string     `json:"kind" enum:"ownerless,one_owner,used_after_idle,new_network,interactive_use,used_after_owner_left,expires_soon,known_by_leaver"`
	Detail         string     `json:"detail"`
	State          string     `json:"state" enum:"open,acknowledged,resolved"`
	Opened         time.Time  `json:"opened"`
	Decided        *time.Time `json:"decided,omitempty" doc:"When its state last changed"`
	Decider        string     `json:"decider,omitempty"`
	Note           string     `json:"note,omitempty"`
}

func serviceFindingOf(one services.Finding) ServiceFinding {
	return ServiceFinding{one.ID, one.Account, one.AccountName, string(one.Kind), one.Detail, string(one.State), one.Opened, one.Decided, one.Decider, one.Note}
}

type serviceFindingList struct {
	Account core.ID `query:"account" doc:"Of one service account"`
	State   string  `query:"state" enum:"open,acknowledged,resolved"`
	Kind    string  `query:"kind" enum:"ownerless,one_owner,used_after_idle,new_network,interactive_use,used_after_owner_left,expires_soon,known_by_leaver"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor  core.ID `query:"cursor" doc:"next of the page before"`
}

type serviceDecision struct {
	ID   core.ID `path:"id" doc:"The finding"`
	Body struct {
		State string `json:"state" enum:"acknowledged,resolved"`
		Note  string `json:"note,omitempty" maxLength:"500" doc:"For whoever reads it later; to resolve takes one"`
	}
}

func (s *Service) serviceFindings(api huma.API) {
	tags := []string{"Service accounts"}
	add(api, huma.Operation{OperationID: "listServiceFindings", Method: http.MethodGet, Path: "/service-findings", Tags: tags, Summary: "List what is odd about service accounts, latest first"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *serviceFindingList) (*listed[ServiceFinding], error) {
			found, err := s.Services.Findings(ctx, s.DB, by.Workspace, services.FindingQuery{
				Account: in.Account, State: services.FindingState(in.State), Kind: services.FindingKind(in.Kind), Limit: in.Limit, Before: in.Cursor,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, serviceFindingOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "decideServiceFinding", Method: http.MethodPost, Path: "/service-findings/{id}/decision", Tags: tags, Summary: "Acknowledge or resolve a finding",
		Description: "What is about owners ends by itself once there are some. A service account decides nothing about itself."},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *serviceDecision) (*single[ServiceFinding], error) {
			after, err := s.Services.Decide(ctx, by.cause, by.Workspace, in.ID, services.FindingState(in.Body.State), in.Body.Note)
			if err != nil {
				return nil, err
			}
			return &single[ServiceFinding]{serviceFindingOf(after)}, nil
		})
}
