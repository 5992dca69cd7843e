package health

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

const (
	// cursor is how far Health has read the log.
	cursor = "health"
	page   = 500
)

// One process reads at a time: what an event makes due is looked at once.
const lockCursor = `select position from cursors where name = @name for update skip locked`

// Follow reads the log of all workspaces on from where it was read to, marks what is to be looked at because of it, and
// returns how many events that were.
func (h *Health) Follow(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		read := 0
		err := h.DB.Tx(ctx, func(tx pgx.Tx) error {
			var position int64
			err := tx.QueryRow(ctx, lockCursor, pgx.StrictNamedArgs{"name": cursor}).Scan(&position)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil // another process reads
			} else if err != nil {
				return postgres.Classify(err)
			}
			records, err := audit.After(ctx, tx, position, page)
			if read = len(records); err != nil || read == 0 {
				return err
			}
			batch := &pgx.Batch{}
			for _, record := range records {
				h.react(batch, record.Event)
			}
			if batch.Len() > 0 {
				if err := tx.SendBatch(ctx, batch).Close(); err != nil {
					return postgres.Classify(err)
				}
			}
			return audit.MoveCursor(ctx, tx, cursor, records[read-1].Position)
		})
		if err != nil {
			return total, err
		}
		total += read
		if read < page {
			break
		}
	}
	return total, nil
}

// What somebody had who is back is looked at before it is proposed to them. Those that are due sooner stay so.
const markReturned = `
insert into check_dues (workspace_id, account_id, due, reason, cause)
select g.workspace_id, g.account_id, @due::timestamptz, @reason, @cause::json from (
	select workspace_id, account_id from grants where workspace_id = @workspace and user_id = @user
	union
	select g.workspace_id, g.account_id from team_members m
	join grants g on g.workspace_id = m.workspace_id and g.team_id = m.team_id
	where m.workspace_id = @workspace and m.user_id = @user and g.revoked is null
) g
on conflict (workspace_id, account_id) do update set due = excluded.due, reason = excluded.reason, cause = excluded.cause
where check_dues.due is null or check_dues.due > excluded.due`

const markKnown = `
insert into check_dues (workspace_id, account_id, due, reason, cause)
select e.workspace_id, e.account_id, @due::timestamptz, @reason, @cause::json from (
	select distinct e.workspace_id, e.account_id from exposures e
	join credential_versions v on v.workspace_id = e.workspace_id and v.account_id = e.account_id and v.field = 'password'
		and v.version = e.version and v.label = 'current'
	where e.workspace_id = @workspace and e.user_id = @user and e.level in ` + accounts.PasswordLevels + `
) e
on conflict (workspace_id, account_id) do update set due = excluded.due, reason = excluded.reason, cause = excluded.cause
where check_dues.due is null or check_dues.due > excluded.due`

const markGivenBack = `
insert into check_dues (workspace_id, account_id, due, reason, cause)
select a.workspace_id, a.id, @due::timestamptz, @reason, @cause::json from accounts a
where a.workspace_id = @workspace and a.id = @account and exists (
	select from grants g
	where g.workspace_id = a.workspace_id and g.account_id = a.id and (g.user_id = @subject or g.team_id = @subject)
		and g.revoked is not null and g.revoke_cause <> 'replaced')
on conflict (workspace_id, account_id) do update set due = excluded.due, reason = excluded.reason, cause = excluded.cause
where check_dues.due is null or check_dues.due > excluded.due`

// The people of a team own what it owns.
const markTeamOwned = `
insert into check_dues (workspace_id, account_id, due, reason, cause)
select g.workspace_id, g.account_id, @due::timestamptz, @reason, @cause::json from (
	select distinct workspace_id, account_id from grants where workspace_id = @workspace and team_id = @team and role = 'owner' and revoked is null
) g
on conflict (workspace_id, account_id) do update set due = excluded.due, reason = excluded.reason, cause = excluded.cause
where check_dues.due is null or check_dues.due > excluded.due`

// react queues what an event makes due.
func (h *Health) react(batch *pgx.Batch, event core.Event) {
	if len(event.Targets) == 0 {
		return
	}
	now := h.now()
	soon := now.Add(h.Rotations.Settled())
	subject := event.Targets[0].ID
	cause := &core.Cause{Actor: event.Actor, Correlation: event.Correlation, Received: event.Occurred}
	account := func(at time.Time, reason Reason) {
		batch.Queue(upsertDue, due{Workspace: event.Workspace, Account: subject, Due: at, Reason: reason, Cause: cause}.args())
	}
	person := func(query string, reason Reason) {
		batch.Queue(query, pgx.StrictNamedArgs{"workspace": event.Workspace, "user": subject, "due": now, "reason": string(reason), "cause": cause})
	}
	if state := alarming(event); state != "" {
		batch.Queue(upsertAlarm, pgx.StrictNamedArgs{
			"workspace": event.Workspace, "account": subject, "state": state, "due": now.Add(gather), "again": now.Add(-oncePer),
		})
	}
	switch event.Type {
	case core.AccountCreated:
		account(soon, Created)
	case core.AccountDesyncSuspected:
		if finding := accounts.Finding(event.Data["finding"]); finding != accounts.FillsReported { // that is due already
			account(soon, Confirmed)
		}
	case core.RotationBlocked:
		account(soon, RotationStuck)
	case core.UserReactivated:
		person(markReturned, Reactivated)
	case core.UserUpdated:
		if slices.Contains(strings.Split(event.Data["changed"], ","), "role") {
			person(markKnown, AdminChanged)
		}
	case core.AccountShared:
		if len(event.Targets) > 1 {
			batch.Queue(markGivenBack, pgx.StrictNamedArgs{
				"workspace": event.Workspace, "account": subject, "subject": event.Targets[1].ID, "due": now, "reason": string(GivenBack), "cause": cause,
			})
		}
		if event.Data["role"] == string(accounts.Owner) {
			account(now, OwnerChanged)
		}
	case core.AccountUnshared, core.AccountGrantExpired, core.AccountOwnerSucceeded, core.AccountOrphaned:
		account(now, OwnerChanged)
	case core.TeamMemberAdded, core.TeamMemberRemoved:
		batch.Queue(markTeamOwned, pgx.StrictNamedArgs{
			"workspace": event.Workspace, "team": subject, "due": now, "reason": string(OwnerChanged), "cause": cause,
		})
	}
}
