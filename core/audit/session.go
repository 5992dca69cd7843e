package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is one leadership. The next batch is read and chained while the one before is being committed:
//
//	reading ──► take: rows, hashes, signatures ──► begin ──► writing: COPY, commit
//	   ▲                                             │
//	   └──────────────── the next batch ◄────────────┘
//
// Everything is written through the connection that holds the lock, one change after the other. Any error ends the
// session, and with it what it remembers: that is at most one change ahead of what was committed.
type session struct {
	writing *pgx.Conn // holds the lock
	reading *pgx.Conn

	position int64
	heads    map[[16]byte]*head
	read     place
	horizon  uint64 // every transaction of this database below it has ended; 0: the server's own horizon is all that is known
	limit    int    // events of the next batch
	key      ed25519.PrivateKey
	every    int64
	now      func() time.Time

	committing chan error // of the change under way; nil: none is
	months     months     // of the commits alone
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
select o.xid, o.number, o.workspace_id, o.event_id, o.type, o.occurred, o.correlation, o.targets, o.event
from audit_outbox o
where (o.xid, o.number) > (@xid, @number) and o.xid < greatest(pg_snapshot_xmin(pg_current_snapshot()), @horizon)
order by o.xid, o.number
limit @limit`

// take reads the next batch and chains it. It is nil when nothing can be seen: what the change under way is
// writing keeps later transactions from view until it is committed.
func (s *session) take(ctx context.Context) (*change, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := s.reading.Query(ctx, selectOutbox, pgx.StrictNamedArgs{"xid": s.read.xid, "number": s.read.number, "horizon": s.horizon, "limit": s.limit})
	if err != nil {
		return nil, err
	}
	last, size := s.read, 0
	var row entry
	var entries []entry
	var texts arena
	// What is nil is not scanned: the text is copied as it came.
	if _, err := pgx.ForEachRow(rows, []any{&last.xid, &last.number, &row.workspace, &row.event, &row.kind, &row.occurred, &row.correlation, &row.targets, nil}, func() error {
		row.canonical = texts.keep(rows.RawValues()[8])
		entries, size = append(entries, row), size+len(row.canonical)
		row.targets = nil
		return nil
	}); err != nil || len(entries) == 0 {
		return nil, err
	}
	taken, err := s.chain(ctx, entries)
	if err != nil {
		return nil, err
	}
	taken.full, taken.after, taken.last = len(entries) == s.limit, s.read, last
	s.read = last
	s.limit = min(max(batchBytes/(size/len(entries)+1), smallestBatch), largestBatch)
	return taken, nil
}

// arena keeps texts together: one by one they would be the collector's to find.
type arena []byte

func (a *arena) keep(text []byte) []byte {
	if cap(*a)-len(*a) < len(text) {
		*a = make(arena, 0, max(len(text), 256<<10))
	}
	begin := len(*a)
	*a = append(*a, text...)
	return (*a)[begin:len(*a):len(*a)]
}

// begin commits a change, while the next is prepared. The one before it must have ended.
func (s *session) begin(ctx context.Context, changed *change) {
	ended := make(chan error, 1)
	s.committing = ended
	go func() { ended <- s.commit(ctx, changed) }()
}

// end waits until the change under way is committed.
func (s *session) end() error {
	if s.committing == nil {
		return nil
	}
	err := <-s.committing
	s.committing = nil
	return err
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
	err := s.reading.QueryRow(ctx, selectHorizon, pgx.StrictNamedArgs{"xid": s.read.xid, "number": s.read.number}).Scan(&s.horizon)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // nothing waits
	}
	return err
}
