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

func (h house) give(t testing.TB, account int, sharing accounts.Sharing) accounts.Grant {
	t.Helper()
	var made accounts.Grant
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		made, err = h.Lifecycle.Share(t.Context(), tx, h.system, h.workspace, h.accounts[account].ID, sharing)
		return err
	}))
	return made
}

func (h house) take1(t testing.TB, grant accounts.Grant) {
	t.Helper()
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		return h.Unshare(t.Context(), tx, h.system, h.workspace, grant.ID)
	}))
}

// says adds a policy about all accounts.
func (h house) says(t testing.TB, trigger policies.Trigger, enabled bool) {
	t.Helper()
	kept := &policies.Policies{DB: h.DB, Accounts: h.Accounts, Rotations: h.Rotations}
	_, err := kept.Create(t.Context(), h.system, h.workspace, policies.Policy{Name: string(trigger), Trigger: trigger, Enabled: enabled})
	coretest.Must(t, err)
}

func TestAccessTakenBackLocksOutWhoKnows(t *testing.T) {
	h, other := pair(t)
	before := other.snapshot(t)
	bob := accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: accounts.Collaborator}
	team := accounts.Sharing{Subject: accounts.Subject{Team: h.team.ID}, Role: accounts.Collaborator}

	h.take1(t, h.give(t, 0, bob))
	if h.rotations(t) != 0 {
		t.Fatal("rotated because of somebody who never saw the password")
	}
	direct, through := h.give(t, 0, bob), h.give(t, 0, team)
	coretest.Must(t, h.fill(t, h.bob, 0))
	h.take1(t, direct)
	if h.rotations(t) != 0 {
		t.Fatal("rotated though Bob may use it through his team")
	}
	h.take1(t, through)
	if h.rotations(t) != 1 {
		t.Fatalf("%d rotations after the last access went", h.rotations(t))
	}
	if reason := h.count(t, `select count(*) from rotations where workspace_id = @workspace and reason = 'revocation' and priority = 1`, nil); reason != 1 {
		t.Error("it is not rotated first, and as a revocation")
	}
	for table, rows := range other.snapshot(t) {
		if rows != before[table] && table != "river_job" {
			t.Errorf("%s of the other workspace changed", table)
		}
	}
}

// Whoever typed the password in knows it: that it was taken from them is as if they had looked.
func TestAccessTakenBackLocksOutWhoTypedIt(t *testing.T) {
	h, _ := pair(t)
	var added accounts.Account
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		added, err = h.Accounts.CreateAccount(t.Context(), tx, core.NewCause(h.bob.Actor(), h.system.Received), h.workspace, accounts.NewAccount{
			App: h.accounts[0].App, Username: "typed", Password: h.newPassword(), Owner: h.bob.ID,
		})
		return err
	}))
	h.accounts[0] = added
	h.give(t, 0, accounts.Sharing{Subject: accounts.Subject{User: h.ana.ID}, Role: accounts.Owner})
	grants, err := h.Accounts.Grants(t.Context(), h.DB, h.workspace, added.ID)
	coretest.Must(t, err)
	for _, grant := range grants {
		if grant.User == h.bob.ID {
			h.take1(t, grant)
		}
	}
	if h.rotations(t) != 1 {
		t.Fatalf("%d rotations after whoever typed the password lost the account", h.rotations(t))
	}
}

