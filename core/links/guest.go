package links

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/mail"
	"postern/core/postgres"
)

// Limits of an invitation.
const (
	DefaultInvitation = 7 * 24 * time.Hour
	MaxInvitation     = 30 * 24 * time.Hour
	// After so many invitations of one person they are sent one in resendWait.
	manyInvitations = 10
	resendWait      = time.Hour
)

// GuestPath begins the path of the page where a workspace's guests sign in; the workspace's slug ends it.
const GuestPath = "/guest/"

// GuestState is where a guest is.
type GuestState string

// The states of a guest.
const (
	Invited GuestState = "invited" // has not proved the mailbox yet
	Present GuestState = "present"
	Expired GuestState = "expired" // never accepted the invitation
	Removed GuestState = "removed"
)

// Guest is somebody who was invited.
type Guest struct {
	Workspace   core.ID    `db:"workspace_id"`
	User        core.ID    `db:"user_id"`
	Email       string     `db:"email"`
	Name        string     `db:"name"`
	Invited     time.Time  `db:"invited"` // last
	InvitedBy   core.ID    `db:"invited_by"`
	Inviter     string     `db:"inviter"` // their name, now; empty: a service account, or the operator
	Invitations int        `db:"invitations"`
	Expires     time.Time  `db:"expires"` // of the invitation
	Accepted    *time.Time `db:"accepted"`
	Ended       *time.Time `db:"ended"`
	EndReason   string     `db:"end_reason"`
	Partner     core.ID    `db:"partner_id"` // zero: of none
	PartnerIs   string     `db:"partner"`    // its name
	Until       *time.Time `db:"until"`      // the partner's end; nil: none is known
	Active      bool       `db:"active"`     // as a user
}

// State is the guest's at a time.
func (g Guest) State(at time.Time) GuestState {
	switch {
	case g.Accepted == nil && !g.Expires.After(at) && (g.Ended == nil || g.EndReason == endExpired):
		return Expired
	case g.Ended != nil || !g.Active || g.Until != nil && !g.Until.After(at):
		return Removed
	case g.Accepted == nil:
		return Invited
	}
	return Present
}

// Target is the guest as what something happened to.
func (g Guest) Target() core.Target { return core.Target{Kind: "user", ID: g.User, Name: g.Name} }

const guestColumns = `
select g.workspace_id, g.user_id, g.email, coalesce(nullif(u.display_name, ''), u.user_name) as name, g.invited, g.invited_by,
	coalesce(nullif(b.display_name, ''), b.user_name, '') as inviter, g.invitations, g.expires, g.accepted, g.ended, g.end_reason,
	u.active and u.deleted is null as active, g.partner_id, coalesce(p.name, '') as partner, least(p.ends, p.ended) as until
from guests g
join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
left join users b on b.workspace_id = g.workspace_id and b.id = g.invited_by
left join partners p on p.workspace_id = g.workspace_id and p.id = g.partner_id
`

const selectGuest = guestColumns + `where g.workspace_id = @workspace and g.user_id = @user`

