package certificates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// cursor is how far Certificates have read the log.
const cursor = "certificates"

const (
	lookEvery = 500 * time.Millisecond
	// lookAgain is the wait after something of ours failed.
	lookAgain = time.Minute
	page      = 500
)

// Run reads what happens and issues what is to be issued, until ctx ends. It may run in many processes.
func (c *Certificates) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if _, err := c.Follow(ctx); err != nil {
			c.warn(ctx, "read what happened", err)
		} else if _, err := c.IssueDue(ctx); err != nil {
			c.warn(ctx, "issue a certificate", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (c *Certificates) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && c.Log != nil {
		c.Log.WarnContext(ctx, "certificates cannot be kept up", "what", what, "error", err)
	}
}

// Follow reads the log of all workspaces on from where it was read to, marks what may have changed by it,
// and returns how many events that were.
func (c *Certificates) Follow(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		read := 0
		err := c.DB.Tx(ctx, func(tx pgx.Tx) error {
			position, err := audit.Cursor(ctx, tx, cursor)
			if err != nil {
				return err
			}
			records, err := audit.After(ctx, tx, position, page)
			if read = len(records); err != nil || read == 0 {
				return err
			}
			if err := c.mark(ctx, tx, records); err != nil {
				return err
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

// fateful are the events after which a password may be dead, or alive again, and back those of them that change what is complete.
var (
	fateful = []core.EventType{
		core.AccountPasswordRotated, core.AccountPasswordDrifted, core.AccountValidated, core.AccountDesynced,
		core.AccountDisabled, core.AccountEnabled, core.AccountSwitchBlocked,
	}
	// what ends secrets of service accounts; that they expired is told by the end of a finding
	fatefulOfServices = []core.EventType{
		core.ServiceAccountTokenRevoked, core.ServiceAccountRotationFinished, core.ServiceAccountRotationRolledBack,
		core.ServiceAccountCredentialRemoved, core.ServiceAccountDeleted, core.ServiceAccountFindingResolved,
	}
	back = []core.EventType{core.AccountPasswordDrifted, core.AccountDisabled, core.AccountEnabled}
)

// What is complete changes only when an app goes back to an older password, or an account is disabled or enabled.
const markAccounts = `
update certificates set due = @now
where workspace_id = @workspace and accounts && @accounts::uuid[] and (state <> 'complete' or @back)`

const markReactivated = `
update certificates set due = @now, reactivated = @at
where workspace_id = @workspace and user_id = @user and reason = 'deprovision' and reactivated is null and departed <= @at`

const markLink = `
update certificates set due = @now
where workspace_id = @workspace and reason = 'deprovision' and state <> 'complete'
	and user_id = (select l.owner_id from links l where l.workspace_id = @workspace and l.id = @link)`

const markSecrets = `
update certificates c set due = @now
where c.workspace_id = @workspace and c.reason = 'deprovision' and c.state <> 'complete' and exists (
	select from exposures e
	where e.workspace_id = c.workspace_id and e.user_id = c.user_id and e.account_id = @account
		and e.level in ('totp_entered', 'backup_entered', 'backup_code'))`

const markServices = `
update certificates c set due = @now
where c.workspace_id = @workspace and c.reason = 'deprovision' and c.state <> 'complete' and exists (
	select from service_exposures e
	where e.workspace_id = c.workspace_id and e.user_id = c.user_id and e.service_account_id = @account)`

// mark makes due, in the order of their ids, what events may have changed.
func (c *Certificates) mark(ctx context.Context, tx pgx.Tx, records []audit.Record) error {
	type change struct {
		workspace core.ID
		back      bool
	}
	changed := map[change][]core.ID{}
	var order []change
	batch := &pgx.Batch{}
	now := c.now()
	for _, record := range records {
		event := record.Event
		switch {
		case event.Type == core.UserReactivated && len(event.Targets) > 0:
			batch.Queue(markReactivated, pgx.StrictNamedArgs{"workspace": event.Workspace, "user": event.Targets[0].ID, "at": event.Occurred, "now": now})
		case event.Type == core.LinkEnded && len(event.Targets) > 1:
			batch.Queue(markLink, pgx.StrictNamedArgs{"workspace": event.Workspace, "link": event.Targets[1].ID, "now": now})
		case (event.Type == core.AccountTOTPStored || event.Type == core.AccountBackupCodesStored) && len(event.Targets) > 0:
			batch.Queue(markSecrets, pgx.StrictNamedArgs{"workspace": event.Workspace, "account": event.Targets[0].ID, "now": now})
		case slices.Contains(fatefulOfServices, event.Type) && len(event.Targets) > 0:
			batch.Queue(markServices, pgx.StrictNamedArgs{"workspace": event.Workspace, "account": event.Targets[0].ID, "now": now})
		case slices.Contains(fateful, event.Type) && len(event.Targets) > 0:
			of := change{event.Workspace, slices.Contains(back, event.Type)}
			if changed[of] == nil {
				order = append(order, of)
			}
			changed[of] = append(changed[of], event.Targets[0].ID)
		}
	}
	for _, of := range order {
		batch.Queue(markAccounts, pgx.StrictNamedArgs{"workspace": of.workspace, "accounts": changed[of], "back": of.back, "now": now})
	}
	if batch.Len() == 0 {
		return nil
	}
	return postgres.Classify(tx.SendBatch(ctx, batch).Close())
}

const selectDue = `
select workspace_id, id from certificates where due <= @now order by due, id limit 100`

// IssueDue looks at every certificate that is due, in all workspaces, and returns how many it issued. One
// that fails keeps no other from being looked at, and is tried again after a while.
func (c *Certificates) IssueDue(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		rows, err := c.DB.Query(ctx, selectDue, pgx.StrictNamedArgs{"now": c.now()})
		if err != nil {
			return total, postgres.Classify(err)
		}
		type due struct{ Workspace, ID core.ID }
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
		if err != nil {
			return total, postgres.Classify(err)
		}
		free := false // what others look at meanwhile is theirs
		for _, one := range found {
			looked, issued, err := c.look(ctx, one.Workspace, one.ID)
			free = free || looked || err != nil
			if issued {
				total++
			}
			if err == nil || ctx.Err() != nil {
				continue
			}
			failed = errors.Join(failed, fmt.Errorf("certificate %s of workspace %s: %w", one.ID, one.Workspace, err))
			if _, err := c.DB.Exec(ctx, updateDue, pgx.StrictNamedArgs{"workspace": one.Workspace, "id": one.ID, "due": c.now().Add(lookAgain)}); err != nil {
				return total, errors.Join(failed, postgres.Classify(err))
			}
		}
		if len(found) < 100 || !free {
			break
		}
	}
	return total, failed
}
