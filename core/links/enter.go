package links

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

const selectGuestByEmail = guestColumns + `where g.workspace_id = @workspace and g.email = @email and g.ended is null`

// expected reports whether a guest may sign in at a time.
func (l *Links) expected(guest Guest) bool {
	state := guest.State(l.now())
	return state == Present || state == Invited
}

// AskGuest mails a code to a guest who wants to sign in, if they are one, and returns what their browser has to send along
// with it. Whether they are, nobody learns from it.
func (l *Links) AskGuest(ctx context.Context, origin core.Origin, workspace core.ID, email string) (challenge seal.Secret, err error) {
	address, err := mail.Address(email)
	if err != nil {
		return seal.Secret{}, err
	}
	address = strings.ToLower(address)
	err = l.change(ctx, func(tx pgx.Tx) error {
		name, err := l.workspaceName(ctx, tx, workspace)
		if err != nil {
			return err
		}
		guest, err := postgres.One[Guest](ctx, tx, "guest", selectGuestByEmail, pgx.StrictNamedArgs{"workspace": workspace, "email": address})
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		challenge, err = l.ask(ctx, tx, ask{
			Workspace: workspace, Email: address, Address: origin.Address, Decoy: err != nil || !l.expected(guest),
			Subject: "Your code for " + subject(name), Text: codeForGuest(name),
		})
		return err
	})
	return challenge, err
}

const acceptInvitation = `
update guests set accepted = @now where workspace_id = @workspace and user_id = @user and accepted is null`

// Enter begins the session of a guest who has the code that was mailed to them, and what their browser was given when it
// asked, and returns its token, the only time it can be seen. The first time accepts the invitation. Denied, with code
// wrong_code, also to whoever is no guest any more.
func (l *Links) Enter(ctx context.Context, origin core.Origin, workspace core.ID, challenge, code seal.Secret) (directory.Session, seal.Secret, error) {
	right, last, err := l.prove(ctx, workspace, core.ID{}, challenge, code)
	if last {
		return directory.Session{}, seal.Secret{}, errors.Join(err, l.refuseGuest(ctx, origin, workspace, right.Email))
	}
	if err != nil {
		return directory.Session{}, seal.Secret{}, err
	}
	var session directory.Session
	var token seal.Secret
	err = l.change(ctx, func(tx pgx.Tx) error {
		guest, err := postgres.One[Guest](ctx, tx, "guest", selectGuestByEmail+` for no key update of g`, pgx.StrictNamedArgs{"workspace": workspace, "email": right.Email})
		switch {
		case err != nil && core.KindOf(err) != core.KindNotFound:
			return err
		case err != nil || !l.expected(guest):
			return wrongCode()
		}
		if err := l.use(ctx, tx, workspace, right); err != nil {
			return err
		}
		now := l.now()
		cause := core.NewCause(core.Actor{Kind: core.ActorUser, ID: guest.User, Name: guest.Name}, now)
		cause.Origin = origin
		if guest.Accepted == nil {
			if _, err := tx.Exec(ctx, acceptInvitation, pgx.StrictNamedArgs{"workspace": workspace, "user": guest.User, "now": now}); err != nil {
				return postgres.Classify(err)
			}
			if err := audit.Append(ctx, tx, core.NewEvent(core.GuestAccepted, workspace, cause, now, guest.Target()).With("email", guest.Email)); err != nil {
				return err
			}
		}
		// Proven by a code that was made when they asked: who was logged out since has to ask again.
		session, token, err = l.Directory.StartSession(ctx, tx, cause, directory.NewSession{
			Workspace: workspace, User: guest.User, Authenticated: now, Begun: right.Created, AMR: []string{"otp"},
		})
		return err
	})
	if err != nil {
		return directory.Session{}, seal.Secret{}, err
	}
	return session, token, nil
}

// refuseGuest records that somebody tried too many codes for a guest.
func (l *Links) refuseGuest(ctx context.Context, origin core.Origin, workspace core.ID, email string) error {
	return l.change(context.WithoutCancel(ctx), func(tx pgx.Tx) error {
		guest, err := postgres.One[Guest](ctx, tx, "guest", selectGuestByEmail, pgx.StrictNamedArgs{"workspace": workspace, "email": email})
		if err != nil {
			if core.KindOf(err) == core.KindNotFound {
				return nil
			}
			return err
		}
		cause := core.NewCause(core.System, l.now())
		cause.Origin = origin
		return audit.Append(ctx, tx, core.NewEvent(core.SignInFailed, workspace, cause, l.now(), guest.Target()).
			Failed("too many wrong codes").With("code", "wrong_code").With("user_name", email))
	})
}
