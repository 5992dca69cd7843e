package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/rotation"
)

func TestLogout(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{Team: h.team.ID})
	h.share(t, 1, accounts.Subject{User: h.bob.ID})
	coretest.Must(t, h.fill(t, h.bob, 1))
	authenticated := time.Now()
	token, err := h.signIn(t, h.bob.ID, authenticated)
	coretest.Must(t, err)
	untouched := other.snapshot(t)

	effect, err := h.Logout(ctx, h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	if effect.SessionsEnded != 1 || effect.GrantsRevoked != 0 || len(effect.Rotations) != 2 {
		t.Fatalf("got %+v", effect)
	}
	_, _, err = h.Directory.Authenticate(ctx, token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	_, err = h.signIn(t, h.bob.ID, authenticated)
	coretest.Wants(t, err, core.KindDenied, "")
	first, err := h.Rotations.Rotation(ctx, h.DB, h.workspace, effect.Rotations[0])
	if err != nil || first.Account != h.accounts[1].ID || first.Priority != 1 || first.Reason != rotation.ReasonLogout {
		t.Fatalf("got %+v, %v", first, err)
	}
	coretest.Must(t, h.fill(t, h.bob, 0)) // access stays
	if h.events(t, core.UserLoggedOut) != 1 || h.events(t, core.SessionEnded) != 1 || h.events(t, core.RotationPlanned) != 2 {
		t.Fatal("the events do not tell the story")
	}

	// The open rotations are joined, not doubled.
	_, err = h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
	effect, err = h.Logout(ctx, h.system, h.workspace, h.bob.ID)
	if err != nil || effect.SessionsEnded != 1 || h.rotations(t) != 2 {
		t.Fatalf("got %+v, %v, %d rotations", effect, err, h.rotations(t))
	}
	before := h.snapshot(t)
	_, err = h.Logout(ctx, h.cause, h.workspace, other.bob.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	// Whoever has left can be logged out too.
	_, err = h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	_, err = h.Logout(ctx, h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}
