package signals

import (
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

const insertReceipt = `
insert into signals (id, workspace_id, connection_id, door, kind, subject, said, sid, evidence, digest, transaction, actor, correlation,
	occurred, received, committed, outcome, note, users, sessions, commands, waiting, owed, rotations, duplicate_of, hold_id)
values (@id, @workspace, @connection, @door, @kind, @subject, @said, @sid, @evidence, @digest, @transaction, @actor, @correlation,
	@occurred, @received, @committed, @outcome, @note, @users, @sessions, @commands, @waiting, @owed, @rotations, @duplicate, @hold)`

// queueReceipt writes the receipt with the effect it tells of.
func (t *telling) queueReceipt(batch *pgx.Batch) error {
	signal, receipt := t.signal, t.receipt
	evidence, err := json.Marshal(signal.Evidence)
	if err != nil {
		return core.Internal(err)
	}
	said, err := signal.Subject.MarshalJSON()
	if err != nil {
		return core.Internal(err)
	}
	var owed any
	if t.owed != nil {
		owed = t.owed
	}
	batch.Queue(insertReceipt, pgx.StrictNamedArgs{
		"id": receipt.ID, "workspace": signal.Workspace, "connection": signal.Connection, "door": string(signal.Door), "kind": string(signal.Kind),
		"subject": signal.Subject.String(), "said": string(said), "sid": core.Cut(signal.SID, 200), "evidence": string(evidence), "digest": signal.Evidence.Digest,
		"transaction": signal.Transaction, "actor": t.cause.Actor.Name, "correlation": t.cause.Correlation,
		"occurred": signal.Occurred, "received": signal.Received, "committed": receipt.Committed, "outcome": string(receipt.Outcome),
		"note": receipt.Note, "users": append([]core.ID{}, receipt.Users...), "sessions": receipt.Sessions, "commands": words(receipt.Commands),
		"waiting": words(receipt.Waiting), "owed": owed, "rotations": append([]core.ID{}, receipt.Rotations...), "duplicate": receipt.Duplicate, "hold": receipt.Hold,
	})
	return nil
}
