package directory

import (
	"cmp"
	"context"
	"errors"
	"strings"
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
	ACR           string     `db:"acr"`        // how the IdP saw the person, in its own words
	AMR           []string   `db:"amr"`        // and by what: pwd, otp, hwk …
	Address       string     `db:"address"`    // where it began; empty if that is not known
	Agent         string     `db:"agent"`      // the browser it began in
	SteppedUp     *time.Time `db:"stepped_up"` // when the person last proved themselves anew in it
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
	ACR   string
	AMR   []string
	// IDToken is what the IdP vouched with. It is kept for signing out there (Directory.IDToken), sealed
	// under a key of the session's token. It may be zero.
	IDToken seal.Secret
}

// sessionColumns are those of Session, of the sessions s.
const sessionColumns = `s.id, s.workspace_id, s.user_id, s.connection_id, s.issuer, s.subject, s.sid, s.authenticated, s.created, s.last_seen,
       s.expires, s.ended, s.end_reason, s.acr, s.amr, s.address, s.agent, s.stepped_up`

// sessionLives is what is true of a session s that has not ended, with its workspace's settings p. A
// shorter life holds for sessions that exist, too.
const sessionLives = `s.ended is null and s.expires > @now and s.created > @now::timestamptz - coalesce(p.life, @life::interval)
  and s.last_seen > @now::timestamptz - coalesce(p.idle, @idle::interval)`

// sessionLived is sessionLives of a session that is ended by the same statement.
const sessionLived = `s.expires > @now
  and s.created > @now::timestamptz - coalesce((select p.life from session_settings p where p.workspace_id = @workspace), @life::interval)
  and s.last_seen > @now::timestamptz - coalesce((select p.idle from session_settings p where p.workspace_id = @workspace), @idle::interval)`

// limits adds the arguments of sessionLives, but for now.
func (d *Directory) limits(args pgx.StrictNamedArgs) pgx.StrictNamedArgs {
	args["idle"], args["life"] = cmp.Or(max(d.SessionIdle, 0), DefaultSessionIdle), cmp.Or(max(d.SessionLife, 0), DefaultSessionLife)
	return args
}

const insertSession = `
insert into sessions (id, hash, workspace_id, user_id, connection_id, issuer, subject, sid, authenticated, created, last_seen, expires,
	acr, amr, address, agent, id_token)
values (@id, @hash, @workspace, @user, @connection, @issuer, @subject, @sid, @authenticated, @now, @now,
	@now::timestamptz + coalesce((select life from session_settings where workspace_id = @workspace), @life::interval),
	@acr, @amr, @address, @agent, @id_token)
returning expires`

// StartSession begins a session and returns its token, the only time it can be seen. It is Denied for
// an inactive user, and with code "signed_out_meanwhile" when the user was logged out at or after the
// moment the IdP saw them: they have to sign in at the IdP once more.
func (d *Directory) StartSession(ctx context.Context, tx pgx.Tx, cause core.Cause, wanted NewSession) (Session, seal.Secret, error) {
	user, err := d.letIn(ctx, tx, wanted)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	now, token := d.now(), seal.NewToken(sessionToken)
	made := Session{
		ID: core.NewID(), Workspace: wanted.Workspace, User: wanted.User, Connection: wanted.Connection, Issuer: wanted.Issuer,
		Subject: wanted.Subject, SID: wanted.SID, Authenticated: wanted.authenticated(now), Created: now, LastSeen: now,
		ACR: wanted.ACR, AMR: append([]string{}, wanted.AMR...), Address: cause.Origin.Address, Agent: cause.Origin.UserAgent,
	}
	kept, err := sealIDToken(made, token, wanted.IDToken)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	err = tx.QueryRow(ctx, insertSession, pgx.StrictNamedArgs{
		"id": made.ID, "hash": seal.HashToken(token.Reveal()), "workspace": made.Workspace, "user": made.User,
		"connection": made.Connection, "issuer": made.Issuer, "subject": made.Subject, "sid": made.SID,
		"authenticated": made.Authenticated, "now": now, "life": cmp.Or(max(d.SessionLife, 0), DefaultSessionLife),
		"acr": made.ACR, "amr": made.AMR, "address": made.Address, "agent": made.Agent, "id_token": kept,
	}).Scan(&made.Expires)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	made.Expires = made.Expires.UTC()
	event := core.NewEvent(core.SessionStarted, made.Workspace, cause, now, user.Target(), core.Target{Kind: "session", ID: made.ID})
	return made, token, audit.Append(ctx, tx, proof(event, made))
}

