package api

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/audit"
	"postern/core/seal"
	"postern/core/services"
	"postern/gateway/activity"
)

// Entry is an immutable fact, with its place in the workspace's chain.
type Entry = activity.Entry

// Checkpoint is a signed statement of how long the log was and what its chain ended in.
type Checkpoint struct {
	Sequence  int64     `json:"sequence"`
	Hash      string    `json:"hash" doc:"Hexadecimal"`
	Signed    time.Time `json:"signed"`
	KeyID     string    `json:"key_id"`
	Payload   string    `json:"payload" doc:"The signed bytes, base64"`
	Signature string    `json:"signature" doc:"Ed25519, base64"`
}

func checkpointOf(checkpoint audit.Checkpoint) Checkpoint {
	return Checkpoint{
		checkpoint.Sequence, hex.EncodeToString(checkpoint.Hash), checkpoint.Signed, checkpoint.KeyID,
		base64.StdEncoding.EncodeToString(checkpoint.Payload()), base64.StdEncoding.EncodeToString(checkpoint.Signature),
	}
}

// Checkpoints are a workspace's checkpoints and the key that verifies them.
type Checkpoints struct {
	PublicKey string       `json:"public_key,omitempty" doc:"Ed25519, base64"`
	KeyID     string       `json:"key_id,omitempty"`
	Items     []Checkpoint `json:"items" nullable:"false"`
}

// EventFilter says which events are meant. What is left out narrows nothing.
type EventFilter struct {
	Target      core.ID   `query:"target" doc:"Only events that tell of this account, user, team, connection …"`
	Actor       core.ID   `query:"actor" doc:"Only what this user, service account or connection did"`
	Correlation core.ID   `query:"correlation" doc:"Only events of one story"`
	Type        []string  `query:"type" maxItems:"50" doc:"Only these types, separated by commas; account.* is all that begin so"`
	Outcome     string    `query:"outcome" enum:"success,failure"`
	Text        string    `query:"text" maxLength:"200" doc:"Part of the name of the actor or of a target, whatever the case"`
	Since       time.Time `query:"since" doc:"Only what was recorded then or later"`
	Until       time.Time `query:"until" doc:"Only what was recorded before"`
}

func (f EventFilter) query() (audit.Query, error) {
	query := audit.Query{Target: f.Target, Actor: f.Actor, Correlation: f.Correlation, Outcome: core.Outcome(f.Outcome), Text: f.Text, Since: f.Since, Until: f.Until}
	var err error
	query.Types, err = activity.Types(f.Type)
	return query, err
}

type eventList struct {
	EventFilter
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next of the page before"`
	Order  string `query:"order" enum:"asc,desc" default:"asc"`
}

type eventTail struct {
	EventFilter
	LastEventID string `header:"Last-Event-ID" doc:"The last id that was seen: goes on behind it"`
	After       int64  `query:"after" minimum:"-1" default:"-1" doc:"Goes on behind this sequence; at the end of the log when it is left out"`
	Seconds     int    `query:"seconds" minimum:"1" maximum:"600" default:"600" doc:"How long to listen; come back then with the last id"`
}

type eventDownload struct {
	EventFilter
	Format string `query:"format" enum:"csv,jsonl" default:"jsonl"`
}

// The routes that stream, as gin knows them: they must not be given a timeout.
const (
	TailRoute     = base + "/activity/tail"
	DownloadRoute = base + "/activity/download"
)

