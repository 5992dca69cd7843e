package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"

	"github.com/go-json-experiment/json"

	"postern/core"
	"postern/core/audit"
)

func hexOf(text []byte) string { return hex.EncodeToString(text) }

// exportReading is what is known of an export so far.
type exportReading struct {
	header      Header
	broken      bool // the header cannot be read
	digest      hash.Hash
	bytes       int64
	checkpoints int64
	firstHash   string
	ended       bool
}

// exported takes a line of an export.
func (r *reading) exported(text []byte, whole bool) {
	e := &r.export
	switch {
	case e.ended:
		r.fault(wrong(FaultTrailing, 0, "something follows the manifest"))
		return
	case bytes.HasPrefix(text, []byte(beginManifest)):
		r.manifest(text, whole)
		return
	case !whole:
		r.fault(wrong(FaultTruncated, 0, "the file breaks off in the middle of this line"))
		e.ended = true
		return
	}
	if e.digest == nil {
		e.digest = sha256.New()
		r.header(text)
	} else if bytes.HasPrefix(text, []byte(beginCheckpoint)) {
		r.checkpoint(text)
	} else if link, ok := readRecord(text, &r.hashes); !ok {
		r.fault(wrong(audit.FaultUnreadable, 0, "this line is no record as an export has them"))
	} else if link.Workspace != e.header.Workspace && !e.broken {
		r.report.fault(r.report.Lines, link.Workspace, wrong(audit.FaultForeign, link.Sequence, "record %d belongs to the workspace %s", link.Sequence, link.Workspace))
	} else {
		if e.firstHash == "" {
			e.firstHash = hexOf(link.Hash)
		}
		r.take(link)
	}
	e.digest.Write(text)
	e.digest.Write([]byte{'\n'})
	e.bytes += int64(len(text)) + 1
}

func (r *reading) header(text []byte) {
	e := &r.export
	if !member(text, beginHeader, &e.header) || e.header.Workspace.IsZero() {
		e.broken = true
		r.fault(wrong(audit.FaultUnreadable, 0, "the header cannot be read"))
		return
	}
	if e.header.Format != exportFormat {
		r.fault(wrong(audit.FaultUnreadable, 0, "this is %q, and %q is what can be verified here: use a newer postern", e.header.Format, exportFormat))
	}
	if !r.Workspace.IsZero() && r.Workspace != e.header.Workspace {
		r.fault(wrong(audit.FaultForeign, 0, "this is an export of the workspace %s", e.header.Workspace))
	}
	if r.Keys == nil {
		r.Keys, r.report.Looked = KeysOf(e.header.Keys...), true
	}
	r.of(e.header.Workspace).anchor(e.header.After)
}

func (r *reading) checkpoint(text []byte) {
	r.export.checkpoints++
	var told entry
	if !member(text, beginCheckpoint, &told) {
		r.fault(wrong(audit.FaultUnreadable, 0, "the checkpoint cannot be read"))
		return
	}
	checkpoint, err := told.checkpoint(r.export.header.Workspace)
	if err != nil || r.export.broken {
		r.fault(wrong(audit.FaultUnreadable, told.Sequence, "the checkpoint at %d cannot be read", told.Sequence))
		return
	}
	followed := r.of(checkpoint.Workspace)
	var fault *Fault
	switch {
	case checkpoint.Sequence != followed.Last:
		fault = wrong(FaultManifest, checkpoint.Sequence, "the checkpoint at %d stands behind record %d", checkpoint.Sequence, followed.Last)
	case followed.hash == nil: // it is what the first record has to continue
		followed.hash = checkpoint.Hash
		fault = followed.signed(checkpoint)
	case !bytes.Equal(checkpoint.Hash, followed.hash):
		fault = wrong(audit.FaultRewritten, checkpoint.Sequence, "record %d is not the one its checkpoint saw", checkpoint.Sequence)
	default:
		fault = followed.signed(checkpoint)
	}
	r.report.fault(r.report.Lines, checkpoint.Workspace, fault)
}

