package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/certificates"
	"postern/core/policies"
	"postern/core/rotation"
)

// Logout ends a user's sessions everywhere, stops every sign-in under way, and has the password of
// every account they saw or can see rotated, as the workspace's policies say; they keep their grants.
// An inactive user can be logged out too.
func (l *Lifecycle) Logout(ctx context.Context, cause core.Cause, workspace, user core.ID) (Effect, error) {
	var effect Effect
	err := l.commit(ctx, user, func(tx pgx.Tx, s *story) error {
		person, err := l.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		var ended []core.Event
		batch := &pgx.Batch{}
		l.Directory.QueueRaiseEpoch(batch, workspace, user, l.Directory.QueueEndSessions(batch, cause, person, "logged out", &ended))
		leaver := l.Accounts.QueueLeaver(batch, workspace, user, l.now())
		choice := l.policies().QueueChoose(batch, workspace, policies.TriggerLogout)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		s.tell(core.NewEvent(core.UserLoggedOut, workspace, cause, l.now(), person.Target()))
		s.tell(ended...)
		effect = Effect{SessionsEnded: len(ended)}
		rotated, err := choice.Of(ctx, tx, leaver.Exposed)
		if err != nil {
			return err
		}
		effect.Rotations, err = l.rotate(ctx, tx, s, cause, workspace, rotated, rotation.ReasonLogout)
		if err != nil || len(leaver.Exposed) == 0 {
			return err
		}
		planned := make(map[core.ID]core.ID, len(rotated))
		for i, account := range rotated {
			planned[account.Account] = effect.Rotations[i]
		}
		now := l.now()
		certificates.Queue(s.batch, certificates.Opening{
			Workspace: workspace, User: user, Reason: certificates.Logout, Cause: cause, Departed: now, Opened: now,
			Exposed: leaver.Exposed, Rotations: planned, Events: ended,
		})
		return nil
	})
	return effect, err
}
