package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// Dismiss is a Deprovision that somebody asks for by hand, whatever the identity provider says: of
// somebody whose departure waits or was rejected it takes what is left to them. Administrators may,
// service accounts and the system; nobody may dismiss themselves, only an owner another owner, and
// nobody the last one. The identity provider can make them active again.
func (l *Lifecycle) Dismiss(ctx context.Context, cause core.Cause, workspace, user core.ID) (Effect, error) {
	return l.waited(ctx, workspace, user, func(told **story) (effect Effect, err error) {
		err = l.commit(ctx, user, func(tx pgx.Tx, s *story) error {
			*told, s.waits = s, true
			if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
				return err
			}
			before, err := l.Directory.LockUser(ctx, tx, workspace, user)
			if err != nil {
				return err
			}
			if err := l.mayDismiss(ctx, tx, cause, before); err != nil {
				return err
			}
			wanted := before
			wanted.Active = false
			_, effect, err = l.change(ctx, tx, s, cause, before, wanted, true)
			return err
		})
		return effect, err
	})
}

// mayDismiss refuses what would leave nobody to put it right, and what goes over somebody's head.
func (l *Lifecycle) mayDismiss(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User) error {
	byPerson := cause.Actor.Kind == core.ActorUser
	if byPerson && cause.Actor.ID == user.ID {
		return core.Denied("you cannot deprovision yourself; ask another administrator").WithCode("oneself")
	}
	if user.Role != directory.RoleOwner {
		return nil
	}
	if byPerson {
		actor, err := l.Directory.User(ctx, tx, user.Workspace, cause.Actor.ID)
		if err != nil {
			return err
		}
		if actor.Role != directory.RoleOwner {
			return core.Denied("only an owner of the workspace may deprovision an owner").WithCode("not_owner")
		}
	}
	if !user.Active {
		return nil
	}
	others, err := l.Directory.OtherOwners(ctx, tx, user.Workspace, user.ID)
	if err == nil && others == 0 {
		err = core.Denied("%s is the last owner of the workspace; make somebody else an owner first", user.Name()).WithCode("last_owner")
	}
	return err
}
