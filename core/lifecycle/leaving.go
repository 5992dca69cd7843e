package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const (
	// takeTime bounds the taking from one person.
	takeTime = 30 * time.Second
	// firstRetry and lastRetry bound the wait after it failed; it doubles in between, without end.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Take takes from everybody who is leaving, in all workspaces, all they have, one person in one
// transaction, and returns how many people that were. Killed at any point it goes on where it was; in
// many processes at once each person is done once. A person who fails keeps nobody else from being
// done, and is tried again after a while.
func (l *Lifecycle) Take(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		found, taken, err := l.takeNext(ctx)
		failed = errors.Join(failed, err)
		if !found {
			break
		}
		if taken {
			total++
		}
	}
	return total, failed
}

// Of several takers each finds somebody else, and whom a command is about is left to it. The user is
// locked before anything of theirs, as in every command.
const selectNext = `
select l.workspace_id, l.user_id, l.attempts, u.user_name, u.display_name
from leavers l join users u on u.workspace_id = l.workspace_id and u.id = l.user_id
where l.due <= @now
order by l.due limit 1
for update of u skip locked`

// errNobody ends the transaction of a taker who found nobody.
var errNobody = errors.New("lifecycle: nobody is leaving")

// takeNext takes from whoever is next. found is false when nobody is, or nobody could be looked for;
// taken is false of whom somebody else was faster with, too.
func (l *Lifecycle) takeNext(ctx context.Context) (found, taken bool, err error) {
	within, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	plain := l.Recording(nil)
	var next *leaver
	first := func(batch *pgx.Batch) {
		next = nil
		batch.Queue(keepPlans)
		batch.Queue(selectNext, pgx.StrictNamedArgs{"now": l.now()}).Query(func(rows pgx.Rows) error {
			var one leaver
			_, err := pgx.ForEachRow(rows, []any{
				&one.user.Workspace, &one.user.ID, &one.attempts, &one.user.UserName, &one.user.DisplayName,
			}, func() error {
				next = &one
				return nil
			})
			return err
		})
	}
	err = plain.commitAfter(within, core.ID{}, first, func(tx pgx.Tx, s *story) (err error) {
		defer recovered(&err)
		if next == nil {
			return errNobody
		}
		// Looked up again under the lock: somebody may have been done since.
		_, taken, err = plain.takeLeaver(within, tx, s, next.user)
		return err
	})
	switch {
	case errors.Is(err, errNobody):
		return false, false, nil
	case err == nil:
		return true, taken, nil
	case next == nil || ctx.Err() != nil:
		return false, false, err
	}
	err = fmt.Errorf("user %s of workspace %s: %w", next.user.ID, next.user.Workspace, err)
	if failed := l.postpone(ctx, *next); failed != nil {
		return false, false, errors.Join(err, failed)
	}
	return true, false, err
}

const postponeLeaver = `
update leavers set due = @due, attempts = attempts + 1 where workspace_id = @workspace and user_id = @user`

// postpone has somebody wait who could not be done, so that the others are.
func (l *Lifecycle) postpone(ctx context.Context, one leaver) error {
	wait := lastRetry
	if one.attempts < 6 {
		wait = firstRetry << one.attempts
	}
	_, err := l.DB.Exec(ctx, postponeLeaver, pgx.StrictNamedArgs{
		"workspace": one.user.Workspace, "user": one.user.ID, "due": l.now().Add(wait),
	})
	return postgres.Classify(err)
}

// recovered makes a panic the failure of one person, and not of the process.
func recovered(err *error) {
	if fault := recover(); fault != nil {
		*err = core.Internal(fmt.Errorf("lifecycle: panic: %v\n%s", fault, debug.Stack()))
	}
}
