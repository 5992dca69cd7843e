package proof

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"postern/core"
	"postern/core/audit"
)

const (
	maxLine   = 8 << 20 // bytes of one line
	maxFaults = 100     // that are told one by one
)

// What a file can be.
const (
	KindExport    = "export"
	KindInclusion = "inclusion"
	KindStream    = "stream"
)

// Verifier reads a file and says what is wrong with it.
type Verifier struct {
	// Keys are trusted. Nil trusts those the file brings along: it then shows that the file is whole and signed, and
	// whoever reads the report has to know the key's fingerprint. A stream brings none, so its signatures are not looked at.
	Keys Keys
	// Document reads a record out of a line of a receiver's copy.
	Document func(line []byte) (Link, error)
	// Workspace, if set, is the only one that is looked at in a stream, and the one everything else has to be of.
	Workspace core.ID
	// Earlier, if set, is the manifest of an earlier export: the file has to hold or continue what that one ended with.
	Earlier *Manifest
}

// Report is what was found.
type Report struct {
	Kind      string     `json:"kind"`
	Lines     int64      `json:"lines"`
	Stretches []Stretch  `json:"workspaces"`
	Manifest  *Manifest  `json:"manifest,omitempty"`
	Inclusion *Inclusion `json:"proof,omitempty"`
	Key       *Key       `json:"key,omitempty"` // the manifest or the root is signed with it
	Pinned    bool       `json:"trusted_keys"`  // keys were given: none was taken from the file
	Looked    bool       `json:"signatures"`    // signatures were looked at
	Faults    []Fault    `json:"faults"`
	More      int64      `json:"more_faults,omitzero"`
}

// Sound reports whether nothing is wrong.
func (r Report) Sound() bool { return len(r.Faults) == 0 }

// Open is how many records no signature covers: behind the last checkpoint of a stream, or without their event.
func (r Report) Open() int64 {
	open := int64(0)
	for _, one := range r.Stretches {
		open += one.Hollow
		if r.Kind == KindStream {
			open += one.Unsigned
		}
	}
	return open
}

func (r *Report) fault(line int64, workspace core.ID, fault *Fault) {
	if fault == nil {
		return
	}
	if len(r.Faults) >= maxFaults {
		r.More++
		return
	}
	fault.Line, fault.Workspace = line, workspace
	r.Faults = append(r.Faults, *fault)
}

// Verify reads to the end. An error is one of reading; what is wrong with what was read is in the report.
func (v Verifier) Verify(from io.Reader) (Report, error) {
	work := reading{Verifier: v, report: Report{Pinned: v.Keys != nil, Looked: v.Keys != nil, Faults: []Fault{}, Stretches: []Stretch{}}, chains: map[core.ID]*chain{}}
	lines := bufio.NewReaderSize(from, 256<<10)
	var long []byte
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > maxLine {
				return work.report, core.Invalid("file", "line %d is longer than the %d bytes there can be: this is no file of Postern's", work.report.Lines+1, maxLine)
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return work.report, core.Invalid("file", "it cannot be read on after line %d", work.report.Lines).Because(err)
		}
		if len(long) > 0 {
			line = append(long, line...)
		}
		if len(line) > 0 {
			work.line(line)
		}
		if err != nil {
			break
		}
		long = long[:0]
	}
	return work.end()
}

// reading is a file under way.
type reading struct {
	Verifier
	report Report
	read   func(line []byte, whole bool)
	chains map[core.ID]*chain
	order  []core.ID
	hashes [2 * sha256.Size]byte
	export exportReading
}

// line takes one line with its end, which only the last one may lack.
func (r *reading) line(line []byte) {
	r.report.Lines++
	text, whole := bytes.CutSuffix(line, []byte("\n"))
	if r.read == nil {
		switch {
		case bytes.HasPrefix(text, []byte(beginHeader)):
			r.report.Kind, r.read = KindExport, r.exported
		case bytes.HasPrefix(text, []byte(beginInclusion)):
			r.report.Kind, r.read = KindInclusion, r.included
		case len(bytes.TrimSpace(text)) == 0:
			return
		default:
			r.report.Kind, r.read = KindStream, r.streamed
		}
	}
	r.read(text, whole)
}

func (r *reading) fault(fault *Fault) { r.report.fault(r.report.Lines, core.ID{}, fault) }

// of is the chain of a workspace.
func (r *reading) of(workspace core.ID) *chain {
	found := r.chains[workspace]
	if found == nil {
		found = &chain{Stretch: Stretch{Workspace: workspace}, keys: r.Keys, repeats: r.report.Kind == KindStream}
		r.chains[workspace], r.order = found, append(r.order, workspace)
	}
	return found
}

// take adds a record to its workspace's chain.
func (r *reading) take(link Link) {
	followed := r.of(link.Workspace)
	r.report.fault(r.report.Lines, link.Workspace, followed.add(link))
	if earlier := r.Earlier; earlier != nil && earlier.Workspace == link.Workspace && (earlier.Last == link.Sequence && earlier.LastHash != hexOf(link.Hash) ||
		earlier.Last+1 == link.Sequence && earlier.LastHash != hexOf(link.Previous)) {
		r.report.fault(r.report.Lines, link.Workspace, wrong(FaultDiffers, link.Sequence, "the earlier export ended with another record %d", earlier.Last))
	}
}

// streamed takes a line of a receiver's copy.
func (r *reading) streamed(text []byte, _ bool) {
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	if r.Document == nil {
		r.fault(wrong(audit.FaultUnreadable, 0, "this is no line of an export"))
		return
	}
	link, err := r.Document(text)
	switch {
	case err != nil:
		r.fault(wrong(audit.FaultUnreadable, 0, "%s", core.AsError(err).Message))
	case r.Workspace.IsZero() || r.Workspace == link.Workspace:
		r.take(link)
	}
}

func (r *reading) end() (Report, error) {
	if r.read == nil {
		return r.report, core.Invalid("file", "there is nothing in it")
	}
	if r.report.Kind == KindExport {
		r.exportEnded()
	}
	for _, workspace := range r.order {
		r.chains[workspace].Head = hexOf(r.chains[workspace].hash)
		r.report.Stretches = append(r.report.Stretches, r.chains[workspace].Stretch)
	}
	if earlier := r.Earlier; earlier != nil && r.report.Kind != KindInclusion {
		switch found := r.chains[earlier.Workspace]; {
		case found == nil:
			r.fault(wrong(audit.FaultForeign, 0, "the earlier export is of the workspace %s, of which nothing is here", earlier.Workspace))
		case found.First > earlier.Last+1:
			r.fault(wrong(audit.FaultGap, 0, "the earlier export ended at %d and this one begins at %d", earlier.Last, found.First))
		case found.Last < earlier.Last:
			r.fault(wrong(audit.FaultTail, 0, "the earlier export ended at %d, this one already at %d", earlier.Last, found.Last))
		}
	}
	if r.report.Kind == KindStream && !slices.ContainsFunc(r.report.Stretches, func(one Stretch) bool { return one.Records > 0 }) && r.report.Sound() {
		return r.report, core.Invalid("file", "there is no event of this workspace in it")
	}
	return r.report, nil
}
