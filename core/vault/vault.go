package vault

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// DefaultName is the vault every workspace begins with.
const DefaultName = "Default"

// schemeCloud is the scheme whose keys Postern keeps itself, wrapped by a KeyProvider.
const schemeCloud = "cloud"

// MaxValue is the longest value an item may hold, in bytes.
const MaxValue = 64 << 10

// Vault seals and opens the items of all workspaces. It is safe for concurrent use; do not copy it
// after first use.
type Vault struct {
	DB   *postgres.DB
	Keys seal.KeyProvider
	Now  func() time.Time // nil is time.Now

	cache keyCache
}

const lockWorkspace = `select id from workspaces where id = @workspace for no key update`

const selectVault = `select id from vaults where workspace_id = @workspace and name = @name`

const insertWorkspaceKey = `
insert into workspace_keys (workspace_id, epoch, provider, wrapped)
values (@workspace, @epoch, @provider, @wrapped)`

const insertVault = `
insert into vaults (id, workspace_id, name, scheme) values (@vault, @workspace, @name, @scheme)`

const insertVaultKey = `
insert into vault_keys (workspace_id, vault_id, epoch, suite, public_key, private_key, workspace_epoch)
values (@workspace, @vault, @epoch, @suite, @public, @private, @workspaceEpoch)`

// Prepare gives a workspace its key and its default vault, and returns that vault. Called again it
// returns the same one. It asks the KeyProvider, so a KMS that is down makes it Unavailable.
func (v *Vault) Prepare(ctx context.Context, tx pgx.Tx, workspace core.ID) (core.ID, error) {
	find := func() (vault core.ID, err error) {
		err = tx.QueryRow(ctx, selectVault, pgx.StrictNamedArgs{"workspace": workspace, "name": DefaultName}).Scan(&vault)
		return vault, err
	}
	vault, err := find()
	if errors.Is(err, pgx.ErrNoRows) {
		// Looked at again under a lock, or two first uses would make two keys.
		var locked core.ID
		err = tx.QueryRow(ctx, lockWorkspace, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&locked)
		if errors.Is(err, pgx.ErrNoRows) {
			return core.ID{}, core.NotFound("workspace")
		}
		if err == nil {
			vault, err = find()
		}
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return vault, postgres.Classify(err)
	}

	const epoch = 1
	workspaceKey := seal.NewKey()
	wrapped, err := v.Keys.Wrap(ctx, workspaceKey, workspaceBinding(workspace, epoch))
	if err != nil {
		return core.ID{}, err
	}
	if _, err := tx.Exec(ctx, insertWorkspaceKey, pgx.StrictNamedArgs{
		"workspace": workspace, "epoch": epoch, "provider": v.Keys.Name(), "wrapped": wrapped,
	}); err != nil {
		return core.ID{}, postgres.Classify(err)
	}
	vault = core.NewID()
	if _, err := tx.Exec(ctx, insertVault, pgx.StrictNamedArgs{
		"vault": vault, "workspace": workspace, "name": DefaultName, "scheme": schemeCloud,
	}); err != nil {
		return core.ID{}, postgres.Classify(err)
	}
	public, private, err := seal.GenerateVaultKey()
	if err != nil {
		return core.ID{}, err
	}
	sealedPrivate, err := seal.SealUnder(workspaceKey, vaultBinding(workspace, vault, epoch), private)
	if err != nil {
		return core.ID{}, err
	}
	_, err = tx.Exec(ctx, insertVaultKey, pgx.StrictNamedArgs{
		"workspace": workspace, "vault": vault, "epoch": epoch, "suite": seal.Suite,
		"public": public, "private": sealedPrivate, "workspaceEpoch": epoch,
	})
	return vault, postgres.Classify(err)
}
