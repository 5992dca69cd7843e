package reviews

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// Trigger is what a review began for.
type Trigger string

// The triggers. Reviews of all but the first are small ones.
const (
	TriggerCampaign    Trigger = "campaign"
	TriggerOwnerChange Trigger = "owner_change" // somebody became an owner
	TriggerScopeGrowth Trigger = "scope_growth" // a service account may do more than before
	TriggerUnused      Trigger = "unused"       // nobody used it for UnusedDays
)

// State is how far a review has come.
type State string

// The states.
const (
	Open    State = "open"    // reviewers decide
	Closing State = "closing" // the last day is over: the default is being carried out
	Closed  State = "closed"
)

// Review is a list of items that are to be decided until the end of a day.
type Review struct {
	ID        core.ID    `db:"id"`
	Workspace core.ID    `db:"workspace_id"`
	Campaign  core.ID    `db:"campaign_id"` // zero: of a small one, or of a campaign that is gone
	Trigger   Trigger    `db:"trigger"`
	Name      string     `db:"name"`
	Scope     *Scope     `db:"scope"` // of a campaign
	Cause     core.Cause `db:"cause"`
	Started   time.Time  `db:"started"`
	Due       time.Time  `db:"due"` // when the last day ends
	Fallback  Verdict    `db:"fallback"`
	Reminders []int      `db:"reminders"`
	Items     int        `db:"items"`
	State     State      `db:"state"`
	Closed    *time.Time `db:"closed"`
	Cancelled *string    `db:"cancelled"` // why, if it was
	Issued    int        `db:"issued"`    // number of the latest signed evidence; 0: none yet
	Complete  bool       `db:"complete"`  // by it, everything that was decided is done
	Progress
}

// Progress is how many items have which decision.
type Progress struct {
	Kept      int `db:"kept"`
	Revoked   int `db:"revoked"`
	Changed   int `db:"changed"`
	Ended     int `db:"ended"`     // the access was gone before anybody decided
	Defaulted int `db:"defaulted"` // of the kept and revoked: nobody decided
	Failed    int `db:"failed"`    // could not be done
}

// Decided is how many items have a decision.
func (p Progress) Decided() int { return p.Kept + p.Revoked + p.Changed + p.Ended }

// Undecided is how many have none.
func (r Review) Undecided() int { return r.Items - r.Decided() }

// LastDay is the day the review ends with.
func (r Review) LastDay() time.Time { return r.Due.AddDate(0, 0, -1) }

// Target is the review as what something happened to.
func (r Review) Target() core.Target { return core.Target{Kind: "review", ID: r.ID, Name: r.Name} }

const reviewColumns = `r.id, r.workspace_id, r.campaign_id, r.trigger, r.name, r.scope, r.cause, r.started, r.due, r.fallback, r.reminders, r.items,
	r.state, r.closed, r.cancelled, r.issued, r.complete`

const selectReviews = `
select ` + reviewColumns + `, coalesce(r.counts[1], n.kept) as kept, coalesce(r.counts[2], n.revoked) as revoked, coalesce(r.counts[3], n.changed) as changed,
	coalesce(r.counts[4], n.ended) as ended, coalesce(r.counts[5], n.defaulted) as defaulted, coalesce(r.counts[6], n.failed) as failed
from (
	select * from reviews r
	where r.workspace_id = @workspace and (@state = '' or r.state = @state) and (@trigger = '' or r.trigger = @trigger)
		and (@campaign::uuid is null or r.campaign_id = @campaign) and (@review::uuid is null or r.id = @review)
		and (@after::uuid is null or (r.started, r.id) < (select started, id from reviews where workspace_id = @workspace and id = @after))
	order by r.started desc, r.id desc limit @limit
) r
cross join lateral (` + counting + `
) n
order by r.started desc, r.id desc`

