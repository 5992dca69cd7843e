package directory

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const endSession = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.id = @id and s.ended is null and u.workspace_id = s.workspace_id and u.id = s.user_id
returning u.id, u.user_name, u.display_name`

const sessionExists = `select exists (select from sessions where workspace_id = @workspace and id = @id)`

// EndSession ends one session: its user signed out, or somebody ended it for them. Ending it again
// changes nothing.
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

// Ended is a session that was ended, and whose it was.
type Ended struct {
	ID   core.ID
	User User // only its id and names
	Live bool // it had not run out by itself
}

const endOtherSessions = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.user_id = @user and s.id <> @keep and s.ended is null
  and u.workspace_id = s.workspace_id and u.id = s.user_id
returning s.id, u.id, u.user_name, u.display_name, ` + sessionLived

// EndOtherSessions ends every session of a user but one, and returns how many were live. It raises no
// epoch: a sign-in under way goes on.
func (d *Directory) EndOtherSessions(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user, keep core.ID, reason string) (int, error) {
	ended, err := d.end(ctx, tx, cause, workspace, reason, endOtherSessions, pgx.StrictNamedArgs{"user": user, "keep": keep})
	return live(ended), err
}

// IdPSession is a session, or a person, in the words of an IdP.
type IdPSession struct {
	Workspace  core.ID
	Connection core.ID
	Issuer     string // empty: whichever of the connection's
	SID        string // empty: every session of Subject
	Subject    string // with SID: only if it is this person's
}

const lockSignIn = `select pg_advisory_xact_lock(hashtextextended(@name, 6))`

// What is old cannot meet a sign-in under way any more; it goes in passing.
const recordEnded = `
with gone as (
	delete from ended_sign_ins where (workspace_id, connection_id, kind, value, issuer) in (
		select workspace_id, connection_id, kind, value, issuer from ended_sign_ins
		where workspace_id = @workspace and connection_id = @connection and at < @old and value <> @value
		order by at limit 8 for update skip locked))
insert into ended_sign_ins as e (workspace_id, connection_id, issuer, kind, value, at)
values (@workspace, @connection, @issuer, @kind, @value, @now)
on conflict (workspace_id, connection_id, kind, value, issuer) do update set at = greatest(e.at, excluded.at)`

const endSessionsOfSID = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.connection_id = @connection and s.sid = @sid and s.sid <> '' and s.ended is null
  and (@issuer = '' or s.issuer = @issuer) and (@subject = '' or s.subject = @subject)
  and u.workspace_id = s.workspace_id and u.id = s.user_id
returning s.id, u.id, u.user_name, u.display_name, ` + sessionLived

const endSessionsOfSubject = `
update sessions s set ended = @now, end_reason = @reason
from users u
where s.workspace_id = @workspace and s.connection_id = @connection and s.subject = @subject and s.ended is null
  and (@issuer = '' or s.issuer = @issuer)
  and u.workspace_id = s.workspace_id and u.id = s.user_id
