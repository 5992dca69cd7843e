package directory_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

func TestWorkspaces(t *testing.T) {
	w := open(t)
	got, err := w.WorkspaceBySlug(t.Context(), w.DB, "acme")
	if err != nil || !cmp.Equal(got, w.acme.workspace) {
		t.Fatalf("got %+v, %v, want %+v", got, err, w.acme.workspace)
	}
	_, err = w.WorkspaceBySlug(t.Context(), w.DB, "nobody")
	coretest.Wants(t, err, core.KindNotFound, "")
	all, err := w.Workspaces(t.Context(), w.DB)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v", all, err)
	}
	for _, slug := range []string{"", "Acme", "-acme", "a_b", strings.Repeat("a", 64)} {
		w.refused(t, core.KindInvalid, "slug", func(tx pgx.Tx) error {
			_, err := w.CreateWorkspace(t.Context(), tx, w.acme.cause, slug, "x")
			return err
		})
	}
	w.refused(t, core.KindConflict, "slug", func(tx pgx.Tx) error {
		_, err := w.CreateWorkspace(t.Context(), tx, w.acme.cause, "acme", "again")
		return err
	})
	if n := w.events(t, w.acme.workspace.ID, core.WorkspaceCreated); n != 1 {
		t.Fatalf("%d events", n)
	}
}

func TestConnections(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	var made directory.Connection
	w.tx(t, func(tx pgx.Tx) (err error) {
		made, err = w.CreateConnection(ctx, tx, w.acme.cause, acme, directory.NewConnection{
			Name: "Entra", Kind: directory.Entra, Issuer: "https://login.example/v2.0", ClientID: "c", ClientSecret: "env:SECRET",
			LogoutIssuers: []string{"https://a.example", "https://b.example"}, JWKSURI: "https://login.example/keys",
		})
		return err
	})
	got, err := w.Connection(ctx, w.DB, acme, made.ID)
	if err != nil || !cmp.Equal(got, made) {
		t.Fatal(err, cmp.Diff(made, got))
	}
	if got, err = w.ConnectionByID(ctx, w.DB, made.ID); err != nil || !cmp.Equal(got, made) {
		t.Fatal(err, cmp.Diff(made, got))
	}
	if _, err = w.Connection(ctx, w.DB, w.other.workspace.ID, made.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatalf("seen from another workspace: %v", err)
	}
	list, err := w.Connections(ctx, w.DB, acme)
	if err != nil || len(list) != 2 || list[0].Name != "Okta" || list[1].Name != "Entra" {
		t.Fatalf("got %v, %v", list, err)
	}
	w.refused(t, core.KindConflict, "name", func(tx pgx.Tx) error {
		_, err := w.CreateConnection(ctx, tx, w.acme.cause, acme, directory.NewConnection{Name: "Okta", Kind: directory.Okta})
		return err
	})
	w.refused(t, core.KindInvalid, "kind", func(tx pgx.Tx) error {
		_, err := w.CreateConnection(ctx, tx, w.acme.cause, acme, directory.NewConnection{Name: "Ping", Kind: "ping"})
		return err
	})
}

func (w *world) connectionToken(t *testing.T, expires *time.Time) seal.Secret {
	t.Helper()
	var token seal.Secret
	w.tx(t, func(tx pgx.Tx) (err error) {
		token, err = w.CreateConnectionToken(t.Context(), tx, w.acme.cause, w.acme.workspace.ID, w.acme.connection.ID, expires)
		return err
	})
	return token
}

func TestConnectionTokens(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	hour := w.clock.Now().Add(time.Hour)
	token, expiring := w.connectionToken(t, nil), w.connectionToken(t, &hour)
	if !strings.HasPrefix(token.Reveal(), "pst_scim_") {
		t.Fatal("the prefix is missing")
	}
	var hash []byte
	if err := w.DB.QueryRow(ctx, `select hash from connection_tokens where expires is null`).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(hash, seal.HashToken(token.Reveal())) {
		t.Fatal("what is stored is not the hash")
	}
	for _, good := range []seal.Secret{token, expiring} {
		got, err := w.AuthenticateConnection(ctx, good)
		if err != nil || !cmp.Equal(got, w.acme.connection) {
			t.Fatal(err, cmp.Diff(w.acme.connection, got))
		}
	}
	for _, bad := range []string{"", "pst_scim_", token.Reveal() + "x", strings.ToUpper(token.Reveal())} {
		_, err := w.AuthenticateConnection(ctx, seal.NewSecret(bad))
		coretest.Wants(t, err, core.KindUnauthenticated, "")
	}
	third := func(tx pgx.Tx) error {
		_, err := w.CreateConnectionToken(ctx, tx, w.acme.cause, w.acme.workspace.ID, w.acme.connection.ID, nil)
		return err
	}
	w.refused(t, core.KindConflict, "", third)
	w.clock.Pass(time.Hour)
	_, err := w.AuthenticateConnection(ctx, expiring)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	w.tx(t, third) // the expired one has made room
	if n := w.events(t, w.acme.workspace.ID, core.ConnectionTokenCreated); n != 3 {
		t.Fatalf("%d events", n)
	}
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		_, err := w.CreateConnectionToken(ctx, tx, w.acme.cause, w.other.workspace.ID, w.acme.connection.ID, nil)
		return err
	})
}