func TestGrantsThatExpireAreLikeThoseTakenBack(t *testing.T) {
	h, other := pair(t)
	now := time.Now()
	clock := func() time.Time { return now }
	h.Now, h.Accounts.Now, h.Rotations.Now = clock, clock, clock
	soon := new(now.Add(time.Hour))
	for _, one := range []house{h, other} {
		one.give(t, 0, accounts.Sharing{Subject: accounts.Subject{User: one.bob.ID}, Role: accounts.Collaborator, Expires: soon})
		one.give(t, 1, accounts.Sharing{Subject: accounts.Subject{Team: one.team.ID}, Role: accounts.Collaborator, Expires: soon})
	}
	coretest.Must(t, h.fill(t, h.bob, 0))
	coretest.Must(t, h.fill(t, h.bob, 1))
	if ended, err := h.Ended(t.Context()); err != nil || ended != 0 {
		t.Fatalf("%d ended before their time (%v)", ended, err)
	}
	now = now.Add(2 * time.Hour)
	var total [2]int
	together(
		func() { total[0], _ = h.Ended(t.Context()) },
		func() { total[1], _ = h.Ended(t.Context()) },
	)
	if rest, err := h.Ended(t.Context()); err != nil || total[0]+total[1]+rest != 4 {
		t.Fatalf("%v and %d grants ended (%v)", total, rest, err)
	}
	if h.rotations(t) != 2 || other.rotations(t) != 0 {
		t.Errorf("%d rotations, %d where nobody saw a password", h.rotations(t), other.rotations(t))
	}
	if told := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = 'account.grant_expired'`, nil); told != 2 {
		t.Errorf("%d events tell that a grant expired", told)
	}
	if again, err := h.Ended(t.Context()); err != nil || again != 0 {
		t.Errorf("%d ended twice (%v)", again, err)
	}
}

func TestWhoeverLeavesATeamIsLockedOutOfWhatTheyKnow(t *testing.T) {
	for name, leave := range map[string]func(h house) error{
		"removed": func(h house) error {
			_, err := h.ChangeTeam(t.Context(), h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error {
				e.Remove = []core.ID{h.bob.ID}
				return nil
			})
			return err
		},
		"the team is gone": func(h house) error { return h.DeleteTeam(t.Context(), h.cause, h.workspace, h.team.ID, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			h, other := pair(t)
			for account := range 3 {
				h.share(t, account, accounts.Subject{Team: h.team.ID})
			}
			h.share(t, 2, accounts.Subject{User: h.bob.ID})
			coretest.Must(t, h.fill(t, h.bob, 1))
			coretest.Must(t, h.fill(t, h.bob, 2)) // which he may use all the same
			coretest.Must(t, leave(h))
			if h.rotations(t) != 1 || other.rotations(t) != 0 {
				t.Errorf("%d rotations, %d elsewhere", h.rotations(t), other.rotations(t))
			}
		})
	}
}

func TestOwnersAndAdministratorsWhenAPolicySaysSo(t *testing.T) {
	h, other := pair(t)
	owner := accounts.Sharing{Subject: accounts.Subject{User: h.bob.ID}, Role: accounts.Owner}
	admin := func(role directory.Role) {
		_, err := h.Change(t.Context(), h.system, h.workspace, h.bob.ID, func(u *directory.User) error { u.Role = role; return nil })
		coretest.Must(t, err)
	}
	h.take1(t, h.give(t, 0, owner))
	admin(directory.RoleAdmin)
	admin(directory.RoleUser)
	if h.rotations(t) != 0 {
		t.Fatal("rotated without a policy")
	}
	h.says(t, policies.TriggerOwnerChange, true)
	h.says(t, policies.TriggerAdminChange, true)
	other.says(t, policies.TriggerOwnerChange, true)
	h.give(t, 0, accounts.Sharing{Subject: owner.Subject, Role: accounts.Collaborator})
	if h.rotations(t) != 0 {
		t.Fatal("a collaborator is no owner")
	}
	h.give(t, 0, owner)
	if h.rotations(t) != 1 {
		t.Fatalf("%d rotations after a new owner", h.rotations(t))
	}
	h.give(t, 0, owner)
	gone := h.give(t, 1, owner)
	h.give(t, 2, accounts.Sharing{Subject: owner.Subject, Role: accounts.Collaborator})
	if h.rotations(t) != 2 {
		t.Fatalf("%d rotations", h.rotations(t))
	}
	_, err := h.DB.Exec(t.Context(), `update rotations set state = 'done', finished = now() where workspace_id = $1`, h.workspace)
	coretest.Must(t, err)
	h.take1(t, gone)
	if h.rotations(t) != 3 {
		t.Fatalf("%d rotations after an owner went", h.rotations(t))
	}
	admin(directory.RoleAdmin)
	if h.rotations(t) != 5 || other.rotations(t) != 0 { // of the two accounts Bob can use
		t.Fatalf("%d rotations after Bob became an administrator, %d elsewhere", h.rotations(t), other.rotations(t))
	}
}

func TestPoliciesDecideWhetherLeaversRotate(t *testing.T) {
	h, other := pair(t)
	for _, one := range []house{h, other} {
		one.share(t, 0, accounts.Subject{User: one.bob.ID})
		coretest.Must(t, one.fill(t, one.bob, 0))
	}
	h.says(t, policies.TriggerDeprovision, false)
	h.says(t, policies.TriggerLogout, false)
	for _, one := range []house{h, other} {
		logged, err := one.core.Signals.LogOut(t.Context(), one.system, one.workspace, one.bob.ID)
		coretest.Must(t, err)
		left, err := one.Deprovision(t.Context(), one.cause, one.workspace, one.bob.ID)
		coretest.Must(t, err)
		want := 1
		if one.workspace == h.workspace {
			want = 0
		}
		if len(logged.Rotations) != want || len(left.Rotations) != want || one.rotations(t) != want || left.GrantsRevoked != 1 {
			t.Errorf("logout %v, departure %+v, %d rotations, want %d", logged.Rotations, left, one.rotations(t), want)
		}
	}
}
