package lifecycle_test

import (
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
)

// Nobody gives a role above their own, or one to somebody above them; the last owner stays one.
func TestWhoMayGiveWhichRole(t *testing.T) {
	h, other := pair(t)
	before := other.snapshot(t)["users"]
	roles := []directory.Role{directory.RoleOwner, directory.RoleSuperAdmin, directory.RoleAdmin, directory.RoleUser, directory.RoleLoginOnly, directory.RoleGuest}
	h.own(t, h.ana.ID) // the one who stays
	become := func(user core.ID, role directory.Role) {
		t.Helper()
		_, err := h.GiveRole(t.Context(), h.system, h.workspace, user, role)
		coretest.Must(t, err)
	}
	actor := h.join(t, "actor@example.com")
	by := map[string]core.Cause{
		"service account": core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, time.Now()),
		"connection":      h.cause, "neighbour": core.NewCause(other.ana.Actor(), time.Now()),
	}
	for _, role := range roles {
		by[string(role)] = core.NewCause(actor.Actor(), time.Now())
	}
	for who, cause := range by {
		most := 6 // gives nothing
		switch who {
		case "owner", "super_admin", "admin":
			most = map[string]int{"owner": 0, "super_admin": 1, "admin": 2}[who]
		case "service account":
			most = 2
		}
		if cause.Actor.ID == actor.ID {
			become(actor.ID, directory.Role(who))
		}
		for from, had := range roles {
			for to, role := range roles {
				become(h.bob.ID, had)
				_, err := h.GiveRole(t.Context(), cause, h.workspace, h.bob.ID, role)
				if may := most <= from && most <= to; may != (err == nil) {
					t.Errorf("%s makes a %s a %s: %v", who, had, role, err)
				}
				if code := core.AsError(err); err != nil && (code.Kind != core.KindDenied || code.Code == "") {
					t.Errorf("%s makes a %s a %s: %v", who, had, role, err)
				}
			}
		}
	}
	become(h.bob.ID, directory.RoleUser)
	become(actor.ID, directory.RoleUser)
	_, err := h.GiveRole(t.Context(), core.NewCause(h.ana.Actor(), time.Now()), h.workspace, h.ana.ID, directory.RoleAdmin)
	if core.KindOf(err) != core.KindDenied || core.AsError(err).Code != "last_owner" {
		t.Errorf("the last owner steps down: %v", err)
	}
	if _, err := h.GiveRole(t.Context(), h.system, h.workspace, h.bob.ID, "king"); core.KindOf(err) != core.KindInvalid {
		t.Errorf("a role there is not: %v", err)
	}
	if _, err := h.GiveRole(t.Context(), h.system, h.workspace, other.bob.ID, directory.RoleAdmin); core.KindOf(err) != core.KindNotFound {
		t.Errorf("somebody of next door: %v", err)
	}
	if other.snapshot(t)["users"] != before {
		t.Error("another workspace was touched")
	}
}
