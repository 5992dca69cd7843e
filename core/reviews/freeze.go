package reviews

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// MaxItems bounds a review.
const MaxItems = 50_000

// selectAsked finds the access a scope is about. Access through a team is the team's; when it was last used is when
// somebody of it last did. Of small reviews it narrows what an event named, or passes over what was asked of late.
const selectAsked = `
select * from (
	select * from (` + selectAccess + `) access
	union all
	select * from (` + selectScoped + `) scoped
) asked
order by id
limit @limit`

// What a service account may do in Postern is one access: its scopes.
const selectScoped = `
select s.id, s.workspace_id, null::uuid as grant_id, null::uuid as account_id, null::uuid as user_id, null::uuid as team_id, s.id as service_account_id,
	'service_account' as kind, 'Postern' as app_name, 'API' as username, s.name as subject, array_to_string(s.scopes, ' ') as role, s.purpose,
	@giver::text as giver, @avoid::uuid as avoid_id, coalesce(@given::timestamptz, s.created) as given, null::timestamptz as expires, used.last as last_used
from service_accounts s
cross join lateral (select max(x.last) as last from service_uses x where x.workspace_id = s.workspace_id and x.service_account_id = s.id) used
where s.workspace_id = @workspace and 'service_account' = any(@kinds::text[]) and cardinality(s.scopes) > 0
	and cardinality(@apps::uuid[]) = 0 and cardinality(@tags::text[]) = 0 and cardinality(@accounts::uuid[]) = 0 and @role = ''
	and (cardinality(@services::uuid[]) = 0 or s.id = any(@services))
	and (@older = 0 or s.created <= @now::timestamptz - make_interval(days => @older))
	and (@unused = 0 or greatest(s.created, used.last) <= @now::timestamptz - make_interval(days => @unused))
	and (@after::uuid is null or s.id > @after)
order by s.id
limit @limit`

const selectAccess = `
select g.id, g.workspace_id, g.id as grant_id, g.account_id, g.user_id, g.team_id, null::uuid as service_account_id,
	case when g.team_id is not null then 'team' when u.role = 'guest' then 'guest' else 'user' end as kind,
	p.name as app_name, a.username, coalesce(nullif(u.display_name, ''), u.user_name, t.display_name, '') as subject,
	g.role, g.purpose, coalesce(g.giver ->> 'name', '') as giver,
	case when @small and g.giver ->> 'kind' = 'user' then (g.giver ->> 'id')::uuid end as avoid_id,
	g.created as given, g.expires, used.last as last_used
from grants g
join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
left join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
left join teams t on t.workspace_id = g.workspace_id and t.id = g.team_id
cross join lateral (select case when g.user_id is not null then (
		select max(e.seen) from exposures e
		where e.workspace_id = g.workspace_id and e.user_id = g.user_id and e.account_id = g.account_id and e.level not like '%entered'
	) else (
		select e.seen from exposures e
		where e.workspace_id = g.workspace_id and e.account_id = g.account_id and e.level not like '%entered' and exists (
			select from team_members m where m.workspace_id = g.workspace_id and m.team_id = g.team_id and m.user_id = e.user_id)
		order by e.seen desc limit 1
	) end as last
) used
where g.workspace_id = @workspace and g.revoked is null and (g.expires is null or g.expires > @now)
	and (cardinality(@apps::uuid[]) = 0 or a.app_id = any(@apps))
	and (cardinality(@tags::text[]) = 0 or a.tags && @tags)
	and (cardinality(@accounts::uuid[]) = 0 or a.id = any(@accounts))
	and not a.id = any(@excluded::uuid[])
	and (@role = '' or g.role = @role)
	and (cardinality(@kinds::text[]) = 0 or case when g.team_id is not null then 'team' when u.role = 'guest' then 'guest' else 'user' end = any(@kinds))
	and (@older = 0 or g.created <= @now::timestamptz - make_interval(days => @older))
	and (@unused = 0 or greatest(g.created, used.last) <= @now::timestamptz - make_interval(days => @unused))
	and (@after::uuid is null or g.id > @after)
	and (cardinality(@grants::uuid[]) = 0 or g.id = any(@grants) and not exists (
		select from grants b
		where b.workspace_id = g.workspace_id and b.account_id = g.account_id and b.role = 'owner' and b.revoked = g.created
			and b.revoke_cause = 'replaced' and (b.user_id = g.user_id or b.team_id = g.team_id)))
	and (not @fresh or not exists (
		select from review_items x join reviews w on w.workspace_id = x.workspace_id and w.id = x.review_id
		where x.workspace_id = g.workspace_id and x.grant_id = g.id
			and (x.decision is null and w.state = 'open' or x.decided > @now::timestamptz - make_interval(days => @unused))))
order by g.id
limit @limit`

// question is what is looked for: a scope, and of a small review what it is about.
type question struct {
	scope    Scope
	small    bool
	grants   []core.ID  // only of these: owners who were not owners before
	services []core.ID  // only of these: service accounts that may do more than before
	giver    core.Actor // who let them
	given    *time.Time // and when
	fresh    bool       // only what was not asked while it was unused
	after    core.ID
	limit    int
}

