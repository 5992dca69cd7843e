package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/seal"
	"postern/webhooks/ssf"
)

// Stream is a stream of Shared Signals from a transmitter to a connection. Its secrets are not part of it.
type Stream struct {
	ID          core.ID   `json:"id"`
	Connection  core.ID   `json:"connection"`
	Profile     string    `json:"profile" enum:"standard,okta,keycloak,google,apple,caep_interop" doc:"Whose way of speaking it is read with"`
	Delivery    string    `json:"delivery" enum:"push,poll"`
	Issuer      string    `json:"issuer" doc:"The transmitter, and the iss of its tokens"`
	StreamID    string    `json:"stream_id,omitempty" doc:"What the transmitter calls it"`
	Audiences   []string  `json:"audiences" nullable:"false" doc:"One of which the aud of its tokens holds"`
	Description string    `json:"description,omitempty"`
	Requested   []string  `json:"events_requested" nullable:"false"`
	Delivered   []string  `json:"events_delivered" nullable:"false"`
	PushURL     string    `json:"push_url,omitempty" doc:"Where the transmitter sends to"`
	PollURL     string    `json:"poll_url,omitempty" doc:"Where Postern asks"`
	Method      string    `json:"access_method" enum:"none,bearer,client_secret_basic,client_secret_post,private_key_jwt" doc:"How Postern gets in at the transmitter"`
	Subjects    string    `json:"default_subjects,omitempty" doc:"NONE: the transmitter is told about each person of the connection; ALL: it tells of everybody"`
	Created     time.Time `json:"created"`

	Status         string     `json:"status" enum:"creating,enabled,paused,disabled" doc:"creating: the transmitter did not answer when it was made"`
	Reason         string     `json:"reason,omitempty" doc:"Of the status, in the transmitter's words"`
	VerifyAsked    *time.Time `json:"verification_asked,omitempty"`
	Verified       *time.Time `json:"verified,omitempty" etag:"-" doc:"When the last verification event came"`
	LastEvent      *time.Time `json:"last_event,omitempty" etag:"-"`
	LastEventType  string     `json:"last_event_type,omitempty" etag:"-"`
	Failures       int        `json:"failures" etag:"-" doc:"Polls that failed in a row"`
	LastError      string     `json:"last_error,omitempty" etag:"-" doc:"What is wrong; absent when nothing is"`
	LastErrorStage string     `json:"last_error_stage,omitempty" etag:"-" doc:"Where it failed: discovery, token, create, poll, signature, audience …"`
	LastErrorAt    *time.Time `json:"last_error_at,omitempty" etag:"-"`
}

func (s *Service) streamOf(one ssf.Stream) Stream {
	out := Stream{
		ID: one.ID, Connection: one.Connection, Profile: string(one.Profile), Delivery: string(one.Delivery), Issuer: one.Issuer, StreamID: one.RemoteID,
		Audiences: one.Audiences, Description: one.Description, Requested: one.Requested, Delivered: one.Delivered, PollURL: one.PollURL,
		Method: string(one.Access.Method), Subjects: one.Metadata.Subjects, Created: one.Created, Status: string(one.Status), Reason: one.Reason,
		VerifyAsked: one.VerifyAsked, Verified: one.Verified, LastEvent: one.LastEvent, LastEventType: one.LastEventType, Failures: one.Failures,
		LastError: one.LastError, LastErrorStage: one.LastErrorStage, LastErrorAt: one.LastErrorAt,
	}
	if one.Delivery == ssf.Push {
		out.PushURL = s.Streams.PushURL(one.Connection, one.ID)
	}
	return out
}

// NewStream is a stream as it was made, with the header an administrator has to paste where Postern cannot.
type NewStream struct {
	Stream
	Authorization string `json:"authorization_header,omitempty" doc:"What the transmitter has to send as Authorization, for a stream that was adopted without a credential. It is told this once"`
}

