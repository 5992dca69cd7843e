package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core/audit"
)

// Sink is where events are delivered to, and how that goes.
type Sink struct {
	Name    string    `json:"name"`
	State   string    `json:"state" enum:"running,retrying,paused" doc:"paused: a person has to change something"`
	Reason  string    `json:"reason,omitempty"`
	Updated time.Time `json:"updated"`
}

func (s *Service) sinks(api huma.API) {
	add(api, huma.Operation{OperationID: "listSinks", Method: http.MethodGet, Path: "/sinks", Tags: []string{"Operations"}, Summary: "List the sinks and their state"},
		OperationsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Sink], error) {
			found, err := audit.SinkStates(ctx, s.DB)
			if err != nil {
				return nil, err
			}
			return listing(found, func(sink audit.SinkState) Sink {
				return Sink{sink.Name, string(sink.State), sink.Reason, sink.Updated}
			}), nil
		})
}
