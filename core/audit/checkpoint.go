package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Checkpoint is a signed statement: a workspace's log had this many events, and its chain ended in
// this hash. It is kept in audit_checkpoints and told as an event (audit.checkpoint_signed) right
// after the event it covers, so that whoever receives the stream can verify it alone.
type Checkpoint struct {
	Workspace core.ID
	Sequence  int64
	Hash      []byte
	Signed    time.Time
	KeyID     string
	Signature []byte
}

// Payload is what is signed: a line of purpose, then one line per fact.
func (c Checkpoint) Payload() []byte {
	return fmt.Appendf(nil, "postern audit checkpoint v1\n%s\n%d\n%s\n%s\n", c.Workspace, c.Sequence,
		base64.StdEncoding.EncodeToString(c.Hash), c.Signed.UTC().Format(time.RFC3339Nano))
}

// KeyID names a public key in a checkpoint: the beginning of its SHA-256.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// sign makes the checkpoint of a head.
func sign(key ed25519.PrivateKey, workspace core.ID, sequence int64, hash []byte, now time.Time) Checkpoint {
	checkpoint := Checkpoint{Workspace: workspace, Sequence: sequence, Hash: hash, Signed: now.UTC().Truncate(time.Microsecond), KeyID: KeyID(key.Public().(ed25519.PublicKey))}
	checkpoint.Signature = ed25519.Sign(key, checkpoint.Payload())
	return checkpoint
}

// event tells of the checkpoint in the stream.
func (c Checkpoint) event(now time.Time) core.Event {
	return core.NewEvent(core.CheckpointSigned, c.Workspace, core.NewCause(core.System, now), now).
		With("sequence", strconv.FormatInt(c.Sequence, 10)).
		With("hash", hex.EncodeToString(c.Hash)).
		With("signed", c.Signed.Format(time.RFC3339Nano)).
		With("key_id", c.KeyID).
		With("signature", base64.StdEncoding.EncodeToString(c.Signature))
}

// CheckpointOf reads the checkpoint an audit.checkpoint_signed event tells of. Another event, or one
// that cannot be read, is Invalid.
func CheckpointOf(event core.Event) (Checkpoint, error) {
	checkpoint := Checkpoint{Workspace: event.Workspace, KeyID: event.Data["key_id"]}
	var err error
	if event.Type != core.CheckpointSigned {
		return checkpoint, core.Invalid("type", "the event is not a checkpoint")
	}
	if checkpoint.Sequence, err = strconv.ParseInt(event.Data["sequence"], 10, 64); err != nil {
		return checkpoint, core.Invalid("sequence", "a checkpoint's sequence is a number").Because(err)
	}
	if checkpoint.Hash, err = hex.DecodeString(event.Data["hash"]); err != nil {
		return checkpoint, core.Invalid("hash", "a checkpoint's hash is hexadecimal").Because(err)
	}
	if checkpoint.Signed, err = time.Parse(time.RFC3339Nano, event.Data["signed"]); err != nil {
		return checkpoint, core.Invalid("signed", "a checkpoint's time is RFC 3339").Because(err)
	}
	if checkpoint.Signature, err = base64.StdEncoding.DecodeString(event.Data["signature"]); err != nil {
		return checkpoint, core.Invalid("signature", "a checkpoint's signature is base64").Because(err)
	}
	return checkpoint, nil
}

const selectCheckpoints = `
select workspace_id, sequence, hash, signed, key_id, signature
from audit_checkpoints
where workspace_id = @workspace
order by sequence`

// Checkpoints reads a workspace's checkpoints, oldest first.
func Checkpoints(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Checkpoint, error) {
	rows, err := q.Query(ctx, selectCheckpoints, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	checkpoints, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Checkpoint])
	return checkpoints, postgres.Classify(err)
}