// StreamAccess is how Postern gets in at a transmitter.
type StreamAccess struct {
	Method        string   `json:"method" enum:"none,bearer,client_secret_basic,client_secret_post,private_key_jwt" doc:"none: an administrator manages the stream at the transmitter, so it can only be adopted"`
	TokenEndpoint string   `json:"token_endpoint,omitempty" maxLength:"1000" doc:"Of OAuth; asked from the connection's issuer when absent"`
	ClientID      string   `json:"client_id,omitempty" maxLength:"255"`
	Scopes        []string `json:"scopes,omitempty" maxItems:"16" doc:"ssf.manage and ssf.read when absent"`
	Secret        string   `json:"secret,omitempty" maxLength:"4096" writeOnly:"true" doc:"The client's secret, or the token of bearer. It is sealed in the workspace's vault and never told again"`
}

type createStream struct {
	ID   core.ID `path:"id" doc:"The connection"`
	Body struct {
		Profile     string       `json:"profile,omitempty" enum:"standard,okta,keycloak,google,apple,caep_interop" default:"standard"`
		Delivery    string       `json:"delivery" enum:"push,poll"`
		Issuer      string       `json:"issuer,omitempty" maxLength:"1000" doc:"The transmitter's, exactly; the connection's when absent"`
		Events      []string     `json:"events_requested,omitempty" maxItems:"64" doc:"URIs of event types; what the profile asks for when absent"`
		Description string       `json:"description,omitempty" maxLength:"200"`
		Access      StreamAccess `json:"access"`
		Adopt       bool         `json:"adopt,omitempty" doc:"Take over a stream that is there already, instead of making one"`
		StreamID    string       `json:"stream_id,omitempty" maxLength:"255" doc:"With adopt: which one, if there are several"`
		Audiences   []string     `json:"audiences,omitempty" maxItems:"16" doc:"With adopt and without a credential: the aud of its tokens"`
	}
}

func (n createStream) wanted() ssf.NewStream {
	body := n.Body
	return ssf.NewStream{
		Connection: n.ID, Profile: ssf.Profile(body.Profile), Delivery: ssf.Delivery(body.Delivery), Issuer: body.Issuer, Events: body.Events,
		Description: body.Description, Adopt: body.Adopt, RemoteID: body.StreamID, Audiences: body.Audiences, Secret: seal.NewSecret(body.Access.Secret),
		Access: ssf.Access{Method: ssf.Method(body.Access.Method), TokenEndpoint: body.Access.TokenEndpoint, ClientID: body.Access.ClientID, Scopes: body.Access.Scopes},
	}
}

type streamList struct {
	Connection core.ID `query:"connection" doc:"Only those of this connection"`
}

type changeStream struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Events        []string `json:"events_requested,omitempty" maxItems:"64" doc:"As they are when absent"`
		Description   *string  `json:"description,omitempty" maxLength:"200"`
		Authorization bool     `json:"new_authorization,omitempty" doc:"Have the transmitter send a new Authorization header from now on"`
	}
}

type streamStatus struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Status string `json:"status" enum:"enabled,paused,disabled" doc:"paused: the transmitter keeps what happens, and sends it later; disabled: it is lost"`
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type streamSubject struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Subject map[string]any `json:"subject" doc:"A subject identifier (RFC 9493)" example:"{\"format\":\"email\",\"email\":\"ana@example.com\"}"`
	}
}

type deleteStream struct {
	ID    core.ID `path:"id" doc:"Its id"`
	Force bool    `query:"force" doc:"Forget it even if the transmitter cannot be asked to end it"`
}

