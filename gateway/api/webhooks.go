package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

// Webhook is an endpoint that is told of events by Standard Webhooks 1.0. Its secret is not part of it.
type Webhook struct {
	ID           core.ID    `json:"id"`
	Name         string     `json:"name"`
	URL          string     `json:"url"`
	Types        []string   `json:"types" nullable:"false" doc:"Such as user.deprovisioned or user.*; none: every event"`
	Scheme       string     `json:"scheme" enum:"v1,v1a" doc:"v1: a shared secret; v1a: our Ed25519 key"`
	PreviousEnds *time.Time `json:"previous_secret_until,omitempty" doc:"Until when messages carry a signature of the secret before too"`
	State        string     `json:"state" enum:"running,paused,disabled"`
	Reason       string     `json:"reason,omitempty"`
	Succeeded    *time.Time `json:"succeeded,omitempty" etag:"-"`
	Failures     int        `json:"failures" etag:"-" doc:"Attempts that failed in a row"`
	LastError    string     `json:"last_error,omitempty" etag:"-"`
	LastErrorAt  *time.Time `json:"last_error_at,omitempty" etag:"-"`
	Created      time.Time  `json:"created"`
	Updated      time.Time  `json:"updated"`
}

// NewWebhook is a webhook with what its endpoint verifies messages by.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"whsec_… to keep secret, or the public key whpk_…. Told this once"`
}

// WebhookMessage is a message to a webhook.
type WebhookMessage struct {
	ID       core.ID    `json:"id" doc:"The webhook-id, and the id of the event it tells of"`
	Type     string     `json:"type"`
	State    string     `json:"state" enum:"waiting,delivered,dead"`
	Attempts int        `json:"attempts"`
	Next     *time.Time `json:"next,omitempty" doc:"When it is tried again"`
	Status   int        `json:"status,omitempty" doc:"Of the last answer"`
	Error    string     `json:"error,omitempty"`
	Created  time.Time  `json:"created"`
	Finished *time.Time `json:"finished,omitempty"`
}

// WebhookAttempt is one time a message was sent.
type WebhookAttempt struct {
	At           time.Time `json:"at"`
	Status       int       `json:"status,omitempty" doc:"Absent: there was no answer"`
	Milliseconds int64     `json:"milliseconds"`
	Error        string    `json:"error,omitempty"`
}

func webhookOf(one outgoing.Webhook) Webhook {
	return Webhook{
		ID: one.ID, Name: one.Name, URL: one.Address, Types: append([]string{}, one.Types...), Scheme: one.Scheme, PreviousEnds: one.PreviousEnds, State: string(one.State),
		Reason: one.Reason, Succeeded: one.Succeeded, Failures: one.Failures, LastError: one.LastError, LastErrorAt: one.LastErrorAt, Created: one.Created, Updated: one.Updated,
	}
}

func webhookMessageOf(one outgoing.Message) WebhookMessage {
	out := WebhookMessage{ID: one.ID, Type: one.Type, State: one.State, Attempts: one.Attempts, Status: one.Status, Error: one.Error, Created: one.Created, Finished: one.Finished}
	if one.State == "waiting" {
		out.Next = &one.Next
	}
	return out
}

type createWebhook struct {
	Body struct {
		Name   string   `json:"name" minLength:"1" maxLength:"100"`
		URL    string   `json:"url" maxLength:"1024"`
		Types  []string `json:"types,omitempty" maxItems:"200"`
		Scheme string   `json:"scheme,omitempty" enum:"v1,v1a" default:"v1"`
	}
}

type changeWebhook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Name  *string   `json:"name,omitempty" minLength:"1" maxLength:"100"`
		URL   *string   `json:"url,omitempty" maxLength:"1024"`
		Types *[]string `json:"types,omitempty" maxItems:"200"`
	}
}

type webhookState struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		State  string `json:"state" enum:"running,paused,disabled" doc:"paused: what happens waits; disabled: it is not kept"`
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type rotateWebhook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Overlap *int `json:"overlap_seconds,omitempty" default:"86400" minimum:"0" maximum:"2592000" doc:"How long both secrets sign"`
	}
}

type webhookMessages struct {
	ID    core.ID `path:"id" doc:"Its id"`
	State string  `query:"state" enum:"waiting,delivered,dead"`
	Limit int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
}

type webhookAttempts struct {
	ID      core.ID `path:"id" doc:"Its id"`
	Message core.ID `query:"message" doc:"The webhook-id"`
}

type resendWebhook struct {
	ID      core.ID `path:"id" doc:"Its id"`
	Message core.ID `query:"message" doc:"The webhook-id: the id of an event; everything that was given up when absent"`
}

type replayWebhook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Since time.Time `json:"since"`
	}
}

// Sent is a message that was put on its way.
type Sent struct {
	Message core.ID `json:"message" doc:"Its webhook-id"`
}

