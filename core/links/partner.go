package links

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Partner is an organisation outside: whoever is invited at one of its domains is its guest.
type Partner struct {
	ID        core.ID     `db:"id"`
	Workspace core.ID     `db:"workspace_id"`
	Name      string      `db:"name"`
	Domains   []string    `db:"domains"` // of e-mail addresses, in order
	Sponsor   core.ID     `db:"sponsor_id"`
	SponsorIs string      `db:"sponsor"`   // their name, now
	Sponsored bool        `db:"sponsored"` // the sponsor is here, and still a member
	Ends      *time.Time  `db:"ends"`      // nil: nobody said
	Created   time.Time   `db:"created"`
	Ended     *time.Time  `db:"ended"`
	Guests    int         `db:"guests"` // who were invited and not sent away
	Cause     *core.Cause `db:"cause"`  // of its end
}

// Target is the partner as what something happened to.
func (p Partner) Target() core.Target { return core.Target{Kind: "partner", ID: p.ID, Name: p.Name} }

// over reports whether a partner's guests have no access at a time.
func (p Partner) over(at time.Time) bool { return p.Ended != nil || p.Ends != nil && !p.Ends.After(at) }

// NewPartner is what an administrator says of a partner.
type NewPartner struct {
	Name    string
	Domains []string
	Sponsor core.ID    // a user of the workspace who answers for it; no guest, and not login-only
	Ends    *time.Time // nil: when somebody ends it
}

const maxDomains = 50

func (n NewPartner) check(now time.Time) (NewPartner, error) {
	n.Name = strings.TrimSpace(n.Name)
	if length := utf8.RuneCountInString(n.Name); !utf8.ValidString(n.Name) || length == 0 || length > 100 || strings.ContainsFunc(n.Name, unicode.IsControl) {
		return n, core.Invalid("name", "a name is one line of 1 to 100 characters")
	}
	if n.Ends != nil && !n.Ends.After(now) {
		return n, core.Invalid("ends", "this is over; to end the partner now, end it")
	}
	var domains []string
	for _, text := range n.Domains {
		domain, err := ownDomain(text)
		if err != nil {
			return n, err
		}
		domains = append(domains, domain)
	}
	slices.Sort(domains)
	if n.Domains = slices.Compact(domains); len(n.Domains) == 0 || len(n.Domains) > maxDomains {
		return n, core.Invalid("domains", "name 1 to %d domains of its e-mail addresses", maxDomains)
	}
	return n, nil
}

const partnerColumns = `
select p.id, p.workspace_id, p.name, p.sponsor_id, coalesce(nullif(u.display_name, ''), u.user_name) as sponsor,
	u.active and u.deleted is null and u.role not in ('login_only', 'guest') as sponsored, p.ends, p.created, p.ended, p.cause,
	(select array_agg(d.domain order by d.domain) from partner_domains d where d.workspace_id = p.workspace_id and d.partner_id = p.id) as domains,
	(select count(*) from guests g where g.workspace_id = p.workspace_id and g.partner_id = p.id and g.ended is null) as guests
from partners p
join users u on u.workspace_id = p.workspace_id and u.id = p.sponsor_id
`

const selectPartner = partnerColumns + `where p.workspace_id = @workspace and p.id = @id`

