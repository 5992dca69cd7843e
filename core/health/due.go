package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

const (
	lookEvery = time.Second
	// patience is the wait of an account that could not be looked at.
	patience = time.Minute
	// sweepEvery is how often what is too old is forgotten.
	sweepEvery = time.Hour
)

// Run follows what happens and begins what is due, until ctx ends. It may run in many processes.
func (h *Health) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var swept time.Time
	for {
		_, err := h.Follow(ctx)
		if err == nil {
			_, err = h.Tick(ctx)
		}
		if err == nil {
			_, err = h.Alarm(ctx)
		}
		if now := h.now(); err == nil && now.Sub(swept) >= sweepEvery {
			swept = now
			_, err = h.Forget(ctx)
		}
		if err != nil && ctx.Err() == nil && h.Log != nil {
			h.Log.WarnContext(ctx, "what is due to be checked could not be looked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// Tick begins the checks that are due, of all workspaces, and returns how many. Killed at any point it goes on where it
// was. What fails keeps nothing else from being begun, and is tried again.
func (h *Health) Tick(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		found, began, err := h.next(ctx)
		failed = errors.Join(failed, err)
		if began {
			total++
		}
		if !found {
			break
		}
	}
	return total, failed
}

// The account is locked first, as every command does. What somebody works on is taken later.
const lockDue = `
select a.workspace_id, a.id from check_dues d join accounts a on a.workspace_id = d.workspace_id and a.id = d.account_id
where d.due <= @now order by d.due limit 1 for no key update of a skip locked`

const selectDue = `
select d.reason, d.cause, coalesce(s.interval, @interval) as interval
from check_dues d left join health_settings s on s.workspace_id = d.workspace_id
where d.workspace_id = @workspace and d.account_id = @account and d.due <= @now for no key update of d`

const updateDue = `
update check_dues set due = @due, reason = 'schedule', cause = null where workspace_id = @workspace and account_id = @account`

const postponeDue = `update check_dues set due = @due where workspace_id = @workspace and account_id = @account and due <= @now`

// next begins the check that has been due for longest. found is false when none is, or none could be looked for.
func (h *Health) next(ctx context.Context) (found, began bool, err error) {
	var of struct{ Workspace, Account core.ID }
	err = h.DB.Tx(ctx, func(tx pgx.Tx) error {
		found, began = false, false
		now := h.now()
		err := tx.QueryRow(ctx, lockDue, pgx.StrictNamedArgs{"now": now}).Scan(&of.Workspace, &of.Account)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		var reason Reason
		var happened *core.Cause
		var interval time.Duration
		err = tx.QueryRow(ctx, selectDue, pgx.StrictNamedArgs{
			"workspace": of.Workspace, "account": of.Account, "now": now, "interval": DefaultInterval,
		}).Scan(&reason, &happened, &interval)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another process was quicker
		} else if err != nil {
			return err
		}
		account, err := h.Accounts.Hold(ctx, tx, of.Workspace, of.Account)
		if err != nil {
			return err
		}
		cause := core.NewCause(core.System, now)
		if happened != nil { // it has a story, and this is part of it
			cause.Correlation = happened.Correlation
		}
		if account.Orphaned {
			if account, err = h.abandoned(ctx, tx, cause, account); err != nil {
				return err
			}
		}
		if began = useful(reason, account, now, interval); began {
			if _, err := h.want(ctx, tx, cause, account, reason, nil); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, updateDue, pgx.StrictNamedArgs{"workspace": of.Workspace, "account": of.Account, "due": after(now, interval)})
		return err
	})
	if err == nil {
		if began {
			h.wake()
		}
		return found, began, nil
	}
	if !found || ctx.Err() != nil {
		return false, false, err
	}
	err = fmt.Errorf("account %s of workspace %s: %w", of.Account, of.Workspace, err)
	now := h.now()
	if _, failed := h.DB.Exec(ctx, postponeDue, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "account": of.Account, "now": now, "due": now.Add(patience),
	}); failed != nil {
		return false, false, errors.Join(err, postgres.Classify(failed))
	}
	return true, false, err
}

