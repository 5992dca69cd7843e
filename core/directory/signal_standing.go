package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// Standing is what signals left with a user.
type Standing struct {
	// Restricted is since when no password is revealed to them or filled for them; nil: as usual.
	Restricted *time.Time `db:"restricted"`
	// Reasons are the kinds of signal that restrict them.
	Reasons []string `db:"reasons"`
	// FreshAfter is the moment after which a sign-in has to be to reveal a password; nil: any.
	FreshAfter *time.Time `db:"fresh_after"`
}

const selectStanding = `
select restricted, fresh_after, array(
	select r.reason from user_restrictions r where r.workspace_id = u.workspace_id and r.user_id = u.id order by r.since, r.reason) as reasons
from users u where u.workspace_id = @workspace and u.id = @user and u.deleted is null`

// Standing reads what signals left with a user.
func (d *Directory) Standing(ctx context.Context, q postgres.Querier, workspace, user core.ID) (Standing, error) {
	return postgres.One[Standing](ctx, q, "user", selectStanding, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
}

const restrictUser = `
with noted as (
	insert into user_restrictions (workspace_id, user_id, reason, signal_id, since)
	values (@workspace, @user, @reason, @signal, @now)
	on conflict (workspace_id, user_id, reason) do nothing
)
update users set restricted = coalesce(restricted, @now) where workspace_id = @workspace and id = @user`

// QueueRestrict keeps a locked user from passwords for a reason, until it is lifted.
func (d *Directory) QueueRestrict(batch *pgx.Batch, workspace, user, signal core.ID, reason string) {
	batch.Queue(restrictUser, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "signal": signal, "reason": reason, "now": d.now()})
}

const liftReason = `
delete from user_restrictions where workspace_id = @workspace and user_id = @user and (@reason = '' or reason = @reason)`

const liftUser = `
update users u set restricted = (
	select min(r.since) from user_restrictions r where r.workspace_id = u.workspace_id and r.user_id = u.id)
where u.workspace_id = @workspace and u.id = @user and u.restricted is not null`

// QueueLift ends one reason a locked user is restricted for, or with none all of them.
func (d *Directory) QueueLift(batch *pgx.Batch, workspace, user core.ID, reason string) {
	batch.Queue(liftReason, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "reason": reason})
	batch.Queue(liftUser, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
}

const requireFresh = `
update users set fresh_after = greatest(coalesce(fresh_after, @after::timestamptz), @after::timestamptz)
where workspace_id = @workspace and id = @user`

// QueueRequireFresh lets a locked user reveal passwords only in a session authenticated after a moment.
func (d *Directory) QueueRequireFresh(batch *pgx.Batch, workspace, user core.ID, after time.Time) {
	batch.Queue(requireFresh, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "after": after})
}

const unlinkIdentities = `
delete from identities where workspace_id = @workspace and connection_id = @connection and user_id = @user
	and (@subject = '' or subject = @subject)`

const unlinkEmail = `
update users set email = '', version = version + 1, updated = @now
where workspace_id = @workspace and id = @user and fold(email) collate "C" = fold(@email) and email <> ''`

// Unlink takes from a locked user what identified them: the link of a subject, or the e-mail address and every
// link, for whoever has the address now may be somebody else.
func (d *Directory) Unlink(ctx context.Context, tx pgx.Tx, user User, subject, email string) error {
	if subject == "" && email == "" {
		return core.Invalid("subject", "a subject or an e-mail address is needed")
	}
	if _, err := tx.Exec(ctx, unlinkIdentities, pgx.StrictNamedArgs{
		"workspace": user.Workspace, "connection": user.Connection, "user": user.ID, "subject": subject,
	}); err != nil || email == "" {
		return err
	}
	_, err := tx.Exec(ctx, unlinkEmail, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "email": email, "now": d.now()})
	return err
}

const relinkIdentity = `
update identities i set subject = @new
where i.workspace_id = @workspace and i.connection_id = @connection and i.user_id = @user and i.subject = @old
	and not exists (select from identities o where o.connection_id = i.connection_id and o.issuer = i.issuer and o.subject = @new)`

const relinkEmail = `
update users set email = @new, version = version + 1, updated = @now
where workspace_id = @workspace and id = @user and fold(email) collate "C" = fold(@old) and email <> ''`

// Relink tells that a locked user's subject or e-mail address is another one by now. Nothing is created, and
// what is somebody else's stays theirs: Conflict.
func (d *Directory) Relink(ctx context.Context, tx pgx.Tx, user User, subject bool, from, to string) error {
	if err := present("new_value", to); err != nil {
		return err
	}
	statement := relinkEmail
	args := pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "old": from, "new": to}
	if subject {
		statement, args["connection"] = relinkIdentity, user.Connection
	} else {
		args["now"] = d.now()
	}
	done, err := tx.Exec(ctx, statement, args)
	if err != nil {
		return err
	}
	if done.RowsAffected() == 0 {
		return core.Conflict("new_value", "nothing of this user is linked by the old identifier alone").WithCode("identifier")
	}
	return nil
}

// Refusal says why a user may not have a password now; nil: they may. Revealing asks for more than filling.
func (s Standing) Refusal(reveal bool, cause core.Cause) error {
	switch {
	case s.Restricted != nil:
		return core.Denied("your identity provider has reported a risk; an administrator must lift the restriction first").WithCode("restricted")
	case reveal && s.FreshAfter != nil && cause.Actor.Kind != core.ActorSystem && !cause.Authenticated.After(*s.FreshAfter):
		return core.Denied("sign in once more: your identity provider has reported a change since you last did").WithCode("step_up_required")
	}
	return nil
}