func TestTokensAreCountedOneAfterTheOther(t *testing.T) {
	w := open(t)
	var made atomic.Int64
	work := make([]func(), 12)
	for i := range work {
		work[i] = func() {
			err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				_, err := w.CreateConnectionToken(t.Context(), tx, w.acme.cause, w.acme.workspace.ID, w.acme.connection.ID, nil)
				return err
			})
			if err == nil {
				made.Add(1)
			} else if core.KindOf(err) != core.KindConflict {
				t.Error(err)
			}
		}
	}
	together(work...)
	if made.Load() != 2 {
		t.Fatalf("%d tokens live", made.Load())
	}
}

func TestLastUsedIsWrittenAtMostOnceAMinute(t *testing.T) {
	w := open(t)
	token := w.connectionToken(t, nil)
	began := w.clock.Now()
	used := func() time.Time {
		t.Helper()
		if _, err := w.AuthenticateConnection(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		var at time.Time
		if err := w.DB.QueryRow(t.Context(), `select last_used from connection_tokens`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := used(); !at.Equal(began) {
		t.Fatalf("first use: %v", at)
	}
	w.clock.Pass(59 * time.Second)
	if at := used(); !at.Equal(began) {
		t.Fatalf("written again within the minute: %v", at)
	}
	w.clock.Pass(time.Second)
	if at := used(); !at.Equal(began.Add(time.Minute)) {
		t.Fatalf("not written after the minute: %v", at)
	}
}

func TestServiceAccounts(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	var made directory.ServiceAccount
	var token seal.Secret
	hour := w.clock.Now().Add(time.Hour)
	w.tx(t, func(tx pgx.Tx) (err error) {
		if made, err = w.CreateServiceAccount(ctx, tx, w.acme.cause, acme, "ci", []string{"accounts:read", "rotations:write"}); err != nil {
			return err
		}
		token, err = w.CreateServiceAccountToken(ctx, tx, w.acme.cause, acme, made.ID, &hour)
		return err
	})
	if !strings.HasPrefix(token.Reveal(), "pst_api_") {
		t.Fatal("the prefix is missing")
	}
	got, err := w.AuthenticateServiceAccount(ctx, token)
	with := got.Token
	got.Token = core.ID{}
	if err != nil || !cmp.Equal(got, made) || with.IsZero() {
		t.Fatalf("got %+v, %v", got, err)
	}
	w.refused(t, core.KindConflict, "name", func(tx pgx.Tx) error {
		_, err := w.CreateServiceAccount(ctx, tx, w.acme.cause, acme, "ci", nil)
		return err
	})
	w.refused(t, core.KindInvalid, "scopes", func(tx pgx.Tx) error {
		_, err := w.CreateServiceAccount(ctx, tx, w.acme.cause, acme, "cd", []string{"a b"})
		return err
	})
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		_, err := w.CreateServiceAccountToken(ctx, tx, w.acme.cause, w.other.workspace.ID, made.ID, nil)
		return err
	})
	second := func(tx pgx.Tx) error {
		_, err := w.CreateServiceAccountToken(ctx, tx, w.acme.cause, acme, made.ID, nil)
		return err
	}
	w.tx(t, second)
	w.refused(t, core.KindConflict, "", second)
	if list, err := w.Directory.ServiceAccounts(ctx, w.DB, w.other.workspace.ID); err != nil || len(list) != 0 {
		t.Fatalf("seen from another workspace: %v, %v", list, err)
	}
	w.clock.Pass(time.Hour)
	_, err = w.AuthenticateServiceAccount(ctx, token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	// A token opens one kind of door.
	_, err = w.AuthenticateServiceAccount(ctx, w.connectionToken(t, nil))
	coretest.Wants(t, err, core.KindUnauthenticated, "")
}
