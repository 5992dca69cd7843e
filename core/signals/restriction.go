package signals

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
)

// LiftRestriction lets a restricted user have passwords again, whatever restricted them. Administrators may,
// service accounts and the system; of somebody who is not restricted nothing changes. What was taken from them
// does not come back by it.
func (s *Signals) LiftRestriction(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		person, err := s.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		standing, err := s.Directory.Standing(ctx, tx, workspace, user)
		if err != nil || standing.Restricted == nil {
			return err
		}
		batch := &pgx.Batch{}
		s.Directory.QueueLift(batch, workspace, user, "")
		if err := audit.Queue(batch, core.NewEvent(core.UserRestrictionLifted, workspace, cause, s.now(), person.Target())); err != nil {
			return err
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil {
		s.wake()
	}
	return err
}
