package links

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/policies"
	"postern/core/postgres"
)

const (
	lookEvery = time.Second
	// ownersEvery is how often links are looked for whose owner is gone; they open nothing before that.
	ownersEvery = 5 * time.Second
	// lookAgain is the wait after something of ours failed.
	lookAgain = time.Minute
)

// Run ends links, invitations and partners whose time has come, until ctx ends. It may run in many processes.
func (l *Links) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var owners time.Time
	for {
		if now := time.Now(); now.Sub(owners) >= ownersEvery {
			owners = now
			l.warn(ctx, "find links whose owner is gone", l.Disown(ctx))
		}
		_, err := l.EndDue(ctx)
		l.warn(ctx, "end a link", err)
		_, err = l.EndInvitations(ctx)
		l.warn(ctx, "end an invitation", err)
		_, err = l.EndPartners(ctx)
		l.warn(ctx, "end a partner", err)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (l *Links) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && l.Log != nil {
		l.Log.WarnContext(ctx, "links cannot be kept up", "what", what, "error", err)
	}
}

// Who may not see the password any more cannot let others see it. The condition is that of accounts.MayUse, of owners.
const disownLinks = `
update links l set due = least(l.due, @now), look = @now, why = case when l.due <= @now then l.why else 'owner_gone' end
where l.ended is null and l.look > @now and not exists (
	select from users u
	where u.workspace_id = l.workspace_id and u.id = l.owner_id and u.active and u.deleted is null and u.role not in ('login_only', 'guest')
		and (exists (
			select from grants g
			where g.workspace_id = l.workspace_id and g.account_id = l.account_id and g.user_id = u.id and g.role = 'owner'
				and g.revoked is null and (g.expires is null or g.expires > @now)
		) or exists (
			select from grants g
			join team_members m on m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.user_id = u.id and m.suspended is null
			where g.workspace_id = l.workspace_id and g.account_id = l.account_id and g.role = 'owner'
				and g.revoked is null and (g.expires is null or g.expires > @now)
		))
)`

// Whoever is sent away as a user is no guest any more, even if they are let in as a user again. Who is being sent away as
// a guest at this moment is told of by whoever does it.
const endLeftGuests = `
update guests g set ended = @now, end_reason = 'removed'
from users u
where u.workspace_id = g.workspace_id and u.id = g.user_id and g.ended is null
	and (u.deleted is not null or not u.active) and u.updated < @now::timestamptz - interval '1 minute'`

// Disown has the links of all workspaces end whose owner left, or does not own the account any more, and guests be none
// who left.
func (l *Links) Disown(ctx context.Context) error {
	for _, statement := range []string{disownLinks, endLeftGuests} {
		if _, err := l.DB.Exec(ctx, statement, pgx.StrictNamedArgs{"now": l.now()}); err != nil {
			return postgres.Classify(err)
		}
	}
	return nil
}

// Of several processes each finds another link.
const selectDue = linkColumns + `
where l.ended is null and l.look <= @now
order by l.look limit 1
for no key update of l skip locked`

const postponeLink = `update links set look = @look where workspace_id = @workspace and id = @link and ended is null`

// EndDue ends, in all workspaces, every link whose time has come, and returns how many. One that fails keeps no other
// from ending, and is tried again after a while.
func (l *Links) EndDue(ctx context.Context) (int, error) {
	total := 0
	var failed error
	for ctx.Err() == nil {
		var link Link
		err := l.change(ctx, func(tx pgx.Tx) error {
			found, err := postgres.One[Link](ctx, tx, "link", selectDue, pgx.StrictNamedArgs{"now": l.now()})
			if err != nil {
				return err
			}
			link = found
			return l.settle(ctx, tx, core.NewCause(core.System, l.now()), link)
		})
		switch {
		case err == nil:
			total++
			continue
		case link.ID.IsZero() && core.KindOf(err) == core.KindNotFound:
			return total, failed
		case link.ID.IsZero() || ctx.Err() != nil:
			return total, errors.Join(failed, err)
		}
		failed = errors.Join(failed, fmt.Errorf("link %s of workspace %s: %w", link.ID, link.Workspace, err))
		if _, err := l.DB.Exec(ctx, postponeLink, pgx.StrictNamedArgs{
			"workspace": link.Workspace, "link": link.ID, "look": l.now().Add(lookAgain),
		}); err != nil {
			return total, errors.Join(failed, postgres.Classify(err))
		}
	}
	return total, failed
}

const endLink = `
update links set ended = @now, due = least(due, @now), why = @why, rotation_id = @rotation
where workspace_id = @workspace and id = @link and ended is null`

// ends says why, to a person.
var ends = map[string]string{
	WhyExpired:   "it expired",
	WhyViewed:    "its one view was had",
	WhyRevoked:   "it was revoked",
	WhyOwnerGone: "whoever made it left, or owns the account no more",
}

// settle ends a locked link that has not ended: what follows commits with it.
func (l *Links) settle(ctx context.Context, tx pgx.Tx, cause core.Cause, link Link) error {
	rotations, err := l.Policies.Rotate(ctx, tx, cause, link.Workspace, policies.TriggerLinkEnd, link.Account)
	if err != nil {
		return err
	}
	now := l.now()
	event := core.NewEvent(core.LinkEnded, link.Workspace, cause, now, link.account(), link.Target()).
		Because(ends[link.Why]).With("why", link.Why).With("views", strconv.Itoa(link.Views))
	var rotation core.ID
	if len(rotations) > 0 {
		rotation = rotations[0]
		event = event.With("rotation", rotation.String())
	}
	if _, err := tx.Exec(ctx, endLink, pgx.StrictNamedArgs{
		"workspace": link.Workspace, "link": link.ID, "now": now, "why": link.Why, "rotation": rotation,
	}); err != nil {
		return postgres.Classify(err)
	}
	return audit.Append(ctx, tx, event)
}

const lockByID = selectLink + ` for no key update of l`

// Revoke ends a link now. Whoever made it may, the owners of the account and administrators; to anybody else there is none.
// Of a link that has ended it changes nothing.
func (l *Links) Revoke(ctx context.Context, cause core.Cause, workspace, id core.ID) (Link, error) {
	var after Link
	err := l.change(ctx, func(tx pgx.Tx) error {
		link, err := postgres.One[Link](ctx, tx, "link", lockByID, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		if err != nil {
			return err
		}
		switch cause.Actor.Kind {
		case core.ActorSystem, core.ActorServiceAccount:
		case core.ActorUser:
			if err := l.MayRead(ctx, tx, workspace, cause.Actor.ID, link); err != nil {
				return err
			}
		case core.ActorConnection, core.ActorRecipient:
			return core.NotFound("link")
		}
		if after = link; link.Settled != nil {
			return nil
		}
		if link.Due.After(l.now()) {
			link.Why = WhyRevoked
		}
		if err := l.settle(ctx, tx, cause, link); err != nil {
			return err
		}
		after, err = l.Link(ctx, tx, workspace, id)
		return err
	})
	return after, err
}
