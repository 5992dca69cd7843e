package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// What holds for a workspace that says nothing else.
const (
	DefaultInterval  = 24 * time.Hour
	DefaultRetention = 90 * 24 * time.Hour
)

const (
	shortestInterval  = time.Hour
	longestInterval   = 90 * 24 * time.Hour
	shortestRetention = 24 * time.Hour
	longestRetention  = 3650 * 24 * time.Hour
)

// Settings are how often a workspace's accounts are looked at, and how long it is kept what was seen.
type Settings struct {
	Interval  time.Duration `db:"interval"` // about; 0: only when something happens
	Retention time.Duration `db:"retention"`
	// ResetDesynced has another password set, by the app's reconcile account or behind its forgotten-password mail, where a check
	// finds that the app refuses the stored one.
	ResetDesynced bool `db:"reset_desynced"`
	// Quiet mails nobody that an account needs a person.
	Quiet bool `db:"quiet"`
}

const selectSettings = `select interval, retention, reset_desynced, quiet from health_settings where workspace_id = @workspace`

// Settings reads the settings of a workspace, or the defaults where nobody has set any.
func (h *Health) Settings(ctx context.Context, q postgres.Querier, workspace core.ID) (Settings, error) {
	rows, err := q.Query(ctx, selectSettings, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return Settings{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Settings])
	if errors.Is(err, pgx.ErrNoRows) {
		return Settings{Interval: DefaultInterval, Retention: DefaultRetention}, nil
	}
	return found, postgres.Classify(err)
}

const lockWorkspace = `select name from workspaces where id = @workspace for no key update`

const upsertSettings = `
insert into health_settings (workspace_id, interval, retention, reset_desynced, quiet) values (@workspace, @interval, @retention, @reset, @quiet)
on conflict (workspace_id) do update set interval = excluded.interval, retention = excluded.retention, reset_desynced = excluded.reset_desynced,
	quiet = excluded.quiet`

// What happened is still looked into when it is due.
const spreadDues = `
update check_dues set due = case when @interval = interval '0' then null else @now::timestamptz + random() * @interval::interval end
where workspace_id = @workspace and reason = 'schedule' and (due is null or due > @now::timestamptz or @interval = interval '0')`

// SetSettings changes them. Accounts that are due by time alone are spread anew over the interval. Administrators may,
// service accounts and the system. With nothing to change nothing happens.
func (h *Health) SetSettings(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, wanted Settings) error {
	switch {
	case wanted.Interval != 0 && (wanted.Interval < shortestInterval || wanted.Interval > longestInterval) || wanted.Interval%time.Second != 0:
		return core.Invalid("interval", "0 for never, or 1 hour to 90 days, in whole seconds")
	case wanted.Retention < shortestRetention || wanted.Retention > longestRetention || wanted.Retention%time.Second != 0:
		return core.Invalid("retention", "1 day to 3650 days, in whole seconds")
	}
	if err := h.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
		return err
	}
	target := core.Target{Kind: "workspace", ID: workspace}
	if err := tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&target.Name); err != nil {
		return postgres.Classify(err)
	}
	before, err := h.Settings(ctx, tx, workspace)
	if err != nil || before == wanted {
		return err
	}
	if _, err := tx.Exec(ctx, upsertSettings, pgx.StrictNamedArgs{
		"workspace": workspace, "interval": wanted.Interval, "retention": wanted.Retention, "reset": wanted.ResetDesynced, "quiet": wanted.Quiet,
	}); err != nil {
		return postgres.Classify(err)
	}
	now := h.now()
	if before.Interval != wanted.Interval {
		if _, err := tx.Exec(ctx, spreadDues, pgx.StrictNamedArgs{"workspace": workspace, "interval": wanted.Interval, "now": now}); err != nil {
			return postgres.Classify(err)
		}
	}
	return audit.Append(ctx, tx, core.NewEvent(core.HealthSettingsChanged, workspace, cause, now, target).
		With("interval", wanted.Interval.String()).With("retention", wanted.Retention.String()).
		With("reset_desynced", strconv.FormatBool(wanted.ResetDesynced)).With("reset_desynced_before", strconv.FormatBool(before.ResetDesynced)).
		With("quiet", strconv.FormatBool(wanted.Quiet)).With("quiet_before", strconv.FormatBool(before.Quiet)).
		With("interval_before", before.Interval.String()).With("retention_before", before.Retention.String()))
}

// after is when an account is due next: about an interval later, so that accounts which are looked at together once
// are not for ever; nil if never.
func after(now time.Time, interval time.Duration) *time.Time {
	if interval == 0 {
		return nil
	}
	return new(now.Add(interval*3/4 + rand.N(interval/2)).Truncate(time.Microsecond))
}