// Partner finds a partner by its id. It asks nobody's leave.
func (l *Links) Partner(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Partner, error) {
	return postgres.One[Partner](ctx, q, "partner", selectPartner, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const selectPartners = partnerColumns + `
where p.workspace_id = @workspace and (@after::uuid is null or p.id > @after)
order by p.id
limit @limit`

// Partners gives a workspace's partners, and those that have ended, oldest first, a page at a time. It asks nobody's leave.
func (l *Links) Partners(ctx context.Context, q postgres.Querier, workspace, after core.ID, limit int) ([]Partner, error) {
	return postgres.Many[Partner](ctx, q, selectPartners, pgx.StrictNamedArgs{"workspace": workspace, "after": after, "limit": postgres.Page(limit)})
}

// partnerTaken says which field two partners may not share.
func partnerTaken(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.Code == "23505" {
		switch server.ConstraintName {
		case "partner_name":
			return core.Conflict("name", "another partner has this name").WithCode("partner_name").Because(err)
		case "partner_domain":
			return core.Conflict("domains", "another partner has one of these domains").WithCode("partner_domain").Because(err)
		}
	}
	return postgres.Classify(err)
}

const (
	insertPartner = `
insert into partners (id, workspace_id, name, sponsor_id, ends, created) values (@id, @workspace, @name, @sponsor, @ends, @now)`
	updatePartner = `update partners set name = @name, sponsor_id = @sponsor, ends = @ends where workspace_id = @workspace and id = @id`
	deleteDomains = `delete from partner_domains where workspace_id = @workspace and partner_id = @id`
	insertDomains = `
insert into partner_domains (workspace_id, partner_id, domain) select @workspace, @id, unnest(@domains::text[])`
	// Who was invited before is of the partner too, or its end would leave them in.
	adoptGuests = `
update guests set partner_id = @id
where workspace_id = @workspace and ended is null and partner_id is null and split_part(email, '@', 2) = any(@domains::text[])`
)

// write makes or changes a partner's row, and reads it as it is then. Whoever is a guest at its domains already becomes its.
func (l *Links) write(ctx context.Context, tx pgx.Tx, statement string, workspace, id core.ID, wanted NewPartner) (Partner, error) {
	sponsor, err := l.Directory.HoldUser(ctx, tx, workspace, wanted.Sponsor)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return Partner{}, err
	}
	if err != nil || !sponsor.Active || !sponsor.Role.MayOwn() {
		return Partner{}, core.Invalid("sponsor", "an active member of the workspace answers for a partner").WithCode("sponsor")
	}
	args := pgx.NamedArgs{
		"id": id, "workspace": workspace, "name": wanted.Name, "sponsor": wanted.Sponsor, "ends": wanted.Ends, "now": l.now(), "domains": wanted.Domains,
	}
	for _, one := range []string{statement, deleteDomains, insertDomains, adoptGuests} {
		if _, err := tx.Exec(ctx, one, args); err != nil {
			return Partner{}, partnerTaken(err)
		}
	}
	return l.Partner(ctx, tx, workspace, id)
}

func (l *Links) tellPartner(ctx context.Context, tx pgx.Tx, kind core.EventType, cause core.Cause, of Partner, why string) error {
	event := core.NewEvent(kind, of.Workspace, cause, l.now(), of.Target()).Because(why).
		With("domains", strings.Join(of.Domains, ", ")).With("sponsor", of.Sponsor.String()).With("guests", strconv.Itoa(of.Guests))
	if of.Ends != nil {
		event = event.With("ends", of.Ends.UTC().Format(time.RFC3339))
	}
	return audit.Append(ctx, tx, event)
}

// CreatePartner makes a partner. Administrators may. A domain is of one partner at a time, and none where everybody may have a
// mailbox (code "public_domain").
func (l *Links) CreatePartner(ctx context.Context, cause core.Cause, workspace core.ID, wanted NewPartner) (Partner, error) {
	return l.changePartner(ctx, cause, workspace, core.NewID(), wanted, insertPartner, core.PartnerCreated)
}

// ChangePartner replaces what is said of a partner that has not ended (else a Conflict, code "ended"). Its guests stay its own,
// whatever becomes of their domain. Administrators may.
func (l *Links) ChangePartner(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted NewPartner) (Partner, error) {
	return l.changePartner(ctx, cause, workspace, id, wanted, updatePartner, core.PartnerUpdated)
}

func (l *Links) changePartner(ctx context.Context, cause core.Cause, workspace, id core.ID, wanted NewPartner, statement string, kind core.EventType) (Partner, error) {
	var after Partner
	err := l.change(ctx, func(tx pgx.Tx) error {
		if err := l.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		if kind == core.PartnerUpdated {
			before, err := l.lockPartner(ctx, tx, workspace, id)
			if err != nil {
				return err
			}
			if before.over(l.now()) {
				return core.Conflict("partner", "this partner has ended; make it anew").WithCode("ended")
			}
		}
		wanted, err := wanted.check(l.now())
		if err != nil {
			return err
		}
		if after, err = l.write(ctx, tx, statement, workspace, id, wanted); err != nil {
			return err
		}
		return l.tellPartner(ctx, tx, kind, cause, after, "")
	})
	return after, err
}

const lockPartner = selectPartner + ` for no key update of p`

func (l *Links) lockPartner(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Partner, error) {
	return postgres.One[Partner](ctx, tx, "partner", lockPartner, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

// One that has not ended comes before those that have. It does not end before the guest is there, who ends with it.
const selectPartnerAt = partnerColumns + `
join partner_domains at on at.workspace_id = p.workspace_id and at.partner_id = p.id
where p.workspace_id = @workspace and at.domain = @domain
order by at.live desc, p.ended desc
limit 1
for share of p`

// partnerOf is the partner of an address; the zero Partner is none. Where the workspace has guests of partners alone, none is
// Denied (code "partners_only"), and so are the people of one that has ended (code "partner_ended").
func (l *Links) partnerOf(ctx context.Context, tx pgx.Tx, workspace core.ID, email string) (Partner, error) {
	_, domain, _ := strings.Cut(email, "@")
	found, err := postgres.One[Partner](ctx, tx, "partner", selectPartnerAt, pgx.StrictNamedArgs{"workspace": workspace, "domain": domain})
	if core.KindOf(err) == core.KindNotFound {
		settings, err := l.Settings(ctx, tx, workspace)
		if err == nil && settings.PartnersOnly {
			err = core.Denied("this workspace has guests of its partners alone, and %s is none's", domain).WithCode("partners_only")
		}
		return Partner{}, err
	}
	if err == nil && found.over(l.now()) {
		err = core.Denied("%s has ended as a partner; an administrator makes it anew", found.Name).WithCode("partner_ended")
	}
	return found, err
}
