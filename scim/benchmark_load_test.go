package scim_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/postgres"
)

// inUse is how a PostgreSQL in use has its memory.
var inUse = map[string]string{"shared_buffers": "1GB", "max_wal_size": "4GB"}

const insertPeople = `
insert into users (id, workspace_id, connection_id, user_name, external_id, display_name, given_name, family_name, email, attributes, created, updated)
select ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, @workspace, @connection, 'person' || n || '@example.com', '00u' || n,
	'Person ' || n, 'Person', 'Number' || n, 'person' || n || '@example.com',
	jsonb_build_object('name', jsonb_build_object('givenName', 'Person', 'familyName', 'Number' || n), 'locale', 'en-US',
		'emails', jsonb_build_array(jsonb_build_object('primary', true, 'type', 'work', 'value', 'person' || n || '@example.com'))),
	now() - interval '1 day' + n * interval '1 millisecond', now()
from generate_series(@first::bigint, @last::bigint) n`

// trustReferences spares the database to look for the workspace and the connection a million times.
const trustReferences = `set local session_replication_role = replica`

const countPeople = `
insert into directory_counts as c (workspace_id, connection_id, slot, users, active) values (@workspace, @connection, 0, @count, @count)
on conflict (workspace_id, connection_id, slot) do update set users = c.users + excluded.users, active = c.active + excluded.active`

// personID and personName are those of the people of populate, from 1.
func personID(n int) core.ID {
	id := core.ID{0x01, 0x99, 0, 0, 0, 0, 0x70, 0, 0x80}
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	return id
}

func personName(n int) string { return fmt.Sprintf("person%d@example.com", n) }

// populate puts many people into the house, as if they had been provisioned, and returns how many.
func (h house) populate(b *testing.B, count int, analyze bool) int {
	b.Helper()
	var halves sync.WaitGroup
	for _, half := range [][2]int{{1, count / 2}, {count/2 + 1, count}} {
		halves.Go(func() {
			err := h.DB.Tx(b.Context(), func(tx pgx.Tx) error {
				if _, err := tx.Exec(b.Context(), trustReferences); err != nil {
					return err
				}
				_, err := tx.Exec(b.Context(), insertPeople, pgx.StrictNamedArgs{
					"workspace": h.workspace, "connection": h.connection.ID, "first": half[0], "last": half[1],
				})
				return err
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
	halves.Wait()
	_, err := h.DB.Exec(b.Context(), countPeople, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "count": count})
	must(b, err)
	if analyze {
		h.settle(b)
	}
	return count
}

// settle lets the planner know what there is, and the disk have it.
func (h house) settle(b *testing.B) {
	b.Helper()
	for _, statement := range []string{"vacuum analyze", "checkpoint"} {
		_, err := h.DB.Exec(b.Context(), statement)
		must(b, err)
	}
}

// estate is what accounts are made of.
type estate struct{ app, vault, owner core.ID }

// populateAccounts prepares the house for shared accounts.
func (h house) populateAccounts(b *testing.B) *estate {
	b.Helper()
	e := &estate{}
	must(b, h.DB.Tx(b.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, h.connection.Created)
		owner, err := h.Directory.InsertUser(b.Context(), tx, directory.User{
			ID: core.NewID(), Workspace: h.workspace, UserName: "owner@acme", Active: true, Role: directory.RoleOwner,
		})
		if err != nil {
			return err
		}
		if e.vault, err = h.Lifecycle.Accounts.Vault.Prepare(b.Context(), tx, h.workspace); err != nil {
			return err
		}
		app, err := h.Lifecycle.Accounts.CreateApp(b.Context(), tx, cause, h.workspace, accounts.NewApp{
			Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
		})
		e.app, e.owner = app.ID, owner.ID
		return err
	}))
	return e
}

// accountsEach is how many accounts each patient shares.
const accountsEach = 5

// patients are people to be deactivated, one in six of those it adds. With an estate each has a grant
// as a collaborator on five accounts of their own share, whose owner is somebody else and stays: their
// passwords are known to be good, nobody else leaves them, and none is orphaned.
func (h house) patients(b *testing.B, count int, e *estate) []core.ID {
	b.Helper()
	var ids []core.ID
	var people, logins, versions, grants [][]any
	for i := range 6 * count {
		id := core.NewID()
		name := id.String()
		people = append(people, []any{
			[16]byte(id), [16]byte(h.workspace), [16]byte(h.connection.ID), name, name, "Patient", "Pat", "Ient", name + "@example.com",
			[]byte(`{"name":{"givenName":"Pat","familyName":"Ient"},"emails":[{"primary":true,"type":"work","value":"` + name + `@example.com"}],"locale":"en-US"}`),
		})
		if i >= count {
			continue
		}
		ids = append(ids, id)
		for range accountsEach {
			if e == nil {
				break
			}
			account := core.NewID()
			logins = append(logins, []any{[16]byte(account), [16]byte(h.workspace), [16]byte(e.app), [16]byte(e.vault), account.String(), "validated", h.connection.Created})
			versions = append(versions, []any{[16]byte(h.workspace), [16]byte(account), 1, "imported", "current"})
			grants = append(grants,
				[]any{[16]byte(core.NewID()), [16]byte(h.workspace), [16]byte(account), [16]byte(e.owner), "owner"},
				[]any{[16]byte(core.NewID()), [16]byte(h.workspace), [16]byte(account), [16]byte(id), "collaborator"})
		}
	}
	must(b, h.DB.Tx(b.Context(), func(tx pgx.Tx) error {
		for _, one := range []struct {
			table   string
			columns []string
			rows    [][]any
		}{
			{"users", []string{"id", "workspace_id", "connection_id", "user_name", "external_id", "display_name", "given_name", "family_name", "email", "attributes"}, people},
			{"accounts", []string{"id", "workspace_id", "app_id", "vault_id", "username", "state", "validated"}, logins},
			{"credential_versions", []string{"workspace_id", "account_id", "version", "origin", "label"}, versions},
			{"grants", []string{"id", "workspace_id", "account_id", "user_id", "role"}, grants},
		} {
			if _, err := tx.CopyFrom(b.Context(), pgx.Identifier{one.table}, one.columns, pgx.CopyFromRows(one.rows)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(b.Context(), countPeople, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "count": len(people)})
		return err
	}))
	// As in a running Postern: tables that outgrew what the planner knows of them. More often than that every
	// server process would plan every statement anew with each round, and that would be what is measured.
	_, err := postgres.RefreshStatistics(b.Context(), h.DB)
	must(b, err)
	return ids
}
