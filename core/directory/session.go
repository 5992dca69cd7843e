package directory

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// Session is a signed-in user. Who holds its token is that user, until it ends.
type Session struct {
	ID            core.ID    `db:"id"`
	Workspace     core.ID    `db:"workspace_id"`
	User          core.ID    `db:"user_id"`
	Connection    core.ID    `db:"connection_id"`
	Issuer        string     `db:"issuer"`
	Subject       string     `db:"subject"`
	SID           string     `db:"sid"`           // the IdP's session id, if it gave one
	Authenticated time.Time  `db:"authenticated"` // when the IdP saw the person
	Created       time.Time  `db:"created"`
	LastSeen      time.Time  `db:"last_seen"`
	Expires       time.Time  `db:"expires"`
	Ended         *time.Time `db:"ended"`
	EndReason     string     `db:"end_reason"`
}

// NewSession is what a session starts from: a sign-in the IdP has vouched for.
type NewSession struct {
	Workspace  core.ID
	User       core.ID
	Connection core.ID
	Issuer     string
	Subject    string
	SID        string
	// Authenticated is the IdP's auth_time. Where it sends none, use Begun.
	Authenticated time.Time
	// Begun is when the sign-in left Postern for the IdP (Flow.Created), by Postern's clock. A logout
	// between Begun and now stops the sign-in even if the IdP's clock runs ahead. It may be zero.
	Begun time.Time
}

const insertSession = `
insert into sessions (id, hash, workspace_id, user_id, connection_id, issuer, subject, sid, authenticated, created, last_seen, expires)
values (@id, @hash, @workspace, @user, @connection, @issuer, @subject, @sid, @authenticated, @now, @now, @expires)`

// StartSession begins a session and returns its token, the only time it can be seen. It is Denied for
// an inactive user, and with code "signed_out_meanwhile" when the user was logged out at or after the
// moment the IdP saw them: they have to sign in at the IdP once more.
func (d *Directory) StartSession(ctx context.Context, tx pgx.Tx, cause core.Cause, wanted NewSession) (Session, seal.Secret, error) {
	// The lock makes a logout happen wholly before this session (then its epoch is seen here) or
	// wholly after it (then it ends this session).
	user, err := d.HoldUser(ctx, tx, wanted.Workspace, wanted.User)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	if !user.Active {
		return Session{}, seal.Secret{}, core.Denied("the user is not active").WithCode("user_inactive")
	}
	now := d.now()
	if user.Epoch != nil && !wanted.proven(now).After(*user.Epoch) {
		return Session{}, seal.Secret{}, core.Denied("the user was signed out meanwhile; sign in again").WithCode("signed_out_meanwhile")
	}
	token := seal.NewToken("pst_session")
	made := Session{
		ID: core.NewID(), Workspace: wanted.Workspace, User: wanted.User, Connection: wanted.Connection, Issuer: wanted.Issuer,
		Subject: wanted.Subject, SID: wanted.SID, Authenticated: wanted.Authenticated.UTC().Truncate(time.Microsecond),
		Created: now, LastSeen: now, Expires: now.Add(orDefault(d.SessionLife, DefaultSessionLife)),
	}
	_, err = tx.Exec(ctx, insertSession, pgx.StrictNamedArgs{
		"id": made.ID, "hash": seal.HashToken(token.Reveal()), "workspace": made.Workspace, "user": made.User,
		"connection": made.Connection, "issuer": made.Issuer, "subject": made.Subject, "sid": made.SID,
		"authenticated": made.Authenticated, "now": now, "expires": made.Expires,
	})
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	return made, token, audit.Append(ctx, tx, core.NewEvent(core.SessionStarted, made.Workspace, cause, now,
		user.Target(), core.Target{Kind: "session", ID: made.ID}).With("connection", made.Connection.String()))
}

// proven is the last moment the person is certain to have been themselves: the earliest of what the
// IdP says, when the sign-in began, and now.
func (s NewSession) proven(now time.Time) time.Time {
	earliest := now
	if s.Authenticated.Before(earliest) {
		earliest = s.Authenticated
	}
	if !s.Begun.IsZero() && s.Begun.Before(earliest) {
		earliest = s.Begun
	}
	return earliest
}

const selectSessionByToken = `
select id, workspace_id, user_id, connection_id, issuer, subject, sid, authenticated, created, last_seen, expires, ended, end_reason
from sessions
where hash = @hash and ended is null and expires > @now and last_seen > @idle`

const selectSessionUser = `
select id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, active, role,
       attributes, version, epoch, created, updated, deleted
from users
where workspace_id = @workspace and id = @id and deleted is null and active and (epoch is null or epoch < @created)`

const touchSession = `
update sessions set last_seen = @now
where workspace_id = @workspace and id = (
	select id from sessions
	where workspace_id = @workspace and id = @id and ended is null and last_seen <= @stale
	for update skip locked)`

