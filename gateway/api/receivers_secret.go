package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
)

// CreatedSecret is a new client secret, the only time it is told.
type CreatedSecret struct {
	Token
	Secret string `json:"client_secret" doc:"Shown once: what the receiver sends to the token endpoint, beside its client_id"`
}

type newSecret struct {
	ID   core.ID `path:"id" doc:"The receiver"`
	Body struct {
		Expires *time.Time `json:"expires,omitempty" doc:"When it ends by itself; never when absent"`
	}
}

type bySecret struct {
	ID     core.ID `path:"id" doc:"The receiver"`
	Secret core.ID `path:"secret" doc:"The secret's id, never the secret"`
}

func (s *Service) receiverSecrets(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listReceiverSecrets", Method: http.MethodGet, Path: "/receivers/{id}/secrets", Tags: tags, Summary: "List a receiver's client secrets, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[Token], error) {
			found, err := s.Receivers.Secrets(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, tokenOf), nil
		})
	add(api, huma.Operation{OperationID: "createReceiverSecret", Method: http.MethodPost, Path: "/receivers/{id}/secrets", Tags: tags, Summary: "Make a client secret",
		Description: "The secret is in this answer and nowhere else. A receiver has at most two live ones, so that one can be replaced without a gap.", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *newSecret) (*single[CreatedSecret], error) {
			if err := s.future(in.Body.Expires); err != nil {
				return nil, err
			}
			made, secret, err := s.Receivers.AddSecret(ctx, by.cause, by.Workspace, in.ID, in.Body.Expires)
			if err != nil {
				return nil, err
			}
			return &single[CreatedSecret]{CreatedSecret{tokenOf(made), secret.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "revokeReceiverSecret", Method: http.MethodDelete, Path: "/receivers/{id}/secrets/{secret}", Tags: tags, Summary: "End a client secret, and the access tokens it was given, at once and for good", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *bySecret) (*struct{}, error) {
			return nil, s.Receivers.RevokeSecret(ctx, by.cause, by.Workspace, in.ID, in.Secret)
		})
}
