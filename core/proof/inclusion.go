package proof

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// inclusionFormat is the form of a proof, and the first line of what its signature is over.
const inclusionFormat = "postern audit proof v1"

// maxSegment is how many records one checkpoint may cover for them to be proved one by one. With a key there is one
// every thousand.
const maxSegment = 1 << 20

// Root is a signed statement: the records of a workspace between two checkpoints, each of which the gateway verified
// against them, have this Merkle tree (RFC 6962 §2.1). Its leaves are their hashes in the chain.
type Root struct {
	Format     string    `json:"format"`
	Workspace  core.ID   `json:"workspace"`
	First      int64     `json:"first"` // sequence of the first leaf
	Last       int64     `json:"last"`  // and of the last, which a checkpoint covers
	LastHash   string    `json:"last_hash"`
	Tree       string    `json:"tree"` // its root hash, hexadecimal
	Checkpoint entry     `json:"checkpoint"`
	Created    time.Time `json:"created"`
	KeyID      string    `json:"key_id"`
	Keys       []Key     `json:"keys"` // known to the gateway: it is not believed in this
}

// Inclusion proves that one event is in the log at its place. It is as long as its event, about a kilobyte, and
// 44 bytes for each doubling of the records that its checkpoint covers: O(log n), ten of them with a checkpoint
// every thousand records. It holds nothing of other events but hashes.
type Inclusion struct {
	Sequence  int64          `json:"sequence"`
	Previous  string         `json:"previous"` // hexadecimal
	Hash      string         `json:"hash"`
	Event     jsontext.Value `json:"event"`     // canonical
	Path      []string       `json:"path"`      // base64, from the leaf to the root
	Root      jsontext.Value `json:"root"`      // a Root, as it is signed
	Signature []byte         `json:"signature"` // Ed25519
}

// leaves are hashes of records, with those of the tree above them that are stored.
type leaves []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (l leaves) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, 0, len(indexes))
	for _, at := range indexes {
		if at < 0 || at >= int64(len(l)) {
			return nil, errors.New("there is no such hash")
		}
		found = append(found, l[at])
	}
	return found, nil
}

const selectSequence = `
select sequence from audit_log
where workspace_id = @workspace and event_id = @event
order by sequence
limit 1`

const selectBounds = `
select c.workspace_id, c.sequence, c.hash, c.signed, c.key_id, c.signature,
	coalesce((select max(b.sequence) from audit_checkpoints b where b.workspace_id = @workspace and b.sequence < @sequence), 0)
from audit_checkpoints c
where c.workspace_id = @workspace and c.sequence >= @sequence
order by c.sequence
limit 1`

// Prover proves single events.
type Prover struct {
	DB  postgres.Querier
	Key ed25519.PrivateKey
	Now func() time.Time
}

// Sequence finds the place of an event by its id.
func (p Prover) Sequence(ctx context.Context, workspace, event core.ID) (int64, error) {
	var sequence int64
	err := p.DB.QueryRow(ctx, selectSequence, pgx.StrictNamedArgs{"workspace": workspace, "event": event}).Scan(&sequence)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, core.NotFound("event")
	}
	return sequence, postgres.Classify(err)
}