returning s.id, u.id, u.user_name, u.display_name, ` + sessionLived

// EndIdPSessions ends the sessions an IdP means by its session id, or every one of the person it means
// by its subject. Sign-ins under way of that session or person do not survive it, whether they have a
// session by now or not, or even a user: what the IdP ended is remembered. Whoever also locks users does so
// before.
func (d *Directory) EndIdPSessions(ctx context.Context, tx pgx.Tx, cause core.Cause, meant IdPSession, reason string) ([]Ended, error) {
	kind, value := "sid", meant.SID
	if value == "" {
		kind, value = "sub", meant.Subject
	}
	if err := present(kind, value); err != nil {
		return nil, err
	}
	// Wholly before or wholly after a sign-in that names the same, see endedMeanwhile.
	if _, err := tx.Exec(ctx, lockSignIn, pgx.StrictNamedArgs{"name": signInName(meant.Workspace, meant.Connection, kind, value)}); err != nil {
		return nil, err
	}
	now := d.now()
	if _, err := tx.Exec(ctx, recordEnded, pgx.StrictNamedArgs{
		"workspace": meant.Workspace, "connection": meant.Connection, "issuer": meant.Issuer, "kind": kind, "value": value, "now": now,
		"old": now.Add(-24 * time.Hour),
	}); err != nil {
		return nil, err
	}
	args := pgx.StrictNamedArgs{"connection": meant.Connection, "issuer": meant.Issuer, "subject": meant.Subject}
	if meant.SID == "" {
		return d.end(ctx, tx, cause, meant.Workspace, reason, endSessionsOfSubject, args)
	}
	args["sid"] = meant.SID
	return d.end(ctx, tx, cause, meant.Workspace, reason, endSessionsOfSID, args)
}

// EndFramedSession ends the session a front-channel logout names. Anybody's page can ask for one, so
// nothing is remembered of it and it reaches no other session.
func (d *Directory) EndFramedSession(ctx context.Context, tx pgx.Tx, cause core.Cause, meant IdPSession, reason string) ([]Ended, error) {
	if err := present("sid", meant.SID); err != nil {
		return nil, err
	}
	return d.end(ctx, tx, cause, meant.Workspace, reason, endSessionsOfSID, pgx.StrictNamedArgs{
		"connection": meant.Connection, "issuer": meant.Issuer, "sid": meant.SID, "subject": meant.Subject,
	})
}

const hasIdPSession = `
select exists (
	select from sessions s
	where s.workspace_id = @workspace and s.connection_id = @connection and s.ended is null and s.sid = @sid and s.sid <> '')`

// HasIdPSession reports whether there is a session that an IdP calls so, whichever of the connection's issuers began it.
func (d *Directory) HasIdPSession(ctx context.Context, q postgres.Querier, meant IdPSession) (bool, error) {
	var has bool
	err := q.QueryRow(ctx, hasIdPSession, pgx.StrictNamedArgs{
		"workspace": meant.Workspace, "connection": meant.Connection, "sid": meant.SID,
	}).Scan(&has)
	return has, postgres.Classify(err)
}

// end runs a statement that ends sessions, and tells each that was live.
func (d *Directory) end(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, reason, statement string, args pgx.StrictNamedArgs) ([]Ended, error) {
	now := d.now()
	args["workspace"], args["now"], args["reason"] = workspace, now, reason
	rows, err := tx.Query(ctx, statement, d.limits(args))
	if err != nil {
		return nil, err
	}
	var ended []Ended
	var events []core.Event
	var one Ended
	_, err = pgx.ForEachRow(rows, []any{&one.ID, &one.User.ID, &one.User.UserName, &one.User.DisplayName, &one.Live}, func() error {
		ended = append(ended, one)
		if one.Live {
			events = append(events, core.NewEvent(core.SessionEnded, workspace, cause, now,
				one.User.Target(), core.Target{Kind: "session", ID: one.ID}).Because(reason))
		}
		return nil
	})
	if err != nil || len(events) == 0 {
		return ended, err
	}
	return ended, audit.Append(ctx, tx, events...)
}

func live(ended []Ended) int {
	count := 0
	for _, one := range ended {
		if one.Live {
			count++
		}
	}
	return count
}

// The time is no condition: by the index that has it, everything the IdP ended lately would be read.
const selectEndedMeanwhile = `
select coalesce(bool_or(at >= @proven), false) from ended_sign_ins
where workspace_id = @workspace and connection_id = @connection and kind = @kind and value = @value
  and (issuer = @issuer or issuer = '')`

// endedMeanwhile reports whether the IdP ended this sign-in's session, or everything of its person,
// since the person was proven. The lock makes that happen wholly before this session or wholly after.
func (d *Directory) endedMeanwhile(ctx context.Context, tx pgx.Tx, wanted NewSession, proven time.Time) (bool, error) {
	for _, one := range []struct{ kind, value string }{{"sid", wanted.SID}, {"sub", wanted.Subject}} {
		if one.value == "" {
			continue
		}
		name := signInName(wanted.Workspace, wanted.Connection, one.kind, one.value)
		if _, err := tx.Exec(ctx, lockSignIn, pgx.StrictNamedArgs{"name": name}); err != nil {
			return false, err
		}
		var over bool
		err := tx.QueryRow(ctx, selectEndedMeanwhile, pgx.StrictNamedArgs{
			"workspace": wanted.Workspace, "connection": wanted.Connection, "issuer": wanted.Issuer, "kind": one.kind, "value": one.value,
			"proven": proven,
		}).Scan(&over)
		if over || err != nil {
			return over, err
		}
	}
	return false, nil
}

func signInName(workspace, connection core.ID, kind, value string) string {
	return workspace.String() + connection.String() + kind + "\x1f" + value
}
