package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/audit"
)

// chain makes a log of count events in memory, with a checkpoint after every third event and one at
// the end.
func chain(workspace core.ID, count int) ([]audit.Record, []audit.Checkpoint) {
	var records []audit.Record
	var checkpoints []audit.Checkpoint
	previous := audit.Genesis()
	for i := range count {
		event := event(workspace, fmt.Sprint("event ", i))
		canonical, err := audit.Canonical(event)
		if err != nil {
			panic(err)
		}
		sequence := int64(i + 1)
		hash := audit.Hash(previous, sequence, canonical)
		records = append(records, audit.Record{Position: sequence, Sequence: sequence, Event: event, Canonical: canonical, Previous: previous, Hash: hash})
		previous = hash
		if sequence%3 == 0 || i == count-1 {
			checkpoints = append(checkpoints, signed(audit.Checkpoint{Workspace: workspace, Sequence: sequence, Hash: hash, Signed: time.Now().UTC(), KeyID: audit.KeyID(public)}))
		}
	}
	return records, checkpoints
}

func signed(checkpoint audit.Checkpoint) audit.Checkpoint {
	checkpoint.Signature = ed25519.Sign(private, checkpoint.Payload())
	return checkpoint
}

func TestVerifyFindsEveryKindOfTampering(t *testing.T) {
	workspace := core.NewID()
	rapid.Check(t, func(t *rapid.T) {
		records, checkpoints := chain(workspace, rapid.IntRange(2, 20).Draw(t, "count"))
		if err := audit.Verify(slices.Values(records), checkpoints, public); err != nil {
			t.Fatalf("an honest log was refused: %v", err)
		}
		last := len(records) - 1
		victim := rapid.IntRange(0, last).Draw(t, "victim")
		var want []string
		switch rapid.SampledFrom([]string{"edit", "edit and rehash", "rewrite", "gap", "swap", "duplicate", "replay", "tail", "signature", "other key", "foreign", "not canonical"}).Draw(t, "tampering") {
		case "edit":
			records[victim].Canonical = bytes.Replace(records[victim].Canonical, []byte("event "), []byte("eveny "), 1)
			want = []string{audit.FaultEdited}
		case "edit and rehash":
			records[victim] = forged(records[victim])
			want = []string{audit.FaultBroken, audit.FaultRewritten} // the next record or a checkpoint tells
		case "rewrite": // the whole rest of the chain is made anew
			for i := victim; i <= last; i++ {
				if i > victim {
					records[i].Previous = records[i-1].Hash
				}
				records[i] = forged(records[i])
			}
			want = []string{audit.FaultRewritten}
		case "gap":
			victim = min(victim, last-1)
			records = slices.Delete(records, victim, victim+1)
			want = []string{audit.FaultGap}
			if victim == 0 {
				want = nil // a log may be read from anywhere; then the beginning is not missed
			}
		case "swap":
			victim = min(victim, last-1)
			records[victim], records[victim+1] = records[victim+1], records[victim]
			want = []string{audit.FaultGap, audit.FaultReordered}
		case "duplicate":
			records = slices.Insert(records, victim, records[victim])
			want = []string{audit.FaultDuplicate}
		case "replay": // the same event once more, properly linked
			again := records[victim]
			again.Sequence, again.Previous = int64(last+2), records[last].Hash
			again.Hash = audit.Hash(again.Previous, again.Sequence, again.Canonical)
			records = append(records, again)
			want = []string{audit.FaultDuplicate}
		case "tail":
			records = records[:max(1, victim)]
			want = []string{audit.FaultTail}
		case "signature":
			checkpoint := rapid.IntRange(0, len(checkpoints)-1).Draw(t, "checkpoint")
			checkpoints[checkpoint].Sequence++
			want = []string{audit.FaultSignature}
		case "other key":
			_, other, _ := ed25519.GenerateKey(nil)
			checkpoints[0].Signature = ed25519.Sign(other, checkpoints[0].Payload())
			want = []string{audit.FaultSignature}
		case "foreign":
			stranger, _ := chain(core.NewID(), last+1)
			records[victim] = stranger[victim]
			want = []string{audit.FaultForeign}
		case "not canonical":
			records[victim].Canonical = append(records[victim].Canonical, ' ')
			records[victim].Hash = audit.Hash(records[victim].Previous, records[victim].Sequence, records[victim].Canonical)
			want = []string{audit.FaultUnreadable}
		}
		err := audit.Verify(slices.Values(records), checkpoints, public)
		code := ""
		if err != nil {
			code = core.AsError(err).Code
		}
		if len(want) == 0 && err == nil || slices.Contains(want, code) {
			return
		}
		t.Fatalf("got %v (%s), want one of %v", err, code, want)
	})
}

// forged changes a record and gives it the hash that fits.
func forged(record audit.Record) audit.Record {
	record.Event.Reason = "forged"
	record.Canonical, _ = audit.Canonical(record.Event)
	record.Hash = audit.Hash(record.Previous, record.Sequence, record.Canonical)
	return record
}

func TestCanonicalIsRFC8785(t *testing.T) {
	when := time.Date(2026, 11, 21, 1, 2, 3, 4_000, time.UTC)
	event := core.Event{ID: core.ID{15: 1}, Workspace: core.ID{15: 2}, Type: core.UserUpdated, Occurred: when, Actor: core.System,
		Outcome: core.Success, Correlation: core.ID{15: 3}, Data: map[string]string{"b": "<&>", "a": "é\u2028"}}
	got, err := audit.Canonical(event)
	want := `{"actor":{"kind":"system","name":"Postern"},"correlation":"00000000-0000-0000-0000-000000000003","data":{"a":"é` + "\u2028" + `","b":"<&>"},` +
		`"id":"00000000-0000-0000-0000-000000000001","occurred":"2026-11-21T01:02:03.000004Z","outcome":"success","type":"user.updated","workspace":"00000000-0000-0000-0000-000000000002"}`
	if err != nil || string(got) != want {
		t.Fatalf("%v\ngot  %s\nwant %s", err, got, want)
	}
	sum := hex.EncodeToString(audit.Hash(audit.Genesis(), 1, got))
	if strings.Count(sum, "") != 65 {
		t.Fatal(sum)
	}
}
