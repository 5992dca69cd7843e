package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

const upsertHeads = `
insert into audit_heads (workspace_id, sequence, hash, unsigned, changed)
select workspace_id, sequence, hash, unsigned, changed
from unnest(@workspaces::uuid[], @sequences::bigint[], @hashes::bytea[], @unsigned::bigint[], @changed::timestamptz[])
	as given (workspace_id, sequence, hash, unsigned, changed)
on conflict (workspace_id) do update
set sequence = excluded.sequence, hash = excluded.hash, unsigned = excluded.unsigned, changed = excluded.changed`

const insertCheckpoint = `
insert into audit_checkpoints (workspace_id, sequence, hash, signed, key_id, signature)
values (@workspace, @sequence, @hash, @signed, @key, @signature)`

const deleteMoved = `
delete from audit_outbox
where (xid, number) > (@after_xid, @after_number) and (xid, number) <= (@last_xid, @last_number)`

// commit writes a change in one transaction. Nothing below the horizon can appear later, so every row of the outbox
// up to its last was moved.
func (s *session) commit(ctx context.Context, changed *change) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgx.BeginFunc(ctx, s.writing, func(tx pgx.Tx) error {
		if err := s.months.ensure(ctx, tx, changed.months); err != nil {
			return err
		}
		if err := changed.copy(ctx, tx); err != nil {
			return err
		}
		var workspaces []core.ID
		var sequences, unsigned []int64
		var hashes [][]byte
		var times []time.Time
		for workspace, chained := range changed.heads {
			workspaces, sequences, unsigned = append(workspaces, workspace), append(sequences, chained.sequence), append(unsigned, chained.unsigned)
			hashes, times = append(hashes, chained.hash), append(times, chained.changed)
		}
		batch := &pgx.Batch{}
		batch.Queue(upsertHeads, pgx.StrictNamedArgs{"workspaces": workspaces, "sequences": sequences, "hashes": hashes, "unsigned": unsigned, "changed": times})
		for _, signed := range changed.checkpoints {
			batch.Queue(insertCheckpoint, pgx.StrictNamedArgs{"workspace": signed.Workspace, "sequence": signed.Sequence, "hash": signed.Hash,
				"signed": signed.Signed, "key": signed.KeyID, "signature": signed.Signature})
		}
		if changed.last != changed.after {
			batch.Queue(deleteMoved, pgx.StrictNamedArgs{"after_xid": changed.after.xid, "after_number": changed.after.number,
				"last_xid": changed.last.xid, "last_number": changed.last.number})
		}
		batch.Queue(upsertCursor, pgx.StrictNamedArgs{"name": CursorSequencer, "position": changed.position})
		return tx.SendBatch(ctx, batch).Close()
	})
}