func (s *Service) streams(api huma.API) {
	tags := []string{"Streams"}
	add(api, huma.Operation{OperationID: "listStreams", Method: http.MethodGet, Path: "/streams", Tags: tags, Summary: "List the streams of Shared Signals, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, in *streamList) (*listed[Stream], error) {
			found, err := s.Streams.Streams(ctx, s.DB, by.Workspace)
			if !in.Connection.IsZero() && err == nil {
				found, err = s.Streams.StreamsOf(ctx, s.DB, by.Workspace, in.Connection)
			}
			if err != nil {
				return nil, err
			}
			return listing(found, s.streamOf), nil
		})
	add(api, huma.Operation{OperationID: "createStream", Method: http.MethodPost, Path: "/connections/{id}/streams", Tags: tags, Summary: "Make a stream at a transmitter, or adopt one", DefaultStatus: http.StatusCreated,
		Description: "The transmitter's metadata is read, the stream made there and its first verification asked for. A 409 with code `stream_exists` means that the transmitter has one for this client already: adopt it."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *createStream) (*single[NewStream], error) {
			made, err := s.Streams.Create(ctx, by.cause, by.Workspace, in.wanted())
			if err != nil {
				return nil, err
			}
			return &single[NewStream]{NewStream{s.streamOf(made.Stream), made.Authorization.Reveal()}}, nil
		})
	add(api, huma.Operation{OperationID: "getStream", Method: http.MethodGet, Path: "/streams/{id}", Tags: tags, Summary: "Get a stream and how it goes"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[Stream], error) {
			return s.oneStream(s.Streams.Stream(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "changeStream", Method: http.MethodPatch, Path: "/streams/{id}", Tags: tags, Summary: "Change a stream at its transmitter"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *changeStream) (*single[Stream], error) {
			return s.oneStream(s.Streams.Update(ctx, by.cause, by.Workspace, in.ID, ssf.Change{Events: in.Body.Events, Description: in.Body.Description, Authorization: in.Body.Authorization}))
		})
	add(api, huma.Operation{OperationID: "verifyStream", Method: http.MethodPost, Path: "/streams/{id}/verification", Tags: tags, Summary: "Ask the transmitter for a verification event",
		Description: "The event comes in the stream: `verified` says when it did."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*single[Stream], error) {
			if err := s.Streams.Verify(ctx, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			return s.oneStream(s.Streams.Stream(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "setStreamStatus", Method: http.MethodPut, Path: "/streams/{id}/status", Tags: tags, Summary: "Enable, pause or disable a stream"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *streamStatus) (*single[Stream], error) {
			return s.oneStream(s.Streams.SetStatus(ctx, by.cause, by.Workspace, in.ID, ssf.Status(in.Body.Status), in.Body.Reason))
		})
	add(api, huma.Operation{OperationID: "refreshStream", Method: http.MethodPost, Path: "/streams/{id}/refresh", Tags: tags, Summary: "Read what the transmitter has of a stream now"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*single[Stream], error) {
			return s.oneStream(s.Streams.Refresh(ctx, by.cause, by.Workspace, in.ID))
		})
	subject := func(added bool) func(ctx context.Context, by caller, in *streamSubject) (*struct{}, error) {
		return func(ctx context.Context, by caller, in *streamSubject) (*struct{}, error) {
			text, err := json.Marshal(in.Body.Subject)
			if err != nil {
				return nil, core.Invalid("subject", "a subject identifier is an object").Because(err)
			}
			return nil, s.Streams.Subject(ctx, by.Workspace, in.ID, added, text)
		}
	}
	add(api, huma.Operation{OperationID: "addStreamSubject", Method: http.MethodPost, Path: "/streams/{id}/subjects", Tags: tags, Summary: "Have the transmitter tell about somebody", DefaultStatus: http.StatusNoContent,
		Description: "Where `default_subjects` is NONE the people of the connection are added by themselves."},
		ConnectionsWrite, subject(true))
	add(api, huma.Operation{OperationID: "removeStreamSubject", Method: http.MethodPost, Path: "/streams/{id}/subject-removals", Tags: tags, Summary: "Have it tell about somebody no longer", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, subject(false))
	add(api, huma.Operation{OperationID: "deleteStream", Method: http.MethodDelete, Path: "/streams/{id}", Tags: tags, Summary: "End a stream at its transmitter and forget it", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *deleteStream) (*struct{}, error) {
			return nil, s.Streams.Delete(ctx, by.cause, by.Workspace, in.ID, in.Force)
		})
}

func (s *Service) oneStream(one ssf.Stream, err error) (*single[Stream], error) {
	if err != nil {
		return nil, err
	}
	return &single[Stream]{s.streamOf(one)}, nil
}