// useful reports whether a check that is due would tell something: what the app refuses for good it is not asked again
// and again, and what a sign-in has proved a moment ago, perhaps since the account was added, needs no other.
func useful(reason Reason, account accounts.Account, now time.Time, interval time.Duration) bool {
	switch account.State {
	case accounts.Unmanaged:
		return false
	case accounts.AppDisabled:
		return account.Finding != accounts.SwitchedOff
	case accounts.Desynced:
		return reason == Reactivated || reason == GivenBack
	case accounts.Validated, accounts.AtRisk:
		fresh := account.Validated != nil && account.Validated.After(now.Add(-interval/2))
		return reason != Scheduled && reason != Created || !fresh
	case accounts.Unvalidated, accounts.DesyncSuspected:
	}
	return true
}

const selectAbandoned = `
select not exists (
	select from grants g join users u on u.workspace_id = g.workspace_id and u.id = g.user_id and u.active and u.deleted is null
	where g.workspace_id = @workspace and g.account_id = @account and g.revoked is null and (g.expires is null or g.expires > @now)
) and not exists (
	select from grants g
	join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.suspended is null
	join users u on u.workspace_id = m.workspace_id and u.id = m.user_id and u.active and u.deleted is null
	where g.workspace_id = @workspace and g.account_id = @account and g.revoked is null and (g.expires is null or g.expires > @now)
) and exists (
	select from credential_versions v
	where v.workspace_id = @workspace and v.account_id = @account and v.field = 'password' and v.label = 'current'
		and (v.origin = 'imported' or exists (
			select from exposures e
			where e.workspace_id = v.workspace_id and e.account_id = v.account_id and e.version = v.version and e.level in ` + accounts.PasswordLevels + `))
) and not exists (
	select from rotations r where r.workspace_id = @workspace and r.account_id = @account and r.finished is null and r.reason <> 'verify'
)`

// abandoned finds out whether a locked account is one whose access was taken from everybody, while the password that
// they knew was left as it is.
func (h *Health) abandoned(ctx context.Context, tx pgx.Tx, cause core.Cause, account accounts.Account) (accounts.Account, error) {
	var alone bool
	err := tx.QueryRow(ctx, selectAbandoned, pgx.StrictNamedArgs{"workspace": account.Workspace, "account": account.ID, "now": h.now()}).Scan(&alone)
	if err != nil || !alone {
		return account, postgres.Classify(err)
	}
	return h.Accounts.Learn(ctx, tx, cause, account.Workspace, account.ID, accounts.Abandoned,
		"Everybody's access was taken, and the password was not changed: whoever knew it still does, and nobody is left who keeps it up to date.")
}

const (
	firstMiss = 30 * time.Minute
	mostMiss  = 6 * time.Hour
)

const updateMissed = `
update check_dues set misses = misses + 1,
	due = least(due, @now::timestamptz + least(@first::interval * power(2, least(misses, 10)), @most::interval))
where workspace_id = @workspace and account_id = @account`

// missed has an account whose app could not be reached looked at again sooner than it would be, and less and less often.
func (h *Health) missed(ctx context.Context, tx pgx.Tx, account accounts.Account) error {
	_, err := tx.Exec(ctx, updateMissed, pgx.StrictNamedArgs{
		"workspace": account.Workspace, "account": account.ID, "now": h.now(), "first": firstMiss, "most": mostMiss,
	})
	return postgres.Classify(err)
}

const deleteOld = `
delete from checks c where (c.workspace_id, c.id) in (
	select o.workspace_id, o.id from workspaces w
	left join health_settings s on s.workspace_id = w.id
	cross join lateral (
		select c.workspace_id, c.id from checks c
		where c.workspace_id = w.id and c.finished is not null and c.finished < @now::timestamptz - coalesce(s.retention, @retention)
		order by c.finished limit 1000
	) o
	limit 10000
)`

// Forget removes what checks saw longer ago than their workspaces keep it, and returns how many that were.
func (h *Health) Forget(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		tag, err := h.DB.Exec(ctx, deleteOld, pgx.StrictNamedArgs{"now": h.now(), "retention": DefaultRetention})
		if err != nil {
			return total, postgres.Classify(err)
		}
		total += int(tag.RowsAffected())
		if tag.RowsAffected() == 0 {
			break
		}
	}
	return total, nil
}
