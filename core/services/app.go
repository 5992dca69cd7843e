package services

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// A credential that an app holds is a token of an account there. The app is asked outside of transactions, one thing after the other,
// and what is to be asked follows from what is stored:
//
//	planned ──► the app makes one ──► created ──► the app lets it in ──► distributed ─► verified ──► the app ends the old ──► done
//	                 │ nobody heard                    │ it does not                                    │ and lets it in no more
//	                 └─► what was made is ended        └─► the app ends the new ──► rolled_back

// appWork is what an app has to be asked for a credential.
type appWork struct {
	Making      string     `db:"making"`
	Removing    bool       `db:"removing"`
	Fence       int        `db:"fence"`
	LeaseUntil  *time.Time `db:"lease_until"`
	Attempts    int        `db:"attempts"`
	NextAttempt *time.Time `db:"next_attempt"`
	Detail      string     `db:"detail"`
}

const lockWork = `
select making, removing, fence, lease_until, attempts, next_attempt, detail from service_app_work
where workspace_id = @workspace and credential_id = @credential for update`

const updateWork = `
update service_app_work set making = @making, removing = @removing, fence = @fence, lease_until = @lease, attempts = @attempts,
	next_attempt = @next, detail = @detail
where workspace_id = @workspace and credential_id = @credential`

const upsertWork = `
insert into service_app_work (workspace_id, credential_id, next_attempt) values (@workspace, @credential, @now)
on conflict (workspace_id, credential_id) do update set next_attempt = @now, attempts = 0`

func (s *Services) lockWork(ctx context.Context, tx pgx.Tx, b *bench) (appWork, error) {
	return postgres.One[appWork](ctx, tx, "credential", lockWork, pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID})
}

func (s *Services) saveWork(ctx context.Context, tx pgx.Tx, b *bench, work appWork) error {
	_, err := tx.Exec(ctx, updateWork, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "credential": b.Credential.ID, "making": work.Making, "removing": work.Removing, "fence": work.Fence,
		"lease": work.LeaseUntil, "attempts": work.Attempts, "next": work.NextAttempt, "detail": work.Detail,
	})
	return postgres.Classify(err)
}

// ask has the app asked soon for what there is to do.
func (s *Services) ask(ctx context.Context, tx pgx.Tx, b *bench) error {
	_, err := tx.Exec(ctx, upsertWork, pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID, "now": s.now()})
	return postgres.Classify(err)
}

// order plans a rotation whose new value the app makes. One that is planned is only asked for again.
func (s *Services) order(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, reason Reason) ([]core.Event, error) {
	if err := s.ask(ctx, tx, b); err != nil || b.Rotation != nil {
		return nil, err
	}
	old, _ := b.given()
	return s.begin(ctx, tx, cause, b, reason, old.Version, "the app makes the new value")
}

const updateEnding = `
update service_versions set ending = @now, ending_reason = @reason
where workspace_id = @workspace and credential_id = @credential and version = @version and ending is null`

// end has the app end a value, which is given out no more. One that is ending already is asked about again soon.
func (s *Services) end(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, version Version, reason string) ([]core.Event, error) {
	if _, err := tx.Exec(ctx, updateEnding, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "now": s.now(), "reason": reason,
	}); err != nil {
		return nil, postgres.Classify(err)
	}
	if err := s.ask(ctx, tx, b); err != nil || version.Ending != nil || b.Rotation == nil {
		return nil, err
	}
	why := fmt.Sprintf("the app is asked to end version %d", version.Version)
	if reason != "" {
		why += ": " + reason
	}
	return s.step(ctx, tx, cause, b, b.Rotation.State, why)
}

const updateRemoving = `update service_app_work set removing = true where workspace_id = @workspace and credential_id = @credential`

// removeFromApp has the app end all values of a credential, which goes then.
func (s *Services) removeFromApp(ctx context.Context, tx pgx.Tx, b *bench) error {
	for _, version := range b.Versions {
		if version.Revoked != nil {
			continue
		}
		if _, err := tx.Exec(ctx, updateEnding, pgx.StrictNamedArgs{
			"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "now": s.now(), "reason": "",
		}); err != nil {
			return postgres.Classify(err)
		}
	}
	if _, err := tx.Exec(ctx, updateRemoving, pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID}); err != nil {
		return postgres.Classify(err)
	}
	return s.ask(ctx, tx, b)
}
