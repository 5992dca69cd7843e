package signals

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// bucket is how finely people are counted.
const bucket = 10 * time.Minute

// countSlots is among how many rows a bucket is spread.
const countSlots = "64"

// underWay is how many signals may be under way at once and not yet be seen by each other: so many before the
// limit, they begin to happen one after the other. Far from the limit nobody waits.
const underWay = 64

// near reports whether the connection's hold is open, or more people and others that nobody sees yet are too many.
func (a surroundings) near(more int) bool {
	people := a.people + more
	return a.guarded && (!a.open.IsZero() || (people > a.floor && people*100 > a.share*a.active))
}

// lockConnection lets one signal at a time near the limit decide what it is, and one decision about a hold be
// made while nobody joins it. It comes after the users' locks and before accounts'.
const lockConnection = `
select id from connections where workspace_id = @workspace and id = @connection for no key update`

const upsertCount = `
insert into signal_counts as c (workspace_id, connection_id, bucket, slot, people)
values (@workspace, @connection, @bucket, pg_backend_pid() % ` + countSlots + `, @people)
on conflict (workspace_id, connection_id, bucket, slot) do update set people = c.people + excluded.people`

// guard decides whether what cannot be taken back has to wait for an administrator. more is how many people the
// signal adds to those its connection meant lately; touches tells whether they would lose anything.
func (t *telling) guard(ctx context.Context, tx pgx.Tx, more int, touches bool) (bool, error) {
	if !t.around.guarded {
		return false, nil
	}
	if more > 0 {
		t.last.Queue(upsertCount, pgx.StrictNamedArgs{
			"workspace": t.signal.Workspace, "connection": t.signal.Connection, "bucket": t.now().Truncate(bucket), "people": more,
		})
	}
	if !touches {
		return false, nil
	}
	if !t.around.counted {
		if err := tx.SendBatch(ctx, t.guardAlone()).Close(); err != nil {
			return false, err
		}
	}
	if !t.around.near(more + underWay) {
		return false, nil
	}
	batch := &pgx.Batch{}
	batch.Queue(lockConnection, pgx.StrictNamedArgs{"workspace": t.signal.Workspace, "connection": t.signal.Connection})
	t.queueGuard(batch)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return false, err
	}
	if !t.around.near(more) {
		return false, nil
	}
	t.receipt.Hold = t.around.open
	if t.receipt.Hold.IsZero() {
		t.openHold(more)
	}
	return true, nil
}

const insertHold = `
insert into signal_holds (id, workspace_id, connection_id, opened, share, floor, active, let_go)
values (@id, @workspace, @connection, @opened, @share, @floor, @active, @let_go)`

// openHold begins a hold. The lock of the connection lets nobody else do so.
func (t *telling) openHold(more int) {
	now := t.now()
	t.receipt.Hold = core.NewID()
	t.last.Queue(insertHold, pgx.StrictNamedArgs{
		"id": t.receipt.Hold, "workspace": t.signal.Workspace, "connection": t.signal.Connection, "opened": now,
		"share": t.around.share, "floor": t.around.floor, "active": t.around.active, "let_go": t.around.people,
	})
	t.later = append(t.later, core.NewEvent(core.SignalsHeld, t.signal.Workspace, t.cause, now, t.connection()).
		With("hold", t.receipt.Hold.String()).With("people", strconv.Itoa(t.around.people+more)).With("active", strconv.Itoa(t.around.active)).
		With("share", strconv.Itoa(t.around.share)).With("floor", strconv.Itoa(t.around.floor)).
		Because("signals meant more people within an hour than the connection's guard lets through; an administrator must approve or reject what cannot be taken back"))
}

const forgetCounts = `delete from signal_counts where bucket < @before`

// forgetCounts removes what the guard does not count any more.
func (s *Signals) forgetCounts(ctx context.Context) error {
	_, err := s.DB.Exec(ctx, forgetCounts, pgx.StrictNamedArgs{"before": s.now().Add(-2 * directory.GuardWindow)})
	return err
}
