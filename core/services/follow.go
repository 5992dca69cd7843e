package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// cursor is how far Services have read the log.
const cursor = "services"

const (
	lookEvery = time.Second
	// tickEvery is how often what time asks for is looked for, and judgeEvery how often all owners are looked at.
	tickEvery  = 10 * time.Second
	judgeEvery = 10 * time.Minute
	page       = 500
	together   = 200
)

// Run looks after owners and does what is due, until ctx ends. It may run in many processes.
func (s *Services) Run(ctx context.Context) error {
	look, tick, judge := time.NewTicker(lookEvery), time.NewTicker(tickEvery), time.NewTicker(judgeEvery)
	defer look.Stop()
	defer tick.Stop()
	defer judge.Stop()
	s.warn(ctx, s.JudgeAll(ctx)) // who was there before anybody looked
	carrying := make(chan struct{})
	go func() {
		defer close(carrying)
		s.carryAll(ctx)
	}()
	for {
		select {
		case <-ctx.Done():
			<-carrying
			return nil
		case <-look.C:
			_, err := s.Follow(ctx)
			s.warn(ctx, err)
		case <-tick.C:
			s.warn(ctx, s.Tick(ctx))
		case <-judge.C:
			s.warn(ctx, s.JudgeAll(ctx))
		}
	}
}

func (s *Services) warn(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && s.Log != nil {
		s.Log.WarnContext(ctx, "service accounts cannot be kept up", "error", err)
	}
}

// fateful are the events after which somebody may own something no more, or again.
var fateful = []core.EventType{
	core.UserDeprovisioned, core.UserReactivated, core.UserDeleted, core.UserUpdated, core.UserRestored, core.UserDepartureHeld, core.UserDepartureWithdrawn,
	core.TeamDeleted, core.TeamMemberAdded, core.TeamMemberRemoved, core.ServiceAccountCreated,
}

const selectConcerned = `
select o.service_account_id from service_owners o
where o.workspace_id = @workspace and (o.user_id = any(@ids::uuid[]) or o.team_id = any(@ids::uuid[]) or o.team_id in (
	select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = any(@ids::uuid[])))
union
select a.id from service_accounts a where a.workspace_id = @workspace and a.id = any(@ids::uuid[])
order by 1`

// Follow reads the log of all workspaces on from where it was read to, looks at the owners it concerns, and returns how many events it read.
func (s *Services) Follow(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		read := 0
		err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
			position, err := audit.Cursor(ctx, tx, cursor)
			if err != nil {
				return nil, err
			}
			records, err := audit.After(ctx, tx, position, page)
			if read = len(records); err != nil || read == 0 {
				return nil, err
			}
			concerned := map[core.ID][]core.ID{} // workspace to whom events are about
			left := map[core.ID][]core.ID{}      // workspace to who left
			var workspaces []core.ID
			for _, record := range records {
				if !slices.Contains(fateful, record.Event.Type) {
					continue
				}
				workspace := record.Event.Workspace
				if concerned[workspace] == nil {
					workspaces = append(workspaces, workspace)
				}
				for _, target := range record.Event.Targets {
					concerned[workspace] = append(concerned[workspace], target.ID)
				}
				if record.Event.Type == core.UserDeprovisioned && len(record.Event.Targets) > 0 {
					left[workspace] = append(left[workspace], record.Event.Targets[0].ID)
				}
			}
			var events []core.Event
			for _, workspace := range workspaces {
				found, err := postgres.Column[core.ID](ctx, tx, selectConcerned, pgx.StrictNamedArgs{"workspace": workspace, "ids": concerned[workspace]})
				if err != nil {
					return nil, err
				}
				told, err := s.judge(ctx, tx, core.NewCause(core.System, s.now()), workspace, found...)
				if err != nil {
					return nil, err
				}
				known, err := s.leftKnowing(ctx, tx, core.NewCause(core.System, s.now()), workspace, left[workspace])
				if err != nil {
					return nil, err
				}
				events = slices.Concat(events, told, known)
			}
			return events, audit.MoveCursor(ctx, tx, cursor, records[read-1].Position)
		})
		if err != nil {
			return total, err
		}
		total += read
		if read < page {
			break
		}
	}
	return total, nil
}

