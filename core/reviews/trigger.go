package reviews

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// UnusedDays is for how long access was not used that a small review asks about.
const UnusedDays = 90

// Setting is what a workspace says about the small reviews of a trigger.
type Setting struct {
	Trigger  Trigger `db:"trigger"`
	Enabled  bool    `db:"enabled"`
	Days     int     `db:"days"`     // reviewers have
	Fallback Verdict `db:"fallback"` // where nobody decides
}

// defaults hold about triggers of which a workspace says nothing: nothing is revoked by itself that no administrator
// asked for.
var defaults = []Setting{
	{TriggerOwnerChange, true, 14, Keep}, {TriggerScopeGrowth, true, 14, Keep}, {TriggerUnused, false, 14, Revoke},
}

const selectSettings = `select trigger, enabled, days, fallback from review_triggers where workspace_id = @workspace`

// Settings are what holds about small reviews, each trigger once.
func (r *Reviews) Settings(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Setting, error) {
	said, err := postgres.Many[Setting](ctx, q, selectSettings, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, err
	}
	all := slices.Clone(defaults)
	for i, one := range all {
		if at := slices.IndexFunc(said, func(s Setting) bool { return s.Trigger == one.Trigger }); at >= 0 {
			all[i] = said[at]
		}
	}
	return all, nil
}

func (r *Reviews) setting(ctx context.Context, q postgres.Querier, workspace core.ID, trigger Trigger) (Setting, error) {
	all, err := r.Settings(ctx, q, workspace)
	if err != nil {
		return Setting{}, err
	}
	return all[slices.IndexFunc(all, func(s Setting) bool { return s.Trigger == trigger })], nil
}

const lockWorkspace = `select name from workspaces where id = @workspace for no key update`

const upsertSetting = `
insert into review_triggers (workspace_id, trigger, enabled, days, fallback) values (@workspace, @trigger, @enabled, @days, @fallback)
on conflict (workspace_id, trigger) do update set enabled = excluded.enabled, days = excluded.days, fallback = excluded.fallback`

func (s Setting) check() error {
	if !slices.ContainsFunc(defaults, func(one Setting) bool { return one.Trigger == s.Trigger }) {
		return core.Invalid("trigger", "a small review's trigger is owner_change, scope_growth or unused")
	}
	if s.Days < 1 || s.Days > maxDays {
		return core.Invalid("days", "reviewers have 1 to %d days", maxDays)
	}
	if s.Fallback != Keep && s.Fallback != Revoke {
		return core.Invalid("fallback", "where nobody decides, access is kept or revoked")
	}
	return nil
}

// Set changes what holds about the small reviews of triggers that begin from now on. Administrators may.
func (r *Reviews) Set(ctx context.Context, cause core.Cause, workspace core.ID, settings ...Setting) error {
	for _, wanted := range settings {
		if err := wanted.check(); err != nil {
			return err
		}
	}
	return r.administer(ctx, cause, workspace, func(tx pgx.Tx) (core.Event, error) {
		target := core.Target{Kind: "workspace", ID: workspace}
		if err := tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&target.Name); err != nil {
			return core.Event{}, postgres.Classify(err)
		}
		event := core.NewEvent(core.ReviewSettingsChanged, workspace, cause, r.now(), target)
		changed := false
		for _, wanted := range settings {
			before, err := r.setting(ctx, tx, workspace, wanted.Trigger)
			if err != nil {
				return core.Event{}, err
			}
			if before == wanted {
				continue
			}
			if _, err := tx.Exec(ctx, upsertSetting, pgx.StrictNamedArgs{
				"workspace": workspace, "trigger": string(wanted.Trigger), "enabled": wanted.Enabled, "days": wanted.Days, "fallback": string(wanted.Fallback),
			}); err != nil {
				return core.Event{}, postgres.Classify(err)
			}
			event, changed = event.With(string(wanted.Trigger), wanted.text()).With("was_"+string(wanted.Trigger), before.text()), true
		}
		if !changed {
			return core.Event{}, nil
		}
		return event, nil
	})
}

func (s Setting) text() string {
	return fmt.Sprintf("enabled %s, %d days, then %s", strconv.FormatBool(s.Enabled), s.Days, s.Fallback)
}

