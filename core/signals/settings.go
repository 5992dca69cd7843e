package signals

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// The defaults of a workspace's settings.
const (
	DefaultWindow    = 5 * time.Minute
	DefaultRetention = 400 * 24 * time.Hour
)

// Settings are what a workspace may say about all its signals.
type Settings struct {
	Window    time.Duration // tellings this close together are one incident
	Retention time.Duration // how long receipts are kept
}

const selectSettings = `select gap, retention from signal_settings where workspace_id = @workspace`

// Settings reads a workspace's settings; the defaults if it has none.
func (s *Signals) Settings(ctx context.Context, q postgres.Querier, workspace core.ID) (Settings, error) {
	found := Settings{Window: DefaultWindow, Retention: DefaultRetention}
	err := q.QueryRow(ctx, selectSettings, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&found.Window, &found.Retention)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, nil
	}
	return found, postgres.Classify(err)
}

const upsertSettings = `
insert into signal_settings (workspace_id, gap, retention, updated) values (@workspace, @gap, @retention, @now)
on conflict (workspace_id) do update set gap = excluded.gap, retention = excluded.retention, updated = excluded.updated`

// SetSettings changes a workspace's settings. Administrators may, service accounts and the system.
func (s *Signals) SetSettings(ctx context.Context, cause core.Cause, workspace core.ID, settings Settings) error {
	switch {
	case settings.Window < 0 || settings.Window > 24*time.Hour:
		return core.Invalid("window", "a window is at most a day")
	case settings.Retention < 24*time.Hour:
		return core.Invalid("retention", "receipts are kept for at least a day")
	}
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, upsertSettings, pgx.StrictNamedArgs{
			"workspace": workspace, "gap": settings.Window, "retention": settings.Retention, "now": s.now(),
		}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.SignalPolicyChanged, workspace, cause, s.now(), core.Target{Kind: "workspace", ID: workspace}).
			With("window", settings.Window.String()).With("retention", settings.Retention.String()))
	})
	if err == nil {
		s.wake()
	}
	return err
}