// due is a row that is to be looked at.
type due struct {
	Workspace core.ID `db:"workspace_id"`
	ID        core.ID `db:"id"`
}

const selectMisjudged = `
select found.workspace_id, found.id from (` + columns + `) found
where (found.people < 2 and found.teams = 0) <> exists (
	select from service_findings f
	where f.workspace_id = found.workspace_id and f.service_account_id = found.id and f.kind in ('ownerless', 'one_owner') and f.state <> 'resolved')
order by found.id`

// JudgeAll looks at the owners of every service account.
func (s *Services) JudgeAll(ctx context.Context) error {
	return s.each(ctx, "owners of service account", selectMisjudged, pgx.StrictNamedArgs{}, func(tx pgx.Tx, cause core.Cause, one due) ([]core.Event, error) {
		return s.judge(ctx, tx, cause, one.Workspace, one.ID)
	})
}

// each does something about every row a query finds, in a transaction each. One that fails keeps no other from being looked at.
func (s *Services) each(ctx context.Context, what, query string, args pgx.StrictNamedArgs, work func(tx pgx.Tx, cause core.Cause, one due) ([]core.Event, error)) error {
	found, err := postgres.Many[due](ctx, s.DB, query, args)
	if err != nil {
		return err
	}
	var failed error
	for _, one := range found {
		if ctx.Err() != nil {
			break
		}
		err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) { return work(tx, core.NewCause(core.System, s.now()), one) })
		if err != nil && core.KindOf(err) != core.KindNotFound { // removed meanwhile
			failed = errors.Join(failed, fmt.Errorf("%s %s of workspace %s: %w", what, one.ID, one.Workspace, err))
		}
	}
	return failed
}

const selectNotAdopted = `
select distinct t.workspace_id, t.service_account_id as id from service_account_tokens t
where (t.expires is null or t.expires > @now) and not exists (
	select from service_versions v where v.workspace_id = t.workspace_id and v.token_id = t.id)
limit @limit`

const selectExpiring = `
select v.workspace_id, v.credential_id as id from service_versions v
join service_credentials c on c.workspace_id = v.workspace_id and c.id = v.credential_id
where v.revoked is null and v.expires <= @soon and not exists (
	select from service_findings f
	where f.workspace_id = v.workspace_id and f.service_account_id = c.service_account_id and f.kind = 'expires_soon'
		and f.cause = v.credential_id || ' ' || v.version)
order by v.expires limit @limit`

const selectScheduled = `select workspace_id, id from service_credentials where next <= @now order by next limit @limit`

// Only what Postern itself ends: that the old value of another system is revoked there is for a person to say.
const selectVerified = `
select r.workspace_id, r.credential_id as id from service_rotations r
join service_credentials c on c.workspace_id = r.workspace_id and c.id = r.credential_id
where r.finished is null and r.state = 'verified' and c.held in ('postern', 'app') and r.updated + c.overlap <= @now
order by r.updated limit @limit`

const selectBehind = `
select c.workspace_id, c.id from service_credentials c
join credential_versions a on a.workspace_id = c.workspace_id and a.account_id = c.account_id and a.field = 'password' and a.label = 'current'
left join service_rotations r on r.workspace_id = c.workspace_id and r.credential_id = c.id and r.finished is null
where c.held = 'account' and (r.state = 'verified' or not exists (
	select from service_versions v
	where v.workspace_id = c.workspace_id and v.credential_id = c.id and v.revoked is null and v.login_version = a.version))
limit @limit`

