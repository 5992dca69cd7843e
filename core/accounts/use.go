package accounts

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/core/seal"
)

// selectMayUse finds the roles of the live grants, as many rows as there are: direct ones by (user, account), a
// team's by (account, team) and the user's membership in it.
const selectMayUse = `
select given.role, u.role not in ('login_only', 'guest')
from (
	select g.role from grants g
	where g.workspace_id = @workspace and g.account_id = @account and g.user_id = @user
		and g.revoked is null and (g.expires is null or g.expires > @now)
	union all
	select g.role from grants g
	join team_members m on m.workspace_id = @workspace and m.team_id = g.team_id
		and m.user_id = @user and m.suspended is null
	where g.workspace_id = @workspace and g.account_id = @account and g.team_id is not null
		and g.revoked is null and (g.expires is null or g.expires > @now)
) given, users u
where u.workspace_id = @workspace and u.id = @user and u.active and u.deleted is null`

// MayUse gives the strongest role an active user has on an account now, by a grant of their own or
// of a team they are in. Denied when they have none, with the code of the rule: not_shared, expired,
// suspended (their membership in the team), inactive.
func (a *Accounts) MayUse(ctx context.Context, q postgres.Querier, workspace, user, account core.ID) (Role, error) {
	held, err := a.mayUse(ctx, q, selectMayUse, workspace, user, account)
	if err != nil {
		return "", err
	}
	return held.role(), nil
}

func (a *Accounts) mayUse(ctx context.Context, q postgres.Querier, query string, workspace, user, account core.ID) (held, error) {
	rows, err := q.Query(ctx, query, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "account": account, "now": a.now()})
	if err != nil {
		return held{}, postgres.Classify(err)
	}
	var given Role
	var found held
	tag, err := pgx.ForEachRow(rows, []any{&given, &found.mayOwn}, func() error {
		if found.given != Owner {
			found.given = given
		}
		return nil
	})
	switch {
	case err != nil:
		return held{}, postgres.Classify(err)
	case tag.RowsAffected() == 0:
		return held{}, a.refusal(ctx, q, workspace, user, account)
	}
	return found, nil
}

const lockMayUse = selectMayUse + `
for share of u`

const insertExposure = `
insert into exposures (id, workspace_id, account_id, user_id, version, level, seen)
values (@id, @workspace, @account, @user, @version, @level, @seen)`

// Reveal shows an owner the account's current password. That they saw it is committed, with its
// event, before it is returned. What signals left with the user is obeyed: Denied, with code "restricted", or
// "step_up_required" when the session of the cause was authenticated too long ago. A closed account
// refuses (see Account.Closed), but one that is closed because the app wants the password changed.
func (a *Accounts) Reveal(ctx context.Context, cause core.Cause, workspace, user, account core.ID) (username string, password seal.Secret, err error) {
	return a.expose(ctx, cause, workspace, user, account, "revealed")
}

// Fill gives the current password to be typed into the app for anybody the account is shared with.
// That is committed, with its event, before it is returned. A closed account refuses (see Account.Closed) until
// a sign-in has proved its password, and so does a user who is restricted (Denied, code "restricted").
func (a *Accounts) Fill(ctx context.Context, cause core.Cause, workspace, user, account core.ID) (username string, password seal.Secret, err error) {
	return a.expose(ctx, cause, workspace, user, account, "filled")
}

func (a *Accounts) expose(ctx context.Context, cause core.Cause, workspace, user, account core.ID, level string) (string, seal.Secret, error) {
	var username string
	var password seal.Secret
	err := a.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := a.authorizeUse(ctx, tx, cause, workspace, user, account, level == "revealed"); err != nil {
			return err
		}
		found, err := a.Account(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		// An owner sets an expired password by hand at the app, which asks for it.
		if closed := found.Closed(); closed != nil && (level == "filled" || found.Finding != Expired) {
			return closed
		}
		current, err := a.current(ctx, tx, workspace, account)
		if err != nil {
			return err
		}
		if password, err = a.Password(ctx, tx, workspace, account, current); err != nil {
			return err
		}
		username = found.Username
		return a.recordExposure(ctx, tx, cause, found, user, current, level)
	})
	if err != nil {
		return "", seal.Secret{}, err
	}
	return username, password, nil
}

func (a *Accounts) recordExposure(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account, user core.ID, version int, level string) error {
	now := a.now()
	if _, err := tx.Exec(ctx, insertExposure, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": account.Workspace, "account": account.ID, "user": user, "version": version, "level": level, "seen": now,
	}); err != nil {
		return postgres.Classify(err)
	}
	if a.Used != nil {
		if err := a.Used(ctx, tx, account.Workspace, account.ID); err != nil {
			return err
		}
	}
	who, err := a.Directory.User(ctx, tx, account.Workspace, user)
	if err != nil {
		return err
	}
	kind := core.AccountPasswordFilled
	if level == "revealed" {
		kind = core.AccountPasswordRevealed
	}
	return audit.Append(ctx, tx, core.NewEvent(kind, account.Workspace, cause, now, account.Target(), who.Target()).
		With("version", strconv.Itoa(version)))
}

// Exposure is one time somebody was given a password, a code, or what a message says, or entered a secret themselves.
type Exposure struct {
	User    core.ID `db:"user_id"` // zero: the recipient of a link
	Link    core.ID `db:"link_id"` // zero: a user
	Name    string  `db:"name"`    // of the user, now, or the recipient's address
	Version int     `db:"version"`
	// Level is entered, injected, filled or revealed of a password; totp_entered, or code, whose version is the TOTP secret's;
	// message, backup_code, or backup_entered, whose version is the number of the message or of the (first) code.
	Level string    `db:"level"`
	Seen  time.Time `db:"seen"`
}

const selectExposures = `
select e.user_id, e.link_id, coalesce(nullif(u.display_name, ''), u.user_name, e.recipient) as name, e.version, e.level, e.seen
from exposures e left join users u on u.workspace_id = e.workspace_id and u.id = e.user_id
where e.workspace_id = @workspace and e.account_id = @account
order by e.seen desc, e.id desc
limit @limit`

// Exposures lists who was given the account's passwords, latest first; 0 is the last 100.
func (a *Accounts) Exposures(ctx context.Context, q postgres.Querier, workspace, account core.ID, limit int) ([]Exposure, error) {
	return postgres.Many[Exposure](ctx, q, selectExposures, pgx.StrictNamedArgs{"workspace": workspace, "account": account, "limit": postgres.Page(limit)})
}
