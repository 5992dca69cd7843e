package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"postern/core"
)

// session is one leadership: the connection that holds the lock, and what was read or written
// through it. Any error ends it, so what it remembers is never ahead of what was committed.
type session struct {
	connection *pgx.Conn
	position   int64
	heads      map[[16]byte]*head
	read       place
	horizon    uint64 // every transaction of this database below it has ended; 0: the server's own horizon is all that is known
	key        ed25519.PrivateKey
	every      int64
	now        func() time.Time
}

// place is the order of the outbox: the transaction, then the number within it.
type place struct {
	xid    uint64
	number int64
}

// head is the end of a workspace's chain.
type head struct {
	sequence int64
	hash     []byte
	unsigned int64
	changed  time.Time
}

// entry is one row on its way from the outbox to the log.
type entry struct {
	workspace, event, correlation [16]byte
	kind                          string
	occurred                      time.Time
	targets                       [][16]byte
	canonical                     []byte

	position, sequence int64
	previous, hash     []byte
	sequenced          time.Time
}

const selectOutbox = `
select o.xid, o.number, o.workspace_id, o.event_id, o.type, o.occurred, o.correlation, o.targets, o.event::text
from audit_outbox o
where (o.xid, o.number) > (@xid, @number) and o.xid < greatest(pg_snapshot_xmin(pg_current_snapshot()), @horizon)
order by o.xid, o.number
limit @limit`

// move takes one batch from the outbox to the log and returns how many events that were.
func (s *session) move(ctx context.Context) (int, error) {
	rows, err := s.connection.Query(ctx, selectOutbox, pgx.StrictNamedArgs{"xid": s.read.xid, "number": s.read.number, "horizon": s.horizon, "limit": batchSize})
	if err != nil {
		return 0, err
	}
	last := s.read
	var row entry
	var entries []entry
	if _, err := pgx.ForEachRow(rows, []any{&last.xid, &last.number, &row.workspace, &row.event, &row.kind, &row.occurred, &row.correlation, &row.targets, &row.canonical}, func() error {
		entries = append(entries, row)
		row.targets, row.canonical = nil, nil
		return nil
	}); err != nil || len(entries) == 0 {
		return 0, err
	}
	moved := len(entries)
	if err := s.write(ctx, entries, &last); err != nil {
		return 0, err
	}
	s.read = last
	return moved, nil
}

// A snapshot holds the open transactions of all databases of a server. Those another database's backend has locked
// write nothing here. What has ended since the snapshot is in no lock any more, and counts as open.
const selectHorizon = `
select coalesce((
	select x from pg_snapshot_xip(s.taken) x
	where not exists (
		select from pg_locks l
		join pg_stat_activity a on a.pid = l.pid
		join pg_database d on d.oid = a.datid
		where l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock' and l.transactionid = x::xid
			and d.datname <> current_database())
	order by x limit 1
), pg_snapshot_xmax(s.taken))
from (select pg_current_snapshot() as taken) s
where exists (select from audit_outbox o where (o.xid, o.number) > (@xid, @number))`

// look finds out how far this database has come, whatever others of the server have open. It costs a look at every lock
// of the server, so it is for when events wait.
func (s *session) look(ctx context.Context) error {
	err := s.connection.QueryRow(ctx, selectHorizon, pgx.StrictNamedArgs{"xid": s.read.xid, "number": s.read.number}).Scan(&s.horizon)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // nothing waits
	}
	return err
}

const selectQuiet = `
select workspace_id from audit_heads
where unsigned > 0 and changed <= @before
order by changed
limit 500`

// checkpointQuiet signs for the workspaces that have been quiet for a while.
func (s *session) checkpointQuiet(ctx context.Context) (int, error) {
	rows, err := s.connection.Query(ctx, selectQuiet, pgx.StrictNamedArgs{"before": s.now().Add(-checkpointIdle)})
	if err != nil {
		return 0, err
	}
	quiet, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil || len(quiet) == 0 {
		return 0, err
	}
	if err := s.load(ctx, quiet); err != nil {
		return 0, err
	}
	changed := &change{heads: map[[16]byte]*head{}}
	for _, workspace := range quiet {
		if err := s.checkpoint(changed, workspace); err != nil {
			return 0, err
		}
	}
	return len(changed.entries), s.commit(ctx, changed, nil)
}

// change is what one transaction writes.
type change struct {
	entries     []entry
	checkpoints []Checkpoint
	heads       map[[16]byte]*head
}

