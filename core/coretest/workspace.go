package coretest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
)

// System is a command of Postern itself, now.
func System() core.Cause { return core.NewCause(core.System, time.Now()) }

// Workspace makes a workspace whose vault is prepared, with one connection.
func (c *Core) Workspace(t testing.TB, slug string, wanted directory.NewConnection) (directory.Workspace, directory.Connection) {
	t.Helper()
	var workspace directory.Workspace
	var connection directory.Connection
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if workspace, err = c.Directory.CreateWorkspace(ctx, tx, System(), slug, slug); err != nil {
			return err
		}
		if _, err := c.Vault.Prepare(ctx, tx, workspace.ID); err != nil {
			return err
		}
		connection, err = c.Directory.CreateConnection(ctx, tx, System(), workspace.ID, wanted)
		return err
	})
	return workspace, connection
}

// Person puts somebody active into a connection, whose issuer knows them as "sub-" and their display name.
func (c *Core) Person(t testing.TB, connection directory.Connection, wanted directory.User) directory.User {
	t.Helper()
	wanted.Workspace, wanted.Connection, wanted.Active, wanted.Role = connection.Workspace, connection.ID, true, directory.RoleUser
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if wanted, err = c.Directory.InsertUser(ctx, tx, wanted); err != nil {
			return err
		}
		return c.Directory.LinkIdentity(ctx, tx, wanted.Workspace, wanted.Connection, connection.Issuer, "sub-"+wanted.DisplayName, wanted.ID)
	})
	return wanted
}

// SharedAccounts makes an app with three accounts that somebody owns.
func (c *Core) SharedAccounts(t testing.TB, owner directory.User) []accounts.Account {
	t.Helper()
	made := make([]accounts.Account, 3)
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		app, err := c.Accounts.CreateApp(ctx, tx, System(), owner.Workspace, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		if err != nil {
			return err
		}
		for i := range made {
			if made[i], err = c.Accounts.CreateAccount(ctx, tx, System(), owner.Workspace, accounts.NewAccount{
				App: app.ID, Username: fmt.Sprint("shared", i), Password: seal.NewSecret(fmt.Sprint("first password ", i)), Owner: owner.ID,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return made
}

// SignIn starts a session of somebody who was proven just now.
func (c *Core) SignIn(t testing.TB, user directory.User) seal.Secret {
	t.Helper()
	var token seal.Secret
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		_, token, err = c.Directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
			Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Authenticated: time.Now(),
		})
		return err
	})
	return token
}

// SignedIn reports whether a session lives.
func (c *Core) SignedIn(t testing.TB, token seal.Secret) bool {
	t.Helper()
	_, _, err := c.Directory.Authenticate(t.Context(), token)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

// Count runs a query of a number, whose parameters are @workspace and whatever args add.
func (c *Core) Count(t testing.TB, workspace core.ID, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	all := pgx.StrictNamedArgs{"workspace": workspace}
	for name, value := range args {
		all[name] = value
	}
	var number int
	Must(t, c.DB.QueryRow(t.Context(), query, all).Scan(&number))
	return number
}

// Snapshot is what a workspace has in the tables.
func (c *Core) Snapshot(t testing.TB, workspace core.ID, tables ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, table := range tables {
		var rows string
		Must(t, c.DB.QueryRow(t.Context(), `select coalesce(string_agg(r::text, e'\n' order by r::text), '') from `+table+` r where workspace_id = @workspace`,
			pgx.StrictNamedArgs{"workspace": workspace}).Scan(&rows))
		found[table] = rows
	}
	return found
}

// Receipts are those of a workspace's signals, oldest first.
func (c *Core) Receipts(t testing.TB, workspace core.ID) []signals.Kept {
	t.Helper()
	found, err := c.Signals.List(t.Context(), c.DB, workspace, signals.Query{Limit: 500})
	Must(t, err)
	slices.Reverse(found)
	return found
}
