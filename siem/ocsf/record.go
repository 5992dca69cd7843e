package ocsf

import (
	"bytes"
	"encoding/hex"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/audit"
	"postern/core/proof"
)

// told is what is read back of a document.
type told struct {
	Time     float64 `json:"time"` // milliseconds; an envelope has seconds
	Metadata struct {
		UID         core.ID        `json:"uid"`
		EventCode   core.EventType `json:"event_code"`
		Sequence    int64          `json:"sequence"`
		TenantUID   core.ID        `json:"tenant_uid"`
		IsTruncated bool           `json:"is_truncated"`
	} `json:"metadata"`
	Unmapped unmapped `json:"unmapped"`
}

// Record reads back the record a document tells of, so that a receiver's copy can be given to
// audit.Verify. The document may have been reformatted on its way. Its Position is 0.
func Record(text []byte) (audit.Record, error) {
	var doc told
	if err := json.Unmarshal(text, &doc); err != nil {
		return audit.Record{}, core.Invalid("", "the document is not JSON").Because(err)
	}
	return doc.record()
}

func (d told) record() (audit.Record, error) {
	record := audit.Record{Sequence: d.Metadata.Sequence}
	canonical := d.Unmapped.Event
	if err := canonical.Canonicalize(); err != nil {
		return record, core.Invalid("unmapped.event", "the document does not carry its event").Because(err)
	}
	record.Canonical = canonical
	if err := json.Unmarshal(canonical, &record.Event); err != nil {
		return record, core.Invalid("unmapped.event", "the event cannot be read").Because(err)
	}
	var err error
	if record.Previous, err = hex.DecodeString(d.Unmapped.Previous); err != nil {
		return record, core.Invalid("unmapped.previous", "the hash is not hexadecimal").Because(err)
	}
	if record.Hash, err = hex.DecodeString(d.Unmapped.Hash); err != nil {
		return record, core.Invalid("unmapped.hash", "the hash is not hexadecimal").Because(err)
	}
	return record, nil
}

// Link reads a line of a receiver's copy for proof.Verifier: a document as it is in Kafka, as Splunk exports it
// (result._raw), or in the envelope of an HTTP Event Collector (event). What the document says of the event's id, type,
// time and workspace has to be what the event says. A document without its event, which was too large, is a hollow link.
func Link(text []byte) (proof.Link, error) {
	var doc told
	for range 3 { // an envelope in an envelope, and no more
		var line struct {
			told
			Event  jsontext.Value `json:"event"`
			Result struct {
				Raw string `json:"_raw"`
			} `json:"result"`
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return proof.Link{}, core.Invalid("", "this line is no JSON as Postern sends it").Because(err)
		}
		if doc = line.told; doc.Metadata.Sequence != 0 {
			break
		}
		if text = []byte(line.Result.Raw); len(text) == 0 {
			text = line.Event
		}
		if !bytes.HasPrefix(text, []byte("{")) {
			break
		}
	}
	if doc.Metadata.Sequence == 0 {
		return proof.Link{}, core.Invalid("metadata.sequence", "this line is no event of Postern's")
	}
	if doc.Metadata.IsTruncated && len(doc.Unmapped.Event) == 0 {
		doc.Unmapped.Event = jsontext.Value("{}") // only its hashes are of use
		record, err := doc.record()
		return proof.Link{Workspace: doc.Metadata.TenantUID, Type: doc.Metadata.EventCode, Sequence: doc.Metadata.Sequence, Previous: record.Previous, Hash: record.Hash}, err
	}
	record, err := doc.record()
	if err != nil {
		return proof.Link{}, err
	}
	event := record.Event
	if event.ID != doc.Metadata.UID || event.Type != doc.Metadata.EventCode || event.Workspace != doc.Metadata.TenantUID || event.Occurred.UnixMilli() != int64(doc.Time) {
		return proof.Link{}, core.Invalid("metadata", "document %d says another id, type, time or workspace than the event it carries", doc.Metadata.Sequence)
	}
	return proof.Link{Workspace: event.Workspace, Type: event.Type, Sequence: record.Sequence, Canonical: record.Canonical, Previous: record.Previous, Hash: record.Hash}, nil
}
