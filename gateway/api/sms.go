package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/mailbox"
	"postern/core/seal"
)

// SMSProvider hands over the text messages to accounts' numbers.
type SMSProvider struct {
	ID      core.ID   `json:"id"`
	Kind    string    `json:"kind" enum:"twilio,standard" doc:"How it signs: as Twilio does, or by Standard Webhooks 1.0"`
	Name    string    `json:"name"`
	URL     string    `json:"url" doc:"Where it is to hand over messages"`
	Created time.Time `json:"created"`
}

// CreatedSMSProvider is a provider with the secret that was made for it, shown this once.
type CreatedSMSProvider struct {
	SMSProvider
	Secret string `json:"secret" doc:"What it is to sign with, if it was made here; shown this once"`
}

type newSMSProvider struct {
	Body struct {
		Kind   string `json:"kind" enum:"twilio,standard"`
		Name   string `json:"name" minLength:"1" maxLength:"100"`
		Secret string `json:"secret,omitempty" maxLength:"500" writeOnly:"true" doc:"Twilio's auth token; of standard, whsec_…, or none: then one is made"`
	}
}

func (s *Service) smsProviders(api huma.API) {
	tags := []string{"SMS providers"}
	of := func(by caller, p mailbox.Provider) SMSProvider {
		return SMSProvider{p.ID, p.Kind, p.Name, s.SMS.URL(by.Workspace, p.ID), p.Created}
	}
	add(api, huma.Operation{OperationID: "listSMSProviders", Method: http.MethodGet, Path: "/sms-providers", Tags: tags, Summary: "List who hands over text messages"},
		AccountsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[SMSProvider], error) {
			found, err := s.Mailboxes.Providers(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, func(p mailbox.Provider) SMSProvider { return of(by, p) }), nil
		})
	add(api, huma.Operation{OperationID: "createSMSProvider", Method: http.MethodPost, Path: "/sms-providers", Tags: tags, Summary: "Let a provider hand over text messages", DefaultStatus: http.StatusCreated,
		Description: "Of standard, the body is {\"data\":{\"from\":\"+…\",\"to\":\"+…\",\"text\":\"…\"}}, and webhook-id names the message."},
		AccountsWrite, func(ctx context.Context, by caller, in *newSMSProvider) (*single[CreatedSMSProvider], error) {
			var made mailbox.Provider
			var secret, told seal.Secret
			if in.Body.Secret != "" {
				secret = seal.NewSecret(in.Body.Secret)
			}
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				made, told, err = s.Mailboxes.CreateProvider(ctx, tx, by.cause, by.Workspace, in.Body.Kind, in.Body.Name, secret)
				return err
			})
			if err != nil {
				return nil, err
			}
			by.c.Header("Cache-Control", "no-store")
			return &single[CreatedSMSProvider]{CreatedSMSProvider{of(by, made), told.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "removeSMSProvider", Method: http.MethodDelete, Path: "/sms-providers/{id}", Tags: tags, Summary: "Take no more text messages from a provider", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error { return s.Mailboxes.RemoveProvider(ctx, tx, by.cause, by.Workspace, in.ID) })
		})
}
