package cli

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"postern/core"
	"postern/core/proof"
	"postern/gateway/api"
)

type auditCommands struct {
	Export    exportAudit       `cmd:"" help:"Save the whole log so that anybody can verify it."`
	Verify    verifyAudit       `cmd:"" help:"Verify an export, a proof, or a SIEM's copy of the events, offline."`
	Prove     proveEvent        `cmd:"" help:"Save a proof that one event is in the log."`
	Keys      listAuditKeys     `cmd:"" help:"List the keys that checkpoints, exports and proofs are signed with."`
	LegalHold legalHoldCommands `cmd:"" name:"legal-hold" help:"Keep records however old, or see whether they are."`
}

type listAuditKeys struct {
	remote `embed:""`
}

// Help is shown by 'postern audit keys --help'.
func (listAuditKeys) Help() string {
	return `Keep them apart from the exports: they are what 'postern audit verify --key' trusts.

  postern audit keys --output json > audit-keys.json

Compare each fingerprint with what Postern writes to its own log when it starts.`
}

// Run asks the gateway.
func (l listAuditKeys) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/audit/keys", nil, 0), []column[proof.Key]{
		{"KEY", func(one proof.Key) string { return one.ID }},
		{"FINGERPRINT (SHA-256)", func(one proof.Key) string { return one.Fingerprint }},
		{"FIRST USED (UTC)", func(one proof.Key) string { return utc(one.FirstUsed) }},
	}...)
}

type proveEvent struct {
	reach  `embed:""`
	Event  string `arg:"" help:"Its id, as a SIEM has it in metadata.uid, or its sequence."`
	Output string `help:"File to write; - is standard output." short:"O" default:"-" placeholder:"FILE"`
}

// Help is shown by 'postern audit prove --help'.
func (proveEvent) Help() string {
	return `The file is about two kilobytes, holds nothing of other events, and needs nothing but a public key to be verified.

  postern audit prove 0198c7e2-… --output event.json
  postern audit verify event.json --key audit-keys.json`
}

// Run asks the gateway. An event of the last seconds is waited for: it is not signed yet.
func (p proveEvent) Run(ctx context.Context, terminal terminal) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	event, err := p.event(ctx, c)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, "/events/"+event.String()+"/proof", nil, nil)
	if err != nil {
		return err
	}
	return saveText("--output", p.Output, terminal, text)
}

// event finds the id of what was named by its sequence.
func (p proveEvent) event(ctx context.Context, c *apiClient) (core.ID, error) {
	sequence, err := strconv.ParseInt(p.Event, 10, 64)
	if err != nil || sequence < 1 {
		id, err := core.ParseID(p.Event)
		if err != nil {
			return id, core.Invalid("event", "give the id of an event, or its sequence")
		}
		return id, nil
	}
	query := url.Values{"cursor": {strconv.FormatInt(sequence-1, 10)}, "limit": {"1"}}
	entries, err := found[api.Entry](c.pages(ctx, "/events", query, 1))
	if err == nil && len(entries) == 0 {
		err = core.NotFound("event")
	}
	if err != nil {
		return core.ID{}, err
	}
	return entries[0].Event.ID, nil
}

// progressEvery is how often a line of progress is written over the one before.
const progressEvery = 500 * time.Millisecond

// progress tells a person how far it is. A file or a pipe is told nothing.
type progress struct {
	out  *os.File
	last time.Time
	told bool
}

func newProgress(terminal terminal) *progress {
	file, ok := terminal.err.(*os.File)
	if !ok {
		return &progress{}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &progress{}
	}
	return &progress{out: file}
}

func (p *progress) say(text string) {
	if p.out == nil || time.Since(p.last) < progressEvery {
		return
	}
	p.last, p.told = time.Now(), true
	_, _ = p.out.WriteString("\r\x1b[K" + text)
}

func (p *progress) end() {
	if p.told {
		_, _ = p.out.WriteString("\r\x1b[K")
	}
}
