package reviews

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const lockScopes = `
select scopes from service_accounts where workspace_id = @workspace and id = @id and cardinality(scopes) > 0 for no key update`

// carryOutScopes does what was decided about a service account: all its scopes are kept, or all are taken. Whoever wants
// it to have fewer changes it.
func (r *Reviews) carryOutScopes(ctx context.Context, tx pgx.Tx, cause core.Cause, of Review, item Item, wanted Decision, defaulted bool) (Verdict, error) {
	if wanted.Verdict == Change {
		return "", core.Invalid("decision", "the scopes of a service account are all kept or all revoked; change the service account to leave it fewer").WithCode("not_narrowed")
	}
	rows, err := tx.Query(ctx, lockScopes, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": item.Service})
	if err != nil {
		return "", postgres.Classify(err)
	}
	has, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	switch {
	case err != nil:
		return "", postgres.Classify(err)
	case len(has) == 0:
		return Ended, r.settle(ctx, tx, cause, of, item, ended)
	case strings.Join(has[0], " ") != item.Role && !defaulted:
		return "", core.Stale("its scopes were changed meanwhile; look at it again").WithCode("changed")
	}
	if wanted.Verdict == Revoke {
		if err := r.Services.TakeScopes(ctx, tx, of.taker(cause), of.Workspace, item.Service); err != nil {
			return "", err
		}
	}
	return wanted.Verdict, r.settle(ctx, tx, cause, of, item, settlement{Verdict: wanted.Verdict, by: cause.Actor, reason: wanted.Reason, defaulted: defaulted})
}

// What it was removed with knows it no more.
const endScoped = `
update review_items i set decision = 'ended', decided = @at, decider = @by, reason = 'the access ended before anybody decided'
where i.workspace_id = @workspace and i.kind = 'service_account' and i.decision is null
	and not exists (select from service_accounts s where s.workspace_id = i.workspace_id and s.id = i.service_account_id and cardinality(s.scopes) > 0)
	and exists (select from reviews r where r.workspace_id = i.workspace_id and r.id = i.review_id and r.state <> 'closed')
returning i.review_id`

// scoped follows a service account that was changed or removed: undecided items say what its scopes are now, what it has
// no more is off everybody's list, and what it has come to have is asked about, of somebody else than who gave it.
func (r *Reviews) scoped(ctx context.Context, tx pgx.Tx, event core.Event) error {
	id, ok := target(event, "service_account")
	if _, told := event.Data["scopes"]; !ok || !told && event.Type != core.ServiceAccountDeleted {
		return nil
	}
	rows, err := tx.Query(ctx, endScoped, pgx.StrictNamedArgs{"workspace": event.Workspace, "at": event.Occurred, "by": core.System})
	if err != nil {
		return postgres.Classify(err)
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	if err != nil {
		return postgres.Classify(err)
	}
	if len(touched) > 0 {
		if _, err := tx.Exec(ctx, lookNow, pgx.StrictNamedArgs{"workspace": event.Workspace, "reviews": core.Each(touched), "now": r.now()}); err != nil {
			return postgres.Classify(err)
		}
	}
	if err := r.renewScopes(ctx, tx, event.Workspace, id); err != nil || event.Data["scopes_grew"] != "true" {
		return err
	}
	by, err := r.setting(ctx, tx, event.Workspace, TriggerScopeGrowth)
	if err != nil || !by.Enabled {
		return err
	}
	name := names[TriggerScopeGrowth]
	if service := event.Targets[0].Name; service != "" {
		name = core.Cut(name+": "+service, MaxName)
	}
	cause := core.Cause{Actor: core.System, Correlation: event.Correlation, Received: event.Occurred}
	return r.small(ctx, tx, cause, event.Workspace, by, event.ID.String(), name, question{
		scope: Scope{Kinds: []Kind{ServiceAccount}}, services: []core.ID{id}, giver: event.Actor, given: &event.Occurred,
	})
}

const renewScopes = `
update review_items i set role = array_to_string(s.scopes, ' '), changed = @now
from service_accounts s
where s.workspace_id = @workspace and s.id = @service and i.workspace_id = s.workspace_id and i.service_account_id = s.id
	and i.decision is null and i.role <> array_to_string(s.scopes, ' ')`

// renewScopes has undecided items about a service account say what its scopes are now.
func (r *Reviews) renewScopes(ctx context.Context, tx pgx.Tx, workspace, service core.ID) error {
	_, err := tx.Exec(ctx, renewScopes, pgx.StrictNamedArgs{"workspace": workspace, "service": service, "now": r.now()})
	return postgres.Classify(err)
}