// names are what small reviews are called.
var names = map[Trigger]string{TriggerOwnerChange: "New owners", TriggerScopeGrowth: "More scopes", TriggerUnused: "Unused for 90 days"}

const lockOccasion = `select ` + reviewColumns + `, 0 as kept, 0 as revoked, 0 as changed, 0 as ended, 0 as defaulted, 0 as failed
from reviews r where r.workspace_id = @workspace and r.trigger = @trigger and r.occasion = @occasion for no key update`

const deleteReview = `delete from reviews where workspace_id = @workspace and id = @id`

// small begins a small review about an occasion, or adds to the one there is while it is open. One that would ask
// nothing is not begun.
func (r *Reviews) small(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, by Setting, occasion, name string, asked question) error {
	now := r.now()
	asked.small, asked.limit = by.Trigger != TriggerUnused, MaxItems
	wanted := Review{
		ID: core.NewID(), Workspace: workspace, Trigger: by.Trigger, Name: name, Cause: cause, Started: now, State: Open,
		Due: day(now).AddDate(0, 0, by.Days+1), Fallback: by.Fallback, Reminders: remindersWithin(by.Days),
	}
	if err := r.insert(ctx, tx, wanted, occasion); err != nil {
		return err
	}
	of, err := postgres.One[Review](ctx, tx, "review", lockOccasion, pgx.StrictNamedArgs{"workspace": workspace, "trigger": string(by.Trigger), "occasion": occasion})
	if err != nil {
		return err
	}
	if of.State != Open || !now.Before(of.Due) {
		return nil
	}
	asked.limit -= of.Items
	added, err := r.freeze(ctx, tx, workspace, of.ID, of.Items, asked)
	if err != nil {
		return err
	}
	if of.Items += added; of.Items == 0 {
		_, err := tx.Exec(ctx, deleteReview, pgx.StrictNamedArgs{"workspace": workspace, "id": of.ID})
		return postgres.Classify(err)
	}
	if added == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, updateItems, pgx.StrictNamedArgs{"workspace": workspace, "id": of.ID, "items": of.Items, "now": now}); err != nil {
		return postgres.Classify(err)
	}
	if of.ID != wanted.ID {
		return nil
	}
	return audit.Append(ctx, tx, of.begun(cause))
}

// Looked for once a day, where it is switched on.
const selectSeek = `
select workspace_id, trigger, enabled, days, fallback from review_triggers
where trigger = 'unused' and enabled and (looked is null or looked <= @before)
order by looked nulls first, workspace_id limit 1 for no key update skip locked`

const updateLooked = `update review_triggers set looked = @now where workspace_id = @workspace and trigger = 'unused'`

// seekUnused begins the small review of what a workspace has come to leave unused. What was asked about it while it was
// is not asked again.
func (r *Reviews) seekUnused(ctx context.Context) (found bool, err error) {
	type seeking struct {
		Workspace core.ID `db:"workspace_id"`
		Setting
	}
	var by seeking
	err = r.tx(ctx, func(tx pgx.Tx) error {
		now := r.now()
		var err error
		by, err = postgres.One[seeking](ctx, tx, "trigger", selectSeek, pgx.StrictNamedArgs{"before": now.Add(-24 * time.Hour)})
		if found = err == nil; !found {
			if core.KindOf(err) == core.KindNotFound {
				return nil
			}
			return err
		}
		if _, err := tx.Exec(ctx, updateLooked, pgx.StrictNamedArgs{"workspace": by.Workspace, "now": now}); err != nil {
			return postgres.Classify(err)
		}
		return r.small(ctx, tx, core.NewCause(core.System, now), by.Workspace, by.Setting, now.Format(time.RFC3339Nano),
			names[TriggerUnused]+", "+now.Format(time.DateOnly), question{scope: Scope{UnusedDays: UnusedDays}, fresh: true})
	})
	if err == nil || !found || ctx.Err() != nil {
		return found && err == nil, err
	}
	err = fmt.Errorf("unused access of workspace %s: %w", by.Workspace, err)
	// Tried again in an hour: the others come first.
	if _, failed := r.DB.Exec(ctx, updateLooked, pgx.StrictNamedArgs{"workspace": by.Workspace, "now": r.now().Add(-23 * time.Hour)}); failed != nil {
		return false, errors.Join(err, postgres.Classify(failed))
	}
	return true, err
}
