package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/rotation"
)

// TokenUse is the single use of the signed token that asks for something.
type TokenUse struct {
	Connection core.ID   // whose token it is
	TokenID    string    // jti
	BodyHash   []byte    // SHA-256 of the request it came with
	Status     int       // what the request is answered when it succeeds
	Expires    time.Time // until when the token would be accepted
}

// Logout ends a user's sessions everywhere, stops every sign-in under way, and has the password of
// every account they saw or can see rotated; they keep their grants. With use, the token's single
// use is recorded in the same transaction: the same request again is a replay without any effect
// (see Effect), another request with the same token is Unauthenticated. An inactive user can be
// logged out too.
func (l *Lifecycle) Logout(ctx context.Context, cause core.Cause, workspace, user core.ID, use *TokenUse) (Effect, error) {
	var effect Effect
	err := l.commit(ctx, func(tx pgx.Tx) error {
		effect = Effect{}
		if use != nil {
			status, replay, err := l.Directory.UseTokenID(ctx, tx, use.Connection, use.TokenID, use.BodyHash, use.Status, use.Expires)
			if err != nil {
				return err
			}
			effect.Status = status
			if replay {
				effect.Replayed = true
				return nil
			}
		}
		person, err := l.Directory.LockUser(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		if err := audit.Append(ctx, tx, core.NewEvent(core.UserLoggedOut, workspace, cause, l.now(), person.Target())); err != nil {
			return err
		}
		exposed, err := l.Accounts.Exposed(ctx, tx, workspace, user)
		if err != nil {
			return err
		}
		if effect.SessionsEnded, err = l.Directory.EndSessions(ctx, tx, cause, workspace, user, "logged out"); err != nil {
			return err
		}
		effect.Rotations, err = l.rotate(ctx, tx, cause, workspace, exposed, rotation.ReasonLogout)
		return err
	})
	return effect, err
}
