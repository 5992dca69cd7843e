package cli_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
)

func TestARoleIsGivenFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := d.people.InsertUser(t.Context(), tx, directory.User{Workspace: acme, UserName: "dana", Active: true, Role: directory.RoleUser})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.denied(4, "nobody is called", "other", "user", "assign", "dana", "admin")
	if out := f.ask("acme", "user", "assign", "dana", "admin"); !strings.Contains(out, "dana is admin now (was user)") {
		t.Errorf("given\n%s", out)
	}
	if found := f.rows("acme", "user", "list"); len(found) != 1 || found[0]["role"] != "admin" {
		t.Errorf("people %v", found)
	}
}
