package lifecycle

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
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
	return l.LogoutAll(ctx, cause, workspace, []core.ID{user}, use)
}

// LogoutAll is Logout of everybody a signal means: all of them, in one transaction. told is what
// asked for it; it is on record together with its effect, before it, and never without. Whoever was
// deleted meanwhile is passed over; when nobody is left it is NotFound.
func (l *Lifecycle) LogoutAll(ctx context.Context, cause core.Cause, workspace core.ID, users []core.ID, use *TokenUse, told ...core.Event) (Effect, error) {
	var effect Effect
	err := l.commit(ctx, core.ID{}, func(tx pgx.Tx, s *story) error {
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
		people, err := l.lockAll(ctx, tx, workspace, users)
		if err != nil {
			return err
		}
		s.tell(told...)
		var exposed []accounts.Exposed
		for _, person := range people {
			seen, err := l.logout(ctx, tx, s, cause, person, &effect)
			if err != nil {
				return err
			}
			exposed = joined(exposed, seen)
		}
		effect.Rotations, err = l.rotate(ctx, tx, s, cause, workspace, exposed, rotation.ReasonLogout)
		return err
	})
	return effect, err
}

// lockAll locks users in one order over all commands, so that two of them cannot wait for each other.
func (l *Lifecycle) lockAll(ctx context.Context, tx pgx.Tx, workspace core.ID, users []core.ID) ([]directory.User, error) {
	var people []directory.User
	for _, id := range inOrder(users) {
		person, err := l.Directory.LockUser(ctx, tx, workspace, id)
		if core.KindOf(err) == core.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		people = append(people, person)
	}
	if len(people) == 0 {
		return nil, core.NotFound("user")
	}
	return people, nil
}

// logout ends the sessions of a locked user and returns what they were exposed to.
func (l *Lifecycle) logout(ctx context.Context, tx pgx.Tx, s *story, cause core.Cause, person directory.User, effect *Effect) ([]accounts.Exposed, error) {
	var ended []core.Event
	batch := &pgx.Batch{}
	l.Directory.QueueRaiseEpoch(batch, person.Workspace, person.ID, l.Directory.QueueEndSessions(batch, cause, person, "logged out", &ended))
	leaver := l.Accounts.QueueLeaver(batch, person.Workspace, person.ID, l.now())
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	s.tell(core.NewEvent(core.UserLoggedOut, person.Workspace, cause, l.now(), person.Target()))
	s.tell(ended...)
	effect.SessionsEnded += len(ended)
	return leaver.Exposed, nil
}

// joined is what two people were exposed to together: each account once, what either saw first.
func joined(one, other []accounts.Exposed) []accounts.Exposed {
	if len(one) == 0 {
		return other
	}
	for _, account := range other {
		at := slices.IndexFunc(one, func(known accounts.Exposed) bool { return known.Account == account.Account })
		if at < 0 {
			one = append(one, account)
			continue
		}
		one[at].Saw = one[at].Saw || account.Saw
		one[at].SawVersionCurrent = one[at].SawVersionCurrent || account.SawVersionCurrent
	}
	slices.SortStableFunc(one, func(a, b accounts.Exposed) int { return weight(b) - weight(a) })
	return one
}

func weight(account accounts.Exposed) int {
	switch {
	case account.SawVersionCurrent:
		return 2
	case account.Saw:
		return 1
	}
	return 0
}
