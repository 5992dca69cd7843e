package vault

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

const selectWorkspaceKey = `
select epoch, provider, wrapped from workspace_keys
where workspace_id = @workspace
order by epoch desc limit 1`

// Fingerprint tells equal values of a field apart from others without holding them: within a workspace, and
// under one epoch of its key, the same value has the same one. It is worth as little as the values to who
// lacks the workspace's key. NotFound while the workspace has no key; Unavailable as in Open.
func (v *Vault) Fingerprint(ctx context.Context, q postgres.Querier, workspace core.ID, field string, value seal.Secret) (fingerprint []byte, epoch int, err error) {
	var provider string
	var wrapped []byte
	err = q.QueryRow(ctx, selectWorkspaceKey, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&epoch, &provider, &wrapped)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, core.NotFound("key of the workspace")
	}
	if err != nil {
		return nil, 0, postgres.Classify(err)
	}
	key, err := v.workspaceKey(ctx, workspace, epoch, provider, wrapped)
	if err != nil {
		return nil, 0, err
	}
	fingerprint, err = seal.Fingerprint(key, field, value)
	return fingerprint, epoch, err
}
