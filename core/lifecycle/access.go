package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/policies"
)

// policies decide what is rotated. They are rows of the same database.
func (l *Lifecycle) policies() *policies.Policies {
	return &policies.Policies{DB: l.DB, Accounts: l.Accounts, Rotations: l.Rotations, Now: l.Now}
}

// Share is accounts.Share with what follows from it: where a policy says so, the account is rotated when an owner comes
// or goes.
func (l *Lifecycle) Share(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, sharing accounts.Sharing) (accounts.Grant, error) {
	owners, err := l.watchOwners(ctx, tx, workspace, account)
	if err != nil {
		return accounts.Grant{}, err
	}
	grant, err := l.Accounts.Share(ctx, tx, cause, workspace, account, sharing)
	if err != nil {
		return accounts.Grant{}, err
	}
	return grant, owners.changed(ctx, tx, cause)
}

// Unshare is accounts.Unshare with what follows from it: whoever knew the password and may not use the account any more
// is locked out, as the workspace's policies say.
func (l *Lifecycle) Unshare(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) error {
	taken, err := l.Accounts.Grant(ctx, tx, workspace, grant)
	if err != nil {
		return err
	}
	if err := l.Accounts.Unshare(ctx, tx, cause, workspace, grant); err != nil {
		return err
	}
	return l.ended(ctx, tx, cause, taken)
}

// ended rotates an account, as the policies say, after a grant on it has ended.
func (l *Lifecycle) ended(ctx context.Context, tx pgx.Tx, cause core.Cause, grant accounts.Grant) error {
	lost, err := l.Accounts.Lost(ctx, tx, grant)
	if err != nil {
		return err
	}
	rotations, err := l.revoked(ctx, tx, cause, grant.Workspace, lost)
	if err != nil || len(rotations) > 0 || grant.Role != accounts.Owner {
		return err
	}
	_, err = l.policies().Rotate(ctx, tx, cause, grant.Workspace, policies.TriggerOwnerChange, grant.Account)
	return err
}

// revoked rotates, as the policies say, accounts whose password somebody knows who may not use them any more.
func (l *Lifecycle) revoked(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, lost []core.ID) ([]core.ID, error) {
	if len(lost) == 0 {
		return nil, nil
	}
	return l.policies().Rotate(ctx, tx, cause, workspace, policies.TriggerRevocation, lost...)
}

// owners are those of an account before a change, if a policy wants to know.
type owners struct {
	*Lifecycle
	workspace, account core.ID
	before             map[accounts.Subject]bool // nil: nobody wants to know
}

func (l *Lifecycle) watchOwners(ctx context.Context, tx pgx.Tx, workspace, account core.ID) (owners, error) {
	watched := owners{Lifecycle: l, workspace: workspace, account: account}
	batch := &pgx.Batch{}
	choice := l.policies().QueueChoose(batch, workspace, policies.TriggerOwnerChange)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil || choice.None() {
		return watched, err
	}
	var err error
	watched.before, err = watched.now(ctx, tx)
	return watched, err
}

func (o owners) now(ctx context.Context, tx pgx.Tx) (map[accounts.Subject]bool, error) {
	live, err := o.Accounts.Grants(ctx, tx, o.workspace, o.account)
	found := map[accounts.Subject]bool{}
	for _, grant := range live {
		if grant.Role == accounts.Owner {
			found[grant.Subject()] = true
		}
	}
	return found, err
}

// changed rotates the account, as the policies say, if it has other owners now.
func (o owners) changed(ctx context.Context, tx pgx.Tx, cause core.Cause) error {
	if o.before == nil {
		return nil
	}
	after, err := o.now(ctx, tx)
	if err != nil {
		return err
	}
	same := len(after) == len(o.before)
	for subject := range after {
		same = same && o.before[subject]
	}
	if same {
		return nil
	}
	_, err = o.policies().Rotate(ctx, tx, cause, o.workspace, policies.TriggerOwnerChange, o.account)
	return err
}

// administers rotates, as the policies say, what a locked user can use who becomes an administrator, or is none any more.
func (l *Lifecycle) administers(ctx context.Context, tx pgx.Tx, cause core.Cause, before, after directory.User) error {
	if before.Role.Administers() == after.Role.Administers() || !before.Active || !after.Active {
		return nil
	}
	batch := &pgx.Batch{}
	choice := l.policies().QueueChoose(batch, before.Workspace, policies.TriggerAdminChange)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil || choice.None() {
		return err
	}
	exposed, err := l.Accounts.Exposed(ctx, tx, before.Workspace, before.ID)
	if err != nil {
		return err
	}
	var logins []core.ID
	for _, account := range exposed {
		logins = append(logins, account.Account)
	}
	_, err = l.policies().Rotate(ctx, tx, cause, before.Workspace, policies.TriggerAdminChange, logins...)
	return err
}

// Ended tells of the grants, of all workspaces, that have expired, has rotated what is to be rotated then, and returns how
// many there were. One that fails holds no other up, and is tried again next time.
func (l *Lifecycle) Ended(ctx context.Context) (int, error) {
	var last accounts.Grant
	var failed error
	for total := 0; ; total++ {
		var next accounts.Grant
		found := false
		err := l.commit(ctx, core.ID{}, func(tx pgx.Tx, _ *story) (err error) {
			cause := core.NewCause(core.System, l.now())
			if next, found, err = l.Accounts.EndNext(ctx, tx, cause, last); err != nil || !found {
				return err
			}
			return l.ended(ctx, tx, cause, next)
		})
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("grant %s of workspace %s: %w", next.ID, next.Workspace, err))
		}
		if !found || ctx.Err() != nil {
			return total, failed
		}
		last = next
	}
}