// Tick does what is due now, in all workspaces: rotations the schedule asks for, those that only waited for the old value to be unused, what
// apps' own rotations did, and what expires soon. Killed at any point it goes on where it was.
func (s *Services) Tick(ctx context.Context) error {
	now := s.now()
	return errors.Join(
		s.each(ctx, "tokens of service account", selectNotAdopted, pgx.StrictNamedArgs{"now": now, "limit": together},
			func(tx pgx.Tx, _ core.Cause, one due) ([]core.Event, error) {
				if _, err := s.lock(ctx, tx, one.Workspace, one.ID); err != nil {
					return nil, err
				}
				return nil, s.adopt(ctx, tx, one.Workspace, one.ID)
			}),
		s.eachCredential(ctx, selectBehind, pgx.StrictNamedArgs{"limit": together}, s.keepUp),
		s.eachCredential(ctx, selectScheduled, pgx.StrictNamedArgs{"now": now, "limit": together}, s.due),
		s.eachCredential(ctx, selectVerified, pgx.StrictNamedArgs{"now": now, "limit": together},
			func(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error) {
				if _, ending := b.ending(); ending || b.Rotation == nil || b.Rotation.State != Verified || !b.quiet(now) {
					return nil, nil
				}
				return s.finish(ctx, tx, cause, b, "the old value was used no more")
			}),
		s.each(ctx, "findings about service account", selectForgotten, pgx.StrictNamedArgs{"now": now, "limit": together},
			func(tx pgx.Tx, cause core.Cause, one due) ([]core.Event, error) {
				account, err := s.lock(ctx, tx, one.Workspace, one.ID)
				if err != nil {
					return nil, err
				}
				return s.forget(ctx, tx, cause, account)
			}),
		s.eachCredential(ctx, selectExpiring, pgx.StrictNamedArgs{"soon": now.Add(cmp.Or(max(s.Notice, 0), DefaultNotice)), "limit": together}, s.expiring),
	)
}

func (s *Services) eachCredential(ctx context.Context, query string, args pgx.StrictNamedArgs, work func(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error)) error {
	return s.each(ctx, "credential", query, args, func(tx pgx.Tx, cause core.Cause, one due) ([]core.Event, error) {
		b, err := s.at(ctx, tx, one.Workspace, one.ID)
		if err != nil {
			return nil, err
		}
		return work(ctx, tx, cause, b)
	})
}

// due plans the rotation the schedule asks for: a new value that no app makes is for an owner to make, who alone can take it to where it is used. The next
// one is asked for once this one is done.
func (s *Services) due(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error) {
	if b.Credential.Next == nil || b.Credential.Next.After(s.now()) {
		return nil, nil
	}
	if err := s.schedule(ctx, tx, b, nil); err != nil || b.Rotation != nil {
		return nil, err
	}
	if b.Credential.Held == InApp {
		return s.order(ctx, tx, cause, b, BySchedule)
	}
	old, _ := b.given()
	return s.begin(ctx, tx, cause, b, BySchedule, old.Version, "an owner makes the new value")
}

// expiryOf names what expires.
func expiryOf(credential core.ID, version int) string {
	return fmt.Sprintf("%s %d", credential, version)
}

// expiring tells that a value ends soon.
func (s *Services) expiring(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error) {
	var events []core.Event
	soon := s.now().Add(cmp.Or(max(s.Notice, 0), DefaultNotice))
	for _, version := range b.Versions {
		if version.Revoked != nil || version.Expires == nil || version.Expires.After(soon) {
			continue
		}
		detail := fmt.Sprintf("its %s %q expires on %s; rotate it before", b.Credential.Kind, b.Credential.Name, version.Expires.UTC().Format("2 January 2006 15:04 UTC"))
		opened, err := s.raise(ctx, tx, cause, b.Account, ExpiresSoon, expiryOf(b.Credential.ID, version.Version), detail, once)
		if err != nil {
			return nil, err
		}
		events = append(events, opened...)
	}
	return events, nil
}