func (s *Service) webhooks(api huma.API) {
	tags := []string{"Webhooks"}
	one := func(webhook outgoing.Webhook, err error) (*single[Webhook], error) {
		if err != nil {
			return nil, err
		}
		return &single[Webhook]{webhookOf(webhook)}, nil
	}
	made := func(webhook outgoing.Made, err error) (*single[NewWebhook], error) {
		if err != nil {
			return nil, err
		}
		return &single[NewWebhook]{NewWebhook{webhookOf(webhook.Webhook), webhook.Secret.Reveal()}}, nil
	}
	add(api, huma.Operation{OperationID: "listWebhooks", Method: http.MethodGet, Path: "/webhooks", Tags: tags, Summary: "List the endpoints that are told of events, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Webhook], error) {
			found, err := s.Webhooks.Webhooks(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, webhookOf), nil
		})
	add(api, huma.Operation{OperationID: "createWebhook", Method: http.MethodPost, Path: "/webhooks", Tags: tags, Summary: "Tell an endpoint of events from now on", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *createWebhook) (*single[NewWebhook], error) {
			return made(s.Webhooks.Create(ctx, by.cause, outgoing.Webhook{Workspace: by.Workspace, Name: in.Body.Name, Address: in.Body.URL, Types: in.Body.Types, Scheme: in.Body.Scheme}))
		})
	add(api, huma.Operation{OperationID: "getWebhook", Method: http.MethodGet, Path: "/webhooks/{id}", Tags: tags, Summary: "Get a webhook and how it goes"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[Webhook], error) {
			return one(s.Webhooks.Webhook(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "changeWebhook", Method: http.MethodPatch, Path: "/webhooks/{id}", Tags: tags, Summary: "Change a webhook"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *changeWebhook) (*single[Webhook], error) {
			return one(s.Webhooks.Change(ctx, by.cause, by.Workspace, in.ID, func(w *outgoing.Webhook) {
				if in.Body.Name != nil {
					w.Name = *in.Body.Name
				}
				if in.Body.URL != nil {
					w.Address = *in.Body.URL
				}
				if in.Body.Types != nil {
					w.Types = *in.Body.Types
				}
			}))
		})
	add(api, huma.Operation{OperationID: "setWebhookState", Method: http.MethodPut, Path: "/webhooks/{id}/state", Tags: tags, Summary: "Let a webhook run, pause or disable it"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *webhookState) (*single[Webhook], error) {
			return one(s.Webhooks.SetState(ctx, by.cause, by.Workspace, in.ID, delivery.State(in.Body.State), in.Body.Reason))
		})
	add(api, huma.Operation{OperationID: "rotateWebhookSecret", Method: http.MethodPost, Path: "/webhooks/{id}/secret", Tags: tags, Summary: "Give a webhook a new secret", Description: "Messages carry both signatures as long as the overlap lasts."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *rotateWebhook) (*single[NewWebhook], error) {
			return made(s.Webhooks.Rotate(ctx, by.cause, by.Workspace, in.ID, time.Duration(*in.Body.Overlap)*time.Second))
		})
	add(api, huma.Operation{OperationID: "testWebhook", Method: http.MethodPost, Path: "/webhooks/{id}/test", Tags: tags, Summary: "Send a message of type webhook.test"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*single[Sent], error) {
			message, err := s.Webhooks.Test(ctx, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Sent]{Sent{message}}, nil
		})
	add(api, huma.Operation{OperationID: "listWebhookMessages", Method: http.MethodGet, Path: "/webhooks/{id}/messages", Tags: tags, Summary: "List a webhook's last messages, the latest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *webhookMessages) (*listed[WebhookMessage], error) {
			found, err := s.Webhooks.Messages(ctx, s.DB, by.Workspace, in.ID, in.State, in.Limit)
			if err != nil {
				return nil, err
			}
			return listing(found, webhookMessageOf), nil
		})
	add(api, huma.Operation{OperationID: "listWebhookAttempts", Method: http.MethodGet, Path: "/webhooks/{id}/attempts", Tags: tags, Summary: "List the attempts at a message, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *webhookAttempts) (*listed[WebhookAttempt], error) {
			if _, err := s.Webhooks.Webhook(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Webhooks.Attempts(ctx, s.DB, by.Workspace, in.ID, in.Message)
			if err != nil {
				return nil, err
			}
			return listing(found, func(a outgoing.Attempt) WebhookAttempt {
				return WebhookAttempt{a.At, a.Status, a.Took.Milliseconds(), a.Error}
			}), nil
		})
	add(api, huma.Operation{OperationID: "resendWebhookMessage", Method: http.MethodPost, Path: "/webhooks/{id}/resend", Tags: tags, Summary: "Send one message again, or all that was given up, under their ids", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *resendWebhook) (*struct{}, error) {
			return nil, s.Webhooks.Resend(ctx, by.cause, by.Workspace, in.ID, in.Message)
		})
	add(api, huma.Operation{OperationID: "replayWebhook", Method: http.MethodPost, Path: "/webhooks/{id}/replay", Tags: tags, Summary: "Send everything since a time again, each under its id"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *replayWebhook) (*single[Retried], error) {
			count, err := s.Webhooks.Replay(ctx, by.cause, by.Workspace, in.ID, in.Body.Since)
			if err != nil {
				return nil, err
			}
			return &single[Retried]{Retried{count}}, nil
		})
	add(api, huma.Operation{OperationID: "deleteWebhook", Method: http.MethodDelete, Path: "/webhooks/{id}", Tags: tags, Summary: "Tell an endpoint no more, not even of what waits", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Webhooks.Delete(ctx, by.cause, by.Workspace, in.ID)
		})
}
