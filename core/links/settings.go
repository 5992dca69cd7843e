package links

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/postgres"
)

// Inviters says who may invite guests.
type Inviters string

// Who may invite guests.
const (
	ByOwners         Inviters = "owners"         // of the workspace
	ByAdministrators Inviters = "administrators" // and super admins and admins; the default
	ByAccountOwners  Inviters = "account_owners" // and every user who owns an account
)

// Settings are what a workspace says of guests.
type Settings struct {
	Inviters     Inviters `db:"inviters"`
	PartnersOnly bool     `db:"partners_only"` // nobody is invited but people of its partners
}

const selectSettings = `select inviters, partners_only from guest_settings where workspace_id = @workspace`

// Settings says who may invite guests to a workspace, and whom.
func (l *Links) Settings(ctx context.Context, q postgres.Querier, workspace core.ID) (Settings, error) {
	found, err := postgres.One[Settings](ctx, q, "guest settings", selectSettings, pgx.StrictNamedArgs{"workspace": workspace})
	if core.KindOf(err) == core.KindNotFound {
		return Settings{Inviters: ByAdministrators}, nil
	}
	return found, err
}

const writeSettings = `
insert into guest_settings (workspace_id, inviters, partners_only) values (@workspace, @inviters, @partners)
on conflict (workspace_id) do update set inviters = excluded.inviters, partners_only = excluded.partners_only`

// ChangeSettings says who may invite guests from now on, and whom. Administrators may, as far as they may invite themselves: an admin
// whom the owners shut out does not let themselves in. Who is a guest stays one.
func (l *Links) ChangeSettings(ctx context.Context, cause core.Cause, workspace core.ID, wanted Settings) error {
	if by := wanted.Inviters; by != ByOwners && by != ByAdministrators && by != ByAccountOwners {
		return core.Invalid("inviters", "guests are invited by owners, administrators or account_owners")
	}
	return l.change(ctx, func(tx pgx.Tx) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		if err := l.mayInvite(ctx, tx, cause, workspace); err != nil {
			return err
		}
		before, err := l.Settings(ctx, tx, workspace)
		if err != nil || before == wanted {
			return err
		}
		if _, err := tx.Exec(ctx, writeSettings, pgx.StrictNamedArgs{
			"workspace": workspace, "inviters": string(wanted.Inviters), "partners": wanted.PartnersOnly,
		}); err != nil {
			return postgres.Classify(err)
		}
		name, err := l.workspaceName(ctx, tx, workspace)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.GuestSettingsChanged, workspace, cause, l.now(), core.Target{Kind: "workspace", ID: workspace, Name: name}).
			With("before", string(before.Inviters)).With("after", string(wanted.Inviters)).With("partners_only", strconv.FormatBool(wanted.PartnersOnly)))
	})
}

const selectOwnsAny = `
select exists (
	select from grants g
	where g.workspace_id = @workspace and g.role = 'owner' and g.revoked is null and (g.expires is null or g.expires > @now)
		and (g.user_id = @user or g.team_id in (
			select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = @user and m.suspended is null)))`

// MayInvite reports whether somebody may invite guests now, for a page that offers it; Invite asks again.
func (l *Links) MayInvite(ctx context.Context, q postgres.Querier, user directory.User) (bool, error) {
	err := l.inviter(ctx, q, user)
	if err != nil && core.KindOf(err) == core.KindDenied {
		return false, nil
	}
	return err == nil, err
}

// mayInvite lets whoever acts pass if the workspace lets them invite guests.
func (l *Links) mayInvite(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) error {
	switch cause.Actor.Kind {
	case core.ActorSystem, core.ActorServiceAccount: // settled where they came in
		return nil
	case core.ActorConnection, core.ActorRecipient:
		return core.Denied("a %s may not do this", cause.Actor.Kind).WithCode("not_a_user")
	case core.ActorUser:
	}
	user, err := l.Directory.HoldUser(ctx, tx, workspace, cause.Actor.ID)
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return core.Denied("you are nobody in this workspace").WithCode("not_a_member")
	}
	if err != nil {
		return err
	}
	return l.inviter(ctx, tx, user)
}

func (l *Links) inviter(ctx context.Context, q postgres.Querier, user directory.User) error {
	if !user.Active {
		return core.Denied("whoever is deactivated has no access to this workspace").WithCode("inactive")
	}
	if user.Role == directory.RoleOwner {
		return nil
	}
	settings, err := l.Settings(ctx, q, user.Workspace)
	if err != nil {
		return err
	}
	denied := core.Denied("this workspace has its guests invited by others; ask an administrator").WithCode("guests_restricted")
	switch {
	case settings.Inviters == ByOwners || !user.Role.MayOwn():
		return denied
	case user.Role.Administers():
		return nil
	case settings.Inviters == ByAdministrators:
		return denied
	}
	var owns bool
	if err := q.QueryRow(ctx, selectOwnsAny, pgx.StrictNamedArgs{"workspace": user.Workspace, "user": user.ID, "now": l.now()}).Scan(&owns); err != nil {
		return postgres.Classify(err)
	}
	if !owns {
		return denied
	}
	return nil
}

// mayManage lets whoever invited a guest pass, if they may still invite, and administrators. To others there is no such guest.
func (l *Links) mayManage(ctx context.Context, tx pgx.Tx, cause core.Cause, guest Guest) error {
	if cause.Actor.Kind == core.ActorUser && cause.Actor.ID == guest.InvitedBy {
		return l.mayInvite(ctx, tx, cause, guest.Workspace)
	}
	return l.Accounts.Administrator(ctx, tx, cause, guest.Workspace)
}