// write gives entries their places, signs what is due and commits.
func (s *session) write(ctx context.Context, entries []entry, last *place) error {
	var workspaces [][16]byte
	known := map[[16]byte]bool{}
	for _, row := range entries {
		if !known[row.workspace] {
			known[row.workspace] = true
			workspaces = append(workspaces, row.workspace)
		}
	}
	if err := s.load(ctx, workspaces); err != nil {
		return err
	}
	changed := &change{entries: make([]entry, 0, len(entries)+len(entries)/int(s.every)+len(workspaces)), heads: make(map[[16]byte]*head, len(workspaces))}
	for _, row := range entries {
		chained := s.link(changed, row)
		chained.unsigned++
		if s.key != nil && chained.unsigned >= s.every {
			if err := s.checkpoint(changed, row.workspace); err != nil {
				return err
			}
		}
	}
	return s.commit(ctx, changed, last)
}

// link puts one entry at the end of its workspace's chain. Within it time does not go back, whatever the clock
// does: a time finds its place in the chain by halves.
func (s *session) link(changed *change, row entry) *head {
	chained := s.heads[row.workspace]
	changed.heads[row.workspace] = chained
	s.position++
	row.position, row.sequence, row.previous = s.position, chained.sequence+1, chained.hash
	row.hash = Hash(row.previous, row.sequence, row.canonical)
	if now := s.now(); now.After(chained.changed) {
		chained.changed = now
	}
	row.sequenced = chained.changed
	chained.sequence, chained.hash = row.sequence, row.hash
	changed.entries = append(changed.entries, row)
	return chained
}

// checkpoint signs a workspace's head and tells of it in the next event.
func (s *session) checkpoint(changed *change, workspace [16]byte) error {
	chained := s.heads[workspace]
	signed := sign(s.key, workspace, chained.sequence, chained.hash, s.now())
	event := signed.event(signed.Signed)
	canonical, err := Canonical(event)
	if err != nil {
		return err
	}
	changed.checkpoints = append(changed.checkpoints, signed)
	s.link(changed, entry{
		workspace: workspace, event: event.ID, correlation: event.Correlation,
		kind: string(event.Type), occurred: event.Occurred, canonical: canonical,
	})
	chained.unsigned = 0
	return nil
}

const selectHeads = `
select workspace_id, sequence, hash, unsigned, changed
from audit_heads
where workspace_id = any(@workspaces::uuid[])`

// load reads the heads of workspaces that are not remembered yet.
func (s *session) load(ctx context.Context, workspaces [][16]byte) error {
	if len(s.heads) > 10_000 {
		clear(s.heads)
	}
	var missing []core.ID
	for _, workspace := range workspaces {
		if s.heads[workspace] == nil {
			missing = append(missing, workspace)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := s.connection.Query(ctx, selectHeads, pgx.StrictNamedArgs{"workspaces": missing})
	if err != nil {
		return err
	}
	var workspace [16]byte
	var found head
	if _, err := pgx.ForEachRow(rows, []any{&workspace, &found.sequence, &found.hash, &found.unsigned, &found.changed}, func() error {
		kept := found
		s.heads[workspace] = &kept
		found.hash = nil
		return nil
	}); err != nil {
		return err
	}
	for _, workspace := range missing {
		if s.heads[workspace] == nil {
			s.heads[workspace] = &head{hash: Genesis()}
		}
	}
	return nil
}

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

// commit writes a change in one transaction. last is the outbox row up to which rows were moved;
// nothing below the horizon can appear later, so all of them were.
func (s *session) commit(ctx context.Context, changed *change, last *place) error {
	return pgx.BeginFunc(ctx, s.connection, func(tx pgx.Tx) error {
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
		if last != nil {
			batch.Queue(deleteMoved, pgx.StrictNamedArgs{"after_xid": s.read.xid, "after_number": s.read.number, "last_xid": last.xid, "last_number": last.number})
		}
		batch.Queue(upsertCursor, pgx.StrictNamedArgs{"name": CursorSequencer, "position": s.position})
		return tx.SendBatch(ctx, batch).Close()
	})
}

var (
	logColumns    = []string{"position", "workspace_id", "sequence", "event_id", "type", "occurred", "correlation", "event", "previous", "hash", "sequenced"}
	targetColumns = []string{"workspace_id", "target_id", "sequence"}
)

// copyEntries writes log and index of targets with COPY, the fastest way in.
func copyEntries(ctx context.Context, tx pgx.Tx, entries []entry) error {
	var targets [][]any
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_log"}, logColumns, pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
		row := entries[i]
		for _, target := range row.targets {
			targets = append(targets, []any{id(row.workspace), id(target), row.sequence})
		}
		return []any{row.position, id(row.workspace), row.sequence, id(row.event), row.kind, row.occurred, id(row.correlation), row.canonical, row.previous, row.hash, row.sequenced}, nil
	}))
	if err != nil || len(targets) == 0 {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"audit_targets"}, targetColumns, pgx.CopyFromRows(targets))
	return err
}

// id is a uuid in the form pgx encodes without looking twice.
func id(bytes [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: bytes, Valid: true} }