// Authenticate finds whose live session this token is, and notes that it was used. A session that
// ended, was idle too long, is too old, or whose user left or was logged out is Unauthenticated, and
// none can be told apart.
func (d *Directory) Authenticate(ctx context.Context, token seal.Secret) (Session, User, error) {
	session, user, err := d.Recognise(ctx, token)
	if err != nil {
		return Session{}, User{}, err
	}
	return session, user, d.touch(ctx, touchSession, session.Workspace, session.ID, &session.LastSeen, d.now())
}

// Recognise is Authenticate of a request that nobody makes, such as a page's that looks again by
// itself: it does not keep the session from falling idle.
func (d *Directory) Recognise(ctx context.Context, token seal.Secret) (Session, User, error) {
	now := d.now()
	refused := core.Unauthenticated("the session has ended; sign in again")
	session, err := one[Session](ctx, d.DB, "session", selectSessionByToken, pgx.StrictNamedArgs{
		"hash": seal.HashToken(token.Reveal()), "now": now, "idle": now.Add(-orDefault(d.SessionIdle, DefaultSessionIdle)),
	})
	if core.KindOf(err) == core.KindNotFound {
		return Session{}, User{}, refused
	}
	if err != nil {
		return Session{}, User{}, err
	}
	// Read after the session: a logout that committed in between has raised the epoch seen here.
	user, err := one[User](ctx, d.DB, "user", selectSessionUser, pgx.StrictNamedArgs{
		"workspace": session.Workspace, "id": session.User, "created": session.Created,
	})
	if core.KindOf(err) == core.KindNotFound {
		return Session{}, User{}, refused
	}
	return session, user, err
}

const selectSessions = `
select s.id, s.workspace_id, s.user_id, s.connection_id, s.issuer, s.subject, s.sid, s.authenticated, s.created, s.last_seen,
       s.expires, s.ended, s.end_reason
from sessions s join users u on u.workspace_id = s.workspace_id and u.id = s.user_id
where s.workspace_id = @workspace and s.user_id = @user and s.ended is null and s.expires > @now and s.last_seen > @idle
  and u.deleted is null and u.active and (u.epoch is null or u.epoch < s.created)
order by s.created, s.id`

// Sessions lists the live sessions of a user, oldest first.
func (d *Directory) Sessions(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]Session, error) {
	now := d.now()
	return many[Session](ctx, q, selectSessions, pgx.StrictNamedArgs{
		"workspace": workspace, "user": user, "now": now, "idle": now.Add(-orDefault(d.SessionIdle, DefaultSessionIdle)),
	})
}

const endSession = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.id = @id and s.ended is null and u.workspace_id = s.workspace_id and u.id = s.user_id
returning u.id, u.user_name, u.display_name`

const sessionExists = `select exists (select from sessions where workspace_id = @workspace and id = @id)`

// EndSession ends one session: its user signed out. Ending it again changes nothing.
func (d *Directory) EndSession(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID, reason string) error {
	now := d.now()
	var user User
	err := tx.QueryRow(ctx, endSession, pgx.StrictNamedArgs{"workspace": workspace, "id": id, "now": now, "reason": reason}).
		Scan(&user.ID, &user.UserName, &user.DisplayName)
	if errors.Is(err, pgx.ErrNoRows) {
		var exists bool
		if err := tx.QueryRow(ctx, sessionExists, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			return core.NotFound("session")
		}
		return nil
	}
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.SessionEnded, workspace, cause, now,
		user.Target(), core.Target{Kind: "session", ID: id}).Because(reason))
}

// The epoch only rises: a clock that runs behind must not bring back what a logout killed.
const raiseEpoch = `
update users set epoch = greatest(coalesce(epoch, @now::timestamptz), @now::timestamptz)
where workspace_id = @workspace and id = @user and deleted is null
returning user_name, display_name`

const endSessions = `
update sessions set ended = @now, end_reason = @reason
where workspace_id = @workspace and user_id = @user and ended is null
returning id, expires > @now and last_seen > @idle as live`

// EndSessions ends every session of a user and raises their epoch to now, so that no sign-in under
// way survives either. It returns how many sessions were live; each of those gets its event.
func (d *Directory) EndSessions(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user core.ID, reason string) (int, error) {
	now := d.now()
	person := User{ID: user}
	err := tx.QueryRow(ctx, raiseEpoch, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": now}).
		Scan(&person.UserName, &person.DisplayName)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, core.NotFound("user")
	}
	if err != nil {
		return 0, err
	}
	ended, err := many[struct {
		ID   core.ID `db:"id"`
		Live bool    `db:"live"`
	}](ctx, tx, endSessions, pgx.StrictNamedArgs{
		"workspace": workspace, "user": user, "now": now, "reason": reason, "idle": now.Add(-orDefault(d.SessionIdle, DefaultSessionIdle)),
	})
	if err != nil {
		return 0, err
	}
	var events []core.Event
	for _, session := range ended {
		if session.Live {
			events = append(events, core.NewEvent(core.SessionEnded, workspace, cause, now,
				person.Target(), core.Target{Kind: "session", ID: session.ID}).Because(reason))
		}
	}
	if len(events) == 0 {
		return 0, nil
	}
	return len(events), audit.Append(ctx, tx, events...)
}
