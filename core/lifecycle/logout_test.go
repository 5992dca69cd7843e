package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/rotation"
	"postern/core/seal"
)

func (h house) tokenUse(id, body string) *lifecycle.TokenUse {
	return &lifecycle.TokenUse{
		Connection: h.connection.ID, TokenID: id, BodyHash: seal.HashToken(body), Status: 204, Expires: time.Now().Add(10 * time.Minute),
	}
}

func TestLogout(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{Team: h.team.ID})
	h.share(t, 1, accounts.Subject{User: h.bob.ID})
	must(t, h.fill(t, h.bob, 1))
	authenticated := time.Now()
	token, err := h.signIn(t, h.bob.ID, authenticated)
	must(t, err)
	untouched := other.snapshot(t)

	effect, err := h.Logout(ctx, h.cause, h.workspace, h.bob.ID, h.tokenUse("jti-1", "bob"))
	must(t, err)
	if effect.SessionsEnded != 1 || effect.GrantsRevoked != 0 || len(effect.Rotations) != 2 || effect.Replayed || effect.Status != 204 {
		t.Fatalf("got %+v", effect)
	}
	_, _, err = h.Directory.Authenticate(ctx, token)
	wants(t, err, core.KindUnauthenticated, "")
	_, err = h.signIn(t, h.bob.ID, authenticated)
	wants(t, err, core.KindDenied, "")
	first, err := h.Rotations.Rotation(ctx, h.DB, h.workspace, effect.Rotations[0])
	if err != nil || first.Account != h.accounts[1].ID || first.Priority != 1 || first.Reason != rotation.ReasonLogout {
		t.Fatalf("got %+v, %v", first, err)
	}
	must(t, h.fill(t, h.bob, 0)) // access stays
	if h.events(t, core.UserLoggedOut) != 1 || h.events(t, core.SessionEnded) != 1 || h.events(t, core.RotationPlanned) != 2 {
		t.Fatal("the events do not tell the story")
	}

	// The same request again is answered as before and does nothing; another one with its token is refused.
	_, err = h.signIn(t, h.bob.ID, time.Now())
	must(t, err)
	before := h.snapshot(t)
	again, err := h.Logout(ctx, h.cause, h.workspace, h.bob.ID, h.tokenUse("jti-1", "bob"))
	if err != nil || !again.Replayed || again.Status != 204 || again.SessionsEnded != 0 {
		t.Fatalf("got %+v, %v", again, err)
	}
	_, err = h.Logout(ctx, h.cause, h.workspace, h.ana.ID, h.tokenUse("jti-1", "ana"))
	wants(t, err, core.KindUnauthenticated, "")
	// An unknown person does not use the token up.
	_, err = h.Logout(ctx, h.cause, h.workspace, other.bob.ID, h.tokenUse("jti-2", "nobody"))
	wants(t, err, core.KindNotFound, "")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}

	// Without a token, as from the console; the open rotations are joined, not doubled.
	effect, err = h.Logout(ctx, h.system, h.workspace, h.bob.ID, nil)
	if err != nil || effect.SessionsEnded != 1 || h.rotations(t) != 2 {
		t.Fatalf("got %+v, %v, %d rotations", effect, err, h.rotations(t))
	}
	// Whoever has left can be logged out too.
	_, err = h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID)
	must(t, err)
	_, err = h.Logout(ctx, h.cause, h.workspace, h.bob.ID, h.tokenUse("jti-3", "bob"))
	must(t, err)
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}

// A signal that means several people: each account is rotated once, what anybody saw first, and who
// was deleted meanwhile is passed over.
func TestLogoutAll(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	eve := h.join(t, "eve@example.com")
	for account, user := range []directory.User{h.bob, eve, eve} {
		h.share(t, account, accounts.Subject{User: user.ID})
	}
	h.share(t, 1, accounts.Subject{User: h.bob.ID})
	must(t, h.fill(t, eve, 1))
	for _, user := range []directory.User{h.bob, eve, h.ana} {
		_, err := h.signIn(t, user.ID, time.Now())
		must(t, err)
	}
	untouched := other.snapshot(t)
	told := core.NewEvent(core.SignalAccepted, h.workspace, h.cause, time.Now(), h.bob.Target(), eve.Target())
	effect, err := h.LogoutAll(ctx, h.cause, h.workspace, []core.ID{eve.ID, core.NewID(), other.bob.ID, h.bob.ID, eve.ID}, h.tokenUse("jti-1", "both"), told)
	if err != nil || effect.SessionsEnded != 2 || len(effect.Rotations) != 3 {
		t.Fatalf("got %+v, %v", effect, err)
	}
	if first, err := h.Rotations.Rotation(ctx, h.DB, h.workspace, effect.Rotations[0]); err != nil || first.Account != h.accounts[1].ID || first.Priority != 1 {
		t.Fatalf("got %+v, %v", first, err)
	}
	if h.events(t, core.SignalAccepted) != 1 || h.events(t, core.UserLoggedOut) != 2 || h.events(t, core.RotationPlanned) != 3 {
		t.Fatal("the events do not tell the story")
	}
	before := h.snapshot(t)
	_, err = h.LogoutAll(ctx, h.cause, h.workspace, []core.ID{other.bob.ID}, h.tokenUse("jti-2", "nobody"), told)
	wants(t, err, core.KindNotFound, "")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}