// Guest finds a guest by their user's id. It asks nobody's leave.
func (l *Links) Guest(ctx context.Context, q postgres.Querier, workspace, user core.ID) (Guest, error) {
	return postgres.One[Guest](ctx, q, "guest", selectGuest, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
}

const selectGuests = guestColumns + `
where g.workspace_id = @workspace and (@after::uuid is null or g.user_id > @after) and (@by::uuid is null or g.invited_by = @by)
	and (@partner::uuid is null or g.partner_id = @partner)
order by g.user_id
limit @limit`

// Guests gives a workspace's guests, and who was one, oldest first, a page at a time: of all, of one who invited them, or of a
// partner. It asks nobody's leave.
func (l *Links) Guests(ctx context.Context, q postgres.Querier, workspace, after, by, partner core.ID, limit int) ([]Guest, error) {
	return postgres.Many[Guest](ctx, q, selectGuests, pgx.StrictNamedArgs{
		"workspace": workspace, "after": after, "by": by, "partner": partner, "limit": min(max(limit, 1), 500),
	})
}

// Invitation is whom somebody wants as a guest.
type Invitation struct {
	Email string
	Name  string        // for people to read; the address when empty
	Life  time.Duration // of the invitation; default DefaultInvitation
}

func (i Invitation) check() (Invitation, error) {
	address, err := mail.Address(i.Email)
	if err != nil {
		return Invitation{}, err
	}
	i.Email, i.Name = strings.ToLower(address), strings.TrimSpace(i.Name)
	if len(i.Name) > 200 || strings.ContainsFunc(i.Name, unicode.IsControl) {
		return Invitation{}, core.Invalid("name", "a name is one line of at most 200 bytes")
	}
	if i.Life == 0 {
		i.Life = DefaultInvitation
	}
	if i.Life < time.Hour || i.Life > MaxInvitation {
		return Invitation{}, core.Invalid("expires", "an invitation lives between an hour and 30 days")
	}
	return i, nil
}

const insertGuest = `
insert into guests (workspace_id, user_id, email, invited, invited_by, expires, partner_id)
values (@workspace, @user, @email, @now, @by, @expires, @partner)
on conflict (workspace_id, user_id) do update set invited = excluded.invited, invited_by = excluded.invited_by, expires = excluded.expires,
	partner_id = excluded.partner_id,
	invitations = guests.invitations + 1, accepted = null, ended = null, end_reason = ''`

// Invite makes somebody a guest and mails them where to sign in. Until they have, the invitation can be sent again or taken
// back, and ends by itself. Who may invite the workspace says (Settings). An address of somebody who is, or was, in
// the workspace by an identity provider is a Conflict (code "member"): nobody evades it by being a guest. An address at a partner's
// domain makes them a guest of it, as long as it lasts; others may be Denied (code "partners_only").
func (l *Links) Invite(ctx context.Context, cause core.Cause, workspace core.ID, wanted Invitation) (Guest, error) {
	wanted, err := wanted.check()
	if err != nil {
		return Guest{}, err
	}
	if err := l.Mail.Ready(); err != nil {
		return Guest{}, err
	}
	var back core.ID
	for {
		var made Guest
		var before directory.User
		err := l.change(ctx, func(tx pgx.Tx) error {
			if err := l.mayInvite(ctx, tx, cause, workspace); err != nil {
				return err
			}
			partner, err := l.partnerOf(ctx, tx, workspace, wanted.Email)
			if err != nil {
				return err
			}
			if before, err = l.whoHas(ctx, tx, workspace, wanted.Email); err != nil {
				return err
			}
			if !before.ID.IsZero() && !before.Active {
				// Let in first, unless somebody is about to be sent away.
				guest, err := l.Guest(ctx, tx, workspace, before.ID)
				if err == nil && guest.Ended == nil {
					return leaving()
				}
				if err != nil && core.KindOf(err) != core.KindNotFound {
					return err
				}
				return nil
			}
			made, err = l.invite(ctx, tx, cause, workspace, wanted, before, partner)
			return err
		})
		switch {
		case err != nil:
			return Guest{}, err
		case !made.User.IsZero():
			return made, nil
		case !back.IsZero():
			return Guest{}, leaving()
		}
		// Who comes back has nothing, and enters nothing before the invitation.
		if back = before.ID; !back.IsZero() {
			if err := l.Return(ctx, cause, workspace, back); err != nil {
				return Guest{}, err
			}
		}
	}
}

func leaving() *core.Error {
	return core.Conflict("email", "this guest is being removed at this moment; try again in a minute").WithCode("leaving")
}

// whoHas is the guest with an address, locked; the zero User is nobody.
func (l *Links) whoHas(ctx context.Context, tx pgx.Tx, workspace core.ID, email string) (directory.User, error) {
	everybody, err := l.Directory.UsersByEmail(ctx, tx, workspace, email)
	if err != nil || len(everybody) == 0 {
		return directory.User{}, err
	}
	for _, user := range everybody {
		switch {
		case !user.Connection.IsZero():
			return directory.User{}, core.Conflict("email", "somebody with this address is or was a member; the identity provider says whether they may come in").WithCode("member")
		case user.Role != directory.RoleGuest:
			return directory.User{}, core.Conflict("email", "somebody with this address is a member already").WithCode("member")
		}
	}
	return l.Directory.LockUser(ctx, tx, workspace, everybody[0].ID)
}

// invite makes the guest's row and mail, and first the user if there is none.
func (l *Links) invite(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted Invitation, user directory.User, partner Partner) (Guest, error) {
	now := l.now()
	var events []core.Event
	if user.ID.IsZero() {
		made, err := l.Directory.InsertUser(ctx, tx, directory.User{
			Workspace: workspace, UserName: wanted.Email, Email: wanted.Email, DisplayName: wanted.Name, Active: true, Role: directory.RoleGuest,
		})
		if err != nil {
			return Guest{}, err
		}
		user = made
		events = append(events, core.NewEvent(core.UserProvisioned, workspace, cause, now, user.Target()).With("active", "true"))
	} else if before, err := l.Guest(ctx, tx, workspace, user.ID); err == nil && before.Ended == nil {
		return Guest{}, core.Conflict("email", "this guest was invited already; send the invitation again").WithCode("guest")
	} else if err != nil && core.KindOf(err) != core.KindNotFound {
		return Guest{}, err
	}
	var by core.ID
	if cause.Actor.Kind == core.ActorUser {
		by = cause.Actor.ID
	}
	if _, err := tx.Exec(ctx, insertGuest, pgx.StrictNamedArgs{
		"workspace": workspace, "user": user.ID, "email": wanted.Email, "now": now, "by": by, "expires": now.Add(wanted.Life), "partner": partner.ID,
	}); err != nil {
		return Guest{}, postgres.Classify(err)
	}
	return l.invited(ctx, tx, cause, workspace, user.ID, events)
}

// invited mails a guest their invitation, and tells of it.
func (l *Links) invited(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, user core.ID, events []core.Event) (Guest, error) {
	guest, err := l.Guest(ctx, tx, workspace, user)
	if err != nil {
		return Guest{}, err
	}
	if err := l.sendInvitation(ctx, tx, cause, guest); err != nil {
		return Guest{}, err
	}
	event := core.NewEvent(core.GuestInvited, workspace, cause, l.now(), guest.Target()).With("email", guest.Email).With("expires", guest.Expires.UTC().Format(time.RFC3339))
	if guest.PartnerIs != "" {
		event = event.With("partner", guest.PartnerIs)
	}
	return guest, audit.Append(ctx, tx, append(events, event)...)
}

const lockGuest = selectGuest + ` for no key update of g`

const renewInvitation = `
update guests set invited = @now, expires = @now::timestamptz + (expires - invited), invitations = invitations + 1
where workspace_id = @workspace and user_id = @user`

// Resend mails an invitation again that was not accepted yet, and has it live as long as the first time. Whoever invited them
// may, and administrators.
func (l *Links) Resend(ctx context.Context, cause core.Cause, workspace, user core.ID) (Guest, error) {
	var after Guest
	err := l.change(ctx, func(tx pgx.Tx) error {
		guest, err := postgres.One[Guest](ctx, tx, "guest", lockGuest, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
		if err != nil {
			return err
		}
		if err := l.mayManage(ctx, tx, cause, guest); err != nil {
			return err
		}
		now := l.now()
		switch {
		case guest.Accepted != nil && guest.Ended == nil:
			return core.Conflict("guest", "they accepted the invitation already").WithCode("accepted")
		case guest.State(now) != Invited:
			return core.Conflict("guest", "the invitation has ended; invite them anew").WithCode("ended")
		case guest.Invitations >= manyInvitations && now.Sub(guest.Invited) < resendWait:
			return &core.Error{Kind: core.KindRateLimited, Code: "too_soon", RetryAfter: guest.Invited.Add(resendWait).Sub(now), Message: "it was sent again and again; wait an hour"}
		}
		if _, err := tx.Exec(ctx, renewInvitation, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": now}); err != nil {
			return postgres.Classify(err)
		}
		after, err = l.invited(ctx, tx, cause, workspace, user, nil)
		return err
	})
	return after, err
}

// Why a guest is none any more.
const (
	endExpired = "expired"
	endRemoved = "removed"
	// The partner they were a guest of ended.
	endPartnerEnded = "partner_ended"
)

const endGuest = `
update guests set ended = @now, end_reason = @why
where workspace_id = @workspace and user_id = @user and ended is null and (@why <> 'expired' or accepted is null and expires <= @now)`

// Remove takes an invitation back, or sends a guest away like any leaver: their sessions end, what they have is taken and
// what they knew is rotated. Whoever invited them may as long as they have not accepted; administrators always.
func (l *Links) Remove(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
	err := l.DB.Tx(ctx, func(tx pgx.Tx) error {
		guest, err := postgres.One[Guest](ctx, tx, "guest", lockGuest, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
		if err != nil {
			return err
		}
		if guest.Accepted != nil {
			return l.Accounts.Administrator(ctx, tx, cause, workspace)
		}
		return l.mayManage(ctx, tx, cause, guest)
	})
	if err != nil {
		return err
	}
	return l.sendAway(ctx, cause, workspace, user, endRemoved)
}

// sendAway lets a guest go. Leaving comes first: whoever is killed in between begins again, and leaving twice is leaving once.
func (l *Links) sendAway(ctx context.Context, cause core.Cause, workspace, user core.ID, why string) error {
	if err := l.Depart(ctx, cause, workspace, user); err != nil {
		return err
	}
	return l.change(ctx, func(tx pgx.Tx) error {
		guest, err := postgres.One[Guest](ctx, tx, "guest", lockGuest, pgx.StrictNamedArgs{"workspace": workspace, "user": user})
		if err != nil {
			return err
		}
		now := l.now()
		done, err := tx.Exec(ctx, endGuest, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "now": now, "why": why})
		if err != nil || done.RowsAffected() == 0 || guest.Accepted != nil {
			return postgres.Classify(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.GuestInvitationEnded, workspace, cause, now, guest.Target()).Because(why).With("email", guest.Email))
	})
}

const selectExpired = `
select workspace_id, user_id from guests where ended is null and accepted is null and expires <= @now order by expires limit 100`

// EndInvitations ends, in all workspaces, the invitations that nobody accepted in time, and returns how many.
func (l *Links) EndInvitations(ctx context.Context) (int, error) {
	type expired struct {
		Workspace core.ID `db:"workspace_id"`
		User      core.ID `db:"user_id"`
	}
	found, err := postgres.Many[expired](ctx, l.DB, selectExpired, pgx.StrictNamedArgs{"now": l.now()})
	if err != nil {
		return 0, err
	}
	total := 0
	var failed error
	for _, one := range found {
		if err := l.sendAway(ctx, core.NewCause(core.System, l.now()), one.Workspace, one.User, endExpired); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		total++
	}
	return total, failed
}
