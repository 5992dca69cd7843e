package accounts_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
)

// governed is a workspace with a connection that may grant, and somebody it provisioned.
type governed struct {
	*side
	connection directory.Connection
	eve        directory.User
}

func (s *side) governed(t coretest.T, allowed bool) *governed {
	t.Helper()
	g := &governed{side: s}
	s.w.tx(t, func(tx pgx.Tx) (err error) {
		g.connection, err = s.w.Directory.CreateConnection(ctx(t), tx, s.cause, s.workspace, directory.NewConnection{
			Name: "Okta", Kind: directory.Okta, Provisioning: directory.Provisioning{Entitlements: allowed},
		})
		if err != nil {
			return err
		}
		g.eve, err = s.w.Directory.InsertUser(ctx(t), tx, directory.User{
			Workspace: s.workspace, Connection: g.connection.ID, UserName: "eve@example.com", DisplayName: "eve", Active: true,
		})
		s.users["eve"] = g.eve
		return err
	})
	return g
}

func (g *governed) entitle(t coretest.T, user directory.User, wanted ...accounts.Entitlement) (changed bool, err error) {
	t.Helper()
	err = g.w.DB.Tx(ctx(t), func(tx pgx.Tx) error {
		locked, err := g.w.Directory.LockUser(ctx(t), tx, user.Workspace, user.ID)
		if err != nil {
			return err
		}
		changed, err = g.w.Entitle(ctx(t), tx, core.NewCause(g.connection.Actor(), g.w.clock.Now()), locked, wanted)
		return err
	})
	return changed, err
}

func uses(account core.ID) accounts.Entitlement {
	return accounts.Entitlement{Account: account, Role: accounts.Collaborator}
}

func owns(account core.ID) accounts.Entitlement {
	return accounts.Entitlement{Account: account, Role: accounts.Owner}
}

func TestEntitle(t *testing.T) {
	w := open(t)
	acme, other := w.side(t).governed(t, true), w.side(t).governed(t, true)
	wiki, bank := acme.account(t, "wiki", "ana"), acme.account(t, "bank", "ana")
	twin := other.account(t, "wiki", "ana")
	step := func(what string, changed bool, wanted ...accounts.Entitlement) {
		t.Helper()
		got, err := acme.entitle(t, acme.eve, wanted...)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		equal(t, what+": changed", got, changed)
		held, err := w.Held(t.Context(), w.DB, acme.workspace, acme.eve.ID, acme.user("ben"))
		if err != nil {
			t.Fatal(err)
		}
		distinct := map[accounts.Entitlement]bool{}
		for _, one := range wanted {
			distinct[one] = true
		}
		equal(t, what+": entitlements held", len(held), len(distinct))
		for _, one := range wanted {
			equal(t, what, acme.may(t, acme.eve.ID, one.Account), one.Role)
		}
	}
	step("one", true, uses(wiki.ID))
	step("the same", false, uses(wiki.ID))
	step("the same twice", false, uses(wiki.ID), uses(wiki.ID))
	step("another", true, uses(wiki.ID), uses(bank.ID))
	step("a role more", true, owns(wiki.ID), uses(bank.ID))
	step("a role less", true, uses(wiki.ID))
	step("none", true)
	equal(t, "what the neighbour's eve may", other.may(t, other.eve.ID, twin.ID), "")
	equal(t, "shared", acme.events(t, core.AccountShared), 4)
	equal(t, "unshared", acme.events(t, core.AccountUnshared), 4)

	// What a team gives, or the hand of an administrator with an expiry, is left alone.
	soon := w.clock.Now().Add(time.Hour)
	if _, err := acme.share(t, acme.cause, wiki.ID, accounts.Subject{User: acme.eve.ID}, accounts.Collaborator, &soon); err != nil {
		t.Fatal(err)
	}
	step("what is there with an expiry", false, uses(wiki.ID))
	w.clock.Pass(time.Hour)
	equal(t, "after its expiry", acme.may(t, acme.eve.ID, wiki.ID), "")
	step("anew after the expiry", true, uses(wiki.ID))
}

func TestEntitlementsEndAccessEvenOfTheLastOwner(t *testing.T) {
	w := open(t)
	acme := w.side(t).governed(t, true)
	bank := acme.account(t, "bank", "eve")
	if _, err := acme.entitle(t, acme.eve); err != nil {
		t.Fatal(err)
	}
	equal(t, "eve", acme.may(t, acme.eve.ID, bank.ID), "")
	equal(t, "orphans reported", acme.events(t, core.AccountOrphaned), 1)
	if _, err := acme.entitle(t, acme.eve, owns(bank.ID)); err != nil {
		t.Fatal(err)
	}
	found, err := w.Account(t.Context(), w.DB, acme.workspace, bank.ID)
	if err != nil || found.Orphaned {
		t.Errorf("with an owner again: orphaned %v, %v", found.Orphaned, err)
	}
}

func TestEntitleRefuses(t *testing.T) {
	w := open(t)
	acme, other, closed := w.side(t).governed(t, true), w.side(t).governed(t, true), w.side(t).governed(t, false)
	account, twin := acme.account(t, "wiki", "ana"), other.account(t, "wiki", "ana")
	theirs := closed.account(t, "wiki", "ana")
	guest := acme.eve
	w.tx(t, func(tx pgx.Tx) (err error) {
		guest, err = w.Directory.InsertUser(t.Context(), tx, directory.User{
			Workspace: acme.workspace, Connection: acme.connection.ID, UserName: "lo@example.com", Active: true, Role: directory.RoleLoginOnly,
		})
		return err
	})
	for what, try := range map[string]struct {
		by     *governed
		user   directory.User
		wanted accounts.Entitlement
		kind   core.Kind
		code   string
	}{
		"an account of the neighbour":          {acme, acme.eve, uses(twin.ID), core.KindInvalid, "entitlements"},
		"no account":                           {acme, acme.eve, uses(core.NewID()), core.KindInvalid, "entitlements"},
		"a user of the neighbour":              {acme, other.eve, uses(twin.ID), core.KindDenied, "no_entitlements"},
		"somebody the connection did not make": {acme, acme.users["ben"], uses(account.ID), core.KindDenied, "no_entitlements"},
		"a connection that was not let":        {closed, closed.eve, uses(theirs.ID), core.KindDenied, "no_entitlements"},
		"a login-only user as owner":           {acme, guest, owns(account.ID), core.KindInvalid, "roles"},
	} {
		_, err := try.by.entitle(t, try.user, try.wanted)
		if err == nil {
			t.Errorf("%s: granted", what)
			continue
		}
		coretest.Wants(t, err, try.kind, try.code)
	}
	_, err := acme.entitle(t, acme.eve, uses(account.ID), owns(account.ID))
	coretest.Wants(t, err, core.KindInvalid, "entitlements")
	equal(t, "shared", acme.events(t, core.AccountShared)+other.events(t, core.AccountShared)+closed.events(t, core.AccountShared), 0)
}
