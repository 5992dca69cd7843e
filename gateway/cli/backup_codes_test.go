package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

func TestBackupCodes(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	dana, app := f.member(acme, "dana"), f.app(acme, "Wiki")
	f.member(acme, "eve")
	var account accounts.Account
	if err := d.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		account, err = f.logins.CreateAccount(t.Context(), tx, core.NewCause(core.System, account.Created), acme, accounts.NewAccount{
			App: app.ID, Username: "shared", Password: seal.NewSecret("canary-Pa55word!"), Owner: dana.ID,
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	id, file := account.ID.String(), filepath.Join(t.TempDir(), "codes")
	if err := os.WriteFile(file, []byte("CANARY-1, CANARY-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	show, use := []string{"account", "backup-codes", "show", id}, []string{"account", "backup-codes", "use", id, "--for"}
	f.denied(4, "backup codes", "acme", show...)
	f.denied(4, "no such", "other", "account", "backup-codes", "set", id, "--codes-file", file)
	f.denied(2, "--codes-file", "acme", "account", "backup-codes", "set", id, "--codes-file", file+"x")
	for _, out := range []string{f.ask("acme", "account", "backup-codes", "set", id, "--codes-file", file), f.ask("acme", show...)} {
		if !strings.Contains(out, "2 of 2 backup codes") || strings.Contains(out, "CANARY") {
			t.Errorf("stored\n%s", out)
		}
	}
	f.denied(3, "not shared", "acme", append(use, "eve")...)
	f.denied(4, "no such", "other", append(use, dana.ID.String())...)
	for _, want := range []string{"CANARY-1\n1 left\n", "CANARY-2\n0 left\n"} {
		if out := f.ask("acme", append(use, "dana")...); out != want {
			t.Errorf("given %q, want %q", out, want)
		}
	}
	f.denied(5, "make new ones", "acme", append(use, "dana")...)
	if out := f.ask("acme", show...); !strings.Contains(out, "0 of 2 backup codes") {
		t.Errorf("used\n%s", out)
	}
}
