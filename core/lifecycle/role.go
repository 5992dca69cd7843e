package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// GiveRole gives somebody another role in the workspace, and does what that means for what they own.
// Administrators may, up to their own role and to nobody above it; service accounts up to admin; the
// system any. The last owner stays one. A role somebody has already changes nothing.
func (l *Lifecycle) GiveRole(ctx context.Context, cause core.Cause, workspace, user core.ID, role directory.Role) (directory.User, error) {
	var after directory.User
	err := l.commit(ctx, user, func(tx pgx.Tx, s *story) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		before, err := l.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		if err := l.mayGive(ctx, tx, cause, before, role); err != nil {
			return err
		}
		wanted := before
		wanted.Role = role
		after, _, err = l.change(ctx, tx, s, cause, before, wanted, false)
		return err
	})
	return after, err
}

// mayGive refuses a role above that of whoever gives it, and any to somebody above them.
func (l *Lifecycle) mayGive(ctx context.Context, tx pgx.Tx, cause core.Cause, user directory.User, role directory.Role) error {
	most := directory.RoleOwner
	switch cause.Actor.Kind {
	case core.ActorUser:
		actor, err := l.Directory.User(ctx, tx, user.Workspace, cause.Actor.ID)
		if err != nil {
			return err
		}
		most = actor.Role
	case core.ActorServiceAccount:
		most = directory.RoleAdmin
	}
	if user.Connection.IsZero() && user.Role == directory.RoleGuest && role != directory.RoleGuest {
		return core.Denied("a guest stays one: whoever is to be more comes in by the identity provider").WithCode("guest")
	}
	if role.Above(most) || user.Role.Above(most) {
		return core.Denied("nobody gives a role above their own, or one to somebody above them").WithCode("role_too_low")
	}
	return nil
}
