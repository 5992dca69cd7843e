package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/jobs"
	"postern/core/postgres"
)

// errFenced: another worker has the rotation now, or nobody needs it any more.
var errFenced = errors.New("rotation: another worker took over")

// busy is how soon a rotation that another worker drives is looked at again.
const busy = time.Second

// take takes the lease. If it is not to be had, err is what the job is to answer, or a.first is whose turn it is.
func (a *attempt) take(ctx context.Context, workspace, id core.ID) (held bool, err error) {
	var answer error
	var p progress
	var room room
	err = a.DB.Command(ctx, nil, func(batch *pgx.Batch) {
		lockNext(batch, workspace, id, &p)
		a.queueRoom(batch, workspace, id, &room)
	}, func(tx pgx.Tx, last *pgx.Batch) (err error) {
		held, answer, a.first = false, nil, nil
		now := a.now()
		latest := a.wake == 0 || a.wake >= p.Wake
		switch {
		case p.Finished != nil || p.NextAttempt == nil:
			a.rests = true
			return nil
		case p.LeaseUntil != nil && p.LeaseUntil.After(now):
			if latest {
				answer = jobs.Snooze(min(busy, p.LeaseUntil.Sub(now)))
			}
			return nil
		case p.NextAttempt.After(now):
			a.rests = true
			if latest {
				answer = jobs.Snooze(p.NextAttempt.Sub(now))
			}
			return nil
		}
		p.App = room.App
		if room.full(now) {
			if latest {
				answer = a.noPlace(&p, room, now)
			}
			if !p.Parked {
				return nil
			}
			return p.save(ctx, postgres.Queueing(last), now)
		}
		if a.wake != 0 && room.OfWorkspace > 0 {
			if a.first, err = a.before(ctx, tx, p, room, now); err != nil || a.first != nil {
				return err
			}
		}
		p.Fence++
		p.LeaseUntil, p.Parked = new(now.Add(a.options.Lease)), false
		a.progress, a.fence, held, a.paced = p, p.Fence, true, room.Spacing > 0
		if a.paced {
			last.Queue(updateNext, pgx.StrictNamedArgs{"workspace": workspace, "app": room.App, "next": now.Add(room.Spacing)})
		}
		return a.progress.save(ctx, postgres.Queueing(last), now)
	})
	if errors.Is(err, errFenced) {
		return false, nil // it is not there
	}
	if err != nil {
		return false, err
	}
	return held, answer
}

const extendLease = `
update rotations set lease_until = @until
where workspace_id = @workspace and id = @id and fence = @fence and finished is null and lease_until is not null`

// beat extends the lease while the worker lives, and stops the work when the lease is lost.
func (a *attempt) beat(ctx context.Context, stop context.CancelCauseFunc, workspace, id core.ID) {
	ticker := time.NewTicker(a.options.Lease / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		tag, err := a.DB.Exec(ctx, extendLease, pgx.StrictNamedArgs{
			"until": a.now().Add(a.options.Lease), "workspace": workspace, "id": id, "fence": a.fence,
		})
		if err == nil && tag.RowsAffected() == 0 {
			stop(errFenced)
			return
		}
	}
}

const dropLease = `update rotations set lease_until = null where workspace_id = @workspace and id = @id and fence = @fence`

// leave gives the lease back when the work is broken off, so that the next worker need not wait.
func (a *attempt) leave(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	_, _ = a.DB.Exec(ctx, dropLease, pgx.StrictNamedArgs{"workspace": a.progress.Workspace, "id": a.progress.ID, "fence": a.fence})
}

// commitTimeout bounds one transaction of the engine.
const commitTimeout = 10 * time.Second

// commit is a transaction on the rotation's row, made only if this worker still holds the lease.
// What the app did is recorded even when the worker is being stopped.
func (a *attempt) commit(ctx context.Context, work func(ctx context.Context, tx pgx.Tx, p *progress) error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	return a.commitNow(ctx, true, work)
}

// record is commit of what would be found out again, or is followed by a commit before anything goes near the app: it does
// not wait for the database's disk. A crash of the database server may take it back, and nothing that came after it stays
// without it.
func (a *attempt) record(ctx context.Context, work func(ctx context.Context, tx pgx.Tx, p *progress) error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	return a.commitNow(ctx, false, work)
}

// lockAccount comes before the rotation's own row, as in the commands that revoke grants of an
// account and plan its rotation in one transaction: the same order cannot deadlock.
const lockAccount = `select id from accounts where workspace_id = @workspace and id = @account for no key update`

// commitNow is commit, or record unless it is to be on disk, but not after ctx has ended.
func (a *attempt) commitNow(ctx context.Context, onDisk bool, work func(ctx context.Context, tx pgx.Tx, p *progress) error) error {
	var p progress
	err := a.DB.Command(ctx, nil, func(batch *pgx.Batch) {
		if !onDisk {
			batch.Queue("set local synchronous_commit = off")
		}
		batch.Queue(lockAccount, pgx.StrictNamedArgs{"workspace": a.progress.Workspace, "account": a.progress.Account})
		lockNext(batch, a.progress.Workspace, a.progress.ID, &p)
	}, func(tx pgx.Tx, last *pgx.Batch) error {
		if p.Fence != a.fence || p.Finished != nil || p.LeaseUntil == nil {
			return errFenced
		}
		now := a.now()
		p.LeaseUntil, p.later = new(now.Add(a.options.Lease)), postgres.Queueing(last)
		if err := work(ctx, tx, &p); err != nil {
			return err
		}
		return p.save(ctx, tx, now)
	})
	if err != nil {
		return err
	}
	p.later = nil
	a.progress = p
	a.ended = p.LeaseUntil == nil
	return nil
}
