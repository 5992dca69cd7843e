package lifecycle

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
)

// Provision adds a user to user.Workspace and returns them as stored. What collides is a Conflict on
// "userName" or "externalId", and nothing of the existing user changes.
func (l *Lifecycle) Provision(ctx context.Context, cause core.Cause, user directory.User) (directory.User, error) {
	if user.ID.IsZero() {
		user.ID = core.NewID()
	}
	var made directory.User
	err := l.DB.Batch(ctx, directory.Collision, func(batch *pgx.Batch) (err error) {
		if made, err = l.Directory.QueueUser(ctx, batch, user); err != nil {
			return err
		}
		event := core.NewEvent(core.UserProvisioned, made.Workspace, cause, l.now(), made.Target()).With("active", strconv.FormatBool(made.Active))
		if err := audit.Queue(batch, event); err != nil || l.record == nil {
			return err
		}
		return l.record(batch, made.ID)
	})
	if err != nil {
		return directory.User{}, err
	}
	l.wake()
	return made, nil
}

// Change edits a user and does what the difference means: active to inactive is a deprovision,
// inactive to active a reactivation, no difference nothing at all, not even a new version. It returns
// the user as stored. edit sees the user locked, may run more than once, and its error ends the
// command; what it writes to ID, Workspace, Connection, Version, Epoch and the times is ignored.
func (l *Lifecycle) Change(ctx context.Context, cause core.Cause, workspace, user core.ID, edit func(*directory.User) error) (directory.User, error) {
	var after directory.User
	err := l.commitLocked(ctx, cause, workspace, user, func(tx pgx.Tx, s *story, before directory.User) error {
		wanted, err := edited(before, edit)
		if err != nil {
			return err
		}
		after, _, err = l.change(ctx, tx, s, cause, before, wanted, false)
		return err
	})
	return after, err
}

// commitLocked is commit of a command about a user, who is locked when work begins.
func (l *Lifecycle) commitLocked(ctx context.Context, cause core.Cause, workspace, user core.ID, work func(tx pgx.Tx, s *story, before directory.User) error) error {
	var locked *directory.Locked
	var look *look
	first := func(batch *pgx.Batch) {
		locked = l.Directory.QueueLock(batch, workspace, user)
		look = l.renew(batch, workspace, cause)
	}
	return l.commitAfter(ctx, user, first, func(tx pgx.Tx, s *story) error {
		if s.look = look; look != nil {
			l.shared().watch.note(cause.Actor.ID, *look)
		}
		before, err := locked.User()
		if err != nil {
			return err
		}
		return work(tx, s, before)
	})
}

// edited is a user after an edit of what may be edited.
func edited(before directory.User, edit func(*directory.User) error) (directory.User, error) {
	wanted := before
	wanted.Attributes = slices.Clone(before.Attributes)
	if err := edit(&wanted); err != nil {
		return directory.User{}, err
	}
	wanted.ID, wanted.Workspace, wanted.Connection = before.ID, before.Workspace, before.Connection
	wanted.Version, wanted.Epoch, wanted.Deleted = before.Version, before.Epoch, before.Deleted
	wanted.Created, wanted.Updated = before.Created, before.Updated
	return wanted, nil
}

// Remove is a deprovision after which nobody finds the user any more: NotFound, also for a second
// Remove. Their history stays. check, if not nil, sees the user locked, may run more than once, and its
// error ends the command. The teams they were in are one version on: they list one person less.
func (l *Lifecycle) Remove(ctx context.Context, cause core.Cause, workspace, user core.ID, check func(directory.User) error) error {
	var locked *directory.Locked
	first := func(batch *pgx.Batch) {
		// Who changes a team locks it before its people.
		l.Directory.QueueLockTeamsOf(batch, workspace, user)
		locked = l.Directory.QueueLock(batch, workspace, user)
	}
	return l.commitAfter(ctx, user, first, func(tx pgx.Tx, s *story) error {
		before, err := locked.User()
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(before); err != nil {
				return err
			}
		}
		wanted, now := before, l.now()
		wanted.Active, wanted.Deleted = false, &now
		if _, _, err := l.change(ctx, tx, s, cause, before, wanted, true); err != nil {
			return err
		}
		if err := l.Directory.RaiseTeamsOf(ctx, s.later(), workspace, user); err != nil {
			return err
		}
		s.tell(core.NewEvent(core.UserDeleted, workspace, cause, now, before.Target()))
		return nil
	})
}

// Deprovision shuts a user out of everything: see the package. Once that has committed it takes what
// they have, and returns what that was; should that fail, they are shut out all the same, and a taker
// tries again. Of an inactive user from whom everything was taken it changes nothing.
func (l *Lifecycle) Deprovision(ctx context.Context, cause core.Cause, workspace, user core.ID) (Effect, error) {
	return l.waited(ctx, workspace, user, func(s **story) (effect Effect, err error) {
		err = l.commitLocked(ctx, cause, workspace, user, func(tx pgx.Tx, told *story, before directory.User) (err error) {
			*s, told.waits = told, true
			wanted := before
			wanted.Active = false
			_, effect, err = l.change(ctx, tx, told, cause, before, wanted, true)
			return err
		})
		return effect, err
	})
}

