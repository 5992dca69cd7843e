package lifecycle

import (
	"context"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
)

// ProvisionEntitled is Provision of somebody who is to hold entitlements at once. Of somebody who
// begins inactive nothing is granted.
func (l *Lifecycle) ProvisionEntitled(ctx context.Context, cause core.Cause, user directory.User, wanted []accounts.Entitlement) (directory.User, error) {
	if user.ID.IsZero() {
		user.ID = core.NewID()
	}
	var made directory.User
	err := l.commit(ctx, user.ID, func(tx pgx.Tx, s *story) (err error) {
		if made, err = l.Directory.InsertUser(ctx, tx, user); err != nil {
			return err
		}
		s.tell(core.NewEvent(core.UserProvisioned, made.Workspace, cause, l.now(), made.Target()).With("active", strconv.FormatBool(made.Active)))
		_, err = l.entitle(ctx, tx, s, cause, made, nil, wanted)
		return err
	})
	return made, err
}

// ChangeEntitled is Change for a connection that grants entitlements: edit also sees what the user
// holds by grants of their own, and returns what they are to hold. Whoever is inactive in the end holds
// nothing, whatever edit returns: a request that names entitlements still shuts people out.
func (l *Lifecycle) ChangeEntitled(ctx context.Context, cause core.Cause, workspace, user core.ID,
	edit func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error),
) (directory.User, error) {
	var after directory.User
	var told *story
	err := l.commit(ctx, user, func(tx pgx.Tx, s *story) error {
		told, s.waits = s, true
		before, err := l.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		if !before.Active { // what they held is no longer theirs
			if _, _, err := l.takeLeaver(ctx, tx, s, before); err != nil {
				return err
			}
		}
		held, err := l.Accounts.Held(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		var granted []accounts.Entitlement
		wanted, err := edited(before, func(user *directory.User) (err error) {
			granted, err = edit(user, held)
			return err
		})
		if err != nil {
			return err
		}
		if after, _, err = l.change(ctx, tx, s, cause, before, wanted, false); err != nil {
			return err
		}
		changed, err := l.entitle(ctx, tx, s, cause, after, held, granted)
		if err != nil || !changed || after.Version != before.Version {
			return err
		}
		after, err = l.Directory.UpdateUser(ctx, tx, after) // one version on: the identity provider sees the grants in it
		return err
	})
	if err == nil && told.left {
		// What they hold is in the answer. Should taking it fail now, a taker tries again.
		_, failed := l.takeNow(ctx, workspace, user)
		l.warn(ctx, "take what somebody who leaves has", failed)
	}
	return after, err
}

// entitle grants after what was told so far: what happened to the person comes first. What they held and know, and hold
// no more, is rotated as the policies say, and so is what has other owners.
func (l *Lifecycle) entitle(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, user directory.User, held []accounts.Held, wanted []accounts.Entitlement) (bool, error) {
	if !user.Active {
		return false, nil
	}
	if err := audit.Append(ctx, tx, s.events...); err != nil {
		return false, err
	}
	s.events = nil
	logins := make([]core.ID, 0, len(held)+len(wanted))
	for _, one := range held {
		logins = append(logins, one.Account)
	}
	owners, err := l.watchOwners(ctx, tx, user.Workspace, func() ([]core.ID, error) {
		all := slices.Clone(logins)
		for _, one := range wanted {
			all = append(all, one.Account)
		}
		return all, nil
	})
	if err != nil {
		return false, err
	}
	changed, err := l.Accounts.Entitle(ctx, tx, cause, user, wanted)
	if err != nil || !changed {
		return false, err
	}
	lost, err := l.Accounts.LostByUsers(ctx, tx, user.Workspace, []core.ID{user.ID}, logins)
	if err != nil {
		return false, err
	}
	if _, err := l.revoked(ctx, tx, cause, user.Workspace, lost); err != nil {
		return false, err
	}
	return true, owners.changed(ctx, tx, cause)
}
