package lifecycle_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// orphaned requires that the first account has, or lacks, a living owner, and says how often it was
// reported to have lost its last.
func (h house) orphaned(t testing.TB, after string, want bool, reported int) {
	t.Helper()
	account, err := h.Accounts.Account(t.Context(), h.DB, h.workspace, h.accounts[0].ID)
	coretest.Must(t, err)
	if events := h.events(t, core.AccountOrphaned); account.Orphaned != want || events != reported {
		t.Fatalf("%s: orphaned %t after %d reports, want %t after %d", after, account.Orphaned, events, want, reported)
	}
}

// owns makes a subject the only owner of the first account.
func (h house) owns(t testing.TB, subject accounts.Subject, expires *time.Time) {
	t.Helper()
	ctx := t.Context()
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[0].ID, accounts.Sharing{Subject: subject, Role: accounts.Owner, Expires: expires}); err != nil {
			return err
		}
		_, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[0].ID, accounts.Sharing{Subject: accounts.Subject{User: h.ana.ID}, Role: accounts.Collaborator})
		return err
	}))
}

// An account is owned by a team as long as somebody active is in it.
func TestATeamThatLosesItsPeopleOwnsNothing(t *testing.T) {
	h, other := pair(t)
	h.owns(t, accounts.Subject{Team: h.team.ID}, nil)
	untouched := other.snapshot(t)["accounts"]
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.ana.ID} })
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{h.bob.ID} })
	h.orphaned(t, "one of two removed", false, 0)
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{} })
	h.orphaned(t, "the last removed", true, 1)
	h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.bob.ID} })
	h.orphaned(t, "somebody added", false, 1)
	coretest.Must(t, h.DeleteTeam(t.Context(), h.cause, h.workspace, h.team.ID, nil))
	h.orphaned(t, "the team deleted", true, 2)
	if other.snapshot(t)["accounts"] != untouched {
		t.Error("another workspace was touched")
	}
}

// Guests and login-only users own nothing, whatever their grants say.
func TestARoleThatMayNotOwnOwnsNothing(t *testing.T) {
	h, _ := pair(t)
	h.owns(t, accounts.Subject{User: h.bob.ID}, nil)
	become := func(role directory.Role) {
		t.Helper()
		_, err := h.Change(t.Context(), h.system, h.workspace, h.bob.ID, func(u *directory.User) error { u.Role = role; return nil })
		coretest.Must(t, err)
	}
	become(directory.RoleAdmin)
	h.orphaned(t, "an administrator", false, 0)
	become(directory.RoleLoginOnly)
	h.orphaned(t, "a login-only user", true, 1)
	become(directory.RoleUser)
	h.orphaned(t, "a user again", false, 1)
}

// The last of the owners go at once, one from the team, one from the house: somebody notices.
func TestTheLastOwnersGoAtOnce(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	h.owns(t, accounts.Subject{Team: h.team.ID}, nil)
	reported := 0
	for range 20 {
		h.edit(t, func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{h.ana.ID, h.bob.ID} })
		h.orphaned(t, "both are there", false, reported)
		together(
			func() { h.edit(t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{h.ana.ID} }) },
			func() {
				if _, err := h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID); err != nil {
					t.Error(err)
				}
			},
		)
		reported++
		h.orphaned(t, "both are gone", true, reported)
		coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, h.bob.ID))
	}
}

// Nobody does anything when a grant expires, and yet the account is reported.
func TestOwnershipThatExpires(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	expires := time.Now().Add(time.Hour)
	// Ana stays an owner of the first account as long as her own grant has no end.
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) error {
		_, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[0].ID, accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: accounts.Owner, Expires: &expires})
		return err
	}))
	other.owns(t, accounts.Subject{User: other.bob.ID}, &expires)
	sweep := func(want int) {
		t.Helper()
		if got, err := h.Ended(ctx); err != nil || got != want {
			t.Fatalf("%d ends, %v; want %d", got, err, want)
		}
	}
	sweep(0)
	h.Accounts.Now = func() time.Time { return expires }
	sweep(2)
	h.orphaned(t, "one of two expired", false, 0)
	other.orphaned(t, "the last expired", true, 1)
	sweep(0)
	other.orphaned(t, "swept again", true, 1)
}

// An account that was the leaver's alone is disabled at its app if the app is set up so, and no other account is.
func TestAPersonalAccountIsDisabledWithItsPerson(t *testing.T) {
	h, other := pair(t)
	untouched := other.snapshot(t)["accounts"]
	ctx, app := t.Context(), h.accounts[0].App
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) error {
		for at, role := range map[int]accounts.Role{0: accounts.Owner, 1: accounts.Owner, 2: accounts.Collaborator} {
			if _, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[at].ID, accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: role}); err != nil {
				return err
			}
		}
		for at := range 2 { // the second stays shared with somebody who does not own it
			grants, err := h.Accounts.Grants(ctx, tx, h.workspace, h.accounts[at].ID)
			if err != nil {
				return err
			}
			for _, grant := range grants {
				if grant.User == h.ana.ID {
					if err := h.Accounts.Unshare(ctx, tx, h.system, h.workspace, grant.ID); err != nil {
						return err
					}
				}
			}
		}
		_, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[1].ID, accounts.Sharing{Subject: accounts.Subject{User: h.ana.ID}, Role: accounts.Collaborator})
		return err
	}))
	switches := func(want int) {
		t.Helper()
		if got := h.count(t, `select count(*) from switches where workspace_id = @workspace and not enabled and account_id = @account`, pgx.StrictNamedArgs{"account": h.accounts[0].ID}); got != want {
			t.Errorf("%d accounts are to be disabled, want %d", got, want)
		}
		if got := h.count(t, `select count(*) from switches where workspace_id = @workspace`, nil); got != want {
			t.Errorf("%d accounts are switched, want %d", got, want)
		}
	}
	h.departs(t, h.bob.ID)
	h.take(t)
	switches(0)
	_, err := h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.Active = true; return nil })
	coretest.Must(t, err)
	coretest.Must(t, h.DB.Tx(ctx, func(tx pgx.Tx) error {
		if _, err := h.Accounts.SetDisableOnLeave(ctx, tx, h.system, h.workspace, app, true); err != nil {
			return err
		}
		for at := range 2 {
			if _, err := h.Accounts.Share(ctx, tx, h.system, h.workspace, h.accounts[at].ID, accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: accounts.Owner}); err != nil {
				return err
			}
		}
		return nil
	}))
	h.departs(t, h.bob.ID)
	h.take(t)
	switches(1)
	if got := h.events(t, core.AccountDisableRequested); got != 1 {
		t.Errorf("%d events", got)
	}
	if other.snapshot(t)["accounts"] != untouched {
		t.Error("another workspace was touched")
	}
}
