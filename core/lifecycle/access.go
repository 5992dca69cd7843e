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
	var grant accounts.Grant
	return grant, l.watched(ctx, tx, cause, workspace, account, func() (err error) {
		grant, err = l.Accounts.Share(ctx, tx, cause, workspace, account, sharing)
		return err
	})
}

// AcceptProposal is accounts.AcceptProposal with what follows from it, as of Share.
func (l *Lifecycle) AcceptProposal(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, proposal core.ID) (accounts.Grant, error) {
	lost, err := l.Accounts.Grant(ctx, tx, workspace, proposal)
	if core.KindOf(err) == core.KindNotFound {
		err = core.NotFound("proposal")
	}
	if err != nil {
		return accounts.Grant{}, err
	}
	var grant accounts.Grant
	return grant, l.watched(ctx, tx, cause, workspace, lost.Account, func() (err error) {
		grant, err = l.Accounts.AcceptProposal(ctx, tx, cause, workspace, proposal)
		return err
	})
}

// SetSuccession is accounts.SetSuccession with what follows from it, as of Share, when the account passes on at once.
func (l *Lifecycle) SetSuccession(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, list []accounts.Successor) error {
	return l.watched(ctx, tx, cause, workspace, account, func() error {
		return l.Accounts.SetSuccession(ctx, tx, cause, workspace, account, list)
	})
}

// watched runs a command after which an account may have other owners; the zero account has none.
func (l *Lifecycle) watched(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, account core.ID, command func() error) error {
	owners, err := l.watchOwners(ctx, tx, workspace, func() ([]core.ID, error) { return []core.ID{account}, nil })
	if err != nil {
		return err
	}
	if err := command(); err != nil {
		return err
	}
	return owners.changed(ctx, tx, cause)
}

// Unshare is accounts.Unshare with what follows from it: whoever knew the password and may not use the account any more
// is locked out, as the workspace's policies say.
func (l *Lifecycle) Unshare(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, grant core.ID) error {
	taken, err := l.Accounts.Grant(ctx, tx, workspace, grant)
	if err != nil {
		return err
	}
	owners, err := l.watchOwners(ctx, tx, workspace, func() ([]core.ID, error) { return []core.ID{taken.Account}, nil })
	if err != nil {
		return err
	}
	if err := l.Accounts.Unshare(ctx, tx, cause, workspace, grant); err != nil {
		return err
	}
	if rotates, err := l.ended(ctx, tx, cause, taken); err != nil || rotates {
		return err
	}
	return owners.changed(ctx, tx, cause)
}

// ended rotates an account, as the policies say, if whoever had a grant that ended knows its password, and reports
// whether it does.
func (l *Lifecycle) ended(ctx context.Context, tx pgx.Tx, cause core.Cause, grant accounts.Grant) (rotates bool, err error) {
	lost, err := l.Accounts.Lost(ctx, tx, grant)
	if err != nil {
		return false, err
	}
	rotations, err := l.revoked(ctx, tx, cause, grant.Workspace, lost)
	return len(rotations) > 0, err
}

// revoked rotates, as the policies say, accounts whose password somebody knows who may not use them any more.
func (l *Lifecycle) revoked(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, lost []core.ID) ([]core.ID, error) {
	if len(lost) == 0 {
		return nil, nil
	}
	return l.policies().Rotate(ctx, tx, cause, workspace, policies.TriggerRevocation, lost...)
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
			if rotates, err := l.ended(ctx, tx, cause, next); err != nil || rotates || next.Role != accounts.Owner {
				return err
			}
			return l.passed(ctx, tx, cause, next.Workspace, next.Account)
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
