package vault_test

import (
	"context"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/vault"
	"postern/core/vault/vaulttest"
)

const canary = "Canary4b1dPlanted9e"

// countingKeys is a KeyProvider that counts what it is asked, and can be switched off.
type countingKeys struct {
	*seal.LocalKey
	lock      sync.Mutex
	wraps     int
	unwraps   int
	switchOff bool
}

func (k *countingKeys) Wrap(ctx context.Context, key seal.Secret, binding string) ([]byte, error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.switchOff {
		return nil, core.Unavailable(time.Second, "the KMS is down")
	}
	k.wraps++
	return k.LocalKey.Wrap(ctx, key, binding)
}

func (k *countingKeys) Unwrap(ctx context.Context, wrapped []byte, binding string) (seal.Secret, error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.switchOff {
		return seal.Secret{}, core.Unavailable(time.Second, "the KMS is down")
	}
	k.unwraps++
	return k.LocalKey.Unwrap(ctx, wrapped, binding)
}

type fixture struct {
	t      *testing.T
	db     *postgres.DB
	keys   *countingKeys
	vault  *vault.Vault
	now    time.Time
	acme   core.ID
	other  core.ID // the second workspace, with the same shapes
	vaults map[core.ID]core.ID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	local, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, db: postgrestest.Open(t), keys: &countingKeys{LocalKey: local},
		now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), acme: core.NewID(), other: core.NewID(), vaults: map[core.ID]core.ID{},
	}
	f.vault = &vault.Vault{DB: f.db, Keys: f.keys, Now: func() time.Time { return f.now }}
	for workspace, slug := range map[core.ID]string{f.acme: "acme", f.other: "other"} {
		if _, err := f.db.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, @slug, @slug)`,
			pgx.StrictNamedArgs{"id": workspace, "slug": slug}); err != nil {
			t.Fatal(err)
		}
		f.vaults[workspace] = f.prepare(workspace)
	}
	return f
}

func (f *fixture) prepare(workspace core.ID) (prepared core.ID) {
	f.t.Helper()
	if err := f.db.Tx(f.t.Context(), func(tx pgx.Tx) (err error) {
		prepared, err = f.vault.Prepare(f.t.Context(), tx, workspace)
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return prepared
}

func (f *fixture) put(workspace, into, item core.ID, field string, version int, value string) error {
	return f.db.Tx(f.t.Context(), func(tx pgx.Tx) error {
		return f.vault.Put(f.t.Context(), tx, workspace, into, item, field, version, seal.NewSecret(value))
	})
}

func (f *fixture) wants(workspace, item core.ID, version int, want string) {
	f.t.Helper()
	got, err := f.vault.Open(f.t.Context(), f.db, workspace, item, "password", version)
	if err != nil || got.Reveal() != want {
		f.t.Errorf("version %d is %q, %v; want %q", version, got.Reveal(), err, want)
	}
}

func TestPrepareOnce(t *testing.T) {
	f := newFixture(t)
	if again := f.prepare(f.acme); again != f.vaults[f.acme] {
		t.Errorf("a second Prepare made another vault")
	}
	if f.keys.wraps != 2 {
		t.Errorf("%d keys were wrapped for 2 workspaces", f.keys.wraps)
	}
	err := f.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := f.vault.Prepare(t.Context(), tx, core.NewID())
		return err
	})
	if core.KindOf(err) != core.KindNotFound {
		t.Errorf("a workspace that does not exist: %v", err)
	}
}

func TestPrepareAtTheSameTime(t *testing.T) {
	f := newFixture(t)
	workspace := core.NewID()
	if _, err := f.db.Exec(t.Context(), `insert into workspaces (id, slug, name) values (@id, 'busy', 'Busy')`, pgx.StrictNamedArgs{"id": workspace}); err != nil {
		t.Fatal(err)
	}
	made := make([]core.ID, 8)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() {
			if err := f.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
				made[i], err = f.vault.Prepare(t.Context(), tx, workspace)
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, one := range made {
		if one != made[0] || one.IsZero() {
			t.Fatalf("different vaults: %v", made)
		}
	}
}

func TestPutAndOpen(t *testing.T) {
	f := newFixture(t)
	item := core.NewID()
	for version, text := range map[int]string{1: "first", 2: "second", 3: "third"} {
		if err := f.put(f.acme, f.vaults[f.acme], item, "password", version, text); err != nil {
			t.Fatal(err)
		}
	}
	f.wants(f.acme, item, 1, "first")
	f.wants(f.acme, item, 2, "second")
	f.wants(f.acme, item, 3, "third")

	err := f.put(f.acme, f.vaults[f.acme], item, "password", 2, "overwritten")
	if core.KindOf(err) != core.KindConflict {
		t.Errorf("a version was written twice: %v", err)
	}
	f.wants(f.acme, item, 2, "second")

	for what, err := range map[string]error{
		"no item":  f.put(f.acme, f.vaults[f.acme], core.ID{}, "password", 1, "x"),
		"no field": f.put(f.acme, f.vaults[f.acme], item, "", 1, "x"),
		"version":  f.put(f.acme, f.vaults[f.acme], item, "password", 0, "x"),
		"no value": f.put(f.acme, f.vaults[f.acme], item, "password", 9, ""),
	} {
		if core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := f.put(f.acme, f.vaults[f.acme], item, "password", 9, string(make([]byte, vault.MaxValue+1))); core.KindOf(err) != core.KindTooLarge {
		t.Errorf("too large: %v", err)
	}
}

func TestWorkspacesAreApart(t *testing.T) {
	f := newFixture(t)
	item := core.NewID()
	// The same item id in both workspaces: only the workspace tells them apart.
	if err := f.put(f.acme, f.vaults[f.acme], item, "password", 1, "acme's"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.vault.Open(t.Context(), f.db, f.other, item, "password", 1); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace opens it: %v", err)
	}
	if err := f.put(f.other, f.vaults[f.acme], item, "password", 1, "x"); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace's vault was written: %v", err)
	}
	if err := f.put(f.other, f.vaults[f.other], item, "password", 1, "other's"); err != nil {
		t.Fatal(err)
	}
	f.wants(f.acme, item, 1, "acme's")
	f.wants(f.other, item, 1, "other's")
}

// Somebody with write access to the database moves sealed rows about.
func TestForget(t *testing.T) {
	f := newFixture(t)
	gone, kept := core.NewID(), core.NewID()
	for _, workspace := range []core.ID{f.acme, f.other} {
		for version := 1; version <= 2; version++ {
			for _, item := range []core.ID{gone, kept} {
				if err := f.put(workspace, f.vaults[workspace], item, "password", version, "secret"); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 2 { // what is not there is forgotten as well
		if err := f.db.Tx(t.Context(), func(tx pgx.Tx) error { return f.vault.Forget(t.Context(), tx, f.acme, gone) }); err != nil {
			t.Fatal(err)
		}
	}
	for version := 1; version <= 2; version++ {
		if _, err := f.vault.Open(t.Context(), f.db, f.acme, gone, "password", version); core.KindOf(err) != core.KindNotFound {
			t.Errorf("version %d: %v", version, err)
		}
		f.wants(f.acme, kept, version, "secret")
		f.wants(f.other, gone, version, "secret")
	}
}

func TestMovedRowsAreRefused(t *testing.T) {
	f := newFixture(t)
	item, second := core.NewID(), core.NewID()
	for version, text := range map[int]string{1: "old", 2: "new"} {
		if err := f.put(f.acme, f.vaults[f.acme], item, "password", version, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.put(f.acme, f.vaults[f.acme], second, "password", 1, "mine"); err != nil {
		t.Fatal(err)
	}
	if err := f.put(f.other, f.vaults[f.other], item, "password", 1, "foreign"); err != nil {
		t.Fatal(err)
	}
	for what, statement := range map[string]string{
		"rolled back to an older version": `update item_versions set sealed = (select sealed from item_versions where workspace_id = @acme and item_id = @item and version = 1)
			where workspace_id = @acme and item_id = @item and version = 2`,
		"another item's value": `update item_versions set sealed = (select sealed from item_versions where workspace_id = @acme and item_id = @second and version = 1)
			where workspace_id = @acme and item_id = @item and version = 2`,
		"another workspace's value": `update item_versions set sealed = (select sealed from item_versions where workspace_id = @other and item_id = @item and version = 1)
			where workspace_id = @acme and item_id = @item and version = 2`,
		"one bit": `update item_versions set sealed = set_bit(sealed, 9000, 1 - get_bit(sealed, 9000))
			where workspace_id = @acme and item_id = @item and version = 2`,
		"another vault's private key": `update vault_keys set private_key = (select private_key from vault_keys where workspace_id = @other)
			where workspace_id = @acme`,
	} {
		t.Run(what, func(t *testing.T) {
			tx, err := f.db.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			args := pgx.NamedArgs{"acme": f.acme, "other": f.other, "item": item, "second": second}
			if done, err := tx.Exec(t.Context(), statement, args); err != nil || done.RowsAffected() != 1 {
				t.Fatal(done, err)
			}
			got, err := f.vault.Open(t.Context(), tx, f.acme, item, "password", 2)
			if classified := core.AsError(err); classified == nil || classified.Code != "sealed_value_refused" {
				t.Errorf("got %q, %v", got.Reveal(), err)
			}
		})
	}
	f.wants(f.acme, item, 2, "new")
}

func TestWorkspaceKeyStaysFiveMinutesAtMost(t *testing.T) {
	f := newFixture(t)
	item := core.NewID()
	if err := f.put(f.acme, f.vaults[f.acme], item, "password", 1, "x"); err != nil {
		t.Fatal(err)
	}
	if f.keys.unwraps != 0 {
		t.Error("writing unwrapped a key")
	}
	for range 3 {
		f.wants(f.acme, item, 1, "x")
	}
	if f.keys.unwraps != 1 {
		t.Errorf("%d unwraps for three reads at once", f.keys.unwraps)
	}
	f.now = f.now.Add(5*time.Minute - time.Nanosecond)
	f.wants(f.acme, item, 1, "x")
	if f.keys.unwraps != 1 {
		t.Errorf("%d unwraps within five minutes", f.keys.unwraps)
	}
	f.now = f.now.Add(time.Nanosecond)
	f.keys.switchOff = true
	if _, err := f.vault.Open(t.Context(), f.db, f.acme, item, "password", 1); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("five minutes after the KMS is gone it still opens: %v", err)
	}
	f.keys.switchOff = false
	f.wants(f.acme, item, 1, "x")
	if f.keys.unwraps != 2 {
		t.Errorf("%d unwraps after five minutes", f.keys.unwraps)
	}
}

func TestAnotherKeyFileIsSaid(t *testing.T) {
	f := newFixture(t)
	item := core.NewID()
	if err := f.put(f.acme, f.vaults[f.acme], item, "password", 1, "x"); err != nil {
		t.Fatal(err)
	}
	wrong, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	restarted := &vault.Vault{DB: f.db, Keys: wrong}
	_, err = restarted.Open(t.Context(), f.db, f.acme, item, "password", 1)
	if classified := core.AsError(err); classified == nil || classified.Kind != core.KindUnavailable || classified.Code != "key_provider" {
		t.Errorf("got %v", err)
	}
}

func TestNothingStandsInClear(t *testing.T) {
	f := newFixture(t)
	for workspace, into := range f.vaults {
		for version := range 3 {
			if err := f.put(workspace, into, core.NewID(), "password", version+1, canary); err != nil {
				t.Fatal(err)
			}
		}
	}
	vaulttest.NotInClear(t, f.db, canary)

	// The scan itself must see what stands in clear, in whatever column and form.
	for form, statement := range map[string]string{
		"text":   `update workspaces set name = 'x' || @canary`,
		"bytea":  `update vault_keys set public_key = convert_to('x' || @canary, 'UTF8')`,
		"base64": `update workspaces set name = @base64`,
	} {
		if _, err := f.db.Exec(t.Context(), statement, pgx.NamedArgs{"canary": canary, "base64": base64.StdEncoding.EncodeToString([]byte("xy" + canary + "z"))}); err != nil {
			t.Fatal(err)
		}
		if found, _, err := vaulttest.Scan(t.Context(), f.db, canary); err != nil || len(found) != 2 {
			t.Errorf("%s: the scan found %q, %v", form, found, err)
		}
		if _, err := f.db.Exec(t.Context(), `update workspaces set name = 'x'`); err != nil {
			t.Fatal(err)
		}
		if _, err := f.db.Exec(t.Context(), `update vault_keys set public_key = ''`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFingerprints(t *testing.T) {
	f := newFixture(t)
	of := func(workspace core.ID, field, value string) string {
		t.Helper()
		made, epoch, err := f.vault.Fingerprint(t.Context(), f.db, workspace, field, seal.NewSecret(value))
		if err != nil || epoch != 1 {
			t.Fatalf("epoch %d, %v", epoch, err)
		}
		return string(made)
	}
	first := of(f.acme, "password", canary)
	if first != of(f.acme, "password", canary) {
		t.Error("the same value has another one")
	}
	for what, other := range map[string]string{
		"another value": of(f.acme, "password", canary+"!"), "another field": of(f.acme, "note", canary), "another workspace": of(f.other, "password", canary),
	} {
		if other == first {
			t.Errorf("%s has the same", what)
		}
	}
	if _, _, err := f.vault.Fingerprint(t.Context(), f.db, core.NewID(), "password", seal.NewSecret(canary)); core.KindOf(err) != core.KindNotFound {
		t.Errorf("a workspace that does not exist: %v", err)
	}
	f.now = f.now.Add(time.Hour) // what was unwrapped is forgotten
	f.keys.switchOff = true
	if _, _, err := f.vault.Fingerprint(t.Context(), f.db, f.acme, "password", seal.NewSecret(canary)); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("while the KMS is down: %v", err)
	}
}
