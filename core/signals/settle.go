package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
)

const (
	// settlers work at once on so many signals that were listed, and somebody looks by themselves so often.
	settlers     = 2
	settleListed = 64
	settleEvery  = 200 * time.Millisecond
	// settleTime bounds the rest of one signal; firstRetry and lastRetry the wait after it failed, which doubles.
	settleTime = 30 * time.Second
	firstRetry = time.Second
	lastRetry  = time.Minute
)

const selectUnsettled = `
select id, workspace_id, users, said, attempts from signals_unsettled where due <= @now order by id limit @limit`

// Settle does what is left of the signals whose sessions are dead, in all workspaces, each in one transaction, and
// returns how many that were. Killed at any point it goes on where it was; in many processes at once each is done
// once. One that fails keeps no other from being done, and is tried again after a while.
func (s *Signals) Settle(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		listed, err := s.listUnsettled(ctx)
		if err != nil || len(listed) == 0 {
			return total, errors.Join(failed, err)
		}
		before := total
		var lock sync.Mutex
		var all sync.WaitGroup
		for range min(settlers, len(listed)) {
			all.Go(func() {
				for {
					lock.Lock()
					if len(listed) == 0 || ctx.Err() != nil {
						lock.Unlock()
						return
					}
					one := listed[0]
					listed = listed[1:]
					lock.Unlock()
					done, err := s.settleOrWait(ctx, one)
					lock.Lock()
					if done {
						total++
					}
					failed = errors.Join(failed, err)
					lock.Unlock()
				}
			})
		}
		all.Wait()
		if total == before { // the rest of these is done elsewhere, or waits
			break
		}
	}
	return total, failed
}

func (s *Signals) listUnsettled(ctx context.Context) ([]unsettled, error) {
	rows, err := s.DB.Query(ctx, selectUnsettled, pgx.StrictNamedArgs{"now": s.now(), "limit": settleListed})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	listed, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one unsettled, err error) {
		return one, row.Scan(&one.id, &one.workspace, &one.users, &one.text, &one.attempts)
	})
	return listed, postgres.Classify(err)
}

const postponeUnsettled = `
update signals_unsettled set due = @due, attempts = attempts + 1 where workspace_id = @workspace and id = @id`

// settleOrWait does the rest of a signal. One that fails waits, so that the others are done.
func (s *Signals) settleOrWait(ctx context.Context, one unsettled) (done bool, err error) {
	if err = json.Unmarshal(one.text, &one); err == nil {
		_, done, err = s.settle(ctx, one)
	}
	if err == nil || ctx.Err() != nil {
		return done, err
	}
	wait := min(firstRetry<<min(one.attempts, 10), lastRetry)
	_, failed := s.DB.Exec(ctx, postponeUnsettled, pgx.StrictNamedArgs{"workspace": one.workspace, "id": one.id, "due": s.now().Add(wait)})
	return false, errors.Join(fmt.Errorf("signal %s of workspace %s: %w", one.id, one.workspace, err), postgres.Classify(failed))
}

// settle does the rest of a signal, unless somebody else does.
func (s *Signals) settle(ctx context.Context, one unsettled) (receipt Receipt, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	defer func() {
		if fault := recover(); fault != nil {
			err = core.Internal(fmt.Errorf("signals: panic: %v\n%s", fault, debug.Stack()))
		}
	}()
	var t *telling
	err = s.DB.Command(ctx, directory.Collision, func(batch *pgx.Batch) {
		t = s.tell(one.Cause, one.Signal, nil)
		t.signal.Evidence.Digest, t.receipt.Signal.Evidence.Digest = one.Digest, one.Digest
		t.signal.Judged, t.left, t.receipt.ID = 0, &one, one.id
		t.open(batch)
	}, func(tx pgx.Tx, last *pgx.Batch) error { return t.work(ctx, tx, last) })
	if errors.Is(err, errUsed) {
		return Receipt{}, false, nil
	}
	if err != nil {
		return Receipt{}, false, err
	}
	s.wake()
	return t.receipt, true, nil
}

// Whoever does the rest has the row; nobody waits for them.
const deleteUnsettled = `
delete from signals_unsettled where workspace_id = @workspace and id = any(array(
	select id from signals_unsettled where workspace_id = @workspace and id = @id for update skip locked))`

// openRest is open of a signal whose sessions are dead.
func (t *telling) openRest(batch *pgx.Batch) {
	t.unused = false
	batch.Queue(deleteUnsettled, pgx.StrictNamedArgs{"workspace": t.signal.Workspace, "id": t.left.id}).Exec(func(gone pgconn.CommandTag) error {
		t.unused = gone.RowsAffected() == 1
		return nil
	})
	t.Directory.QueueLockUsers(batch, t.signal.Workspace, t.signal.Connection, t.left.users, &t.people)
	t.looked = true
	t.queueIncidents(batch)
	t.Directory.QueueEndDead(batch, t.signal.Workspace, t.left.At, t.reason(), &t.ended)
}

// KeepSettled settles until ctx ends, at once whatever this process leaves. It may run in many processes.
func (s *Signals) KeepSettled(ctx context.Context) error {
	for ctx.Err() == nil {
		_, err := s.Settle(ctx)
		s.warn(ctx, "do what is left of a signal", err)
		s.left.Rest(ctx, settleEvery)
	}
	return nil
}
