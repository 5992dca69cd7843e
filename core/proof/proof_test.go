package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"postern/core"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/proof"
)

var public, private, _ = ed25519.GenerateKey(nil)

var trusted = proof.KeysOf(proof.KeyOf(public))

// log is the real log of two workspaces, whose events alternate.
type log struct {
	t           testing.TB
	db          *postgres.DB
	acme, other core.ID
}

// newLog writes count events of each workspace and waits until they are in the log; key signs every few of them.
func newLog(t testing.TB, count, every int, key ed25519.PrivateKey) *log {
	t.Helper()
	l := &log{t, postgrestest.Open(t), core.NewID(), core.NewID()}
	for from := 0; from < count; from += 500 {
		err := l.db.Tx(t.Context(), func(tx pgx.Tx) error {
			var events []core.Event
			for i := from; i < min(from+500, count); i++ {
				for _, workspace := range []core.ID{l.acme, l.other} {
					events = append(events, core.NewEvent(core.AccountShared, workspace, core.NewCause(core.System, time.Now()), time.Now(),
						core.Target{Kind: "account", ID: core.NewID(), Name: fmt.Sprintf("Wiki %d “é” <&>", i)}).With("role", "owner"))
				}
			}
			return audit.Append(t.Context(), tx, events...)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sequencer := &audit.Sequencer{DB: l.db, Key: key, CheckpointEvery: every}
	stop := coretest.Run(t, sequencer.Run)
	coretest.Until(t, "the log is written", func() bool {
		backlog, err := audit.ReadBacklog(t.Context(), l.db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
	stop()
	return l
}

// export is what the gateway gives of a workspace.
func (l *log) export(with proof.Export) []byte {
	l.t.Helper()
	if with.Workspace.IsZero() {
		with.Workspace = l.acme
	}
	if with.Key == nil {
		with.Key = private
	}
	with.DB, with.Product, with.Now = l.db, "postern test", time.Now()
	var file []byte
	for page, err := range with.Pages(l.t.Context()) {
		if err != nil {
			l.t.Fatal(err)
		}
		file = append(file, page...)
	}
	return file
}

func verify(t testing.TB, file []byte, with proof.Verifier) proof.Report {
	t.Helper()
	report, err := with.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return report
}

// refused says whether a file is found to be wrong.
func refused(file []byte, keys proof.Keys) bool {
	report, err := proof.Verifier{Keys: keys}.Verify(bytes.NewReader(file))
	return err != nil || !report.Sound() || report.Kind != proof.KindExport
}

// expect wants the first fault to have one of these codes.
func expect(t testing.TB, report proof.Report, codes ...string) {
	t.Helper()
	if report.Sound() || !slices.Contains(codes, report.Faults[0].Code) {
		t.Fatalf("want one of %v, got %+v", codes, report.Faults)
	}
}

func TestAnExportVerifies(t *testing.T) {
	l := newLog(t, 1200, 100, private)
	file := l.export(proof.Export{})
	report := verify(t, file, proof.Verifier{Keys: trusted})
	if !report.Sound() || report.Kind != proof.KindExport || report.Open() != 0 {
		t.Fatalf("%+v", report)
	}
	seen := report.Stretches[0]
	// 1200 events, and a checkpoint after each hundred.
	if seen.Workspace != l.acme || seen.First != 1 || seen.Last != 1212 || seen.Records != 1212 || seen.Checkpoints != 12 || seen.Signed != 1211 || seen.Unsigned != 0 {
		t.Fatalf("%+v", seen)
	}
	if report.Manifest.Records != 1212 || report.Manifest.LastHash != seen.Head || report.Manifest.Product != "postern test" || report.Key.ID != audit.KeyID(public) || !report.Pinned {
		t.Fatalf("%+v", report.Manifest)
	}
	// Without a key of the verifier's own the file's is named, and not taken for trusted.
	if alone := verify(t, file, proof.Verifier{}); !alone.Sound() || alone.Pinned || alone.Key.Fingerprint != proof.KeyOf(public).Fingerprint {
		t.Fatalf("%+v", alone)
	}
	if strings.Contains(string(file), l.other.String()) {
		t.Fatal("it holds what is another workspace's")
	}

	t.Run("a part of it, and what was added since", func(t *testing.T) {
		part := l.export(proof.Export{Until: 700})
		if report := verify(t, part, proof.Verifier{Keys: trusted}); !report.Sound() || report.Stretches[0].Last != 700 {
			t.Fatalf("%+v", report)
		}
		lines := bytes.SplitAfter(part, []byte("\n"))
		earlier, err := proof.ReadManifest(lines[0], lines[len(lines)-2], trusted)
		if err != nil {
			t.Fatal(err)
		}
		for _, after := range []int64{0, 300, 699, 700} {
			later := l.export(proof.Export{After: after})
			if report := verify(t, later, proof.Verifier{Keys: trusted, Earlier: earlier}); !report.Sound() || report.Stretches[0].First != after+1 {
				t.Fatalf("after %d: %+v", after, report)
			}
		}
		expect(t, verify(t, l.export(proof.Export{After: 701}), proof.Verifier{Keys: trusted, Earlier: earlier}), audit.FaultGap)
		expect(t, verify(t, l.export(proof.Export{Until: 600}), proof.Verifier{Keys: trusted, Earlier: earlier}), audit.FaultTail)
		expect(t, verify(t, l.export(proof.Export{Workspace: l.other}), proof.Verifier{Keys: trusted, Earlier: earlier}), audit.FaultForeign)
		for _, one := range []string{strings.Repeat("0", 64), earlier.FirstHash} {
			rewritten := *earlier
			rewritten.LastHash = one
			expect(t, verify(t, file, proof.Verifier{Keys: trusted, Earlier: &rewritten}), proof.FaultDiffers)
		}
	})
	t.Run("nothing new", func(t *testing.T) {
		if report := verify(t, l.export(proof.Export{After: 1212}), proof.Verifier{Keys: trusted}); !report.Sound() || report.Manifest.Records != 0 {
			t.Fatalf("%+v", report)
		}
	})
	t.Run("resumed at any record", func(t *testing.T) {
		for _, have := range []int64{0, 1, 99, 100, 101, 499, 500, 501, 1211, 1212} {
			kept := []byte{}
			if have > 0 {
				mark := []byte(fmt.Sprintf(`{"sequence":%d,`, have))
				start := bytes.Index(file, mark)
				kept = file[:start+bytes.IndexByte(file[start:], '\n')+1]
			}
			whole := append(bytes.Clone(kept), l.export(proof.Export{Until: 1212, Have: have})...)
			if report := verify(t, whole, proof.Verifier{Keys: trusted}); !report.Sound() || report.Stretches[0].Records != 1212 {
				t.Fatalf("from %d on: %+v", have, report.Faults)
			}
		}
	})
	t.Run("what is no longer kept", func(t *testing.T) {
		if _, err := l.db.Exec(t.Context(), "delete from audit_log where workspace_id = $1 and sequence <= 303", l.acme); err != nil {
			t.Fatal(err)
		}
		rest := l.export(proof.Export{})
		if report := verify(t, rest, proof.Verifier{Keys: trusted}); !report.Sound() || report.Stretches[0].First != 304 {
			t.Fatalf("%+v", report)
		}
		// A checkpoint at the border says what the first one has to continue.
		if _, err := l.db.Exec(t.Context(), "delete from audit_log where workspace_id = $1 and sequence <= 403", l.acme); err != nil {
			t.Fatal(err)
		}
		rest = l.export(proof.Export{After: 403})
		if report := verify(t, rest, proof.Verifier{Keys: trusted}); !report.Sound() || report.Stretches[0].First != 404 {
			t.Fatalf("%+v", report)
		}
	})
}

func TestAnyByteThatIsChangedIsFound(t *testing.T) {
	l := newLog(t, 4, 2, private)
	file := l.export(proof.Export{})
	for at := range file {
		changed := bytes.Clone(file)
		changed[at] ^= []byte{0x01, 0x20, 0x80}[at%3] // another letter, the other case, no ASCII
		tampered := map[string][]byte{"changed": changed}
		switch at / 3 % 3 {
		case 0:
			tampered["cut off"] = file[:at]
		case 1:
			tampered["gone"] = slices.Delete(bytes.Clone(file), at, at+1)
		case 2:
			tampered["behind a space"] = slices.Insert(bytes.Clone(file), at, ' ')
		}
		for how, one := range tampered {
			if !refused(one, trusted) {
				t.Fatalf("byte %d is %s, in %s", at, how, around(file, at))
			}
		}
	}
	if refused(file, trusted) || !refused(append(bytes.Clone(file), '\n'), trusted) {
		t.Fatal("the file itself")
	}
}

func around(file []byte, at int) []byte { return file[max(0, at-40):min(len(file), at+40)] }

func TestAnyTamperingIsFound(t *testing.T) {
	l := newLog(t, 40, 7, private)
	file, foreign := l.export(proof.Export{}), l.export(proof.Export{Workspace: l.other})
	lines, strange := bytes.SplitAfter(file, []byte("\n")), bytes.SplitAfter(foreign, []byte("\n"))
	lines, strange = lines[:len(lines)-1], strange[:len(strange)-1] // what follows the last line's end
	_, thief, _ := ed25519.GenerateKey(nil)
	stolen := bytes.SplitAfter(l.export(proof.Export{Key: thief}), []byte("\n"))
	rapid.Check(t, func(t *rapid.T) {
		made := slices.Clone(lines)
		at := rapid.IntRange(0, len(made)-1).Draw(t, "line")
		other := rapid.IntRange(0, len(made)-1).Filter(func(other int) bool { return other != at }).Draw(t, "other")
		switch rapid.SampledFrom([]string{"byte", "remove", "swap", "duplicate", "move", "cut", "manifest", "record", "key", "header"}).Draw(t, "tampering") {
		case "byte":
			made[at] = bytes.Clone(made[at])
			place := rapid.IntRange(0, len(made[at])-1).Draw(t, "place")
			made[at][place] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		case "remove":
			made = slices.Delete(made, at, at+1)
		case "swap":
			made[at], made[other] = made[other], made[at]
		case "duplicate":
			made = slices.Insert(made, other, made[at])
		case "move":
			moved := made[at]
			made = slices.Insert(slices.Delete(made, at, at+1), min(other, len(made)-2), moved)
			if bytes.Equal(bytes.Join(made, nil), file) {
				return
			}
		case "cut":
			made = made[:at]
		case "manifest":
			made[len(made)-1] = strange[len(strange)-1]
		case "record":
			made[at] = strange[at]
		case "key":
			made[len(made)-1] = stolen[len(stolen)-2]
		case "header":
			made[0] = stolen[0]
		}
		if !refused(bytes.Join(made, nil), trusted) {
			t.Fatal("nobody noticed")
		}
	})
}

// By somebody without the key: the export is signed all the same, and verifying it tells.
func TestWhatWasChangedInTheDatabaseIsFound(t *testing.T) {
	for name, one := range map[string]struct {
		sql  string
		code string
		line int64
		at   int64
	}{
		"an event":          {`update audit_log set event = replace(event, '"owner"', '"guest"') where workspace_id = $1 and sequence = 9`, audit.FaultEdited, 11, 9},
		"its hash too":      {`update audit_log set event = replace(event, '"owner"', '"guest"'), hash = sha256(previous || int8send(sequence) || convert_to(replace(event, '"owner"', '"guest"'), 'utf8')) where workspace_id = $1 and sequence = 9`, audit.FaultBroken, 12, 10},
		"its checkpoint":    {`update audit_log set event = replace(event, '"owner"', '"guest"'), hash = sha256(previous || int8send(sequence) || convert_to(replace(event, '"owner"', '"guest"'), 'utf8')) where workspace_id = $1 and sequence = 5`, audit.FaultRewritten, 7, 5},
		"one is gone":       {`delete from audit_log where workspace_id = $1 and sequence = 9`, audit.FaultGap, 11, 10},
		"some are gone":     {`delete from audit_log where workspace_id = $1 and sequence between 8 and 10`, audit.FaultGap, 10, 11},
		"of another":        {`update audit_log set event = replace(event, workspace_id::text, '00000000-0000-7000-8000-000000000000') where workspace_id = $1 and sequence = 9`, audit.FaultForeign, 11, 9},
		"no event":          {`update audit_log set event = 'x' where workspace_id = $1 and sequence = 9`, audit.FaultUnreadable, 11, 0},
		"the end is gone":   {`delete from audit_log where workspace_id = $1 and sequence > 20`, "", 0, 0},
		"signed by nobody":  {`update audit_checkpoints set signature = sha512('x') where workspace_id = $1 and sequence = 5`, audit.FaultSignature, 7, 5},
		"another's":         {`update audit_checkpoints set key_id = 'nobody' where workspace_id = $1 and sequence = 5`, proof.FaultKey, 7, 5},
		"the time it tells": {`update audit_checkpoints set signed = signed + interval '1 hour' where workspace_id = $1 and sequence = 5`, audit.FaultSignature, 7, 5},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t, 20, 5, private)
			before := l.export(proof.Export{})
			lines := bytes.SplitAfter(before, []byte("\n"))
			earlier, err := proof.ReadManifest(lines[0], lines[len(lines)-2], trusted)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.db.Exec(t.Context(), one.sql, l.acme); err != nil {
				t.Fatal(err)
			}
			after := l.export(proof.Export{})
			if one.code == "" { // by itself a log that is shorter is a log: what was held before tells
				expect(t, verify(t, after, proof.Verifier{Keys: trusted, Earlier: earlier}), audit.FaultTail)
				return
			}
			report := verify(t, after, proof.Verifier{Keys: trusted})
			expect(t, report, one.code)
			if first := report.Faults[0]; first.Line != one.line || first.Sequence != one.at {
				t.Errorf("at line %d, sequence %d: %+v", one.line, one.at, report.Faults)
			}
			for _, fault := range report.Faults {
				if fault.Code == audit.FaultGap && name == "some are gone" && fault.Message != "records 8 to 10 are missing" {
					t.Error(fault.Message)
				}
			}
		})
	}
}

func TestInclusion(t *testing.T) {
	l := newLog(t, 2500, 1000, private)
	prover := proof.Prover{DB: l.db, Key: private, Now: time.Now}
	records := map[int64]core.ID{}
	walk, failed := audit.All(t.Context(), l.db, l.acme)
	for record := range walk {
		records[record.Sequence] = record.Event.ID
	}
	if failed() != nil || len(records) != 2502 {
		t.Fatalf("%d, %v", len(records), failed())
	}
	largest := 0
	for _, sequence := range []int64{1, 2, 500, 1000, 1001, 1002, 1777, 2001} {
		found, err := prover.Sequence(t.Context(), l.acme, records[sequence])
		if err != nil || found != sequence {
			t.Fatalf("%d, %v", found, err)
		}
		made, err := prover.Prove(t.Context(), l.acme, sequence)
		if err != nil {
			t.Fatal(err)
		}
		file, err := made.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		report := verify(t, file, proof.Verifier{Keys: trusted, Workspace: l.acme})
		if !report.Sound() || report.Kind != proof.KindInclusion || report.Inclusion.Sequence != sequence || !bytes.Contains(report.Inclusion.Event, []byte(records[sequence].String())) {
			t.Fatalf("%+v", report)
		}
		largest = max(largest, len(file))
		if len(made.Path) > 10 || bytes.Contains(file, []byte(records[sequence+1].String())) {
			t.Errorf("%d steps, and it holds another event", len(made.Path))
		}
	}
	t.Logf("the largest of the proofs has %d bytes", largest)
	if _, err := prover.Prove(t.Context(), l.acme, 2502); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("what is not signed yet: %v", err)
	}
	for _, sequence := range []int64{9999} {
		if _, err := prover.Prove(t.Context(), l.acme, sequence); core.KindOf(err) != core.KindNotFound {
			t.Errorf("%d: %v", sequence, err)
		}
	}
	if _, err := prover.Sequence(t.Context(), l.other, records[7]); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace's: %v", err)
	}
	if _, err := (proof.Prover{DB: l.db, Now: time.Now}).Prove(t.Context(), l.acme, 1); core.KindOf(err) != core.KindConflict {
		t.Errorf("without a key: %v", err)
	}

	made, err := prover.Prove(t.Context(), l.acme, 777)
	if err != nil {
		t.Fatal(err)
	}
	file, err := made.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for at := range file {
		changed := bytes.Clone(file)
		changed[at] ^= 0x01
		if report, err := (proof.Verifier{Keys: trusted}).Verify(bytes.NewReader(changed)); err == nil && report.Sound() {
			t.Fatalf("byte %d: %s", at, around(file, at))
		}
		if report, err := (proof.Verifier{Keys: trusted}).Verify(bytes.NewReader(file[:at])); err == nil && report.Sound() {
			t.Fatalf("cut off at %d", at)
		}
	}
	// Another event with a right path of its own, and a root signed by somebody else.
	next, err := prover.Prove(t.Context(), l.acme, 778)
	if err != nil {
		t.Fatal(err)
	}
	mixed := made
	mixed.Sequence, mixed.Previous, mixed.Hash, mixed.Event = next.Sequence, next.Previous, next.Hash, next.Event
	text, _ := mixed.Append(nil)
	expect(t, verify(t, text, proof.Verifier{Keys: trusted}), proof.FaultProof)
	_, thief, _ := ed25519.GenerateKey(nil)
	if err := proof.Remember(t.Context(), l.db, public, time.Now()); err != nil {
		t.Fatal(err)
	}
	forged, err := proof.Prover{DB: l.db, Key: thief, Now: time.Now}.Prove(t.Context(), l.acme, 777)
	if err != nil {
		t.Fatal(err)
	}
	text, _ = forged.Append(nil)
	expect(t, verify(t, text, proof.Verifier{Keys: trusted}), proof.FaultKey)

	// What was changed in the database is proved to nobody, and neither is its neighbour.
	if _, err := l.db.Exec(t.Context(), `update audit_log set event = replace(event, '"owner"', '"guest"') where workspace_id = $1 and sequence = 777`, l.acme); err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []int64{777, 5} {
		if _, err := prover.Prove(t.Context(), l.acme, sequence); core.KindOf(err) != core.KindConflict || core.AsError(err).Code != audit.FaultEdited {
			t.Errorf("%d: %v", sequence, err)
		}
	}
	if _, err := prover.Prove(t.Context(), l.acme, 1500); err != nil {
		t.Errorf("another segment: %v", err)
	}
}

func TestKeysAreKeptForGood(t *testing.T) {
	db := postgrestest.Open(t)
	first, _, _ := ed25519.GenerateKey(nil)
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, one := range []ed25519.PublicKey{first, public, first} {
		if err := proof.Remember(t.Context(), db, one, began.AddDate(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	known, err := proof.KnownKeys(t.Context(), db)
	if err != nil || len(known) != 2 || known[0].ID != audit.KeyID(first) || !known[0].FirstUsed.Equal(began) || known[1].Fingerprint != proof.KeyOf(public).Fingerprint {
		t.Fatalf("%v %+v", err, known)
	}
	listed, err := json.Marshal(map[string]any{"items": known})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"as listed": string(listed), "as a list": string(pair),
		"a key a line": base64.StdEncoding.EncodeToString(first) + "\n" + fmt.Sprintf("%x", []byte(public)) + "\n",
	} {
		keys, err := proof.ParseKeys([]byte(text))
		if err != nil || len(keys) != 2 || !keys[audit.KeyID(public)].Equal(public) {
			t.Errorf("%s: %v %v", name, keys, err)
		}
	}
	for _, text := range []string{"", "{}", "[]", `{"items":[{"public_key":"YWJj"}]}`, "not a key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "\x00"} {
		if keys, err := proof.ParseKeys([]byte(text)); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v %v", text, keys, err)
		}
	}
}

func TestAKeyThatWasReplaced(t *testing.T) {
	l := newLog(t, 10, 5, private)
	if err := proof.Remember(t.Context(), l.db, public, time.Now()); err != nil {
		t.Fatal(err)
	}
	next, newer, _ := ed25519.GenerateKey(nil)
	file := l.export(proof.Export{Key: newer})
	both := proof.KeysOf(proof.KeyOf(public), proof.KeyOf(next))
	if report := verify(t, file, proof.Verifier{Keys: both}); !report.Sound() || report.Key.ID != audit.KeyID(next) {
		t.Fatalf("%+v", report.Faults)
	}
	if report := verify(t, file, proof.Verifier{}); !report.Sound() {
		t.Fatalf("%+v", report.Faults)
	}
	expect(t, verify(t, file, proof.Verifier{Keys: trusted}), proof.FaultKey)
}
