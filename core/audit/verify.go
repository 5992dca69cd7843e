package audit

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"iter"

	"postern/core"
)

// Codes of the faults Verify finds, in the Code of its error.
const (
	FaultGap        = "audit_gap"           // a sequence is missing
	FaultReordered  = "audit_reordered"     // a sequence comes too late
	FaultDuplicate  = "audit_duplicate"     // a record or an event comes twice
	FaultEdited     = "audit_edited"        // a record does not have the hash of its bytes
	FaultBroken     = "audit_chain_broken"  // a record does not continue the one before it
	FaultForeign    = "audit_foreign"       // a record or checkpoint of another workspace
	FaultRewritten  = "audit_rewritten"     // a checkpoint saw another hash at that sequence
	FaultTail       = "audit_tail_removed"  // a checkpoint saw more records than there are
	FaultSignature  = "audit_bad_signature" // a checkpoint is not signed by the key
	FaultUnreadable = "audit_unreadable"    // a record is not canonical
)

// Verify checks one workspace's records, in order, against each other and against its checkpoints.
// It returns nil, or a Conflict that names the first fault: Code is one of the Fault constants. The
// records may begin anywhere; what comes before them is then taken on trust. Checkpoints before
// the first record only have their signature checked. With a nil public key signatures are not
// checked, hashes are.
func Verify(records iter.Seq[Record], checkpoints []Checkpoint, public ed25519.PublicKey) error {
	signed := make(map[int64][]byte, len(checkpoints))
	var workspace core.ID
	var newest int64
	for _, checkpoint := range checkpoints {
		if public != nil && (checkpoint.KeyID != KeyID(public) || !ed25519.Verify(public, checkpoint.Payload(), checkpoint.Signature)) {
			return fault(FaultSignature, "the checkpoint at %d is not signed by the key %s", checkpoint.Sequence, KeyID(public))
		}
		if workspace.IsZero() {
			workspace = checkpoint.Workspace
		}
		if checkpoint.Workspace != workspace {
			return fault(FaultForeign, "the checkpoint at %d belongs to another workspace", checkpoint.Sequence)
		}
		if other, twice := signed[checkpoint.Sequence]; twice && !bytes.Equal(other, checkpoint.Hash) {
			return fault(FaultRewritten, "two checkpoints at %d saw different hashes", checkpoint.Sequence)
		}
		signed[checkpoint.Sequence] = checkpoint.Hash
		newest = max(newest, checkpoint.Sequence)
	}
	var last Record
	seen := map[core.ID]int64{}
	for record := range records {
		if workspace.IsZero() {
			workspace = record.Event.Workspace
		}
		if err := follows(last, record, workspace); err != nil {
			return err
		}
		if first, twice := seen[record.Event.ID]; twice {
			return fault(FaultDuplicate, "the event %s is recorded at %d and at %d", record.Event.ID, first, record.Sequence)
		}
		seen[record.Event.ID] = record.Sequence
		if hash, covered := signed[record.Sequence]; covered && !bytes.Equal(hash, record.Hash) {
			return fault(FaultRewritten, "record %d is not the one its checkpoint saw", record.Sequence)
		}
		last = record
	}
	if last.Sequence < newest {
		return fault(FaultTail, "a checkpoint saw %d records, but the log ends at %d", newest, last.Sequence)
	}
	return nil
}

// follows checks one record by itself and against the one before it.
func follows(last, record Record, workspace core.ID) error {
	sequence := record.Sequence
	began := last.Sequence > 0
	switch {
	case record.Event.Workspace != workspace:
		return fault(FaultForeign, "record %d belongs to another workspace", sequence)
	case sequence < 1:
		return fault(FaultReordered, "a record has the sequence %d", sequence)
	case began && sequence == last.Sequence:
		return fault(FaultDuplicate, "record %d comes twice", sequence)
	case began && sequence < last.Sequence:
		return fault(FaultReordered, "record %d comes after record %d", sequence, last.Sequence)
	case began && sequence > last.Sequence+1:
		return fault(FaultGap, "record %d is missing", last.Sequence+1)
	}
	if !bytes.Equal(Hash(record.Previous, sequence, record.Canonical), record.Hash) {
		return fault(FaultEdited, "record %d does not have the hash of its content", sequence)
	}
	if canonical, err := Canonical(record.Event); err != nil || !bytes.Equal(canonical, record.Canonical) {
		return fault(FaultUnreadable, "the event of record %d is not in its canonical form", sequence)
	}
	if began && !bytes.Equal(record.Previous, last.Hash) || sequence == 1 && !bytes.Equal(record.Previous, Genesis()) {
		return fault(FaultBroken, "record %d does not continue the record before it", sequence)
	}
	return nil
}

func fault(code, format string, arguments ...any) error {
	return core.Conflict("", "%s", fmt.Sprintf(format, arguments...)).WithCode(code)
}
