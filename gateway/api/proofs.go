package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/proof"
	"postern/gateway/activity"
)

// ExportRoute streams, as DownloadRoute does.
const ExportRoute = base + "/audit/export"

type auditExport struct {
	After int64 `query:"after" minimum:"0" doc:"Begins behind this sequence: the last one of an earlier export"`
	Until int64 `query:"until" minimum:"0" doc:"Ends with this sequence; with the newest when it is left out"`
	Have  int64 `query:"have" minimum:"0" doc:"To go on with an export that broke off: the last record that arrived whole. What comes up to it is left out; after and until have to be those of the header"`
}

type provenEvent struct {
	Event core.ID `path:"id" doc:"Its id: what a SIEM has in metadata.uid"`
}

// AuditKey is a public key that checkpoints, exports and proofs are signed with.
type AuditKey struct {
	ID          string     `json:"key_id" doc:"What a signature names its key by: the first 8 bytes of its SHA-256, hexadecimal"`
	Public      string     `json:"public_key" doc:"Ed25519 (RFC 8032), base64"`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256 of the public key, hexadecimal: compare it before you trust the key"`
	FirstUsed   *time.Time `json:"first_used" doc:"When a process first started with it"`
}

func auditKeyOf(key proof.Key) AuditKey {
	return AuditKey{key.ID, base64.StdEncoding.EncodeToString(key.Public), key.Fingerprint, key.FirstUsed}
}

// proven documents a proof, whose bytes count: it is handed out as it was written.
var proven = map[string]*huma.Response{strconv.Itoa(http.StatusOK): {Description: "The proof", Content: map[string]*huma.MediaType{
	"application/json": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"proof"}, Properties: map[string]*huma.Schema{"proof": {Type: huma.TypeObject, Description: "The event, the path and the signed root, for postern audit verify"}},
	}},
}}}

func (s *Service) proofs(api huma.API) {
	tags := []string{"Activity"}
	add(api, huma.Operation{OperationID: "exportAudit", Method: http.MethodGet, Path: "/audit/export", Tags: tags, Summary: "Export the log so that anybody can verify it",
		Description: "One JSON object a line: a header, every event as it was hashed with its link in the chain, the signed checkpoints, and last a manifest signed over all bytes before it. `postern audit verify` finds any byte that was changed, with the public key alone. A file without its manifest broke off.",
		Responses:   streamed("application/jsonl", "The file")},
		ActivityRead, func(ctx context.Context, by caller, in *auditExport) (*huma.StreamResponse, error) {
			leave, err := s.listeners.Take(by.ID)
			if err != nil {
				return nil, err
			}
			export := proof.Export{DB: s.DB, Workspace: by.Workspace, After: in.After, Until: in.Until, Have: in.Have, Key: s.AuditKey, Product: s.Product, Now: s.now()}
			return &huma.StreamResponse{Body: func(huma.Context) {
				defer leave()
				activity.HandExport(by.c, export, s.closing)
			}}, nil
		})
	add(api, huma.Operation{OperationID: "listAuditKeys", Method: http.MethodGet, Path: "/audit/keys", Tags: tags, Summary: "List the keys that checkpoints, exports and proofs are signed with",
		Description: "All that were ever used here, oldest first. Keep the answer: it is what `postern audit verify --key` trusts. Compare a key's fingerprint with what the processes write to their log when they start."},
		ActivityRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[AuditKey], error) {
			keys, err := proof.KnownKeys(ctx, s.DB)
			if err != nil {
				return nil, err
			}
			return listing(keys, auditKeyOf), nil
		})
	add(api, huma.Operation{OperationID: "proveEvent", Method: http.MethodGet, Path: "/events/{id}/proof", Tags: tags, Summary: "Prove that one event is in the log",
		Description: "The event, a Merkle path (RFC 6962) of log2(n) hashes over the events its checkpoint covers, the signed root and the signed checkpoint: about two kilobytes, and nothing of other events. `postern audit verify` checks it offline. Until a checkpoint covers the event the answer is 503, for some seconds.",
		Responses:   proven},
		ActivityRead, func(ctx context.Context, by caller, in *provenEvent) (*huma.StreamResponse, error) {
			prover := proof.Prover{DB: s.DB, Key: s.AuditKey, Now: s.now}
			sequence, err := prover.Sequence(ctx, by.Workspace, in.Event)
			if err != nil {
				return nil, err
			}
			proved, err := prover.Prove(ctx, by.Workspace, sequence)
			if err != nil {
				return nil, err
			}
			file, err := proved.Append(nil)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(huma.Context) {
				by.c.Header("Cache-Control", "no-store")
				by.c.Data(http.StatusOK, "application/json", file)
			}}, nil
		})
}
