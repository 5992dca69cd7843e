package rotation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// The lockout budget: sign-ins that failed, or whose end nobody saw, per account and time.

// selectSlot gives the time of the attempt that must have left the window before another may begin.
const selectSlot = `
select at from sign_in_attempts where workspace_id = @workspace and account_id = @account and at > @since
order by at desc offset @allowed - 1 limit 1`

const insertAttempt = `
insert into sign_in_attempts (id, workspace_id, account_id, at) values (@id, @workspace, @account, @now)`

// reserve takes one sign-in out of an account's budget before it is made, so that a worker that
// dies in the middle of it does not make it again for nothing. If the budget is spent it returns
// when there will be room. What it writes goes through writes, which may be sent later in the same transaction.
func reserve(ctx context.Context, tx, writes pgx.Tx, workspace, account core.ID, now time.Time, options Options) (attempt core.ID, free time.Time, err error) {
	args := pgx.StrictNamedArgs{
		"workspace": workspace, "account": account, "since": now.Add(-options.FailedWindow), "allowed": options.FailedSignIns,
	}
	var oldest time.Time
	switch err := tx.QueryRow(ctx, selectSlot, args).Scan(&oldest); {
	case err == nil:
		return core.ID{}, oldest.Add(options.FailedWindow), nil
	case !noRows(err):
		return core.ID{}, time.Time{}, err
	}
	attempt = core.NewID()
	_, err = writes.Exec(ctx, insertAttempt, pgx.StrictNamedArgs{
		"id": attempt, "workspace": workspace, "account": account, "now": now,
	})
	return attempt, time.Time{}, err
}

const withdrawAttempt = `delete from sign_in_attempts where workspace_id = @workspace and account_id = @account and id = @id`

// withdraw gives a reserved sign-in back that did not fail.
func withdraw(ctx context.Context, tx pgx.Tx, workspace, account, attempt core.ID) error {
	_, err := tx.Exec(ctx, withdrawAttempt, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "id": attempt})
	return err
}

const countAttempt = `update sign_in_attempts set at = @now where workspace_id = @workspace and account_id = @account and id = @id`

// settle records how a reserved sign-in ended. One that may have counted at the app stays counted, from its end on. So does one
// whose end nobody saw, even if the app accepts the same password later: somebody may have set it there meanwhile.
func settle(ctx context.Context, tx pgx.Tx, workspace, account, attempt core.ID, outcome Outcome, now time.Time) error {
	switch outcome {
	case Accepted, MustChange, Applied, Refused, NotSent, FormNotFound, Challenge, Unreachable:
		return withdraw(ctx, tx, workspace, account, attempt)
	}
	_, err := tx.Exec(ctx, countAttempt, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "id": attempt, "now": now})
	return err
}

const forgetAttempts = `delete from sign_in_attempts where workspace_id = @workspace and account_id = @account and at <= @before`

// forget drops attempts that left the window.
func forget(ctx context.Context, tx pgx.Tx, p *progress, before time.Time) error {
	_, err := p.writes(tx).Exec(ctx, forgetAttempts, pgx.StrictNamedArgs{"workspace": p.Workspace, "account": p.Account, "before": before})
	return err
}
