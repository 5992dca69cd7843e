package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/audit"
)

// Entry is an immutable fact, with its place in the workspace's chain.
type Entry struct {
	Sequence int64      `json:"sequence" doc:"Gap-free within the workspace, from 1"`
	Hash     string     `json:"hash" doc:"SHA-256 over the previous hash, the sequence and the event; hexadecimal"`
	Event    core.Event `json:"event"`
}

func entryOf(record audit.Record) Entry {
	return Entry{record.Sequence, hex.EncodeToString(record.Hash), record.Event}
}

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

type eventList struct {
	Limit       int      `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor      int64    `query:"cursor" minimum:"0" doc:"next of the page before: the last sequence seen"`
	Order       string   `query:"order" enum:"asc,desc" default:"asc"`
	Target      core.ID  `query:"target" doc:"Only events that tell of this thing"`
	Correlation core.ID  `query:"correlation" doc:"Only events of one story"`
	Type        []string `query:"type" doc:"Only these types, separated by commas"`
}

func (s *Service) activity(api huma.API) {
	tags := []string{"Activity"}
	add(api, huma.Operation{OperationID: "listEvents", Method: http.MethodGet, Path: "/events", Tags: tags, Summary: "List events in the order of their sequence",
		Description: "In ascending order there is always a next: ask again with it to follow the log. An empty page means nothing new yet."},
		ActivityRead, func(ctx context.Context, by caller, in *eventList) (*listed[Entry], error) {
			query := audit.Query{Target: in.Target, Correlation: in.Correlation, Limit: in.Limit, Descending: in.Order == "desc"}
			for _, name := range in.Type {
				query.Types = append(query.Types, core.EventType(name))
			}
			if query.Descending {
				query.BeforeSequence = in.Cursor
			} else {
				query.AfterSequence = in.Cursor
			}
			found, err := audit.List(ctx, s.DB, by.Workspace, query)
			if err != nil {
				return nil, err
			}
			answer := listing(found, entryOf)
			last := in.Cursor
			if len(found) > 0 {
				last = found[len(found)-1].Sequence
			}
			// Forwards there is always a next: the log goes on growing.
			if !query.Descending || len(found) == in.Limit {
				answer.Body.Next = strconv.FormatInt(last, 10)
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "listCheckpoints", Method: http.MethodGet, Path: "/audit/checkpoints", Tags: tags, Summary: "List the signed checkpoints and the key that verifies them"},
		ActivityRead, func(ctx context.Context, by caller, _ *struct{}) (*single[Checkpoints], error) {
			found, err := audit.Checkpoints(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			out := Checkpoints{Items: listing(found, checkpointOf).Body.Items}
			if len(s.AuditKey) > 0 {
				out.PublicKey, out.KeyID = base64.StdEncoding.EncodeToString(s.AuditKey), audit.KeyID(s.AuditKey)
			}
			return &single[Checkpoints]{out}, nil
		})
}