// manifest takes the last line.
func (r *reading) manifest(line []byte, whole bool) {
	e := &r.export
	e.ended = true
	text, signature, ok := bytes.Cut(line[len(beginManifest):], []byte(beginSignature))
	signature, closed := bytes.CutSuffix(signature, []byte(`"}`))
	var manifest Manifest
	signed, err := base64.StdEncoding.Strict().DecodeString(string(signature))
	if !ok || !closed || err != nil || base64.StdEncoding.EncodeToString(signed) != string(signature) || json.Unmarshal(text, &manifest, json.RejectUnknownMembers(true)) != nil {
		r.fault(wrong(audit.FaultUnreadable, 0, "the manifest cannot be read"))
		return
	}
	if !whole {
		r.fault(wrong(FaultTruncated, 0, "the end of the manifest's line is missing"))
	}
	r.report.Manifest = &manifest
	if fault := r.Keys.verify(manifest.KeyID, payload(exportFormat, text), signed, 0, "the manifest"); fault != nil {
		r.fault(fault)
		return
	}
	r.report.Key = new(KeyOf(r.Keys[manifest.KeyID]))
	r.compare(manifest)
}

// compare holds the manifest against what was read. What the lines themselves show is not told again.
func (r *reading) compare(manifest Manifest) {
	e := &r.export
	var found chain
	if followed := r.chains[e.header.Workspace]; followed != nil {
		found = *followed
	}
	lastHash := ""
	if found.Records > 0 {
		lastHash = hexOf(found.hash)
	} else {
		found.Last = 0
	}
	var digest []byte
	if e.digest != nil {
		digest = e.digest.Sum(nil)
	}
	switch {
	case manifest.Workspace != e.header.Workspace:
		r.fault(wrong(audit.FaultForeign, 0, "the manifest is of the workspace %s", manifest.Workspace))
	case !r.report.Sound():
	case manifest.Records != found.Records:
		r.fault(wrong(FaultManifest, 0, "the manifest was signed for %d records, and there are %d", manifest.Records, found.Records))
	case manifest.First != found.First || manifest.Last != found.Last || manifest.FirstHash != e.firstHash || manifest.LastHash != lastHash || manifest.Checkpoints != e.checkpoints:
		r.fault(wrong(FaultManifest, 0, "the manifest was signed for the records %d to %d and %d checkpoints, and there are others", manifest.First, manifest.Last, manifest.Checkpoints))
	case manifest.Bytes != e.bytes || manifest.SHA256 != hexOf(digest):
		r.fault(wrong(FaultAltered, 0, "the bytes above are not those the manifest was signed for, though events, hashes and signatures are: a time, a key or a checkpoint's line was changed"))
	case manifest.Last < e.header.Until && manifest.Records > 0 || manifest.Records == 0 && e.header.Until > e.header.After:
		r.fault(wrong(audit.FaultTail, 0, "the log was to be written down up to %d, and ends at %d", e.header.Until, max(manifest.Last, e.header.After)))
	}
}

func (r *reading) exportEnded() {
	if r.export.ended {
		return
	}
	last := int64(0)
	if followed := r.chains[r.export.header.Workspace]; followed != nil {
		last = followed.Last
	}
	r.fault(wrong(FaultTruncated, last, "the file ends behind record %d, before its manifest", last))
}

// ReadManifest reads the manifest of an export, its last line, and verifies its signature. With nil keys those of its
// header, the first line, are believed.
func ReadManifest(header, line []byte, keys Keys) (*Manifest, error) {
	r := reading{Verifier: Verifier{Keys: keys}, chains: map[core.ID]*chain{}}
	header, _ = bytes.CutSuffix(header, []byte("\n"))
	line, whole := bytes.CutSuffix(line, []byte("\n"))
	if !bytes.HasPrefix(header, []byte(beginHeader)) || !bytes.HasPrefix(line, []byte(beginManifest)) {
		return nil, core.Invalid("earlier", "this is no whole export: one begins with a header and ends with a manifest")
	}
	r.header(header)
	r.manifest(line, whole)
	if r.report.Key == nil {
		return nil, core.Denied("the earlier export: %s", r.report.Faults[len(r.report.Faults)-1].Message)
	}
	return r.report.Manifest, nil
}
