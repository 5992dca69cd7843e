package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/audit"
	"postern/core/journal"
	"postern/gateway/activity"
	"postern/scim/resource"
)

// ProvisioningRequest is what an identity provider asked for, and what came of it.
type ProvisioningRequest struct {
	ID          core.ID   `json:"id"`
	Connection  core.ID   `json:"connection"`
	Received    time.Time `json:"received"`
	Method      string    `json:"method" enum:"GET,HEAD,POST,PUT,PATCH,DELETE"`
	Address     string    `json:"address" doc:"The path under the SCIM endpoint" example:"/Users/0198f7a2-0000-7000-8000-000000000000"`
	Query       string    `json:"query,omitempty" doc:"What of the parameters is kept; those of a search in a body too"`
	Profile     string    `json:"profile" doc:"Which profile it was read with"`
	Rules       []string  `json:"rules" nullable:"false" doc:"Which of the profile's rules were needed to understand it"`
	Status      int       `json:"status" doc:"What it was answered"`
	Detail      string    `json:"detail,omitempty" doc:"What a refusal said, and how many like this request were not kept before it"`
	Resource    core.ID   `json:"resource,omitzero" doc:"The user or team it was about, if that is known"`
	Correlation core.ID   `json:"correlation" doc:"Of the events it led to"`
}

func requestOf(entry journal.Entry) ProvisioningRequest {
	return ProvisioningRequest{
		entry.ID, entry.Connection, entry.Received, entry.Method, entry.Address, entry.Query, entry.Profile, append([]string{}, entry.Rules...),
		entry.Status, entry.Detail, entry.Resource, entry.Correlation,
	}
}

// FiredRule is one departure from the RFCs that was understood.
type FiredRule struct {
	Rule        string `json:"rule"`
	Explanation string `json:"explanation"`
}

// ProvisioningRequestInFull is a request with its body, its rules explained and its events.
type ProvisioningRequestInFull struct {
	ProvisioningRequest
	Body     json.RawMessage `json:"body,omitempty" doc:"As it came, without passwords"`
	Fired    []FiredRule     `json:"fired" nullable:"false" doc:"The rules, explained"`
	LedTo    []Entry         `json:"led_to" nullable:"false" doc:"What it led to so far, in order, at most 1000"`
	Complete bool            `json:"complete" doc:"Whether these are all the events there are"`
}

type requestList struct {
	Limit       int       `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor      core.ID   `query:"cursor" doc:"next of the page before"`
	Order       string    `query:"order" enum:"asc,desc" default:"desc" doc:"desc: newest first"`
	Connection  core.ID   `query:"connection"`
	Resource    core.ID   `query:"resource" doc:"Only those about this user or team"`
	Correlation core.ID   `query:"correlation" doc:"Only those of one story: a bulk request has one for all its operations"`
	Refused     bool      `query:"refused" doc:"Only those that were refused"`
	Changes     bool      `query:"changes" doc:"Only those that asked for a change, no readings"`
	Rule        string    `query:"rule" doc:"Only those that needed this rule" example:"string_boolean"`
	From        time.Time `query:"from" doc:"Received then or later"`
	To          time.Time `query:"to" doc:"Received before"`
}

func (s *Service) requests(api huma.API) {
	tags := []string{"Provisioning"}
	add(api, huma.Operation{OperationID: "listProvisioningRequests", Method: http.MethodGet, Path: "/provisioning-requests", Tags: tags,
		Summary: "List what identity providers asked to change", Description: "Newest first, in the order in which they took effect. Requests are kept as long as their connection says. Of refused ones, and of readings a rule was needed for, a sample is kept."},
		ProvisioningRead, func(ctx context.Context, by caller, in *requestList) (*listed[ProvisioningRequest], error) {
			found, err := journal.List(ctx, s.DB, by.Workspace, journal.Query{
				Connection: in.Connection, Resource: in.Resource, Correlation: in.Correlation, From: in.From, To: in.To, Refused: in.Refused, Changes: in.Changes,
				Rule: in.Rule, After: in.Cursor, Newest: in.Order == "desc", Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, requestOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getProvisioningRequest", Method: http.MethodGet, Path: "/provisioning-requests/{id}", Tags: tags,
		Summary: "Get a request with its body, its rules explained and the events it led to"},
		ProvisioningRead, func(ctx context.Context, by caller, in *byID) (*single[ProvisioningRequestInFull], error) {
			entry, err := journal.Read(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			const most = 1000
			events, err := audit.List(ctx, s.DB, by.Workspace, audit.Query{Correlation: entry.Correlation, Limit: most})
			if err != nil {
				return nil, err
			}
			out := ProvisioningRequestInFull{
				ProvisioningRequest: requestOf(entry), Body: bodyOf(entry.Body), Fired: []FiredRule{},
				LedTo: listing(events, activity.EntryOf).Body.Items, Complete: len(events) < most,
			}
			for _, rule := range entry.Rules {
				out.Fired = append(out.Fired, FiredRule{rule, resource.Explain(resource.Rule(rule))})
			}
			return &single[ProvisioningRequestInFull]{out}, nil
		})
}

// bodyOf is a body as JSON; what is none is told as a text.
func bodyOf(body *string) json.RawMessage {
	switch {
	case body == nil:
		return nil
	case json.Valid([]byte(*body)):
		return json.RawMessage(*body)
	}
	text, err := json.Marshal(*body)
	if err != nil {
		return nil
	}
	return text
}
