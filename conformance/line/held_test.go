package line

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/deploy/local/demo"
	"postern/siem/ocsf"
)

// held is what a receiver holds of one workspace: each record once, in the order of its arrival.
type held []audit.Record

// told reads what the receiver holds, by workspace. It insists on the order: a record either follows
// the last one, or repeats one that came before.
func (s *stage) told(t testing.TB) map[core.ID]held {
	t.Helper()
	all := map[core.ID]held{}
	for number, event := range s.Receiver.Events() {
		if event.Door != "splunk" {
			continue
		}
		record, err := ocsf.Record(event.Event)
		if err != nil {
			t.Fatalf("delivery %d: %v: %s", number, err, event.Event)
		}
		var document struct {
			Metadata struct {
				UID         core.ID        `json:"uid"`
				Sequence    int64          `json:"sequence"`
				Correlation core.ID        `json:"correlation_uid"`
				Tenant      core.ID        `json:"tenant_uid"`
				Code        core.EventType `json:"event_code"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(event.Event, &document); err != nil {
			t.Fatal(err)
		}
		said := document.Metadata
		if said.UID != record.Event.ID || said.Correlation != record.Event.Correlation || said.Tenant != record.Event.Workspace || said.Code != record.Event.Type {
			t.Fatalf("delivery %d: the document says other things than the event it carries: %s", number, event.Event)
		}
		known := all[record.Event.Workspace]
		switch next := int64(len(known)) + 1; {
		case record.Sequence == next:
			all[record.Event.Workspace] = append(known, record)
		case record.Sequence > next:
			t.Fatalf("workspace %s: event %d came after event %d", record.Event.Workspace, record.Sequence, next-1)
		case record.Sequence < 1 || !bytes.Equal(known[record.Sequence-1].Hash, record.Hash):
			t.Fatalf("workspace %s: event %d came twice and differs", record.Event.Workspace, record.Sequence)
		}
	}
	return all
}

// proof is what the API tells of a workspace's checkpoints.
type proof struct {
	PublicKey []byte `json:"public_key"`
	KeyID     string `json:"key_id"`
	Items     []struct {
		Sequence  int64  `json:"sequence"`
		Hash      string `json:"hash"`
		Payload   []byte `json:"payload"`
		Signature []byte `json:"signature"`
	} `json:"items"`
}

// proven waits until the receiver holds everything a workspace's log tells, with a checkpoint signed
// over at least the events up to now, and verifies it from the receiver's copy alone: no gap, every
// hash follows from the one before, every signature is the key's.
func (s *stage) proven(t testing.TB, workspace core.ID, api demo.API) held {
	t.Helper()
	log := events(t, api, nil)
	until := int64(0)
	for _, one := range log {
		if one.Event.Type != core.CheckpointSigned { // which no checkpoint covers while nothing follows it
			until = one.Sequence
		}
	}
	var records held
	var checkpoints []audit.Checkpoint
	s.eventually(2*time.Minute, "the receiver to hold all events and a checkpoint over them", func() bool {
		records, checkpoints = s.told(t)[workspace], nil
		for _, record := range records {
			if record.Event.Type == core.CheckpointSigned {
				checkpoint, err := audit.CheckpointOf(record.Event)
				if err != nil {
					t.Fatal(err)
				}
				checkpoints = append(checkpoints, checkpoint)
			}
		}
		return len(checkpoints) > 0 && checkpoints[len(checkpoints)-1].Sequence >= until && len(records) >= len(log)
	})

	signed := ask[proof](t, api, "/audit/checkpoints")
	public := ed25519.PublicKey(signed.PublicKey)
	if len(public) != ed25519.PublicKeySize || audit.KeyID(public) != signed.KeyID {
		t.Fatalf("the API names no key: %+v", signed)
	}
	if err := audit.Verify(slices.Values(records), checkpoints, public); err != nil {
		t.Fatalf("the receiver's copy does not verify: %v", err)
	}
	// The verification has teeth: an edit and a gap are noticed in this very copy.
	edited := slices.Clone(records)
	edited[len(edited)/2].Canonical = bytes.Replace(edited[len(edited)/2].Canonical, []byte(`"id"`), []byte(`"iD"`), 1)
	missing := slices.Delete(slices.Clone(records), len(records)/2, len(records)/2+1)
	for want, forged := range map[string]held{audit.FaultEdited: edited, audit.FaultGap: missing} {
		if err := audit.Verify(slices.Values(forged), checkpoints, public); core.AsError(err).Code != want {
			t.Errorf("a forged copy verifies as %v, want %s", err, want)
		}
	}

	// The API tells the same story as the receiver holds: events, hashes and checkpoints.
	for i, one := range log {
		if record := records[i]; one.Sequence != record.Sequence || one.Hash != hex.EncodeToString(record.Hash) || one.Event.ID != record.Event.ID {
			t.Fatalf("event %d is %s at the API and %s at the receiver", i+1, one.Event.ID, record.Event.ID)
		}
	}
	for i, one := range signed.Items {
		if i >= len(checkpoints) {
			break // signed since
		}
		if !bytes.Equal(one.Payload, checkpoints[i].Payload()) || !ed25519.Verify(public, one.Payload, one.Signature) {
			t.Errorf("checkpoint %d is not the same at the API and at the receiver: %s", i, base64.StdEncoding.EncodeToString(one.Payload))
		}
	}
	return records
}

// story is what a receiver holds under one correlation id.
func (h held) story(id core.ID) []core.Event {
	var found []core.Event
	for _, record := range h {
		if record.Event.Correlation == id {
			found = append(found, record.Event)
		}
	}
	return found
}
