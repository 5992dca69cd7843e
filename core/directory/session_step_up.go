package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// The token changes, the session stays: what began it and how long it may live at most.
const stepUpSession = `
update sessions s
set hash = @hash, issuer = @issuer, subject = @subject, sid = @sid, authenticated = @authenticated, acr = @acr, amr = @amr,
    last_seen = @now, stepped_up = @now, id_token = @id_token
from users u, (select w.id as workspace_id, p.idle, p.life from workspaces w left join session_settings p on p.workspace_id = w.id) p
where s.workspace_id = @workspace and s.id = @id and s.user_id = @user and s.connection_id = @connection and ` + sessionLives + `
  and p.workspace_id = s.workspace_id
  and u.workspace_id = s.workspace_id and u.id = s.user_id and (u.epoch is null or u.epoch < s.created)
returning ` + sessionColumns

// StepUpSession takes a fresh proof of the person into their session: it gets a new token, the only
// time it can be seen, and the old one is dead. A session that has ended meanwhile, or is not this
// user's through this connection, is NotFound. Otherwise it refuses what StartSession refuses.
func (d *Directory) StepUpSession(ctx context.Context, tx pgx.Tx, cause core.Cause, id core.ID, wanted NewSession) (Session, seal.Secret, error) {
	user, err := d.letIn(ctx, tx, wanted)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	now, token := d.now(), seal.NewToken(sessionToken)
	kept, err := sealIDToken(Session{ID: id, Workspace: wanted.Workspace}, token, wanted.IDToken)
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	rows, err := tx.Query(ctx, stepUpSession, d.limits(pgx.StrictNamedArgs{
		"id": id, "workspace": wanted.Workspace, "user": wanted.User, "connection": wanted.Connection, "hash": seal.HashToken(token.Reveal()),
		"issuer": wanted.Issuer, "subject": wanted.Subject, "sid": wanted.SID, "authenticated": wanted.authenticated(now),
		"acr": wanted.ACR, "amr": append([]string{}, wanted.AMR...), "now": now, "id_token": kept,
	}))
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	session, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Session])
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, seal.Secret{}, core.NotFound("session")
	}
	if err != nil {
		return Session{}, seal.Secret{}, err
	}
	event := core.NewEvent(core.SessionSteppedUp, session.Workspace, cause, now, user.Target(), core.Target{Kind: "session", ID: session.ID})
	return session, token, audit.Append(ctx, tx, proof(event, session))
}

const selectSessionHolder = `select user_id from sessions where workspace_id = @workspace and id = @id`

// SessionHolder is whose session this is or was.
func (d *Directory) SessionHolder(ctx context.Context, q postgres.Querier, workspace, id core.ID) (core.ID, error) {
	var user core.ID
	err := q.QueryRow(ctx, selectSessionHolder, pgx.StrictNamedArgs{"workspace": workspace, "id": id}).Scan(&user)
	if errors.Is(err, pgx.ErrNoRows) {
		return core.ID{}, core.NotFound("session")
	}
	return user, postgres.Classify(err)
}

// Need is what somebody must have proven themselves recently for.
type Need string

// The needs.
const (
	ToReveal     Need = "reveal" // be given a password
	ToAdminister Need = "admin"  // change what belongs to others
)

// StepUp is what a session lacks (RFC 9470).
type StepUp struct {
	Need      Need
	ACRValues []string       // one of these, if there are any
	MaxAge    *time.Duration // how long ago the IdP may have seen the person; nil: any time
}

// StepUpFor tells what a session lacks for something, by the workspace's settings and by what signals
// left with its user; nil is nothing.
func (d *Directory) StepUpFor(ctx context.Context, q postgres.Querier, session Session, need Need) (*StepUp, error) {
	settings, err := d.SessionSettings(ctx, q, session.Workspace)
	if err != nil {
		return nil, err
	}
	wanted, age := StepUp{Need: need, ACRValues: settings.AdminACR}, settings.AdminAge
	if need == ToReveal {
		wanted.ACRValues, age = settings.RevealACR, settings.RevealAge
	}
	now, lacks := d.now(), false
	if age > 0 {
		wanted.MaxAge = &age
		lacks = now.Sub(session.Authenticated) > age
	}
	if len(wanted.ACRValues) > 0 && !slices.Contains(wanted.ACRValues, session.ACR) {
		lacks = true
	}
	if need == ToReveal {
		// Signals may ask for a proof that is newer still.
		standing, err := d.Standing(ctx, q, session.Workspace, session.User)
		if err != nil {
			return nil, err
		}
		if after := standing.FreshAfter; after != nil && !session.Authenticated.After(*after) {
			lacks = true
			if since := max(0, now.Sub(*after)); wanted.MaxAge == nil || since < *wanted.MaxAge {
				wanted.MaxAge = &since
			}
		}
	}
	if !lacks {
		return nil, nil
	}
	return &wanted, nil
}