// sessionToken begins the token of every session.
const sessionToken = "pst_session"

// letIn holds the user of a sign-in until the transaction ends and lets them in, or says why not. The
// lock makes a logout happen wholly before this session (then its epoch is seen here) or wholly after
// it (then it ends this session).
func (d *Directory) letIn(ctx context.Context, tx pgx.Tx, wanted NewSession) (User, error) {
	user, err := d.HoldUser(ctx, tx, wanted.Workspace, wanted.User)
	if err != nil {
		return User{}, err
	}
	if !user.Active {
		return User{}, core.Denied("the user is not active").WithCode("user_inactive")
	}
	proven := wanted.proven(d.now())
	over := user.Epoch != nil && !proven.After(*user.Epoch)
	if !over {
		if over, err = d.endedMeanwhile(ctx, tx, wanted, proven); err != nil {
			return User{}, err
		}
	}
	if over {
		return User{}, core.Denied("the user was signed out meanwhile; sign in again").WithCode("signed_out_meanwhile")
	}
	return user, nil
}

// proof tells how a person proved themselves.
func proof(event core.Event, session Session) core.Event {
	event = event.With("connection", session.Connection.String()).With("authenticated", session.Authenticated.Format(time.RFC3339))
	if session.ACR != "" {
		event = event.With("acr", session.ACR)
	}
	if len(session.AMR) > 0 {
		event = event.With("amr", strings.Join(session.AMR, " "))
	}
	return event
}

// authenticated is when the IdP saw the person, as it is kept: never later than now, or a clock that
// runs ahead would make the proof last longer.
func (s NewSession) authenticated(now time.Time) time.Time {
	if s.Authenticated.After(now) {
		return now
	}
	return s.Authenticated.UTC().Truncate(time.Microsecond)
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
select ` + sessionColumns + `
from sessions s left join session_settings p on p.workspace_id = s.workspace_id
where s.hash = @hash and ` + sessionLives

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
	session, err := postgres.One[Session](ctx, d.DB, "session", selectSessionByToken,
		d.limits(pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal()), "now": now}))
	if core.KindOf(err) == core.KindNotFound {
		return Session{}, User{}, refused
	}
	if err != nil {
		return Session{}, User{}, err
	}
	// Read after the session: a logout that committed in between has raised the epoch seen here.
	user, err := postgres.One[User](ctx, d.DB, "user", selectSessionUser, pgx.StrictNamedArgs{
		"workspace": session.Workspace, "id": session.User, "created": session.Created,
	})
	if core.KindOf(err) == core.KindNotFound {
		return Session{}, User{}, refused
	}
	return session, user, err
}

const selectSessions = `
select ` + sessionColumns + `
from sessions s join users u on u.workspace_id = s.workspace_id and u.id = s.user_id
left join session_settings p on p.workspace_id = s.workspace_id
where s.workspace_id = @workspace and s.user_id = @user and ` + sessionLives + `
  and u.deleted is null and u.active and (u.epoch is null or u.epoch < s.created)
order by s.created, s.id`

// Sessions lists the live sessions of a user, oldest first.
func (d *Directory) Sessions(ctx context.Context, q postgres.Querier, workspace, user core.ID) ([]Session, error) {
	now := d.now()
	return postgres.Many[Session](ctx, q, selectSessions, d.limits(pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": now}))
}

// The epoch only rises: a clock that runs behind must not bring back what a logout killed.
const raiseEpoch = `
update users set epoch = greatest(coalesce(epoch, @now::timestamptz), @now::timestamptz)
where workspace_id = @workspace and id = @user and deleted is null
returning user_name, display_name`

const endSessions = `
update sessions s set ended = @now, end_reason = @reason
where s.workspace_id = @workspace and s.user_id = @user and s.ended is null
returning s.id, ` + sessionLived + ` as live`

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
	ended, err := postgres.Many[struct {
		ID   core.ID `db:"id"`
		Live bool    `db:"live"`
	}](ctx, tx, endSessions, d.limits(pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": now, "reason": reason}))
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
