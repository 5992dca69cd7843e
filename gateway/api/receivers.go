package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/transmitter"
)

// Lane is how the delivery of messages to a destination goes.
type Lane struct {
	Status      string     `json:"status" enum:"none,running,paused,disabled" doc:"none: the receiver has made no stream yet"`
	Reason      string     `json:"reason,omitempty"`
	Waiting     int        `json:"waiting" etag:"-" doc:"Messages that are not delivered yet"`
	DeadLetters int        `json:"dead_letters" etag:"-" doc:"Messages that were refused or given up"`
	Oldest      *time.Time `json:"oldest,omitempty" etag:"-" doc:"Since when the oldest message waits"`
	Succeeded   *time.Time `json:"succeeded,omitempty" etag:"-" doc:"When a message was last taken"`
	Failures    int        `json:"failures" etag:"-" doc:"Attempts that failed in a row"`
	LastError   string     `json:"last_error,omitempty" etag:"-"`
	LastErrorAt *time.Time `json:"last_error_at,omitempty" etag:"-"`
}

// Receiver is who may have a stream of Shared Signals from Postern.
type Receiver struct {
	ID            core.ID   `json:"id"`
	Name          string    `json:"name"`
	ClientID      core.ID   `json:"client_id" doc:"Its service account: client_id at the token endpoint"`
	Issuer        string    `json:"issuer" doc:"The transmitter: what the receiver discovers, and the iss of its tokens"`
	Discovery     string    `json:"discovery" doc:"Where the transmitter's metadata is"`
	TokenEndpoint string    `json:"token_endpoint"`
	SubjectFormat string    `json:"subject_format" enum:"email,iss_sub" doc:"How it knows people"`
	Audience      string    `json:"audience" doc:"The aud of its tokens"`
	Sessions      bool      `json:"sessions" doc:"It hears of single sessions too"`
	Accounts      bool      `json:"accounts" doc:"It hears of rotations of shared accounts"`
	Created       time.Time `json:"created"`
	Delivery      string    `json:"delivery,omitempty" enum:"push,poll"`
	Endpoint      string    `json:"endpoint_url,omitempty" doc:"Where its stream is pushed to"`
	Events        []string  `json:"events_delivered" nullable:"false"`
	Lane          Lane      `json:"lane"`
}

// NewReceiver is a receiver as it was made, with its secret.
type NewReceiver struct {
	Receiver
	ClientSecret string `json:"client_secret" doc:"Told this once"`
}

// DeadLetter is a message a destination did not take.
type DeadLetter struct {
	ID       core.ID    `json:"id" doc:"The same however often it is sent: the jti of a security event token"`
	Type     string     `json:"type"`
	Event    core.ID    `json:"event" doc:"Of the activity it tells of"`
	Attempts int        `json:"attempts"`
	Status   int        `json:"status,omitempty" doc:"Of the last answer, if there was one"`
	Error    string     `json:"error"`
	Created  time.Time  `json:"created"`
	Finished *time.Time `json:"finished,omitempty"`
}

func deadLetterOf(one delivery.Delivery) DeadLetter {
	return DeadLetter{one.ID, one.Type, one.Event, one.Attempts, one.Status, one.LastError, one.Created, one.Finished}
}

// Retried is how many messages are sent again.
type Retried struct {
	Messages int `json:"messages"`
}

type createReceiver struct {
	Body struct {
		Name          string `json:"name" minLength:"1" maxLength:"100"`
		SubjectFormat string `json:"subject_format,omitempty" enum:"email,iss_sub" default:"email"`
		Audience      string `json:"audience,omitempty" maxLength:"1000" doc:"The client id when absent"`
		Sessions      *bool  `json:"sessions,omitempty" default:"true"`
		Accounts      bool   `json:"accounts,omitempty" default:"false"`
		ReadOnly      bool   `json:"read_only,omitempty" doc:"It may poll and look, but not make or change its stream"`
	}
}

type changeReceiver struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		SubjectFormat *string `json:"subject_format,omitempty" enum:"email,iss_sub"`
		Audience      *string `json:"audience,omitempty" maxLength:"1000"`
		Sessions      *bool   `json:"sessions,omitempty"`
		Accounts      *bool   `json:"accounts,omitempty"`
	}
}

type receiverStatus struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Status string `json:"status" enum:"enabled,paused,disabled" doc:"paused: what happens waits; disabled: it is not kept"`
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type retryLetters struct {
	ID     core.ID `path:"id" doc:"Its id"`
	Letter core.ID `query:"letter" doc:"Only this one; all when absent"`
}

// lane reads how a lane goes.
func (s *Service) lane(ctx context.Context, workspace, id core.ID) (Lane, error) {
	found, err := s.Receivers.Deliveries.Lane(ctx, s.DB, workspace, id)
	if err != nil {
		return Lane{}, err
	}
	backlog, err := s.Receivers.Deliveries.Backlog(ctx, s.DB, workspace, id)
	return Lane{
		Status: string(found.State), Reason: found.Reason, Waiting: backlog.Waiting, DeadLetters: backlog.Dead, Oldest: backlog.Oldest, Succeeded: found.Succeeded,
		Failures: found.Failures, LastError: found.LastError, LastErrorAt: found.LastErrorAt,
	}, err
}

