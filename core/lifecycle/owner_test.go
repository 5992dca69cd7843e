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
	"postern/core/policies"
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

// Where a policy says so an account is rotated whenever other people own it, whichever command made it so, and only then.
func TestOtherOwnersRotateByWhicheverWay(t *testing.T) {
	bobs := func(role accounts.Role) func(h house) accounts.Sharing {
		return func(h house) accounts.Sharing {
			return accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: role}
		}
	}
	teams := func(h house) accounts.Sharing {
		return accounts.Sharing{Subject: accounts.Subject{Team: h.team.ID}, Role: accounts.Owner}
	}
	role := func(t *testing.T, h house, role directory.Role) {
		t.Helper()
		_, err := h.GiveRole(t.Context(), h.system, h.workspace, h.bob.ID, role)
		coretest.Must(t, err)
	}
	entitle := func(t *testing.T, h house, wanted ...accounts.Entitlement) {
		t.Helper()
		h.governing(t)
		_, err := h.ChangeEntitled(t.Context(), h.cause, h.workspace, h.bob.ID, func(*directory.User, []accounts.Held) ([]accounts.Entitlement, error) { return wanted, nil })
		coretest.Must(t, err)
	}
	for name, one := range map[string]struct {
		before func(h house) accounts.Sharing // nil: nothing
		does   func(t *testing.T, h house)
		want   int
	}{
		"a proposal is accepted": {bobs(accounts.Owner), func(t *testing.T, h house) {
			h.says(t, policies.TriggerDeprovision, false)
			_, err := h.Deprovision(t.Context(), h.cause, h.workspace, h.bob.ID)
			coretest.Must(t, err)
			h.finish(t)
			coretest.Must(t, h.Reactivate(t.Context(), h.cause, h.workspace, h.bob.ID))
			offered, err := h.Accounts.Proposals(t.Context(), h.DB, h.workspace, h.bob.ID)
			coretest.Must(t, err)
			coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				_, err := h.AcceptProposal(t.Context(), tx, h.system, h.workspace, offered[0].Grant)
				return err
			}))
		}, 2},
		"an owner leaves whom nobody locks out": {bobs(accounts.Owner), func(t *testing.T, h house) {
			h.says(t, policies.TriggerDeprovision, false)
			_, err := h.Deprovision(t.Context(), h.cause, h.workspace, h.bob.ID)
			coretest.Must(t, err)
		}, 1},
		"a collaborator leaves": {bobs(accounts.Collaborator), func(t *testing.T, h house) {
			h.says(t, policies.TriggerDeprovision, false)
			_, err := h.Deprovision(t.Context(), h.cause, h.workspace, h.bob.ID)
			coretest.Must(t, err)
		}, 0},
		"somebody joins a team that owns it": {teams, func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.join(t, "eve@example.com").ID} })
		}, 1},
		"an owner joins a team that owns it": {teams, func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.ana.ID} })
		}, 0},
		"somebody joins a team that uses it": {func(h house) accounts.Sharing {
			return accounts.Sharing{Subject: accounts.Subject{Team: h.team.ID}, Role: accounts.Collaborator}
		}, func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Add = []core.ID{h.join(t, "eve@example.com").ID} })
		}, 0},
		"somebody is taken out of a team that owns it": {teams, func(t *testing.T, h house) {
			h.edit(t, func(e *lifecycle.TeamEdit) { e.Remove = []core.ID{h.bob.ID} })
		}, 1},
		"the team that owns it is deleted": {teams, func(t *testing.T, h house) {
			coretest.Must(t, h.DeleteTeam(t.Context(), h.cause, h.workspace, h.team.ID, nil))
		}, 1},
		"an owner may only sign in":         {bobs(accounts.Owner), func(t *testing.T, h house) { role(t, h, directory.RoleLoginOnly) }, 1},
		"an owner becomes an administrator": {bobs(accounts.Owner), func(t *testing.T, h house) { role(t, h, directory.RoleAdmin) }, 0},
		"the identity provider makes somebody an owner": {nil, func(t *testing.T, h house) {
			entitle(t, h, accounts.Entitlement{Account: h.accounts[0].ID, Role: accounts.Owner})
		}, 1},
		"the identity provider lets somebody use it": {nil, func(t *testing.T, h house) {
			entitle(t, h, accounts.Entitlement{Account: h.accounts[0].ID, Role: accounts.Collaborator})
		}, 0},
		"the identity provider makes somebody an owner no more": {bobs(accounts.Owner), func(t *testing.T, h house) { entitle(t, h) }, 1},
		"an orphan passes on": {nil, func(t *testing.T, h house) {
			h.says(t, policies.TriggerDeprovision, false)
			_, err := h.Deprovision(t.Context(), h.cause, h.workspace, h.ana.ID)
			coretest.Must(t, err)
			h.finish(t)
			coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				return h.SetSuccession(t.Context(), tx, h.system, h.workspace, h.accounts[0].ID, []accounts.Successor{{User: h.bob.ID}})
			}))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h, other := pair(t)
			if one.before != nil {
				h.give(t, 0, one.before(h))
			}
			h.says(t, policies.TriggerOwnerChange, true)
			other.says(t, policies.TriggerOwnerChange, true)
			one.does(t, h)
			of := func(h house) int {
				return h.count(t, `select count(*) from rotations where workspace_id = @workspace and account_id = @account`, pgx.StrictNamedArgs{"account": h.accounts[0].ID})
			}
			if got := of(h); got != one.want || other.rotations(t) != 0 {
				t.Errorf("%d rotations, want %d; %d elsewhere", got, one.want, other.rotations(t))
			}
		})
	}
}

// finish has every rotation of the house end well.
func (h house) finish(t testing.TB) {
	t.Helper()
	_, err := h.DB.Exec(t.Context(), `update rotations set state = 'done', finished = now() where workspace_id = $1`, h.workspace)
	coretest.Must(t, err)
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