// counting is how many of a review r's items have which decision. Of a closed one that is known.
const counting = `
	select coalesce(sum(k.items) filter (where k.decision = 'keep'), 0)::integer as kept,
		coalesce(sum(k.items) filter (where k.decision = 'revoke'), 0)::integer as revoked,
		coalesce(sum(k.items) filter (where k.decision = 'change'), 0)::integer as changed,
		coalesce(sum(k.items) filter (where k.decision = 'ended'), 0)::integer as ended,
		coalesce(sum(k.defaulted), 0)::integer as defaulted, coalesce(sum(k.failed), 0)::integer as failed
	from (
		select i.decision, count(*) as items, count(*) filter (where i.defaulted) as defaulted, count(*) filter (where i.failure <> '') as failed
		from review_items i where r.counts is null and i.workspace_id = r.workspace_id and i.review_id = r.id and i.decision is not null
		group by i.decision
	) k`

// Query narrows List. The zero query is the workspace's latest reviews.
type Query struct {
	State    State
	Trigger  Trigger
	Campaign core.ID
	After    core.ID // the last review of the page before
	Limit    int     // default 100, at most 500
}

// List gives reviews, latest first, a page at a time. It asks nobody's leave: the caller does.
func (r *Reviews) List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Review, error) {
	return postgres.Many[Review](ctx, q, selectReviews, pgx.StrictNamedArgs{
		"workspace": workspace, "state": string(query.State), "trigger": string(query.Trigger), "campaign": query.Campaign,
		"review": core.ID{}, "after": query.After, "limit": postgres.Page(query.Limit),
	})
}

// Review finds one. It asks nobody's leave: the caller does.
func (r *Reviews) Review(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Review, error) {
	return postgres.One[Review](ctx, q, "review", selectReviews, pgx.StrictNamedArgs{
		"workspace": workspace, "state": "", "trigger": "", "campaign": core.ID{}, "review": id, "after": core.ID{}, "limit": 1,
	})
}

const insertReview = `
insert into reviews (id, workspace_id, campaign_id, trigger, occasion, name, scope, cause, started, due, fallback, reminders, items, look)
values (@id, @workspace, @campaign, @trigger, @occasion, @name, @scope, @cause, @started, @due, @fallback, @reminders, 0, @started)
on conflict (workspace_id, trigger, occasion) where occasion <> '' do nothing`

const updateItems = `update reviews set items = @items, look = @now where workspace_id = @workspace and id = @id`

func (r *Reviews) insert(ctx context.Context, tx pgx.Tx, review Review, occasion string) error {
	_, err := tx.Exec(ctx, insertReview, pgx.StrictNamedArgs{
		"id": review.ID, "workspace": review.Workspace, "campaign": review.Campaign, "trigger": string(review.Trigger), "occasion": occasion,
		"name": review.Name, "scope": review.Scope, "cause": review.Cause, "started": review.Started, "due": review.Due,
		"fallback": string(review.Fallback), "reminders": review.Reminders,
	})
	return postgres.Classify(err)
}

// begun tells that a review began.
func (r Review) begun(cause core.Cause) core.Event {
	return core.NewEvent(core.ReviewStarted, r.Workspace, cause, r.Started, r.Target()).With("trigger", string(r.Trigger)).
		With("items", number(r.Items)).With("due", r.Due.Format(time.RFC3339)).With("fallback", string(r.Fallback))
}

// Start begins a review of a campaign now. What it asks is written down as it is at this moment. Administrators may.
// A campaign that would ask nothing is a Conflict, one that would ask too much Invalid.
func (r *Reviews) Start(ctx context.Context, cause core.Cause, workspace, campaign core.ID) (Review, error) {
	var begun Review
	err := r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		of, err := postgres.One[Campaign](ctx, tx, "campaign", selectCampaign+` for no key update`, pgx.StrictNamedArgs{"workspace": workspace, "id": campaign})
		if err != nil {
			return core.Event{}, err
		}
		if begun, err = r.begin(ctx, tx, cause, of); err != nil {
			return core.Event{}, err
		}
		if begun.Items == 0 {
			return core.Event{}, core.Conflict("scope", "there is nothing to be asked: nobody has such access now").WithCode("nothing_to_review")
		}
		return begun.begun(cause), nil
	})
	return begun, err
}

