package lifecycle_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/policies"
)

func TestReadmitByHand(t *testing.T) {
	h, other := pair(t)
	before := other.snapshot(t)
	admin, user := h.join(t, "admin@example.com"), h.join(t, "user@example.com")
	for of, role := range map[core.ID]directory.Role{admin.ID: directory.RoleAdmin, h.ana.ID: directory.RoleOwner, h.bob.ID: directory.RoleOwner} {
		_, err := h.GiveRole(t.Context(), h.system, h.workspace, of, role)
		coretest.Must(t, err)
	}
	h.share(t, 0, accounts.Subject{User: user.ID})
	for _, one := range []core.ID{user.ID, h.bob.ID} {
		_, err := h.Deprovision(t.Context(), h.cause, h.workspace, one)
		coretest.Must(t, err)
	}
	by := func(user directory.User) core.Cause { return core.NewCause(user.Actor(), h.system.Received) }
	for name, test := range map[string]struct {
		cause core.Cause
		whom  core.ID
		code  string
	}{
		"a user":                        {by(h.join(t, "other@example.com")), user.ID, "not_administrator"},
		"a connection":                  {h.cause, user.ID, "not_a_user"},
		"an admin brings back an owner": {by(admin), h.bob.ID, "role_too_low"},
	} {
		_, err := h.Readmit(t.Context(), test.cause, h.workspace, test.whom)
		if classified, ok := errors.AsType[*core.Error](err); !ok || classified.Kind != core.KindDenied || classified.Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.Readmit(t.Context(), h.system, h.workspace, other.bob.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	for range 2 { // the second time nothing changes
		back, err := h.Readmit(t.Context(), by(admin), h.workspace, user.ID)
		coretest.Must(t, err)
		if !back.Active || h.may(t, user.ID, 0) != "" || h.events(t, core.UserReactivated) != 1 {
			t.Errorf("%+v is back with %q, told %d times", back, h.may(t, user.ID, 0), h.events(t, core.UserReactivated))
		}
	}
	coretest.Must(t, h.change1(h.Readmit(t.Context(), by(h.ana), h.workspace, h.bob.ID)))
	for table, rows := range other.snapshot(t) {
		if rows != before[table] && table != "river_job" {
			t.Errorf("%s of the other workspace changed", table)
		}
	}
}

// A team counts for somebody who is back once somebody says so, and not before.
func TestATeamCountsAgain(t *testing.T) {
	h, other := pair(t)
	h.says(t, policies.TriggerOwnerChange, true)
	for account, role := range map[int]accounts.Role{0: accounts.Collaborator, 1: accounts.Owner} {
		h.give(t, account, accounts.Sharing{Subject: accounts.Subject{Team: h.team.ID}, Role: role})
	}
	offered := func(want int) {
		t.Helper()
		found, err := h.Accounts.TeamProposals(t.Context(), h.DB, h.workspace, h.bob.ID)
		coretest.Must(t, err)
		if len(found) != want || want == 1 && (found[0].Team != h.team.ID || found[0].Name != "Sales" || found[0].Accounts != 2) {
			t.Errorf("offered: %+v, want %d", found, want)
		}
	}
	accept := func(cause core.Cause, user, team core.ID) error {
		return h.AcceptTeam(t.Context(), cause, h.workspace, user, team)
	}
	offered(0)
	coretest.Wants(t, accept(h.system, h.bob.ID, h.team.ID), core.KindNotFound, "") // he is in it
	_, err := h.Deprovision(t.Context(), h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	h.finish(t)
	offered(0)
	coretest.Wants(t, accept(h.system, h.bob.ID, h.team.ID), core.KindNotFound, "") // he is away
	coretest.Must(t, h.change1(h.Readmit(t.Context(), h.system, h.workspace, h.bob.ID)))
	offered(1)
	if h.may(t, h.bob.ID, 0) != "" {
		t.Fatal("coming back gave something back")
	}
	if err := accept(core.NewCause(h.bob.Actor(), h.system.Received), h.bob.ID, h.team.ID); core.KindOf(err) != core.KindDenied {
		t.Errorf("by himself: %v", err)
	}
	coretest.Wants(t, accept(h.system, other.bob.ID, h.team.ID), core.KindNotFound, "")
	coretest.Wants(t, accept(h.system, h.bob.ID, other.team.ID), core.KindNotFound, "")
	coretest.Wants(t, accept(h.system, h.ana.ID, h.team.ID), core.KindNotFound, "") // never was in it
	// Declined, it is offered no more until the identity provider adds him anew and he leaves and is back once more.
	decline := func(cause core.Cause, user, team core.ID) error {
		return h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			return h.Accounts.DeclineTeamProposal(t.Context(), tx, cause, h.workspace, user, team)
		})
	}
	if err := decline(core.NewCause(h.bob.Actor(), h.system.Received), h.bob.ID, h.team.ID); core.KindOf(err) != core.KindDenied {
		t.Errorf("declined by himself: %v", err)
	}
	coretest.Wants(t, decline(h.system, other.bob.ID, h.team.ID), core.KindNotFound, "")
	coretest.Wants(t, decline(h.system, h.bob.ID, other.team.ID), core.KindNotFound, "")
	coretest.Wants(t, decline(h.system, h.ana.ID, h.team.ID), core.KindNotFound, "")
	offered(1)
	coretest.Must(t, decline(h.system, h.bob.ID, h.team.ID))
	offered(0)
	coretest.Wants(t, decline(h.system, h.bob.ID, h.team.ID), core.KindNotFound, "")
	coretest.Wants(t, accept(h.system, h.bob.ID, h.team.ID), core.KindNotFound, "")
	if got := h.events(t, core.TeamProposalDeclined); got != 1 {
		t.Errorf("told %d times", got)
	}
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Directory.AddMembers(t.Context(), tx, h.workspace, h.team.ID, []core.ID{h.bob.ID})
		return err
	}))
	_, err = h.Deprovision(t.Context(), h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	h.finish(t)
	coretest.Must(t, h.change1(h.Readmit(t.Context(), h.system, h.workspace, h.bob.ID)))
	offered(1)
	rotations := h.rotations(t)
	coretest.Must(t, accept(h.system, h.bob.ID, h.team.ID))
	offered(0)
	if h.may(t, h.bob.ID, 0) != accounts.Collaborator || h.may(t, h.bob.ID, 1) != accounts.Owner {
		t.Error("the team gives him nothing")
	}
	if got := h.rotations(t); got != rotations+1 {
		t.Errorf("%d rotations because of the new owner", got-rotations)
	}
	coretest.Wants(t, accept(h.system, h.bob.ID, h.team.ID), core.KindNotFound, "")
}

func (h house) change1(_ directory.User, err error) error { return err }