// Prove makes the proof of the record with a sequence. All records its checkpoint covers are verified first: what was
// changed in the database is proved to nobody, and is a Conflict that says what it is. A record that no checkpoint
// covers yet is Unavailable for some seconds.
func (p Prover) Prove(ctx context.Context, workspace core.ID, sequence int64) (Inclusion, error) {
	if p.Key == nil {
		return Inclusion{}, core.Conflict("", "this process has no key to sign a proof with; start it with --audit-key").WithCode("no_audit_key")
	}
	known, err := KnownKeys(ctx, p.DB)
	if err != nil {
		return Inclusion{}, err
	}
	public := p.Key.Public().(ed25519.PublicKey)
	if _, remembered := KeysOf(known...)[audit.KeyID(public)]; !remembered {
		known = append(known, KeyOf(public))
	}
	keys := KeysOf(known...)
	var covering audit.Checkpoint
	var before int64
	row := p.DB.QueryRow(ctx, selectBounds, pgx.StrictNamedArgs{"workspace": workspace, "sequence": sequence})
	err = row.Scan(&covering.Workspace, &covering.Sequence, &covering.Hash, &covering.Signed, &covering.KeyID, &covering.Signature, &before)
	if errors.Is(err, pgx.ErrNoRows) {
		head, err := audit.Head(ctx, p.DB, workspace)
		if err == nil && sequence > head {
			err = core.NotFound("event")
		} else if err == nil {
			err = core.Unavailable(10*time.Second, "no checkpoint covers event %d yet; a quiet workspace has one after ten seconds", sequence).WithCode("audit_not_signed_yet")
		}
		return Inclusion{}, err
	}
	if err != nil {
		return Inclusion{}, postgres.Classify(err)
	}
	if covering.Sequence-before > maxSegment {
		return Inclusion{}, core.Conflict("", "the checkpoint at %d covers more than %d events: use an export", covering.Sequence, maxSegment).WithCode("audit_segment_too_long")
	}
	proof := Inclusion{Sequence: sequence, Path: []string{}}
	stored, err := p.segment(ctx, &proof, covering, before, keys)
	if err != nil {
		return Inclusion{}, err
	}
	size := covering.Sequence - before
	tree, err := tlog.TreeHash(size, stored)
	if err != nil {
		return Inclusion{}, core.Internal(err)
	}
	path, err := tlog.ProveRecord(size, sequence-before-1, stored)
	if err != nil {
		return Inclusion{}, core.Internal(err)
	}
	for _, one := range path {
		proof.Path = append(proof.Path, base64.StdEncoding.EncodeToString(one[:]))
	}
	proof.Root, err = json.Marshal(Root{
		Format: inclusionFormat, Workspace: workspace, First: before + 1, Last: covering.Sequence, LastHash: hexOf(covering.Hash), Tree: hexOf(tree[:]),
		Checkpoint: entryOf(covering), Created: p.Now().UTC().Truncate(time.Millisecond), KeyID: audit.KeyID(public), Keys: known,
	})
	if err != nil {
		return Inclusion{}, core.Internal(err)
	}
	proof.Signature = ed25519.Sign(p.Key, payload(inclusionFormat, proof.Root))
	return proof, nil
}

// segment verifies the records a checkpoint covers, puts the one into the proof, and gives the tree of them all.
func (p Prover) segment(ctx context.Context, proof *Inclusion, covering audit.Checkpoint, before int64, keys Keys) (leaves, error) {
	followed := &chain{keys: keys}
	followed.anchor(before)
	var stored leaves
	for followed.Last < covering.Sequence {
		rows, err := p.DB.Query(ctx, selectExported, pgx.StrictNamedArgs{"workspace": covering.Workspace, "after": followed.Last, "until": covering.Sequence, "limit": exportPage})
		if err != nil {
			return nil, postgres.Classify(err)
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Link, error) {
			var link Link
			var at time.Time
			return link, row.Scan(&link.Sequence, &link.Canonical, &link.Previous, &link.Hash, &at)
		})
		if err != nil {
			return nil, postgres.Classify(err)
		}
		if len(page) == 0 {
			return nil, core.Conflict("", "record %d is missing", followed.Last+1).WithCode(audit.FaultGap)
		}
		for _, link := range page {
			if !link.identify() || link.Workspace != covering.Workspace {
				return nil, core.Conflict("", "record %d is not this workspace's", link.Sequence).WithCode(audit.FaultForeign)
			}
			if fault := followed.add(link); fault != nil {
				return nil, core.Conflict("", "%s", fault.Message).WithCode(fault.Code)
			}
			above, err := tlog.StoredHashes(link.Sequence-before-1, link.Hash, stored)
			if err != nil {
				return nil, core.Internal(err)
			}
			stored = append(stored, above...)
			if link.Sequence == proof.Sequence {
				proof.Previous, proof.Hash, proof.Event = hexOf(link.Previous), hexOf(link.Hash), link.Canonical
			}
		}
	}
	if !bytes.Equal(followed.hash, covering.Hash) {
		return nil, core.Conflict("", "record %d is not the one its checkpoint saw", covering.Sequence).WithCode(audit.FaultRewritten)
	}
	if fault := followed.signed(covering); fault != nil {
		return nil, core.Conflict("", "%s", fault.Message).WithCode(fault.Code)
	}
	return stored, nil
}