func (q question) args(workspace core.ID, now time.Time) pgx.StrictNamedArgs {
	kinds := make([]string, len(q.scope.Kinds))
	for i, kind := range q.scope.Kinds {
		kinds[i] = string(kind)
	}
	var avoid core.ID
	if q.giver.Kind == core.ActorUser {
		avoid = q.giver.ID
	}
	return pgx.StrictNamedArgs{
		"services": core.Each(q.services), "giver": q.giver.Name, "avoid": avoid, "given": q.given,
		"workspace": workspace, "now": now, "small": q.small, "apps": core.Each(q.scope.Apps), "tags": append([]string{}, q.scope.Tags...),
		"accounts": core.Each(q.scope.Accounts), "excluded": core.Each(q.scope.Excluded), "role": string(q.scope.Role), "kinds": kinds,
		"older": q.scope.OlderDays, "unused": q.scope.UnusedDays, "grants": core.Each(q.grants), "fresh": q.fresh, "after": q.after, "limit": q.limit,
	}
}

// Preview is one item a campaign would have if it began now.
type Preview struct {
	ID        core.ID    `db:"id"` // of the grant, or the service account
	Grant     core.ID    `db:"grant_id"`
	Account   core.ID    `db:"account_id"`
	Service   core.ID    `db:"service_account_id"`
	Kind      Kind       `db:"kind"`
	AppName   string     `db:"app_name"`
	Username  string     `db:"username"`
	Subject   string     `db:"subject"`
	Role      string     `db:"role"`
	Purpose   string     `db:"purpose"`
	Giver     string     `db:"giver"`
	Given     time.Time  `db:"given"`
	Expires   *time.Time `db:"expires"`
	LastUsed  *time.Time `db:"last_used"`
	Reviewer  core.ID    `db:"reviewer_id"`
	Reviewing string     `db:"reviewing"` // the reviewer's name
	AskedAs   AskedAs    `db:"asked_as"`
}

const selectPreview = `
with asked as materialized (` + selectAsked + `)
select i.id, i.grant_id, i.account_id, i.service_account_id, i.kind, i.app_name, i.username, i.subject, i.role, i.purpose, i.giver, i.given, i.expires, i.last_used,
	v.id as reviewer_id, coalesce(nullif(v.display_name, ''), v.user_name, '') as reviewing, ` + askedAs + ` as asked_as
from asked i` + chain + `
left join users v on v.workspace_id = i.workspace_id and v.id = ` + reviewer + `
order by i.id`

const countAsked = `select count(*) from (` + selectAsked + `) asked`

// Preview tells what a campaign, or a draft of one, would ask if it began now: how many items in all, up to one
// more than MaxItems, and a page of them behind one. Nothing is changed by it. It asks nobody's leave: the
// caller does.
func (r *Reviews) Preview(ctx context.Context, q postgres.Querier, workspace core.ID, scope Scope, after core.ID, limit int) (total int, found []Preview, err error) {
	if scope, err = scope.checked(); err != nil {
		return 0, nil, err
	}
	if err := scope.known(ctx, q, workspace); err != nil {
		return 0, nil, err
	}
	now := r.now()
	if err := q.QueryRow(ctx, countAsked, question{scope: scope, limit: MaxItems + 1}.args(workspace, now)).Scan(&total); err != nil {
		return 0, nil, postgres.Classify(err)
	}
	found, err = postgres.Many[Preview](ctx, q, selectPreview, question{scope: scope, after: after, limit: postgres.Page(limit)}.args(workspace, now))
	return total, found, err
}

const insertItems = `
with asked as materialized (` + selectAsked + `)
insert into review_items (id, workspace_id, review_id, place, account_id, grant_id, user_id, team_id, service_account_id, kind, app_name, username,
	subject, role, purpose, giver, avoid_id, given, expires, last_used, reviewer_id, asked_as)
select gen_random_uuid(), i.workspace_id, @review, @place + row_number() over (order by i.app_name, i.username, i.subject, i.id),
	i.account_id, i.grant_id, i.user_id, i.team_id, i.service_account_id, i.kind, i.app_name, i.username,
	i.subject, i.role, i.purpose, i.giver, i.avoid_id, i.given, i.expires, i.last_used, ` + reviewer + `, ` + askedAs + `
from asked i` + chain + `
where not exists (select from review_items x where x.workspace_id = i.workspace_id and x.review_id = @review
	and (x.grant_id = i.grant_id or x.service_account_id = i.service_account_id))`

// freeze writes down what a question finds, behind what a review has, and returns how many items that were.
func (r *Reviews) freeze(ctx context.Context, tx pgx.Tx, workspace, review core.ID, has int, asked question) (int, error) {
	args := asked.args(workspace, r.now())
	args["review"], args["place"] = review, has
	done, err := tx.Exec(ctx, insertItems, args)
	return int(done.RowsAffected()), postgres.Classify(err)
}