func (s *Service) receiverOf(ctx context.Context, one transmitter.Receiver) (Receiver, error) {
	issuer := s.Receivers.Issuer(one.Workspace)
	out := Receiver{
		ID: one.ID, Name: one.Name, ClientID: one.Account, Issuer: issuer, Discovery: s.Receivers.Discovery(one.Workspace), TokenEndpoint: issuer + "/token",
		SubjectFormat: one.SubjectFormat, Audience: one.Audience, Sessions: one.Sessions, Accounts: one.Accounts, Created: one.Created,
		Events: []string{}, Lane: Lane{Status: "none"},
	}
	stream, err := s.Receivers.StreamOf(ctx, s.DB, one.Workspace, one.ID)
	if err != nil {
		if core.KindOf(err) == core.KindNotFound {
			err = nil
		}
		return out, err
	}
	out.Delivery, out.Endpoint, out.Events = stream.Delivery, stream.EndpointURL, append(out.Events, stream.Delivered...)
	out.Lane, err = s.lane(ctx, one.Workspace, stream.ID)
	return out, err
}

func (s *Service) oneReceiver(ctx context.Context, one transmitter.Receiver, err error) (*single[Receiver], error) {
	if err != nil {
		return nil, err
	}
	out, err := s.receiverOf(ctx, one)
	if err != nil {
		return nil, err
	}
	return &single[Receiver]{out}, nil
}

func (s *Service) receivers(api huma.API) {
	tags := []string{"Receivers"}
	add(api, huma.Operation{OperationID: "listReceivers", Method: http.MethodGet, Path: "/receivers", Tags: tags, Summary: "List who may hear Shared Signals from Postern, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Receiver], error) {
			found, err := s.Receivers.Receivers(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			all := make([]Receiver, 0, len(found))
			for _, one := range found {
				shown, err := s.receiverOf(ctx, one)
				if err != nil {
					return nil, err
				}
				all = append(all, shown)
			}
			return &listed[Receiver]{Body: page[Receiver]{Items: all}}, nil
		})
	add(api, huma.Operation{OperationID: "createReceiver", Method: http.MethodPost, Path: "/receivers", Tags: tags, Summary: "Let somebody hear Shared Signals from Postern", DefaultStatus: http.StatusCreated,
		Description: "The receiver is given `issuer`, `client_id` and `client_secret`, and makes its stream itself."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *createReceiver) (*single[NewReceiver], error) {
			b := in.Body
			made, secret, err := s.Receivers.AddReceiver(ctx, by.cause, by.Workspace, transmitter.NewReceiver{
				Name: b.Name, SubjectFormat: b.SubjectFormat, Audience: b.Audience, Sessions: *b.Sessions, Accounts: b.Accounts, ReadOnly: b.ReadOnly,
			})
			if err != nil {
				return nil, err
			}
			shown, err := s.receiverOf(ctx, made)
			if err != nil {
				return nil, err
			}
			return &single[NewReceiver]{NewReceiver{shown, secret.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "getReceiver", Method: http.MethodGet, Path: "/receivers/{id}", Tags: tags, Summary: "Get a receiver and how its stream goes"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[Receiver], error) {
			one, err := s.Receivers.Receiver(ctx, s.DB, by.Workspace, in.ID)
			return s.oneReceiver(ctx, one, err)
		})
	add(api, huma.Operation{OperationID: "changeReceiver", Method: http.MethodPatch, Path: "/receivers/{id}", Tags: tags, Summary: "Change how a receiver is told"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *changeReceiver) (*single[Receiver], error) {
			one, err := s.Receivers.ChangeReceiver(ctx, by.cause, by.Workspace, in.ID, transmitter.Change{
				SubjectFormat: in.Body.SubjectFormat, Audience: in.Body.Audience, Sessions: in.Body.Sessions, Accounts: in.Body.Accounts,
			})
			return s.oneReceiver(ctx, one, err)
		})
	add(api, huma.Operation{OperationID: "setReceiverStatus", Method: http.MethodPut, Path: "/receivers/{id}/status", Tags: tags, Summary: "Enable, pause or disable a receiver's stream",
		Description: "The receiver is told by a stream-updated event. One that was given up goes on with what waits once it is enabled."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *receiverStatus) (*single[Receiver], error) {
			if _, err := s.Receivers.SetStatus(ctx, by.cause, by.Workspace, in.ID, in.Body.Status, in.Body.Reason); err != nil {
				return nil, err
			}
			one, err := s.Receivers.Receiver(ctx, s.DB, by.Workspace, in.ID)
			return s.oneReceiver(ctx, one, err)
		})
	add(api, huma.Operation{OperationID: "listReceiverDeadLetters", Method: http.MethodGet, Path: "/receivers/{id}/dead-letters", Tags: tags, Summary: "List what a receiver did not take, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*listed[DeadLetter], error) {
			if _, err := s.Receivers.Receiver(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			stream, err := s.Receivers.StreamOf(ctx, s.DB, by.Workspace, in.ID)
			if err != nil && core.KindOf(err) != core.KindNotFound {
				return nil, err
			}
			found, err := s.Receivers.Deliveries.DeadLetters(ctx, s.DB, by.Workspace, stream.ID, 1000)
			if err != nil {
				return nil, err
			}
			return listing(found, deadLetterOf), nil
		})
	add(api, huma.Operation{OperationID: "retryReceiverDeadLetters", Method: http.MethodPost, Path: "/receivers/{id}/dead-letters/retry", Tags: tags, Summary: "Send dead letters again, with the ids they have"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *retryLetters) (*single[Retried], error) {
			count, err := s.Receivers.Retry(ctx, by.cause, by.Workspace, in.ID, in.Letter)
			if err != nil {
				return nil, err
			}
			return &single[Retried]{Retried{count}}, nil
		})
	s.receiverSecrets(api, tags)
	add(api, huma.Operation{OperationID: "deleteReceiver", Method: http.MethodDelete, Path: "/receivers/{id}", Tags: tags, Summary: "End a receiver's stream, its tokens and its secret", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Receivers.DeleteReceiver(ctx, by.cause, by.Workspace, in.ID)
		})
}
