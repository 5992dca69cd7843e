package certificates

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// The limits of a deadline.
const (
	shortestDeadline = time.Minute
	longestDeadline  = 90 * 24 * time.Hour
)

const selectDeadline = `select deadline from certificate_settings where workspace_id = @workspace`

// Deadline is after how long a workspace's certificates are signed though something is open.
func (c *Certificates) Deadline(ctx context.Context, q postgres.Querier, workspace core.ID) (time.Duration, error) {
	var deadline time.Duration
	err := q.QueryRow(ctx, selectDeadline, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&deadline)
	if errors.Is(err, pgx.ErrNoRows) {
		return DefaultDeadline, nil
	}
	return deadline, postgres.Classify(err)
}

const lockWorkspace = `select name from workspaces where id = @workspace for no key update`

const upsertDeadline = `
insert into certificate_settings (workspace_id, deadline) values (@workspace, @deadline)
on conflict (workspace_id) do update set deadline = excluded.deadline`

// SetDeadline changes it, for departures from now on. The caller has asked for leave.
func (c *Certificates) SetDeadline(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID, deadline time.Duration) error {
	if deadline < shortestDeadline || deadline > longestDeadline || deadline%time.Second != 0 {
		return core.Invalid("deadline", "a deadline is 1 minute to 90 days, in whole seconds")
	}
	target := core.Target{Kind: "workspace", ID: workspace}
	if err := tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&target.Name); err != nil {
		return postgres.Classify(err)
	}
	before, err := c.Deadline(ctx, tx, workspace)
	if err != nil || before == deadline {
		return err
	}
	if _, err := tx.Exec(ctx, upsertDeadline, pgx.StrictNamedArgs{"workspace": workspace, "deadline": deadline}); err != nil {
		return postgres.Classify(err)
	}
	return audit.Append(ctx, tx, core.NewEvent(core.CertificateSettingsChanged, workspace, cause, c.now(), target).
		With("deadline", deadline.String()).With("was", before.String()))
}
