package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/postgres"
)

// carryBatch is how many departures are listed at once. Each is carried out by itself: thousands of
// people in one transaction would lock everything for as long as it takes.
const carryBatch = 200

const selectUnfinished = `
select workspace_id, id, decision, cause from holds
where decided is not null and finished is null
order by decided limit 100`

const selectWaiting = `
select id, user_id, departed from departures
where workspace_id = @workspace and hold_id = @hold and state = 'held' and id > @after
order by id limit @limit`

const finishHold = `
update holds h set finished = @now
where h.workspace_id = @workspace and h.id = @hold and h.finished is null and not exists (
	select from departures d where d.workspace_id = h.workspace_id and d.hold_id = h.id and d.state = 'held')`

// decided is a hold whose departures are to be carried out.
type decided struct {
	Workspace core.ID    `db:"workspace_id"`
	ID        core.ID    `db:"id"`
	Decision  string     `db:"decision"`
	Cause     core.Cause `db:"cause"`
}

// waiting is one of them.
type waiting struct {
	ID       core.ID   `db:"id"`
	User     core.ID   `db:"user_id"`
	Departed time.Time `db:"departed"`
}

// Carry does what was decided about the holds of all workspaces, one person at a time, and returns
// how many people that were. Killed at any point it goes on where it was; in many processes at once
// each person is done once. A person who fails keeps nobody else from being done, and is tried again
// the next time.
func (l *Lifecycle) Carry(ctx context.Context) (int, error) {
	rows, err := l.DB.Query(ctx, selectUnfinished)
	if err != nil {
		return 0, postgres.Classify(err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByName[decided])
	if err != nil {
		return 0, postgres.Classify(err)
	}
	total := 0
	var failed error
	for _, hold := range holds {
		done, err := l.carryHold(ctx, hold)
		total += done
		failed = errors.Join(failed, err)
	}
	return total, failed
}

func (l *Lifecycle) carryHold(ctx context.Context, hold decided) (int, error) {
	total := 0
	var failed error
	for after := (core.ID{}); ctx.Err() == nil; {
		rows, err := l.DB.Query(ctx, selectWaiting, pgx.StrictNamedArgs{
			"workspace": hold.Workspace, "hold": hold.ID, "after": [16]byte(after), "limit": carryBatch,
		})
		if err != nil {
			return total, postgres.Classify(err)
		}
		batch, err := pgx.CollectRows(rows, pgx.RowToStructByName[waiting])
		if err != nil {
			return total, postgres.Classify(err)
		}
		for _, one := range batch {
			done, err := l.carryOne(ctx, hold, one)
			if err != nil {
				failed = errors.Join(failed, err)
			}
			if done {
				total++
			}
		}
		if len(batch) < carryBatch {
			break
		}
		after = batch[len(batch)-1].ID
	}
	if failed == nil && ctx.Err() == nil {
		_, failed = l.DB.Exec(ctx, finishHold, pgx.StrictNamedArgs{"workspace": hold.Workspace, "hold": hold.ID, "now": l.now()})
		failed = postgres.Classify(failed)
	}
	return total, failed
}

func (l *Lifecycle) carryOne(ctx context.Context, hold decided, one waiting) (done bool, err error) {
	carry := l.takeHeld
	var first func(batch *pgx.Batch)
	if hold.Decision == Rejected {
		carry = l.restoreHeld
		// Who changes a team locks it before its people.
		first = func(batch *pgx.Batch) { l.Directory.QueueLockTeamsOf(batch, hold.Workspace, one.User) }
	}
	err = l.commitAfter(ctx, one.User, first, func(tx pgx.Tx, s *story) error {
		done, err = l.lockHeld(ctx, tx, hold.Workspace, one)
		if err != nil || !done {
			return err
		}
		return carry(ctx, tx, s, hold, one)
	})
	return done && err == nil, err
}

const lockHeldUser = `select id from users where workspace_id = @workspace and id = @user for update`

const lockHeldDeparture = `
select id from departures where workspace_id = @workspace and user_id = @user and id = @id and state = 'held' for update`

// lockHeld locks a user, deleted or not, and reports whether their departure still waits.
func (l *Lifecycle) lockHeld(ctx context.Context, tx pgx.Tx, workspace core.ID, one waiting) (bool, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "user": one.User}
	if _, err := tx.Exec(ctx, lockHeldUser, args); err != nil {
		return false, err
	}
	args["id"] = one.ID
	locked, err := tx.Exec(ctx, lockHeldDeparture, args)
	return err == nil && locked.RowsAffected() == 1, err
}

const finishDeparture = `update departures set state = @state where workspace_id = @workspace and user_id = @user and id = @id`

func (l *Lifecycle) finishDeparture(ctx context.Context, tx pgx.Tx, workspace core.ID, one waiting, state State) error {
	_, err := tx.Exec(ctx, finishDeparture, pgx.StrictNamedArgs{"workspace": workspace, "user": one.User, "id": one.ID, "state": state})
	return err
}

// takeHeld takes from a user who has been inactive since they left what was left to them.
func (l *Lifecycle) takeHeld(ctx context.Context, tx pgx.Tx, s *story, hold decided, one waiting) error {
	named, err := l.Directory.Targets(ctx, tx, hold.Workspace, []core.ID{one.User})
	if err != nil {
		return err
	}
	s.tell(core.NewEvent(core.UserDeprovisioned, hold.Workspace, hold.Cause, l.now(), named[one.User]).With("hold", hold.ID.String()))
	user := directory.User{ID: one.User, Workspace: hold.Workspace, DisplayName: named[one.User].Name}
	if _, err := l.take(ctx, tx, s, leaver{user: user, departed: one.Departed, cause: hold.Cause}); err != nil {
		return err
	}
	return l.finishDeparture(ctx, tx, hold.Workspace, one, Done)
}

// restoreHeld lets a deleted user be found again, inactive.
func (l *Lifecycle) restoreHeld(ctx context.Context, tx pgx.Tx, s *story, hold decided, one waiting) error {
	var restored core.Target
	// In a transaction of its own within this one, because who has the name by now is told by its failure.
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) {
		restored, err = l.Directory.RestoreUser(ctx, tx, hold.Workspace, one.User)
		return err
	})
	if core.KindOf(err) == core.KindConflict {
		return l.finishDeparture(ctx, tx, hold.Workspace, one, NameTaken)
	}
	if err != nil {
		return err
	}
	if err := l.Directory.RaiseTeamsOf(ctx, s.later(), hold.Workspace, one.User); err != nil {
		return err
	}
	s.tell(core.NewEvent(core.UserRestored, hold.Workspace, hold.Cause, l.now(), restored).With("hold", hold.ID.String()))
	if err := l.finishDeparture(ctx, tx, hold.Workspace, one, Restored); err != nil {
		return err
	}
	return l.checkOwned(ctx, tx, s, hold.Cause, hold.Workspace, accounts.Subject{User: one.User})
}
