package services

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// What a person was shown, or typed in, is core/directory's to write down: here is what follows when they leave. Owners or not, by a
// team or themselves, makes no difference to what they know.

const endExposure = `
update service_exposures set ended = @now where workspace_id = @workspace and credential_id = @credential and version = @version and ended is null`

// known is a live secret of a service account that somebody who left knows.
type known struct {
	ID      core.ID   `db:"id"`
	Account core.ID   `db:"service_account_id"`
	Kind    Kind      `db:"kind"`
	Name    string    `db:"name"` // of the credential; "" while it is only a token
	Who     string    `db:"who"`
	Seen    time.Time `db:"seen"`
}

func (k known) detail() string {
	what := fmt.Sprintf("its %s %q", k.Kind, k.Name)
	if k.Name == "" {
		what = "a token of its"
	}
	return fmt.Sprintf("%s has left and knows %s, since %s; rotate it, and revoke the old one", k.Who, what, k.Seen.UTC().Format("2 January 2006 15:04 UTC"))
}

const selectKnown = `
select e.id, e.service_account_id, e.kind, e.name, coalesce(nullif(u.display_name, ''), u.user_name) as who, e.seen
from service_exposures e
join users u on u.workspace_id = e.workspace_id and u.id = e.user_id
where e.workspace_id = @workspace and e.user_id = any(@users::uuid[]) and e.ended is null and (e.expires is null or e.expires > @now)
order by e.service_account_id, e.seen, e.id`

// leftKnowing opens a finding for each live secret that people who left know.
func (s *Services) leftKnowing(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, users []core.ID) ([]core.Event, error) {
	if len(users) == 0 {
		return nil, nil
	}
	found, err := postgres.Many[known](ctx, tx, selectKnown, pgx.StrictNamedArgs{"workspace": workspace, "users": users, "now": s.now()})
	if err != nil {
		return nil, err
	}
	var events []core.Event
	for _, one := range found {
		account, err := s.lock(ctx, tx, workspace, one.Account)
		if core.KindOf(err) == core.KindNotFound { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		opened, err := s.raise(ctx, tx, cause, account, KnownByLeaver, one.ID.String(), one.detail(), again)
		if err != nil {
			return nil, err
		}
		events = append(events, opened...)
	}
	return events, nil
}

// A token may be revoked past its credential, where nobody looks at what was found about it.
const forgotten = `
from service_findings f
where f.state <> 'resolved' and (f.kind = 'known_by_leaver' and exists (
		select from service_exposures e
		where e.workspace_id = f.workspace_id and e.service_account_id = f.service_account_id and e.id::text = f.cause and (e.ended is not null or e.expires <= @now))
	or f.kind = 'expires_soon' and exists (
		select from service_credentials c join service_versions v on v.workspace_id = c.workspace_id and v.credential_id = c.id
		where c.workspace_id = f.workspace_id and c.service_account_id = f.service_account_id and c.id || ' ' || v.version = f.cause
			and (v.revoked is not null or v.token_id is not null and not exists (
				select from service_account_tokens t where t.workspace_id = v.workspace_id and t.id = v.token_id))))`

const selectForgotten = `select distinct f.workspace_id, f.service_account_id as id` + forgotten + ` limit @limit`

const selectForgottenOf = `select f.kind, f.cause` + forgotten + ` and f.workspace_id = @workspace and f.service_account_id = @account order by f.id`

// forget ends the findings of a locked service account about what opens nothing any more.
func (s *Services) forget(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account) ([]core.Event, error) {
	type ending struct {
		Kind  FindingKind `db:"kind"`
		About string      `db:"cause"`
	}
	found, err := postgres.Many[ending](ctx, tx, selectForgottenOf, pgx.StrictNamedArgs{"workspace": account.Workspace, "account": account.ID, "now": s.now()})
	if err != nil {
		return nil, err
	}
	var events []core.Event
	for _, one := range found {
		ended, err := s.over(ctx, tx, cause, account, one.Kind, one.About)
		if err != nil {
			return nil, err
		}
		events = append(events, ended...)
	}
	return events, nil
}
