package reviews

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// Item is one access that is asked about.
type Item struct {
	ID       core.ID    `db:"id"`
	Review   core.ID    `db:"review_id"`
	Place    int        `db:"place"`
	Account  core.ID    `db:"account_id"`
	Grant    core.ID    `db:"grant_id"`
	User     core.ID    `db:"user_id"`
	Team     core.ID    `db:"team_id"`
	Service  core.ID    `db:"service_account_id"` // zero also when it was removed since
	Kind     Kind       `db:"kind"`
	AppName  string     `db:"app_name"`
	Username string     `db:"username"`
	Subject  string     `db:"subject"`
	Role     string     `db:"role"` // of a service account its scopes
	Purpose  string     `db:"purpose"`
	Giver    string     `db:"giver"` // empty: it was not kept
	Given    time.Time  `db:"given"`
	Expires  *time.Time `db:"expires"`
	LastUsed *time.Time `db:"last_used"` // when the review began; nil: never
	Changed  *time.Time `db:"changed"`   // it was given anew since

	Reviewer  core.ID `db:"reviewer_id"` // zero: administrators
	Reviewing string  `db:"reviewing"`   // their name
	AskedAs   AskedAs `db:"asked_as"`

	Decision   Verdict     `db:"decision"` // empty: none yet
	NewRole    string      `db:"new_role"`
	NewExpires *time.Time  `db:"new_expires"`
	Reason     string      `db:"reason"`
	Decided    *time.Time  `db:"decided"`
	Decider    *core.Actor `db:"decider"`
	Defaulted  bool        `db:"defaulted"`
	Failure    string      `db:"failure"` // why it could not be done
	Rotation   core.ID     `db:"rotation_id"`
}

// Target is who has the access.
func (i Item) Target() core.Target {
	switch i.Kind {
	case Team:
		return core.Target{Kind: "team", ID: i.Team, Name: i.Subject}
	case ServiceAccount:
		return core.Target{Kind: "service_account", ID: i.Service, Name: i.Subject}
	case User, Guest:
	}
	return core.Target{Kind: "user", ID: i.User, Name: i.Subject}
}

// targets are what the access is to, if that is an account, and who has it.
func (i Item) targets() []core.Target {
	if i.Kind == ServiceAccount {
		return []core.Target{i.Target()}
	}
	return []core.Target{accounts.Account{ID: i.Account, AppName: i.AppName, Username: i.Username}.Target(), i.Target()}
}

const selectItems = `
select i.id, i.review_id, i.place, i.account_id, i.grant_id, i.user_id, i.team_id, i.service_account_id, i.kind, i.app_name, i.username, i.subject,
	i.role, i.purpose, i.giver, i.given, i.expires, i.last_used, i.changed, i.reviewer_id,
	coalesce((select coalesce(nullif(v.display_name, ''), v.user_name) from users v where v.workspace_id = i.workspace_id and v.id = i.reviewer_id), '') as reviewing,
	i.asked_as, coalesce(i.decision, '') as decision, coalesce(i.new_role, '') as new_role, i.new_expires, i.reason, i.decided, i.decider, i.defaulted,
	i.failure, i.rotation_id
from review_items i
where i.workspace_id = @workspace and i.review_id = @review`

const selectItemPage = selectItems + `
	and i.place > coalesce((select x.place from review_items x where x.workspace_id = @workspace and x.review_id = @review and x.id = @after), 0)
	and (@reviewer::uuid is null or i.reviewer_id = @reviewer or @unasked and i.reviewer_id is null and i.user_id is distinct from @reviewer) and (@decision = '' or i.decision = @decision)`

// ItemQuery narrows Items. Only Review is needed.
type ItemQuery struct {
	Review    core.ID
	Reviewer  core.ID
	Unasked   bool // with Reviewer: what nobody is asked about too, but for their own
	Undecided bool
	Decision  Verdict
	After     core.ID // the last item of the page before
	Limit     int     // default 100, at most 500
}

// Items gives a review's items by app, account and name, a page at a time. It asks nobody's leave: the caller does.
func (r *Reviews) Items(ctx context.Context, q postgres.Querier, workspace core.ID, query ItemQuery) ([]Item, error) {
	sql := selectItemPage
	if query.Undecided {
		sql += ` and i.decision is null`
	}
	return postgres.Many[Item](ctx, q, sql+` order by i.place limit @limit`, pgx.StrictNamedArgs{
		"workspace": workspace, "review": query.Review, "reviewer": query.Reviewer, "unasked": query.Unasked, "decision": string(query.Decision), "after": query.After,
		"limit": postgres.Page(query.Limit),
	})
}

// Item finds one of a review's items. It asks nobody's leave: the caller does.
func (r *Reviews) Item(ctx context.Context, q postgres.Querier, workspace, review, id core.ID) (Item, error) {
	return postgres.One[Item](ctx, q, "item in this review", selectItems+` and i.id = @item`, pgx.StrictNamedArgs{"workspace": workspace, "review": review, "item": id})
}

// Waiting is a review with what somebody has to decide in it.
type Waiting struct {
	Review core.ID   `db:"id"`
	Name   string    `db:"name"`
	Due    time.Time `db:"due"`
	Items  int       `db:"waiting"`
	Keeps  bool      `db:"keeps"` // what is not decided is kept
}

// LastDay is the day the review ends with.
func (w Waiting) LastDay() time.Time { return w.Due.AddDate(0, 0, -1) }

const selectWaiting = `
select r.id, r.name, r.due, k.waiting::integer as waiting, r.fallback = 'keep' as keeps
from (
	select i.review_id, count(*) as waiting from review_items i
	where i.workspace_id = @workspace and (i.reviewer_id = @user or @unasked and i.reviewer_id is null and i.user_id is distinct from @user)
		and i.decision is null
	group by i.review_id
) k join reviews r on r.workspace_id = @workspace and r.id = k.review_id
where r.state = 'open' and r.due > @now
order by r.due, r.id limit 500`

// Waiting lists what waits for somebody, what ends first before the rest; with unasked what nobody is asked about too,
// which is for administrators.
func (r *Reviews) Waiting(ctx context.Context, q postgres.Querier, workspace, user core.ID, unasked bool) ([]Waiting, error) {
	return postgres.Many[Waiting](ctx, q, selectWaiting, pgx.StrictNamedArgs{"workspace": workspace, "user": user, "unasked": unasked, "now": r.now()})
}

// Asked is a reviewer, and how far they are.
type Asked struct {
	User    core.ID `db:"reviewer_id"` // zero: nobody in particular
	Name    string  `db:"name"`
	Items   int     `db:"items"`
	Decided int     `db:"decided"`
}

const selectReviewers = `
select k.reviewer_id, coalesce(nullif(u.display_name, ''), u.user_name, '') as name, k.items::integer as items, k.decided::integer as decided
from (
	select i.reviewer_id, count(*) as items, count(i.decision) as decided from review_items i
	where i.workspace_id = @workspace and i.review_id = @review group by i.reviewer_id
	order by count(*) - count(i.decision) desc, i.reviewer_id limit 500
) k left join users u on u.workspace_id = @workspace and u.id = k.reviewer_id
order by k.items - k.decided desc, k.reviewer_id`

// Reviewers lists who is asked, those with most to decide first.
func (r *Reviews) Reviewers(ctx context.Context, q postgres.Querier, workspace, review core.ID) ([]Asked, error) {
	return postgres.Many[Asked](ctx, q, selectReviewers, pgx.StrictNamedArgs{"workspace": workspace, "review": review})
}