// Append writes the proof as a file: one line.
func (p Inclusion) Append(to []byte) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, core.Internal(err)
	}
	return append(append(append(to, beginInclusion...), text...), '}', '\n'), nil
}

// included takes the one line of a proof.
func (r *reading) included(text []byte, whole bool) {
	if r.report.Inclusion != nil || r.report.Lines > 1 {
		r.fault(wrong(FaultTrailing, 0, "something follows the proof"))
		return
	}
	var proof Inclusion
	if !member(text, beginInclusion, &proof) {
		r.fault(wrong(audit.FaultUnreadable, 0, "the proof cannot be read"))
		return
	}
	// Written again it has to be the same: nothing that was added to it, or written otherwise, goes unseen.
	again, err := proof.Append(nil)
	if err != nil || !whole || !bytes.Equal(again[:len(again)-1], text) {
		r.fault(wrong(FaultAltered, 0, "the proof is not written as Postern writes one"))
	}
	r.report.Inclusion = &proof
	r.fault(r.proved(proof))
}

// proved verifies the event, its place in the tree, and both signatures.
func (r *reading) proved(proof Inclusion) *Fault {
	var root Root
	if json.Unmarshal(proof.Root, &root, json.RejectUnknownMembers(true)) != nil || root.Format != inclusionFormat {
		return wrong(audit.FaultUnreadable, 0, "the root cannot be read")
	}
	if r.Keys == nil {
		r.Keys, r.report.Looked = KeysOf(root.Keys...), true
	}
	if fault := r.Keys.verify(root.KeyID, payload(inclusionFormat, proof.Root), proof.Signature, 0, "the root"); fault != nil {
		return fault
	}
	r.report.Key = new(KeyOf(r.Keys[root.KeyID]))
	checkpoint, err := root.Checkpoint.checkpoint(root.Workspace)
	if err != nil || checkpoint.Sequence != root.Last || hexOf(checkpoint.Hash) != root.LastHash {
		return wrong(FaultProof, 0, "the root tells of another checkpoint")
	}
	if fault := r.Keys.verify(checkpoint.KeyID, checkpoint.Payload(), checkpoint.Signature, checkpoint.Sequence, "the checkpoint at "+strconv.FormatInt(checkpoint.Sequence, 10)); fault != nil {
		return fault
	}
	previous, problem := hex.DecodeString(proof.Previous)
	hashed, err := hex.DecodeString(proof.Hash)
	tree, unread := hex.DecodeString(root.Tree)
	if problem != nil || err != nil || unread != nil || len(tree) != sha256.Size || len(hashed) != sha256.Size || len(previous) != sha256.Size {
		return wrong(audit.FaultUnreadable, proof.Sequence, "a hash cannot be read")
	}
	link := Link{Sequence: proof.Sequence, Canonical: proof.Event, Previous: previous, Hash: hashed}
	if !link.identify() || link.Workspace != root.Workspace || !r.Workspace.IsZero() && r.Workspace != root.Workspace {
		return wrong(audit.FaultForeign, proof.Sequence, "the event belongs to another workspace")
	}
	followed := &chain{Stretch: Stretch{Workspace: root.Workspace}}
	if fault := followed.content(link); fault != nil {
		return fault
	}
	var path tlog.RecordProof
	for _, one := range proof.Path {
		step, err := base64.StdEncoding.Strict().DecodeString(one)
		if err != nil || len(step) != sha256.Size {
			return wrong(audit.FaultUnreadable, proof.Sequence, "the path cannot be read")
		}
		path = append(path, tlog.Hash(step))
	}
	if proof.Sequence < root.First || proof.Sequence > root.Last ||
		tlog.CheckRecord(path, root.Last-root.First+1, tlog.Hash(tree), proof.Sequence-root.First, tlog.RecordHash(hashed)) != nil {
		return wrong(FaultProof, proof.Sequence, "record %d does not lead to the signed root", proof.Sequence)
	}
	return nil
}
