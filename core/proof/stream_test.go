package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
	"postern/core/audit"
	"postern/core/proof"
)

// copied is one line of a receiver's copy, as simple as can be.
type copied struct {
	Workspace      core.ID
	Type           core.EventType
	Sequence       int64
	Event          jsontext.Value
	Previous, Hash string
}

func document(line []byte) (proof.Link, error) {
	var one copied
	if err := json.Unmarshal(line, &one); err != nil {
		return proof.Link{}, core.Invalid("", "the document is not JSON")
	}
	previous, _ := hex.DecodeString(one.Previous)
	hash, _ := hex.DecodeString(one.Hash)
	return proof.Link{Workspace: one.Workspace, Type: one.Type, Sequence: one.Sequence, Canonical: one.Event, Previous: previous, Hash: hash}, nil
}

// chained makes the lines of a workspace's stream, with a signed checkpoint told of after every so many events.
func chained(t testing.TB, workspace core.ID, count, every int, key ed25519.PrivateKey) [][]byte {
	t.Helper()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var lines [][]byte
	previous, sequence := audit.Genesis(), int64(0)
	add := func(event core.Event) {
		canonical, err := audit.Canonical(event)
		if err != nil {
			t.Fatal(err)
		}
		sequence++
		hash := audit.Hash(previous, sequence, canonical)
		line, err := json.Marshal(copied{workspace, event.Type, sequence, canonical, hex.EncodeToString(previous), hex.EncodeToString(hash)})
		if err != nil {
			t.Fatal(err)
		}
		lines, previous = append(lines, append(line, '\n')), hash
	}
	cause := core.NewCause(core.System, now)
	for i := range count {
		add(core.NewEvent(core.AccountShared, workspace, cause, now, core.Target{Kind: "account", ID: core.NewID(), Name: fmt.Sprint("Wiki ", i)}).With("role", "owner"))
		if (i+1)%every != 0 {
			continue
		}
		checkpoint := audit.Checkpoint{Workspace: workspace, Sequence: sequence, Hash: previous, Signed: now, KeyID: audit.KeyID(key.Public().(ed25519.PublicKey))}
		checkpoint.Signature = ed25519.Sign(key, checkpoint.Payload())
		add(core.NewEvent(core.CheckpointSigned, workspace, cause, now).With("sequence", fmt.Sprint(checkpoint.Sequence)).With("hash", hex.EncodeToString(checkpoint.Hash)).
			With("signed", checkpoint.Signed.Format(time.RFC3339Nano)).With("key_id", checkpoint.KeyID).With("signature", encoded(checkpoint.Signature)))
	}
	return lines
}

func encoded(text []byte) string {
	quoted, _ := json.Marshal(text)
	return strings.Trim(string(quoted), `"`)
}

func TestAStreamVerifies(t *testing.T) {
	acme, other := core.NewID(), core.NewID()
	ours, theirs := chained(t, acme, 103, 10, private), chained(t, other, 40, 10, private)
	verifier := proof.Verifier{Keys: trusted, Document: document}
	// Two workspaces' events come in any mixture, each in its order; after a crash some come again.
	var mixed [][]byte
	for a, b := 0, 0; a < len(ours) || b < len(theirs); {
		if b == len(theirs) || a < len(ours) && rand.N(2) == 0 {
			mixed, a = append(mixed, ours[a]), a+1
			if a == 60 {
				mixed = append(mixed, ours[40:60]...)
			}
		} else {
			mixed, b = append(mixed, theirs[b]), b+1
		}
	}
	report := verify(t, bytes.Join(mixed, nil), verifier)
	if !report.Sound() || report.Kind != proof.KindStream || len(report.Stretches) != 2 {
		t.Fatalf("%+v", report)
	}
	for _, one := range report.Stretches {
		if one.Workspace == acme && (one.Records != 113 || one.Repeated != 20 || one.Signed != 109 || one.Unsigned != 3 || one.Checkpoints != 10) {
			t.Errorf("%+v", one)
		}
		if one.Workspace == other && (one.Records != 44 || one.Repeated != 0 || one.Unsigned != 0) {
			t.Errorf("%+v", one)
		}
	}
	if report.Open() != 3 {
		t.Errorf("%d are open", report.Open())
	}
	verifier.Workspace = other
	if report := verify(t, bytes.Join(mixed, nil), verifier); len(report.Stretches) != 1 || report.Open() != 0 {
		t.Errorf("%+v", report)
	}
	verifier.Workspace = core.NewID()
	if _, err := verifier.Verify(bytes.NewReader(bytes.Join(mixed, nil))); core.KindOf(err) != core.KindInvalid {
		t.Errorf("a workspace of which nothing is there: %v", err)
	}
}

