package audit

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
		if err := s.months.ensure(ctx, tx, changed.entries); err != nil {
			return err
		}
		if err := copyEntries(ctx, tx, changed.entries); err != nil {
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

var (
	logColumns    = []string{"position", "workspace_id", "sequence", "event_id", "type", "occurred", "correlation", "actor", "failed", "event", "previous", "hash", "sequenced"}
	targetColumns = []string{"workspace_id", "target_id", "sequence", "sequenced"}
)

// copyEntries writes log and index of targets with COPY, the fastest way in.
func copyEntries(ctx context.Context, tx pgx.Tx, entries []entry) error {
	var targets [][]any
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_log"}, logColumns, pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
		row := entries[i]
		for _, target := range row.targets {
			targets = append(targets, []any{id(row.workspace), id(target), row.sequence, row.sequenced})
		}
		return []any{row.position, id(row.workspace), row.sequence, id(row.event), row.kind, row.occurred, id(row.correlation), actorOf(row.canonical), bytes.Contains(row.canonical, failure),
			row.canonical, row.previous, row.hash, row.sequenced}, nil
	}))
	if err != nil || len(targets) == 0 {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"audit_targets"}, targetColumns, pgx.CopyFromRows(targets))
	return err
}

// id is a uuid in the form pgx encodes without looking twice.
func id(bytes [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: bytes, Valid: true} }

// What the canonical form of an event begins with if its actor has an id, and what it holds if it failed. Within a text
// the quotes would be escaped; a fact may be named so, so readers look at the member as well.
var (
	acting  = []byte(`{"actor":{"id":"`)
	failure = []byte(`"outcome":"failure"`)
)

// actorOf is the id of who acted; null: nobody who has one.
func actorOf(canonical []byte) pgtype.UUID {
	text, found := bytes.CutPrefix(canonical, acting)
	if !found || len(text) < 36 {
		return pgtype.UUID{}
	}
	actor, err := core.ParseID(string(text[:36]))
	if err != nil {
		return pgtype.UUID{}
	}
	return id(actor)
}
