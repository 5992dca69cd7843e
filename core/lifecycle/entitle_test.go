package lifecycle_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
)

// governing lets the house's connection grant.
func (h house) governing(t testing.TB) {
	t.Helper()
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Directory.ChangeConnection(t.Context(), tx, h.system, h.workspace, h.connection.ID, func(c *directory.Connection) {
			c.Provisioning.Entitlements = true
		})
		return err
	}))
}

func (h house) may(t testing.TB, user core.ID, account int) accounts.Role {
	t.Helper()
	role, err := h.Accounts.MayUse(t.Context(), h.DB, h.workspace, user, h.accounts[account].ID)
	if err != nil && core.KindOf(err) != core.KindDenied {
		t.Fatal(err)
	}
	return role
}

func TestEntitlementsComeAndGoWithThePerson(t *testing.T) {
	h, other := pair(t)
	h.governing(t)
	use := func(account int) accounts.Entitlement {
		return accounts.Entitlement{Account: h.accounts[account].ID, Role: accounts.Collaborator}
	}
	eve, err := h.ProvisionEntitled(t.Context(), h.cause, directory.User{
		Workspace: h.workspace, Connection: h.connection.ID, UserName: "eve@example.com", Active: true,
	}, []accounts.Entitlement{use(0)})
	coretest.Must(t, err)
	change := func(edit func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error)) directory.User {
		t.Helper()
		after, err := h.ChangeEntitled(t.Context(), h.cause, h.workspace, eve.ID, edit)
		coretest.Must(t, err)
		return after
	}
	if h.may(t, eve.ID, 0) != accounts.Collaborator || h.may(t, eve.ID, 1) != "" {
		t.Error("she was not given what she was provisioned with, or more")
	}

	same := change(func(_ *directory.User, held []accounts.Held) ([]accounts.Entitlement, error) {
		if len(held) != 1 || held[0].Account != h.accounts[0].ID {
			t.Errorf("she holds %v", held)
		}
		return []accounts.Entitlement{held[0].Entitlement}, nil
	})
	if same.Version != eve.Version {
		t.Errorf("nothing changed, and the version went from %d to %d", eve.Version, same.Version)
	}
	more := change(func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error) {
		return []accounts.Entitlement{use(0), use(1)}, nil
	})
	if more.Version != eve.Version+1 || h.may(t, eve.ID, 1) != accounts.Collaborator {
		t.Errorf("version %d, the second account %q", more.Version, h.may(t, eve.ID, 1))
	}

	// Shut out with her entitlements in the same request: nothing is granted, everything is taken.
	gone := change(func(user *directory.User, held []accounts.Held) ([]accounts.Entitlement, error) {
		user.Active = false
		return []accounts.Entitlement{use(0), use(1), use(2)}, nil
	})
	held, err := h.Accounts.Held(t.Context(), h.DB, h.workspace, eve.ID)
	coretest.Must(t, err)
	if gone.Active || len(held) != 0 {
		t.Errorf("she left, and holds %v", held)
	}
	back := change(func(user *directory.User, held []accounts.Held) ([]accounts.Entitlement, error) {
		user.Active = true
		return []accounts.Entitlement{use(2)}, nil
	})
	if !back.Active || h.may(t, eve.ID, 0) != "" || h.may(t, eve.ID, 2) != accounts.Collaborator {
		t.Error("coming back gives what the identity provider names anew, and nothing else")
	}

	// What she was given the password of, and holds no more, is changed.
	eve = back
	coretest.Must(t, h.fill(t, eve, 2))
	rotations := h.rotations(t)
	change(func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error) {
		return []accounts.Entitlement{use(0)}, nil
	})
	if got := h.rotations(t); got != rotations+1 {
		t.Errorf("%d rotations after her entitlement was taken back, and %d before", got, rotations)
	}
	back = change(func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error) {
		return []accounts.Entitlement{use(1)}, nil
	})
	if got := h.rotations(t); got != rotations+1 {
		t.Errorf("%d rotations after she lost what she never saw", got)
	}

	// Refused as a whole.
	before := back.Version
	_, err = h.ChangeEntitled(t.Context(), h.cause, h.workspace, eve.ID, func(user *directory.User, _ []accounts.Held) ([]accounts.Entitlement, error) {
		user.DisplayName = "Eve"
		return []accounts.Entitlement{{Account: other.accounts[0].ID, Role: accounts.Owner}}, nil
	})
	if core.KindOf(err) != core.KindInvalid {
		t.Errorf("the neighbour's account: %v", err)
	}
	now, err := h.Directory.User(t.Context(), h.DB, h.workspace, eve.ID)
	coretest.Must(t, err)
	if now.Version != before || now.DisplayName != "" {
		t.Errorf("a refused request left %+v", now)
	}
}
