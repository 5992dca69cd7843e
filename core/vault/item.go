package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

const selectPublicKey = `
select epoch, suite, public_key from vault_keys
where workspace_id = @workspace and vault_id = @vault
order by epoch desc limit 1`

const insertItemVersion = `
insert into item_versions (workspace_id, vault_id, item_id, field, version, epoch, sealed)
values (@workspace, @vault, @item, @field, @version, @epoch, @sealed)
on conflict (workspace_id, item_id, field, version) do nothing`

// Put seals one version of an item's field to the vault's public key. A version is written once: a
// second Put of it is a Conflict and changes nothing. It needs no KeyProvider.
func (v *Vault) Put(ctx context.Context, tx pgx.Tx, workspace, vault, item core.ID, field string, version int, value seal.Secret) error {
	switch {
	case item.IsZero():
		return core.Invalid("item", "name the item")
	case field == "":
		return core.Invalid("field", "name the item's field")
	case version < 1:
		return core.Invalid("version", "versions count from 1")
	case value.IsZero():
		return core.Invalid("value", "an empty value is not stored")
	case len(value.Reveal()) > MaxValue:
		return core.TooLarge("a value may have %d bytes", MaxValue)
	}
	var epoch int
	var suite string
	var public []byte
	err := tx.QueryRow(ctx, selectPublicKey, pgx.StrictNamedArgs{"workspace": workspace, "vault": vault}).Scan(&epoch, &suite, &public)
	if errors.Is(err, pgx.ErrNoRows) {
		return core.NotFound("vault")
	}
	if err != nil {
		return postgres.Classify(err)
	}
	if suite != seal.Suite {
		return core.Internal(fmt.Errorf("vault: key suite %q is not this program's", suite))
	}
	binding := seal.Binding{Workspace: workspace, Vault: vault, Item: item, Field: field, Version: version, Epoch: epoch}
	sealed, err := seal.Seal(public, binding, value)
	if err != nil {
		return err
	}
	result, err := tx.Exec(ctx, insertItemVersion, pgx.StrictNamedArgs{
		"workspace": workspace, "vault": vault, "item": item, "field": field, "version": version, "epoch": epoch, "sealed": sealed,
	})
	if err != nil {
		return postgres.Classify(err)
	}
	if result.RowsAffected() == 0 {
		return core.Conflict("version", "version %d is already stored; a version is never overwritten", version)
	}
	return nil
}

const deleteItem = `delete from item_versions where workspace_id = @workspace and item_id = @item`

// Forget deletes every version of every field of an item: a secret that others gave, and that ends with what it was
// for, such as a receiver's token. An account's are never forgotten. To forget what is not there is no error.
func (v *Vault) Forget(ctx context.Context, tx pgx.Tx, workspace, item core.ID) error {
	_, err := tx.Exec(ctx, deleteItem, pgx.StrictNamedArgs{"workspace": workspace, "item": item})
	return postgres.Classify(err)
}

const selectItemVersion = `
select i.vault_id, i.epoch, i.sealed, k.suite, k.private_key, k.workspace_epoch, w.provider, w.wrapped
from item_versions i
join vault_keys k on k.workspace_id = i.workspace_id and k.vault_id = i.vault_id and k.epoch = i.epoch
join workspace_keys w on w.workspace_id = k.workspace_id and w.epoch = k.workspace_epoch
where i.workspace_id = @workspace and i.item_id = @item and i.field = @field and i.version = @version`

type sealedVersion struct {
	Vault          core.ID `db:"vault_id"`
	Epoch          int
	Sealed         []byte
	Suite          string
	PrivateKey     []byte
	WorkspaceEpoch int
	Provider       string
	Wrapped        []byte
}

// Open gives the value of one version of an item's field. Ask core/accounts first whether the
// caller may have it. NotFound when this workspace has no such version; Unavailable when the
// KeyProvider is down or is not the one that wrapped the workspace's key.
func (v *Vault) Open(ctx context.Context, q postgres.Querier, workspace, item core.ID, field string, version int) (seal.Secret, error) {
	rows, err := q.Query(ctx, selectItemVersion, pgx.StrictNamedArgs{"workspace": workspace, "item": item, "field": field, "version": version})
	if err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[sealedVersion])
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Secret{}, core.NotFound("version of this item")
	}
	if err != nil {
		return seal.Secret{}, postgres.Classify(err)
	}
	if row.Suite != seal.Suite {
		return seal.Secret{}, core.Internal(fmt.Errorf("vault: key suite %q is not this program's", row.Suite))
	}
	workspaceKey, err := v.workspaceKey(ctx, workspace, row.WorkspaceEpoch, row.Provider, row.Wrapped)
	if err != nil {
		return seal.Secret{}, err
	}
	private, err := seal.OpenUnder(workspaceKey, vaultBinding(workspace, row.Vault, row.Epoch), row.PrivateKey)
	if err != nil {
		return seal.Secret{}, err
	}
	binding := seal.Binding{Workspace: workspace, Vault: row.Vault, Item: item, Field: field, Version: version, Epoch: row.Epoch}
	return seal.Open(private, binding, row.Sealed)
}