// begin makes a review of a locked campaign.
func (r *Reviews) begin(ctx context.Context, tx pgx.Tx, cause core.Cause, of Campaign) (Review, error) {
	now := r.now()
	begun := Review{
		ID: core.NewID(), Workspace: of.Workspace, Campaign: of.ID, Trigger: TriggerCampaign, Name: of.Name, Scope: &of.Scope, Cause: cause, Started: now,
		Due: day(now).AddDate(0, 0, of.Days+1), Fallback: of.Fallback, Reminders: of.Reminders, State: Open,
	}
	if err := r.insert(ctx, tx, begun, ""); err != nil {
		return Review{}, err
	}
	var err error
	if begun.Items, err = r.freeze(ctx, tx, of.Workspace, begun.ID, 0, question{scope: of.Scope, limit: MaxItems + 1}); err != nil {
		return Review{}, err
	}
	if begun.Items > MaxItems {
		return Review{}, core.Invalid("scope", "a review has at most %d items; narrow the scope, by app or tag for example", MaxItems)
	}
	_, err = tx.Exec(ctx, updateItems, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": begun.ID, "items": begun.Items, "now": now})
	return begun, postgres.Classify(err)
}

const selectHeld = `select ` + reviewColumns + `, 0 as kept, 0 as revoked, 0 as changed, 0 as ended, 0 as defaulted, 0 as failed
from reviews r where r.workspace_id = @workspace and r.id = @id `

// lockOpen finds a review in which something can still be decided, and keeps it so.
func (r *Reviews) lockOpen(ctx context.Context, tx pgx.Tx, workspace, id core.ID, how string) (Review, error) {
	found, err := postgres.One[Review](ctx, tx, "review", selectHeld+how, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Review{}, err
	}
	if found.State != Open || !r.now().Before(found.Due) {
		return Review{}, core.Conflict("review", "this review is over; nothing is decided in it any more").WithCode("review_over")
	}
	return found, nil
}

const cancelReview = `
update reviews set state = 'closed', closed = @now, cancelled = @why, look = @now where workspace_id = @workspace and id = @id`

// Cancel ends a review before its time: what is decided stays done, what is not is left as it is. Administrators may.
func (r *Reviews) Cancel(ctx context.Context, cause core.Cause, workspace, review core.ID, why string) error {
	why, err := reasoned(why)
	if err != nil {
		return err
	}
	return r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		of, err := r.lockOpen(ctx, tx, workspace, review, `for no key update`)
		if err != nil {
			return core.Event{}, err
		}
		now := r.now()
		_, err = tx.Exec(ctx, cancelReview, pgx.StrictNamedArgs{"workspace": workspace, "id": review, "now": now, "why": why})
		return core.NewEvent(core.ReviewCancelled, workspace, cause, now, of.Target()).Because(why), postgres.Classify(err)
	})
}

const selectCampaignDue = `select ` + campaignColumns + ` from review_campaigns where next <= @now order by next limit 1 for no key update skip locked`

const advanceCampaign = `update review_campaigns set next = @next where workspace_id = @workspace and id = @id`

// comeAgain begins the review of the campaign, of any workspace, that has waited longest for it. What was missed is
// made up for once.
func (r *Reviews) comeAgain(ctx context.Context) (found bool, err error) {
	var of Campaign
	err = r.tx(ctx, func(tx pgx.Tx) error {
		now := r.now()
		of, err = postgres.One[Campaign](ctx, tx, "campaign", selectCampaignDue, pgx.StrictNamedArgs{"now": now})
		if found = err == nil; !found {
			if core.KindOf(err) == core.KindNotFound {
				return nil
			}
			return err
		}
		if _, err := tx.Exec(ctx, advanceCampaign, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "next": following(*of.Anchor, of.Months, now)}); err != nil {
			return postgres.Classify(err)
		}
		cause := core.NewCause(core.System, now)
		begun, err := r.begin(ctx, tx, cause, of)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, begun.begun(cause))
	})
	if err == nil || !found {
		return found, err
	}
	err = fmt.Errorf("campaign %s of workspace %s: %w", of.ID, of.Workspace, err)
	if _, failed := r.DB.Exec(ctx, advanceCampaign, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID, "next": r.now().Add(lookAgain)}); failed != nil {
		return false, errors.Join(err, postgres.Classify(failed))
	}
	return true, err
}
