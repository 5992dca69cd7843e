package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/gateway/doctor"
)

type diagnose struct {
	ID       core.ID `path:"id" doc:"The connection"`
	SelfTest bool    `query:"self_test" doc:"Knock at each door through the public address too"`
}

// doctor goes out as the receiver of Shared Signals does.
func (s *Service) doctor() *doctor.Doctor {
	return &doctor.Doctor{
		DB: s.DB, Directory: s.Directory, Signals: s.Signals, Streams: s.Streams, HTTP: s.Streams.HTTP, Self: &http.Client{Timeout: 10 * time.Second},
		PublicURL: s.Streams.PublicURL, Now: s.Now,
	}
}

func (s *Service) diagnosis(api huma.API) {
	add(api, huma.Operation{OperationID: "diagnoseConnection", Method: http.MethodGet, Path: "/connections/{id}/diagnosis", Tags: []string{"Connections"},
		Summary:     "Say what is wrong with a connection, and what to do about it",
		Description: "The identity provider's discovery document, keys and clock are read now. `self_test` sends what every door refuses, which leaves a trace among the last failures."},
		ConnectionsRead, func(ctx context.Context, by caller, in *diagnose) (*single[doctor.Diagnosis], error) {
			found, err := s.doctor().Diagnose(ctx, by.Workspace, in.ID, doctor.Options{SelfTest: in.SelfTest})
			if err != nil {
				return nil, err
			}
			return &single[doctor.Diagnosis]{Body: found}, nil
		})
}