func (s *Service) activity(api huma.API) {
	tags := []string{"Activity"}
	add(api, huma.Operation{OperationID: "listEvents", Method: http.MethodGet, Path: "/events", Tags: tags, Summary: "List events in the order of their sequence",
		Description: "In ascending order there is always a next: ask again with it to follow the log. A page may hold few events or none and have a next all the same: so far was looked for what is rare."},
		ActivityRead, func(ctx context.Context, by caller, in *eventList) (*listed[Entry], error) {
			query, err := in.query()
			if err != nil {
				return nil, err
			}
			query.Limit, query.Descending = in.Limit, in.Order == "desc"
			if query.Descending {
				query.BeforeSequence = in.Cursor
			} else {
				query.AfterSequence = in.Cursor
			}
			found, err := audit.Search(ctx, s.DB, by.Workspace, query)
			if err != nil {
				return nil, err
			}
			answer := listing(found.Records, activity.EntryOf)
			// Forwards there is always a next: the log goes on growing.
			if !query.Descending || found.More {
				answer.Body.Next = strconv.FormatInt(found.Next, 10)
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "tailActivity", Method: http.MethodGet, Path: "/activity/tail", Tags: tags, Summary: "Follow events as they happen",
		Description: "Server-sent events named entry, whose data is an Entry and whose id is its sequence. Come back with the last id in Last-Event-ID, as an EventSource does by itself, and none is missed.",
		Responses:   streamed("text/event-stream", "Events, until it ends")},
		ActivityRead, func(ctx context.Context, by caller, in *eventTail) (*huma.StreamResponse, error) {
			query, err := in.query()
			if err != nil {
				return nil, err
			}
			after := ""
			if in.After >= 0 {
				after = strconv.FormatInt(in.After, 10)
			}
			if query.AfterSequence, err = activity.LastSeen(ctx, s.DB, by.Workspace, in.LastEventID, after); err != nil {
				return nil, err
			}
			leave, err := s.listeners.Take(by.ID)
			if err != nil {
				return nil, err
			}
			token := seal.NewSecret(bearer(by.c.Request))
			tail := activity.Tail{
				DB: s.DB, Workspace: by.Workspace, Query: query, Message: activity.JSONMessage, Closing: s.closing,
				Still: func(ctx context.Context) bool {
					account, err := s.Directory.AuthenticateServiceAccount(ctx, token)
					return err == nil && services.Allow(account.Scopes, services.Scope{Kind: "activity", Verb: "read"})
				},
			}
			return &huma.StreamResponse{Body: func(huma.Context) {
				defer leave()
				ctx, cancel := context.WithTimeout(ctx, time.Duration(in.Seconds)*time.Second)
				defer cancel()
				tail.Serve(ctx, by.c.Writer)
			}}, nil
		})
	add(api, huma.Operation{OperationID: "downloadActivity", Method: http.MethodGet, Path: "/activity/download", Tags: tags, Summary: "Download events as a file",
		Description: "All that are meant and in the log now, oldest first, however many: as CSV with a line of names, whose cells no spreadsheet takes for formulas, or as one Entry a line. A file that is not whole breaks off instead of ending.",
		Responses:   streamed("text/csv", "The file", "application/jsonl")},
		ActivityRead, func(ctx context.Context, by caller, in *eventDownload) (*huma.StreamResponse, error) {
			query, err := in.query()
			if err != nil {
				return nil, err
			}
			leave, err := s.listeners.Take(by.ID)
			if err != nil {
				return nil, err
			}
			file := activity.Download{DB: s.DB, Workspace: by.Workspace, Query: query, Format: activity.Format(in.Format), Now: s.now(), Closing: s.closing}
			return &huma.StreamResponse{Body: func(huma.Context) {
				defer leave()
				activity.Hand(by.c, file)
			}}, nil
		})
	add(api, huma.Operation{OperationID: "listCheckpoints", Method: http.MethodGet, Path: "/audit/checkpoints", Tags: tags, Summary: "List the signed checkpoints and the key that verifies them"},
		ActivityRead, func(ctx context.Context, by caller, _ *struct{}) (*single[Checkpoints], error) {
			found, err := audit.Checkpoints(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			out := Checkpoints{Items: listing(found, checkpointOf).Body.Items}
			if len(s.AuditKey) > 0 {
				public := s.AuditKey.Public().(ed25519.PublicKey)
				out.PublicKey, out.KeyID = base64.StdEncoding.EncodeToString(public), audit.KeyID(public)
			}
			return &single[Checkpoints]{out}, nil
		})
}

// streamed documents an answer that is no JSON.
func streamed(kind, text string, others ...string) map[string]*huma.Response {
	content := map[string]*huma.MediaType{}
	for _, one := range append(others, kind) {
		content[one] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return map[string]*huma.Response{strconv.Itoa(http.StatusOK): {Description: text, Content: content}}
}
