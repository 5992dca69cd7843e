package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

func TestConnectionsChange(t *testing.T) {
	w := open(t)
	ctx, acme, id := t.Context(), w.acme.workspace.ID, w.acme.connection.ID
	change := func(edit func(*directory.Connection)) (changed directory.Connection) {
		t.Helper()
		w.tx(t, func(tx pgx.Tx) (err error) {
			changed, err = w.ChangeConnection(ctx, tx, w.acme.cause, acme, id, edit)
			return err
		})
		return changed
	}
	want := w.acme.connection
	want.Issuer, want.ClientID, want.ClientSecret, want.LogoutIssuers = "https://acme.okta.example", "0oa1", "env:SECRET", []string{"https://login.acme.example"}
	got := change(func(c *directory.Connection) {
		c.Issuer, c.ClientID, c.ClientSecret, c.LogoutIssuers = want.Issuer, want.ClientID, want.ClientSecret, want.LogoutIssuers
		c.Kind, c.ID, c.Workspace = directory.Entra, core.NewID(), w.other.workspace.ID // not to be changed
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if read, err := w.Connection(ctx, w.DB, acme, id); err != nil || !cmp.Equal(read, want) {
		t.Error(err, cmp.Diff(want, read))
	}
	change(func(c *directory.Connection) { c.LogoutIssuers = []string{"https://login.acme.example"} }) // as it is
	var changed string
	err := w.DB.QueryRow(ctx, `select string_agg(event -> 'data' ->> 'changed', ';') from audit_outbox where workspace_id = $1 and type = $2`, acme, core.ConnectionUpdated).Scan(&changed)
	if err != nil || changed != "issuer,client_id,client_secret,logout_issuers" {
		t.Errorf("told %q, %v", changed, err)
	}
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.CreateConnection(ctx, tx, w.acme.cause, acme, directory.NewConnection{Name: "Entra", Kind: directory.Entra})
		return err
	})
	for name, wrong := range map[string]struct {
		workspace, id core.ID
		edit          func(*directory.Connection)
		kind          core.Kind
		field         string
	}{
		"of another workspace": {w.other.workspace.ID, id, func(*directory.Connection) {}, core.KindNotFound, ""},
		"a taken name":         {acme, id, func(c *directory.Connection) { c.Name = "Entra" }, core.KindConflict, "name"},
		"no name":              {acme, id, func(c *directory.Connection) { c.Name = "" }, core.KindInvalid, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(t, wrong.kind, wrong.field, func(tx pgx.Tx) error {
				_, err := w.ChangeConnection(ctx, tx, w.acme.cause, wrong.workspace, wrong.id, wrong.edit)
				return err
			})
		})
	}
	if other, err := w.Connection(ctx, w.DB, w.other.workspace.ID, w.other.connection.ID); err != nil || !cmp.Equal(other, w.other.connection) {
		t.Errorf("another workspace's changed too: %v %v", other, err)
	}
}
