package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// Readmit is a Reactivate that somebody asks for by hand, whatever the identity provider says, which is not told and can
// deactivate them again. Administrators may, service accounts and the system; of somebody above them nobody may. Guests
// are invited again instead: a Denied (code "guest").
func (l *Lifecycle) Readmit(ctx context.Context, cause core.Cause, workspace, user core.ID) (directory.User, error) {
	var after directory.User
	err := l.commit(ctx, user, func(tx pgx.Tx, s *story) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		before, err := l.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		if before.Connection.IsZero() && before.Role == directory.RoleGuest && !before.Active {
			return core.Denied("a guest comes back by a new invitation").WithCode("guest")
		}
		if err := l.mayGive(ctx, tx, cause, before, before.Role); err != nil {
			return err
		}
		wanted := before
		wanted.Active = true
		after, _, err = l.change(ctx, tx, s, cause, before, wanted, false)
		return err
	})
	return after, err
}

// AcceptTeam lets a team count again for somebody who is back from having left, and does what other members mean for what
// it owns. Administrators may, service accounts and the system. What accounts.TeamProposals does not list is NotFound.
func (l *Lifecycle) AcceptTeam(ctx context.Context, cause core.Cause, workspace, user, team core.ID) error {
	return l.commitTeam(ctx, team, func(tx pgx.Tx, s *story) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		before, err := l.Directory.LockTeam(ctx, tx, workspace, team)
		if core.KindOf(err) == core.KindNotFound {
			err = core.NotFound("proposal")
		}
		if err != nil {
			return err
		}
		// Of somebody who leaves at this moment the membership stays suspended.
		if err := l.Directory.HoldUsers(ctx, tx, workspace, []core.ID{user}); err != nil {
			return err
		}
		if _, err := l.Accounts.TeamProposal(ctx, tx, workspace, user, team); err != nil {
			return err
		}
		_, err = l.changeTeam(ctx, tx, s, cause, before, TeamEdit{Team: before, Add: []core.ID{user}})
		return err
	})
}