func TestAnyTamperingWithAStreamIsFound(t *testing.T) {
	lines := chained(t, core.NewID(), 30, 5, private)
	verifier := proof.Verifier{Keys: trusted, Document: document}
	changed := func(change func(lines [][]byte) [][]byte) proof.Report {
		return verify(t, bytes.Join(change(slices.Clone(lines)), nil), verifier)
	}
	for at := range lines[:len(lines)-1] {
		sequence := int64(at + 1)
		if at > 0 {
			report := changed(func(lines [][]byte) [][]byte { return slices.Delete(lines, at, at+1) })
			expect(t, report, audit.FaultGap)
			if report.Faults[0].Message != fmt.Sprintf("record %d is missing", sequence) || report.Faults[0].Line != sequence || len(report.Faults) != 1 {
				t.Errorf("%+v", report.Faults)
			}
		}
		expect(t, changed(func(lines [][]byte) [][]byte { lines[at], lines[at+1] = lines[at+1], lines[at]; return lines }), audit.FaultGap, audit.FaultReordered, audit.FaultBroken)
		expect(t, changed(func(lines [][]byte) [][]byte {
			lines[at] = bytes.Replace(lines[at], []byte(`"system"`), []byte(`"people"`), 1)
			return lines
		}), audit.FaultEdited)
	}
	// An event that comes again and says something else, and one that comes again long after.
	expect(t, changed(func(lines [][]byte) [][]byte {
		other := chained(t, report(lines[3]).Workspace, 4, 5, private)
		return slices.Insert(lines, 10, other[3])
	}), audit.FaultRewritten)
	long := chained(t, core.NewID(), 6000, 1000, private)
	expect(t, verify(t, bytes.Join(append(long, long[0]), nil), verifier), audit.FaultReordered)
	// Checkpoints of somebody else.
	_, thief, _ := ed25519.GenerateKey(nil)
	expect(t, verify(t, bytes.Join(chained(t, core.NewID(), 10, 5, thief), nil), verifier), proof.FaultKey)
	// Without a key the chain is looked at, and everything is open.
	verifier.Keys = nil
	if report := verify(t, bytes.Join(lines, nil), verifier); !report.Sound() || report.Looked || report.Open() == 0 || report.Stretches[0].Signed != 0 {
		t.Errorf("%+v", report)
	}
}

func report(line []byte) copied {
	var one copied
	_ = json.Unmarshal(line, &one)
	return one
}

func TestNoFileOfOurs(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "empty lines": "\n\n \n", "one long line": strings.Repeat("x", 9<<20)} {
		if _, err := (proof.Verifier{Keys: trusted, Document: document}).Verify(strings.NewReader(text)); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	report := verify(t, []byte("one\n{}\n[1,2]\n"), proof.Verifier{Keys: trusted, Document: document})
	if report.Sound() || report.Faults[0].Line != 1 {
		t.Errorf("%+v", report)
	}
	many := verify(t, bytes.Repeat([]byte("x\n"), 1000), proof.Verifier{Document: document})
	if len(many.Faults) != 100 || many.More != 900 {
		t.Errorf("%d and %d more", len(many.Faults), many.More)
	}
}

// FuzzVerify wants every file to be judged without a panic, and none but the real ones to be sound. Give it
// -fuzzminimizetime 50x: without, a minute goes by over each input that is new, to make it shorter.
func FuzzVerify(f *testing.F) {
	// One key in all processes of a run, or what one of them finds is nothing to the others.
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	trusted := proof.KeysOf(proof.KeyOf(key.Public().(ed25519.PublicKey)))
	workspace := core.NewID()
	lines := chained(f, workspace, 2, 2, key)
	f.Add(bytes.Join(lines, nil))
	f.Add([]byte(`{"export":{"format":"postern audit export v1","workspace":"` + workspace.String() + `","after":0,"until":1,"keys":[]}}` + "\n" +
		`{"sequence":1,"recorded":"2026-11-21T12:00:00Z","previous":"` + strings.Repeat("0", 64) + `","hash":"` + strings.Repeat("a", 64) + `","event":{"type":"x","workspace":"` + workspace.String() + `"}}` + "\n" +
		`{"checkpoint":{"sequence":1,"hash":"","signed":"2026-11-21T12:00:00Z","key_id":"","signature":""}}` + "\n" +
		`{"manifest":{"format":"postern audit export v1"},"signature":""}` + "\n"))
	f.Add([]byte(`{"proof":{"sequence":1,"previous":"","hash":"","event":{},"path":[],"root":{},"signature":""}}` + "\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, keys := range []proof.Keys{nil, trusted} {
			report, err := proof.Verifier{Keys: keys, Document: document}.Verify(bytes.NewReader(file))
			if err != nil && core.KindOf(err) != core.KindInvalid {
				t.Fatal(err)
			}
			if err == nil && keys != nil && report.Sound() && report.Kind != proof.KindStream {
				t.Fatal("nobody signed this")
			}
		}
	})
}

// BenchmarkVerify verifies an export, and beside it does what cannot be left out: hash the bytes and look at the JSON.
// What is told is the part of the floor's rate that is reached; an event is written with about a kilobyte.
func BenchmarkVerify(b *testing.B) {
	file := newLog(b, 20_000, 1000, private).export(proof.Export{})
	events := bytes.Count(file, []byte(`{"sequence":`))
	b.SetBytes(int64(len(file)))
	var ours, floor time.Duration
	for b.Loop() {
		began := time.Now()
		report, err := proof.Verifier{Keys: trusted}.Verify(bytes.NewReader(file))
		if err != nil || !report.Sound() {
			b.Fatalf("%v %+v", err, report.Faults)
		}
		ours += time.Since(began)
		began = time.Now()
		digest := sha256.New()
		for line := range bytes.Lines(file) {
			digest.Write(line)
			if !jsontext.Value(line).IsValid() {
				b.Fatal("no JSON")
			}
		}
		digest.Sum(nil)
		floor += time.Since(began)
	}
	b.ReportMetric(float64(events)*float64(b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(floor)/float64(ours), "of-floor")
}
