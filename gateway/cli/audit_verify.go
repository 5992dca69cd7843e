package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/proof"
	"postern/siem/ocsf"
)

type verifyAudit struct {
	File      string `arg:"" help:"An export, a proof, or a SIEM's copy of the events, one JSON object a line; - reads it from the standard input."`
	Key       string `help:"Public keys to trust: what 'postern audit keys --output json' printed, PEM, or base64. Without it the key in the file is used, and it is up to you to know its fingerprint." placeholder:"FILE"`
	Workspace string `help:"Id of the workspace: only its events of a copy, and nothing else but its export or proof." placeholder:"ID"`
	Earlier   string `help:"An earlier export: this one has to hold, or continue, what it ended with." placeholder:"FILE"`
	JSON      bool   `help:"Print JSON, for scripts."`
}

// Help is shown by 'postern audit verify --help'.
func (verifyAudit) Help() string {
	return `Needs no gateway, no database and no network; takes as little memory for a billion events as for ten.

  postern audit verify acme.jsonl --key audit-keys.json
  postern audit verify acme.jsonl --key audit-keys.json --earlier last-month.jsonl
  kcat -C -b kafka:9092 -t postern.audit -e -q | postern audit verify - --key audit-keys.json

Exit code 0: nothing is missing or changed, and all of it is signed. 7: nothing is missing or changed, and no signature covers the
last events yet, or none could be looked at without a key. 5: something is missing, changed, reordered or comes twice. 3: signed by
nobody you trust. 2: the file cannot be read.`
}

// Run believes nothing but the keys.
func (v verifyAudit) Run(_ context.Context, terminal terminal) error {
	keys, err := readKeys(v.Key)
	if err != nil {
		return err
	}
	with := proof.Verifier{Keys: keys}
	if v.Workspace != "" {
		if with.Workspace, err = core.ParseID(v.Workspace); err != nil {
			return core.Invalid("--workspace", "%s", core.AsError(err).Message)
		}
	}
	if v.Earlier != "" {
		if with.Earlier, err = earlier(v.Earlier, keys); err != nil {
			return err
		}
	}
	return v.judge(terminal, with)
}

// manifestSize is more than a manifest takes.
const manifestSize = 64 << 10

// earlier reads the manifest of an export of whatever size: its first line and its last.
func earlier(path string, keys proof.Keys) (*proof.Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, core.Invalid("--earlier", "%s cannot be read", path).Because(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, core.Invalid("--earlier", "%s cannot be read", path).Because(err)
	}
	head, tail := make([]byte, min(info.Size(), 1<<20)), make([]byte, min(info.Size(), manifestSize))
	if _, err = file.ReadAt(head, 0); err == nil {
		_, err = file.ReadAt(tail, info.Size()-int64(len(tail)))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, core.Invalid("--earlier", "%s cannot be read", path).Because(err)
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	last := tail[bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n')+1:]
	manifest, err := proof.ReadManifest(first, last, keys)
	if err != nil {
		return nil, &core.Error{Kind: core.KindOf(err), Field: "--earlier", Message: core.AsError(err).Message}
	}
	return manifest, nil
}

// judge reads the file and tells what is wrong with it.
func (v verifyAudit) judge(terminal terminal, with proof.Verifier) error {
	with.Document = ocsf.Link
	file, err := openGiven("file", v.File)
	if err != nil {
		return err
	}
	defer file.Close()
	report, err := with.Verify(file)
	if err != nil {
		return err
	}
	if err := (onDatabase{JSON: v.JSON}).show(terminal, report, func(sheet sheet) { sheet.proof(report) }); err != nil {
		return err
	}
	return verdict(report)
}

// verdict is what the exit code says.
func verdict(report proof.Report) error {
	if len(report.Faults) > 0 {
		first := report.Faults[0]
		text := first.Error()
		if more := int64(len(report.Faults)) - 1 + report.More; more > 0 {
			text += fmt.Sprintf(" (and %s)", core.Count(int(more), "more fault", "more faults"))
		}
		if first.Code == audit.FaultSignature || first.Code == proof.FaultKey {
			return core.Denied("%s", text)
		}
		return core.Conflict("", "%s", text).WithCode(first.Code)
	}
	switch {
	case !report.Looked:
		return open("nothing is missing or changed as far as the hashes tell; give --key, so that the signatures tell too")
	case report.Open() > 0:
		return open(core.Count(int(report.Open()), "event is", "events are") + " covered by no signature")
	}
	return nil
}

// proof says in words what was found.
func (s sheet) proof(report proof.Report) {
	for _, fault := range report.Faults {
		s.say("WRONG  %s", visible(fault.Error()))
	}
	if report.More > 0 {
		s.say("WRONG  … and %d more", report.More)
	}
	if report.Sound() {
		s.say("%s", map[string]string{
			proof.KindExport: "Whole and unchanged: every event is here, in order, as it was recorded.", proof.KindInclusion: "Proved: this event is in the log, as it was recorded.",
			proof.KindStream: "Unchanged and without a gap: these events are all there is between the first and the last of them.",
		}[report.Kind])
	}
	for _, one := range report.Stretches {
		s.say("Workspace %s:", one.Workspace)
		if one.Records == 0 {
			s.say("  no events")
			continue
		}
		s.row("events", fmt.Sprintf("%d, from %d to %d", one.Records, one.First, one.Last))
		if report.Looked {
			s.row("signed", fmt.Sprintf("up to %d, by %s", one.Signed, core.Count(int(one.Checkpoints), "checkpoint", "checkpoints")))
		}
		if one.Unsigned > 0 && report.Kind == proof.KindStream && report.Looked {
			s.row("not signed yet", core.Count(int(one.Unsigned), "event", "events"))
		}
		if one.Repeated > 0 {
			s.row("came again", core.Count(int(one.Repeated), "event", "events")+", unchanged: after a crash that may be")
		}
		if one.Hollow > 0 {
			s.row("without content", core.Count(int(one.Hollow), "event", "events")+", too large for the receiver: an export holds them")
		}
		s.row("last hash", one.Head)
	}
	if proved := report.Inclusion; proved != nil {
		var event core.Event
		if json.Unmarshal(proved.Event, &event) == nil {
			s.row("event", fmt.Sprintf("%s, %s", event.ID, event.Type))
			s.row("sequence", fmt.Sprint(proved.Sequence))
			s.row("workspace", event.Workspace.String())
			s.row("occurred", event.Occurred.Format(time.RFC3339Nano))
			s.row("who", dash(visible(event.Actor.Name)))
		}
	}
	if manifest := report.Manifest; manifest != nil {
		s.row("written down", manifest.Created.Format(time.RFC3339)+" by "+visible(manifest.Product))
	}
	switch {
	case report.Key != nil && report.Pinned:
		s.row("signed with", report.Key.ID+", which you trust")
	case report.Key != nil:
		s.row("signed with", report.Key.ID)
		s.say("The key came with the file. Compare its SHA-256 fingerprint with the one Postern logs when it starts: %s", report.Key.Fingerprint)
	case !report.Looked:
		s.say("No signature was looked at: a copy brings no key along. Give --key.")
	}
}
