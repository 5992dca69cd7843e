package accounts_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/vault/vaulttest"
)

func (s *side) setBackupCodes(t coretest.T, cause core.Cause, account core.ID, texts ...string) (stored accounts.BackupCodes, err error) {
	var codes []seal.Secret
	for _, text := range texts {
		codes = append(codes, seal.NewSecret(text))
	}
	err = s.w.DB.Tx(ctx(t), func(tx pgx.Tx) error {
		stored, err = s.w.SetBackupCodes(ctx(t), tx, cause, s.workspace, account, codes)
		return err
	})
	return stored, err
}

// Each backup code is given once, in its order, to those with a grant alone; a new list takes the place of the old one.
func TestBackupCodesAreGivenOnce(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana").ID
	foreign := other.account(t, "shared", "ana").ID
	use := func(s *side, user string, account core.ID) (accounts.BackupCode, error) {
		return s.w.UseBackupCode(ctx(t), s.as(user), s.workspace, s.user(user), account)
	}
	if _, err := use(acme, "ana", account); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	for _, bad := range [][]string{nil, {"", "  "}, {"two\nlines"}, {strings.Repeat("x", 101)}, {"a\x00b"}} {
		if _, err := acme.setBackupCodes(t, acme.as("ana"), account, bad...); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := acme.setBackupCodes(t, acme.as("ben"), account, "one-1"); core.KindOf(err) != core.KindDenied {
		t.Error(err)
	}
	const canary = "CANARY-backup-1"
	stored, err := acme.setBackupCodes(t, acme.as("ana"), account, " "+canary+" ", "code-2", "code-2", "", "code-3")
	if err != nil || stored.Total != 3 || stored.Left != 3 {
		t.Fatal(stored, err)
	}
	if _, err := use(acme, "ben", account); core.KindOf(err) != core.KindDenied {
		t.Errorf("without a grant: %v", err)
	}
	if _, err := use(other, "ana", account); err == nil {
		t.Error("another workspace was given it")
	}
	if _, err := use(other, "ana", foreign); err == nil {
		t.Error("another account has codes")
	}
	for i, want := range []string{canary, "code-2", "code-3"} {
		given, err := use(acme, "ana", account)
		if err != nil || given.Code.Reveal() != want || given.Left != 2-i {
			t.Errorf("%v, %d left, %v", given.Code.Reveal(), given.Left, err)
		}
	}
	if _, err := use(acme, "ana", account); core.AsError(err) == nil || core.AsError(err).Code != "backup_codes_used" {
		t.Error(err)
	}
	if _, err := acme.setBackupCodes(t, acme.as("ana"), account, "new-1"); err != nil {
		t.Fatal(err)
	}
	left, err := w.BackupCodes(ctx(t), w.DB, acme.workspace, account)
	if err != nil || left.Total != 1 || left.Left != 1 {
		t.Error(left, err)
	}
	if given, err := use(acme, "ana", account); err != nil || given.Code.Reveal() != "new-1" {
		t.Error(err)
	}
	vaulttest.NotInClear(t, w.DB, canary)
}
