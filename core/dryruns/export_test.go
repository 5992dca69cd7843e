package dryruns

import (
	"context"

	"postern/core"
)

// Carry makes the dry run an app's job asks for.
func (d *DryRuns) Carry(ctx context.Context, workspace, app core.ID) error {
	return d.carry(ctx, job{workspace, app})
}
