package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Export writes a workspace's log down so that anybody can verify it. The same export asked for again is the same,
// byte by byte, up to its manifest: one that broke off goes on behind the last record that arrived.
type Export struct {
	DB        postgres.Querier
	Workspace core.ID
	After     int64 // begins behind this sequence
	Until     int64 // ends with this one; 0 is the newest
	Have      int64 // what comes up to the record with this sequence is left out, for somebody who has it
	Key       ed25519.PrivateKey
	Product   string // and its version
	Now       time.Time
}

// exportPage is how many records are in memory at once.
const exportPage = 500

const selectOldest = `
select coalesce((select sequence from audit_log where workspace_id = @workspace order by sequence limit 1), 1)`

const selectExported = `
select sequence, event, previous, hash, sequenced
from audit_log
where workspace_id = @workspace and sequence > @after and sequence <= @until
order by sequence
limit @limit`

const selectCovering = `
select workspace_id, sequence, hash, signed, key_id, signature
from audit_checkpoints
where workspace_id = @workspace and sequence >= @from and sequence <= @to
order by sequence`

// Pages is the export, piece by piece. An error ends it, and then it has no manifest. The first piece comes before
// anything long is done.
func (e Export) Pages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		writing, err := e.begin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		page := writing.page
		for {
			if !yield(page, nil) {
				return
			}
			if writing.done {
				return
			}
			if page, err = writing.next(ctx); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// writing is an export under way.
type writing struct {
	Export
	manifest Manifest
	digest   hash.Hash
	page     []byte
	at       int64 // the last record that was written
	done     bool
}

func (e Export) begin(ctx context.Context) (*writing, error) {
	if e.Key == nil {
		return nil, core.Conflict("", "this process has no key to sign an export with; start it with --audit-key").WithCode("no_audit_key")
	}
	head, err := audit.Head(ctx, e.DB, e.Workspace)
	if err != nil {
		return nil, err
	}
	if e.Until == 0 || e.Until > head {
		e.Until = head
	}
	var oldest int64
	if err := e.DB.QueryRow(ctx, selectOldest, pgx.StrictNamedArgs{"workspace": e.Workspace}).Scan(&oldest); err != nil {
		return nil, postgres.Classify(err)
	}
	e.After = max(e.After, oldest-1) // what is no longer kept cannot be given
	if e.After > e.Until {
		return nil, core.Invalid("after", "the log ends at %d", e.Until)
	}
	keys, err := KnownKeys(ctx, e.DB)
	if err != nil {
		return nil, err
	}
	public := e.Key.Public().(ed25519.PublicKey)
	if _, known := KeysOf(keys...)[audit.KeyID(public)]; !known {
		keys = append(keys, KeyOf(public))
	}
	w := &writing{Export: e, digest: sha256.New(), at: e.After}
	w.manifest = Manifest{Format: exportFormat, Workspace: e.Workspace, Created: e.Now.UTC().Truncate(time.Millisecond), Product: e.Product, KeyID: audit.KeyID(public)}
	header, err := json.Marshal(Header{exportFormat, e.Workspace, e.After, e.Until, keys})
	if err != nil {
		return nil, core.Internal(err)
	}
	line := append(append([]byte(beginHeader), header...), '}', '\n')
	// Where what came before is gone, its last checkpoint says what the first record has to continue.
	covering, err := w.covering(ctx, e.After, e.After)
	if err != nil {
		return nil, err
	}
	for _, checkpoint := range covering {
		if line, err = w.checkpoint(line, checkpoint); err != nil {
			return nil, err
		}
	}
	w.sum(line)
	if w.page = []byte{}; e.Have <= e.After {
		w.page = line
	}
	return w, nil
}

// sum counts what is in the file, whether it is sent or not.
func (w *writing) sum(text []byte) {
	w.digest.Write(text)
	w.manifest.Bytes += int64(len(text))
}

func (w *writing) covering(ctx context.Context, from, to int64) ([]audit.Checkpoint, error) {
	rows, err := w.DB.Query(ctx, selectCovering, pgx.StrictNamedArgs{"workspace": w.Workspace, "from": from, "to": to})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	covering, err := pgx.CollectRows(rows, pgx.RowToStructByPos[audit.Checkpoint])
	return covering, postgres.Classify(err)
}

func (w *writing) checkpoint(to []byte, checkpoint audit.Checkpoint) ([]byte, error) {
	text, err := json.Marshal(entryOf(checkpoint))
	if err != nil {
		return nil, core.Internal(err)
	}
	w.manifest.Checkpoints++
	return append(append(append(to, beginCheckpoint...), text...), '}', '\n'), nil
}

// next is a page of records, or the manifest.
func (w *writing) next(ctx context.Context) ([]byte, error) {
	if w.at >= w.Until {
		w.done = true
		return w.end()
	}
	rows, err := w.DB.Query(ctx, selectExported, pgx.StrictNamedArgs{"workspace": w.Workspace, "after": w.at, "until": w.Until, "limit": exportPage})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	type row struct {
		Sequence                  int64
		Event, Previous, Recorded []byte
		At                        time.Time
	}
	found, err := pgx.CollectRows(rows, func(one pgx.CollectableRow) (row, error) {
		var r row
		return r, one.Scan(&r.Sequence, &r.Event, &r.Previous, &r.Recorded, &r.At)
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	if len(found) == 0 {
		// It is written down as it is: whoever verifies it finds that the end is missing.
		w.at = w.Until
		return []byte{}, nil
	}
	covering, err := w.covering(ctx, max(w.at+1, found[0].Sequence), found[len(found)-1].Sequence)
	if err != nil {
		return nil, err
	}
	var text []byte
	sent := 0 // of the text, what is not
	for _, one := range found {
		text = appendRecord(text, one.Sequence, one.At, one.Previous, one.Recorded, one.Event)
		if w.manifest.Records == 0 {
			w.manifest.First, w.manifest.FirstHash = one.Sequence, hex.EncodeToString(one.Recorded)
		}
		w.manifest.Records++
		w.manifest.Last, w.manifest.LastHash = one.Sequence, hex.EncodeToString(one.Recorded)
		if one.Sequence <= w.Have {
			sent = len(text)
		}
		for len(covering) > 0 && covering[0].Sequence <= one.Sequence {
			if text, err = w.checkpoint(text, covering[0]); err != nil {
				return nil, err
			}
			covering = covering[1:]
		}
	}
	w.at = found[len(found)-1].Sequence
	w.sum(text)
	return text[sent:], nil
}

// end is the manifest, signed.
func (w *writing) end() ([]byte, error) {
	w.manifest.SHA256 = hex.EncodeToString(w.digest.Sum(nil))
	text, err := json.Marshal(w.manifest)
	if err != nil {
		return nil, core.Internal(err)
	}
	line := append([]byte(beginManifest), text...)
	line = append(line, beginSignature...)
	line = base64.StdEncoding.AppendEncode(line, ed25519.Sign(w.Key, payload(exportFormat, text)))
	return append(line, `"}`+"\n"...), nil
}
