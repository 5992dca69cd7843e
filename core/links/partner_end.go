package links

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
	"postern/core/postgres"
)

// PartnerEnd is what the end of a partner would do now.
type PartnerEnd struct {
	Guests   []Guest // who are sent away
	Accounts []EndedAccount
}

// EndedAccount is an account that guests of a partner saw, or could have seen.
type EndedAccount struct {
	accounts.Exposed
	Rotated bool // its password is changed; otherwise a policy says that it stays
}

const selectPartnersGuests = guestColumns + `
where g.workspace_id = @workspace and g.partner_id = @partner and g.ended is null order by g.user_id`

// PreviewPartnerEnd tells what ending a partner would do, and does nothing. It asks nobody's leave.
func (l *Links) PreviewPartnerEnd(ctx context.Context, workspace, id core.ID) (PartnerEnd, error) {
	var would PartnerEnd
	err := l.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		if _, err := l.Partner(ctx, tx, workspace, id); err != nil {
			return err
		}
		if would.Guests, err = postgres.Many[Guest](ctx, tx, selectPartnersGuests, pgx.StrictNamedArgs{"workspace": workspace, "partner": id}); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		leavers := make([]*accounts.Leaver, len(would.Guests))
		for i, guest := range would.Guests {
			leavers[i] = l.Accounts.QueueLeaver(batch, workspace, guest.User, l.now())
		}
		choice := l.Policies.QueueChoose(batch, workspace, policies.TriggerDeprovision)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return postgres.Classify(err)
		}
		known := map[core.ID]accounts.Exposed{}
		for _, leaver := range leavers {
			for _, one := range leaver.Exposed {
				before := known[one.Account]
				one.Saw, one.SawVersionCurrent = one.Saw || before.Saw, one.SawVersionCurrent || before.SawVersionCurrent
				known[one.Account] = one
			}
		}
		var exposed []accounts.Exposed
		for _, one := range known {
			exposed = append(exposed, one)
		}
		slices.SortFunc(exposed, func(one, other accounts.Exposed) int { return bytes.Compare(one.Account[:], other.Account[:]) })
		rotated, err := choice.Of(ctx, tx, exposed)
		for _, one := range exposed {
			would.Accounts = append(would.Accounts, EndedAccount{one, slices.ContainsFunc(rotated, func(other accounts.Exposed) bool { return other.Account == one.Account })})
		}
		return err
	})
	return would, err
}

const (
	endPartner    = `update partners set ended = @now, cause = @cause where workspace_id = @workspace and id = @id`
	retireDomains = `update partner_domains set live = false where workspace_id = @workspace and partner_id = @id`
)

// over ends a locked partner. From that commit on none of its guests signs in; those who are in are sent away right after.
func (l *Links) over(ctx context.Context, tx pgx.Tx, cause core.Cause, partner Partner, why string) error {
	for _, statement := range []string{endPartner, retireDomains} {
		if _, err := tx.Exec(ctx, statement, pgx.NamedArgs{"workspace": partner.Workspace, "id": partner.ID, "now": l.now(), "cause": cause}); err != nil {
			return postgres.Classify(err)
		}
	}
	return l.tellPartner(ctx, tx, core.PartnerEnded, cause, partner, why)
}

// EndPartner ends a partner now, and with it the access of all its guests, who leave like anybody else: their sessions end, what
// they have is taken, and what they knew is rotated. Administrators may. Of one that has ended it does what is left to do.
// Guests who could not be sent away at once (Partner.Guests counts them) are shut out, and sent away by Run.
func (l *Links) EndPartner(ctx context.Context, cause core.Cause, workspace, id core.ID) (Partner, error) {
	err := l.change(ctx, func(tx pgx.Tx) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		partner, err := l.lockPartner(ctx, tx, workspace, id)
		if err != nil || partner.Ended != nil {
			return err
		}
		return l.over(ctx, tx, cause, partner, "ended by hand")
	})
	if err != nil {
		return Partner{}, err
	}
	_, err = l.sendPartnersAway(ctx, selectPartnersLeft+` and p.workspace_id = @workspace and p.id = @id`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	l.warn(ctx, "send away the guests of a partner", err)
	return l.Partner(ctx, l.DB, workspace, id)
}

const selectPartnersDue = `
select workspace_id, id from partners where ended is null and ends <= @now order by ends limit 100`

// EndPartners ends, in all workspaces, the partners whose time has come, sends away who is still there of those that have
// ended, and returns how many guests that were.
func (l *Links) EndPartners(ctx context.Context) (int, error) {
	type due struct {
		Workspace core.ID `db:"workspace_id"`
		ID        core.ID `db:"id"`
	}
	found, err := postgres.Many[due](ctx, l.DB, selectPartnersDue, pgx.StrictNamedArgs{"now": l.now()})
	if err != nil {
		return 0, err
	}
	var failed error
	for _, one := range found {
		failed = errors.Join(failed, l.change(ctx, func(tx pgx.Tx) error {
			partner, err := l.lockPartner(ctx, tx, one.Workspace, one.ID)
			if err != nil || partner.Ended != nil || !partner.over(l.now()) {
				return err
			}
			return l.over(ctx, tx, core.NewCause(core.System, l.now()), partner, "its time was over")
		}))
	}
	total, err := l.sendPartnersAway(ctx, selectPartnersLeft+` order by p.ended, g.user_id limit 100`, pgx.StrictNamedArgs{})
	return total, errors.Join(failed, err)
}

const selectPartnersLeft = `
select g.workspace_id, g.user_id, p.cause
from partners p join guests g on g.workspace_id = p.workspace_id and g.partner_id = p.id
where p.ended is not null and g.ended is null`

// sendPartnersAway sends away those guests of ended partners that a statement selects, in the name of whoever ended them. One
// who cannot be keeps no other.
func (l *Links) sendPartnersAway(ctx context.Context, statement string, args pgx.StrictNamedArgs) (int, error) {
	type left struct {
		Workspace core.ID    `db:"workspace_id"`
		User      core.ID    `db:"user_id"`
		Cause     core.Cause `db:"cause"`
	}
	found, err := postgres.Many[left](ctx, l.DB, statement, args)
	if err != nil {
		return 0, err
	}
	total := 0
	var failed error
	for _, one := range found {
		if err := l.sendAway(ctx, one.Cause, one.Workspace, one.User, endPartnerEnded); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		total++
	}
	return total, failed
}