// waited runs a command whose caller waits for what is taken from somebody who leaves by it.
func (l *Lifecycle) waited(ctx context.Context, workspace, user core.ID, command func(s **story) (Effect, error)) (Effect, error) {
	var s *story
	effect, err := command(&s)
	if err != nil || s == nil || !s.left {
		return effect, err
	}
	return l.takeNow(ctx, workspace, user)
}

// Reactivate lets a user sign in again. Their grants do not come back, and their teams give them
// nothing until they are added anew. Of an active user it changes nothing.
func (l *Lifecycle) Reactivate(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
	return l.commitLocked(ctx, cause, workspace, user, func(tx pgx.Tx, s *story, before directory.User) error {
		wanted := before
		wanted.Active = true
		_, _, err := l.change(ctx, tx, s, cause, before, wanted, false)
		return err
	})
}

// change takes a locked user from before to wanted. asked says that leaving was asked for in so many
// words, which means something of an inactive user too if nothing was taken from them yet.
func (l *Lifecycle) change(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, before, wanted directory.User, asked bool) (directory.User, Effect, error) {
	var effect Effect
	if asked && !before.Active {
		var err error
		if effect, err = l.departAgain(ctx, tx, s, cause, before, wanted.Deleted != nil); err != nil {
			return directory.User{}, Effect{}, err
		}
	}
	fields := userDifference(before, wanted)
	if len(fields) == 0 && before.Active == wanted.Active && wanted.Deleted == nil {
		if s.ended != nil {
			l.Directory.QueueRaiseEpoch(s.batch, before.Workspace, before.ID, *s.ended)
		}
		return before, effect, nil
	}
	if err := l.keepOwner(ctx, tx, cause, before, wanted); err != nil {
		return directory.User{}, Effect{}, err
	}
	// The story is told in its order: what happened to the person, then what followed from it.
	if len(fields) > 0 {
		s.tell(core.NewEvent(core.UserUpdated, before.Workspace, cause, l.now(), wanted.Target()).With("changed", strings.Join(fields, ",")))
	}
	owns := before.Role.MayOwn() == wanted.Role.MayOwn()
	var err error
	switch {
	case before.Active && !wanted.Active:
		effect, err = l.depart(ctx, tx, s, cause, wanted, wanted.Deleted != nil, nil)
	case !before.Active && wanted.Active:
		var kept bool
		kept, err = l.comeBack(ctx, tx, s, cause, wanted)
		owns = owns && !kept
	}
	if err != nil {
		return directory.User{}, Effect{}, err
	}
	if before.Active && !wanted.Active && wanted.Deleted == nil && len(fields) == 0 {
		return l.Directory.QueueDeactivate(s.batch, before, *s.ended), effect, nil
	}
	if !wanted.Active && owns {
		// Nothing that follows goes by what an inactive user is, so they are written with the rest.
		after, err := l.Directory.QueueUpdate(s.batch, before, wanted, s.ended)
		return after, effect, err
	}
	var owners owners
	if before.Active && !owns {
		if owners, err = l.watchOwned(ctx, tx, before.Workspace, accounts.Subject{User: before.ID}); err != nil {
			return before, effect, err
		}
	}
	after, err := l.Directory.UpdateUser(ctx, tx, wanted)
	if err != nil {
		return after, effect, err
	}
	if err := l.administers(ctx, tx, cause, before, after); err != nil || owns {
		return after, effect, err
	}
	if s.ended != nil {
		l.Directory.QueueRaiseEpoch(s.batch, before.Workspace, before.ID, *s.ended)
	}
	if err := l.checkOwned(ctx, tx, s, cause, before.Workspace, accounts.Subject{User: before.ID}); err != nil {
		return after, effect, err
	}
	return after, effect, owners.changed(ctx, tx, cause)
}

// keepOwner refuses to let a connection take a workspace's last owner away, and anybody to give them
// another role: nobody could put right what follows. An administrator can hand the ownership on first,
// and so can the operator.
func (l *Lifecycle) keepOwner(ctx context.Context, tx pgx.Tx, cause core.Cause, before, wanted directory.User) error {
	stays := wanted.Active && wanted.Role == directory.RoleOwner
	if before.Role != directory.RoleOwner || !before.Active || stays {
		return nil
	}
	// Asked whoever acts: while an administrator takes one owner away, a connection that wants the other
	// has to wait and see.
	others, err := l.Directory.OtherOwners(ctx, tx, before.Workspace, before.ID)
	if err != nil || others > 0 || (cause.Actor.Kind != core.ActorConnection && !wanted.Active) {
		return err
	}
	return core.Denied("%s is the last owner of the workspace; make somebody else an owner first", before.Name()).WithCode("last_owner")
}
