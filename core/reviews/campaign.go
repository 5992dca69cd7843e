package reviews

import (
	"context"
	"encoding/json"
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
	"postern/core/postgres"
)

// The limits of a campaign.
const (
	MaxName      = 100
	maxDays      = 180
	maxReminders = 10
	maxMonths    = 36
)

// DefaultReminders are how many days before the last one reviewers are reminded, where nobody says.
var DefaultReminders = []int{7, 3, 0}

// Campaign is what is asked, once or again and again.
type Campaign struct {
	ID        core.ID    `db:"id"`
	Workspace core.ID    `db:"workspace_id"`
	Name      string     `db:"name"`
	Scope     Scope      `db:"scope"`
	Days      int        `db:"days"`      // reviewers have: the review ends with the day so many days after it began
	Fallback  Verdict    `db:"fallback"`  // Keep or Revoke: what is done where nobody decides
	Reminders []int      `db:"reminders"` // so many days before the last one, 0 is on it; in falling order
	Months    int        `db:"months"`    // until it begins again; 0: by hand only
	Anchor    *time.Time `db:"anchor"`    // from when the months are counted
	Next      *time.Time `db:"next"`      // when it begins by itself
	Version   int        `db:"version"`
	Created   time.Time  `db:"created"`
	Updated   time.Time  `db:"updated"`
}

// Target is the campaign as what something happened to.
func (c Campaign) Target() core.Target {
	return core.Target{Kind: "review_campaign", ID: c.ID, Name: c.Name}
}

// checked is a campaign as it is kept: complete, in order, or refused with what is wrong.
func (c Campaign) checked(now time.Time) (Campaign, error) {
	c.Name = strings.TrimSpace(c.Name)
	if c.Fallback == "" {
		c.Fallback = Revoke
	}
	if c.Reminders == nil {
		c.Reminders = remindersWithin(c.Days)
	}
	c.Reminders = append([]int{}, c.Reminders...) // none is not nothing: the column takes no null
	slices.Sort(c.Reminders)
	c.Reminders = slices.Compact(c.Reminders)
	slices.Reverse(c.Reminders)
	switch {
	case c.Name == "" || utf8.RuneCountInString(c.Name) > MaxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unicode.IsControl):
		return c, core.Invalid("name", "give the campaign a name of at most %d characters", MaxName)
	case c.Days < 1 || c.Days > maxDays:
		return c, core.Invalid("days", "reviewers have 1 to %d days", maxDays)
	case c.Fallback != Keep && c.Fallback != Revoke:
		return c, core.Invalid("fallback", "where nobody decides, access is kept or revoked")
	case len(c.Reminders) > maxReminders || len(c.Reminders) > 0 && (c.Reminders[0] >= c.Days || c.Reminders[len(c.Reminders)-1] < 0):
		return c, core.Invalid("reminders", "at most %d, each fewer days before the end than reviewers have; 0 is the last day", maxReminders)
	case c.Months < 0 || c.Months > maxMonths:
		return c, core.Invalid("months", "a campaign begins again after 1 to %d months, or with 0 by hand only", maxMonths)
	case c.Months > 0 && c.Days >= 28*c.Months:
		return c, core.Invalid("days", "reviewers have fewer days than lie between two reviews")
	}
	var err error
	if c.Scope, err = c.Scope.checked(); err != nil {
		return c, err
	}
	if c.Months == 0 {
		c.Anchor, c.Next = nil, nil
		return c, nil
	}
	if c.Anchor == nil {
		c.Anchor = new(day(now))
	}
	c.Anchor = new(c.Anchor.UTC().Truncate(time.Microsecond))
	c.Next = new(following(*c.Anchor, c.Months, now))
	return c, nil
}

// remindersWithin are those of the default ones that fit.
func remindersWithin(days int) []int {
	return slices.DeleteFunc(slices.Clone(DefaultReminders), func(before int) bool { return before >= days })
}

