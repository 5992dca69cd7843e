package vault

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/seal"
)

// Key opens, and first makes, a key of a workspace's for one use: version 1 of that field of the item with the workspace's
// id. What is sealed under it can be erased; the vault erases nothing. Open gives it to who only reads.
func (v *Vault) Key(ctx context.Context, tx pgx.Tx, workspace core.ID, use string) (seal.Secret, error) {
	key, err := v.Open(ctx, tx, workspace, workspace, use, 1)
	if core.KindOf(err) != core.KindNotFound || err == nil {
		return key, err
	}
	home, err := v.Prepare(ctx, tx, workspace)
	if err != nil {
		return seal.Secret{}, err
	}
	// Of two who make it at once, one waits for the other and takes that one's.
	if err := v.Put(ctx, tx, workspace, home, workspace, use, 1, seal.NewKey()); err != nil && core.KindOf(err) != core.KindConflict {
		return seal.Secret{}, err
	}
	return v.Open(ctx, tx, workspace, workspace, use, 1)
}
