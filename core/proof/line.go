package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"postern/core"
	"postern/core/audit"
)

// The lines of an export: a header, then records, each checkpoint behind the record it covers, then the manifest.
//
//	{"export":{"format":"postern audit export v1","workspace":"…","after":0,"until":2,"keys":[…]}}
//	{"sequence":1,"recorded":"…","previous":"…","hash":"…","event":{…}}
//	{"sequence":2,"recorded":"…","previous":"…","hash":"…","event":{…}}
//	{"checkpoint":{"sequence":2,"hash":"…","signed":"…","key_id":"…","signature":"…"}}
//	{"manifest":{…},"signature":"…"}
const (
	beginHeader     = `{"export":`
	beginRecord     = `{"sequence":`
	beginCheckpoint = `{"checkpoint":`
	beginManifest   = `{"manifest":`
	beginSignature  = `,"signature":"`
	beginInclusion  = `{"proof":`
)

// exportFormat is the form of an export, and the first line of what its signature is over.
const exportFormat = "postern audit export v1"

// Header begins an export and says what it is of.
type Header struct {
	Format    string  `json:"format"`
	Workspace core.ID `json:"workspace"`
	After     int64   `json:"after"` // the first record is the one behind this sequence
	Until     int64   `json:"until"` // the last one has this sequence
	Keys      []Key   `json:"keys"`  // known to the gateway: it is not believed in this
}

// Manifest ends an export and says what it held.
type Manifest struct {
	Format      string    `json:"format"`
	Workspace   core.ID   `json:"workspace"`
	First       int64     `json:"first"` // sequence of the first record; 0 if there is none
	Last        int64     `json:"last"`
	FirstHash   string    `json:"first_hash"`
	LastHash    string    `json:"last_hash"`
	Records     int64     `json:"records"`
	Checkpoints int64     `json:"checkpoints"` // lines of them
	Bytes       int64     `json:"bytes"`       // before the manifest
	SHA256      string    `json:"sha256"`      // of these bytes
	Created     time.Time `json:"created"`
	Product     string    `json:"product"`
	KeyID       string    `json:"key_id"`
}

// payload is what is signed: the form, then the manifest as it is written.
func payload(format string, text []byte) []byte {
	return append(append(append(make([]byte, 0, len(format)+len(text)+2), format...), '\n'), text...)
}

// entry is a checkpoint as a line holds it.
type entry struct {
	Sequence  int64  `json:"sequence"`
	Hash      string `json:"hash"`
	Signed    string `json:"signed"`
	KeyID     string `json:"key_id"`
	Signature []byte `json:"signature"`
}

func entryOf(checkpoint audit.Checkpoint) entry {
	return entry{checkpoint.Sequence, hex.EncodeToString(checkpoint.Hash), checkpoint.Signed.UTC().Format(time.RFC3339Nano), checkpoint.KeyID, checkpoint.Signature}
}

func (e entry) checkpoint(workspace core.ID) (audit.Checkpoint, error) {
	hash, err := hex.DecodeString(e.Hash)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	signed, err := time.Parse(time.RFC3339Nano, e.Signed)
	return audit.Checkpoint{Workspace: workspace, Sequence: e.Sequence, Hash: hash, Signed: signed, KeyID: e.KeyID, Signature: e.Signature}, err
}

// appendRecord writes the line of a record.
func appendRecord(to []byte, sequence int64, recorded time.Time, previous, hash, canonical []byte) []byte {
	to = strconv.AppendInt(append(to, beginRecord...), sequence, 10)
	to = recorded.UTC().AppendFormat(append(to, `,"recorded":"`...), time.RFC3339Nano)
	to = hex.AppendEncode(append(to, `","previous":"`...), previous)
	to = hex.AppendEncode(append(to, `","hash":"`...), hash)
	to = append(append(to, `","event":`...), canonical...)
	return append(to, '}', '\n')
}

// readRecord reads the line of a record, without its end, as it was written and no other way. What it gives shares
// the line's memory but for the hashes, which are put into the given place.
func readRecord(line []byte, hashes *[2 * sha256.Size]byte) (Link, bool) {
	var link Link
	rest, ok := bytes.CutPrefix(line, []byte(beginRecord))
	number, rest, found := bytes.Cut(rest, []byte(`,"recorded":"`))
	recorded, rest, timed := bytes.Cut(rest, []byte(`","previous":"`))
	if !ok || !found || !timed {
		return link, false
	}
	const digits = 2 * sha256.Size
	between, after := []byte(`","hash":"`), []byte(`","event":`)
	at := digits + len(between) + digits
	if len(rest) < at+len(after)+1 || !bytes.Equal(rest[digits:digits+len(between)], between) || !bytes.Equal(rest[at:at+len(after)], after) || rest[len(rest)-1] != '}' {
		return link, false
	}
	sequence, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || strconv.FormatInt(sequence, 10) != string(number) {
		return link, false
	}
	if _, err := time.Parse(time.RFC3339Nano, string(recorded)); err != nil {
		return link, false
	}
	link.Sequence, link.Previous, link.Hash = sequence, hashes[:sha256.Size], hashes[sha256.Size:]
	if !unhex(link.Previous, rest[:digits]) || !unhex(link.Hash, rest[digits+len(between):at]) {
		return link, false
	}
	link.Canonical = rest[at+len(after) : len(rest)-1]
	return link, link.identify()
}

// unhex reads small letters only, as they are written.
func unhex(to, from []byte) bool {
	if bytes.ContainsAny(from, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(to, from)
	return err == nil
}

// identify finds the type and the workspace in the event. They are its last two members: a canonical object has
// them sorted. The quotes around them are none of a text's, where they would be escaped.
func (l *Link) identify() bool {
	const begin, between, end, id = `,"type":"`, `","workspace":"`, `"}`, 36
	text := l.Canonical
	at := len(text) - len(end) - id
	if at < len(between) || !bytes.HasSuffix(text, []byte(end)) || string(text[at-len(between):at]) != between {
		return l.decode()
	}
	workspace, err := core.ParseID(string(text[at : at+id]))
	before := text[:at-len(between)]
	start := bytes.LastIndex(before, []byte(begin))
	if err != nil || start < 0 || bytes.ContainsAny(before[start+len(begin):], `"\`) {
		return l.decode()
	}
	l.Workspace, l.Type = workspace, core.EventType(before[start+len(begin):])
	return true
}

func (l *Link) decode() bool {
	event, err := eventOf(l.Canonical)
	l.Workspace, l.Type = event.Workspace, event.Type
	return err == nil && !event.Workspace.IsZero()
}

func eventOf(canonical []byte) (core.Event, error) {
	var event core.Event
	err := json.Unmarshal(canonical, &event)
	return event, err
}

// member reads a line that is one named member.
func member(line []byte, begin string, into any) bool {
	text, ok := strings.CutPrefix(string(line), begin)
	text, closed := strings.CutSuffix(text, "}")
	return ok && closed && json.Unmarshal([]byte(text), into, json.RejectUnknownMembers(true)) == nil
}