// day is when the day of a time began. All days are UTC's.
func day(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// following is when something that happens every so many months from an anchor on happens next. In a month that is
// too short it is its last day.
func following(anchor time.Time, months int, now time.Time) time.Time {
	if anchor.After(now) {
		return anchor
	}
	whole := (now.Year()-anchor.Year())*12 + int(now.Month()) - int(anchor.Month())
	for count := max(whole/months, 0); ; count++ {
		at := anchor.AddDate(0, months*count, 0)
		if at.Day() != anchor.Day() {
			at = at.AddDate(0, 0, -at.Day())
		}
		if at.After(now) {
			return at
		}
	}
}

const campaignColumns = `id, workspace_id, name, scope, days, fallback, reminders, months, anchor, next, version, created, updated`

const selectCampaigns = `select ` + campaignColumns + ` from review_campaigns where workspace_id = @workspace order by name, id`

// Campaigns lists a workspace's, by name.
func (r *Reviews) Campaigns(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Campaign, error) {
	return postgres.Many[Campaign](ctx, q, selectCampaigns, pgx.StrictNamedArgs{"workspace": workspace})
}

const selectCampaign = `select ` + campaignColumns + ` from review_campaigns where workspace_id = @workspace and id = @id`

// Campaign finds one.
func (r *Reviews) Campaign(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Campaign, error) {
	return postgres.One[Campaign](ctx, q, "campaign", selectCampaign, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const insertCampaign = `
insert into review_campaigns (id, workspace_id, name, scope, days, fallback, reminders, months, anchor, next, version, created, updated)
values (@id, @workspace, @name, @scope, @days, @fallback, @reminders, @months, @anchor, @next, @version, @created, @updated)`

// Create adds a campaign, which asks nobody anything yet. Administrators may. One that comes again begins for the
// first time at its anchor, or, where there is none, its months after today.
func (r *Reviews) Create(ctx context.Context, cause core.Cause, workspace core.ID, wanted Campaign) (Campaign, error) {
	now := r.now()
	wanted, err := wanted.checked(now)
	if err != nil {
		return Campaign{}, err
	}
	wanted.ID, wanted.Workspace, wanted.Version, wanted.Created, wanted.Updated = core.NewID(), workspace, 1, now, now
	return wanted, r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		if err := wanted.Scope.known(ctx, tx, workspace); err != nil {
			return core.Event{}, err
		}
		if _, err := tx.Exec(ctx, insertCampaign, wanted.args()); err != nil {
			return core.Event{}, taken(err)
		}
		return core.NewEvent(core.ReviewCampaignCreated, workspace, cause, now, wanted.Target()).With("after", wanted.text()), nil
	})
}

const updateCampaign = `
update review_campaigns set name = @name, scope = @scope, days = @days, fallback = @fallback, reminders = @reminders, months = @months,
	anchor = @anchor, next = @next, version = @version, updated = @updated
where workspace_id = @workspace and id = @id and created = @created`

// Change replaces a campaign by what edit makes of it. version, if not 0, is the one the change is based on:
// Stale if there is a newer one. Reviews that have begun stay as they are. With nothing to change nothing happens.
func (r *Reviews) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, version int, edit func(*Campaign)) (Campaign, error) {
	var after Campaign
	err := r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		before, err := postgres.One[Campaign](ctx, tx, "campaign", selectCampaign+` for no key update`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		if err != nil {
			return core.Event{}, err
		}
		if version != 0 && version != before.Version {
			return core.Event{}, core.Stale("the campaign was changed meanwhile; read it again")
		}
		wanted, now := before, r.now()
		edit(&wanted)
		if wanted.Anchor == nil && wanted.Months == before.Months {
			wanted.Anchor = before.Anchor
		}
		if wanted, err = wanted.checked(now); err != nil {
			return core.Event{}, err
		}
		wanted.ID, wanted.Workspace, wanted.Created, wanted.Updated, wanted.Version = before.ID, workspace, before.Created, now, before.Version+1
		if wanted.text() == before.text() {
			after = before
			return core.Event{}, nil
		}
		after = wanted
		if err := wanted.Scope.known(ctx, tx, workspace); err != nil {
			return core.Event{}, err
		}
		if _, err := tx.Exec(ctx, updateCampaign, wanted.args()); err != nil {
			return core.Event{}, taken(err)
		}
		return core.NewEvent(core.ReviewCampaignChanged, workspace, cause, now, wanted.Target()).With("before", before.text()).With("after", wanted.text()), nil
	})
	return after, err
}

const deleteCampaign = `delete from review_campaigns where workspace_id = @workspace and id = @id`

// Remove takes a campaign away. What it asked stays, and goes on.
func (r *Reviews) Remove(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		before, err := postgres.One[Campaign](ctx, tx, "campaign", selectCampaign+` for update`, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		if err != nil {
			return core.Event{}, err
		}
		_, err = tx.Exec(ctx, deleteCampaign, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
		return core.NewEvent(core.ReviewCampaignRemoved, workspace, cause, r.now(), before.Target()).With("before", before.text()), postgres.Classify(err)
	})
}

func taken(err error) error {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && server.ConstraintName == "review_campaign_name" {
		return core.Conflict("name", "another campaign has this name").WithCode("review_campaign_name").Because(err)
	}
	return postgres.Classify(err)
}

func (c Campaign) args() pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"id": c.ID, "workspace": c.Workspace, "name": c.Name, "scope": c.Scope, "days": c.Days, "fallback": string(c.Fallback), "reminders": c.Reminders,
		"months": c.Months, "anchor": c.Anchor, "next": c.Next, "version": c.Version, "created": c.Created, "updated": c.Updated,
	}
}

// text is what an event says a campaign was.
func (c Campaign) text() string {
	text, err := json.Marshal(struct {
		Name      string     `json:"name"`
		Scope     Scope      `json:"scope"`
		Days      int        `json:"days"`
		Fallback  Verdict    `json:"fallback"`
		Reminders []int      `json:"reminders"`
		Months    int        `json:"months,omitempty"`
		Anchor    *time.Time `json:"anchor,omitempty"`
	}{c.Name, c.Scope, c.Days, c.Fallback, c.Reminders, c.Months, c.Anchor})
	if err != nil {
		return ""
	}
	return string(text)
}

func number(count int) string { return strconv.Itoa(count) }
