package signals_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
)

// logOut is what Zoe, who may, says of somebody.
func (h house) logOut(t testing.TB, zoe, user directory.User) signals.Receipt {
	t.Helper()
	cause := core.NewCause(zoe.Actor(), h.Now())
	cause.Origin.Address = "192.0.2.7"
	receipt, err := h.LogOut(t.Context(), cause, h.workspace, user.ID)
	coretest.Must(t, err)
	return receipt
}

// zoe is an administrator.
func (h house) zoe(t testing.TB) directory.User {
	t.Helper()
	zoe := h.join(t, "zoe")
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		zoe.Role = directory.RoleAdmin
		zoe, err = h.Directory.UpdateUser(t.Context(), tx, zoe)
		return err
	}))
	return zoe
}

func TestAnAdministratorsLogoutHasAReceipt(t *testing.T) {
	h, other := pair(t)
	zoe, untouched := h.zoe(t), other.snapshot(t)
	tokens := []seal.Secret{h.signIn(t, h.bob, "one"), h.signIn(t, h.bob, "")}
	receipt := h.logOut(t, zoe, h.bob)
	kept, err := h.Read(t.Context(), h.DB, h.workspace, receipt.ID)
	coretest.Must(t, err)
	if h.alive(t, tokens[0]) || h.alive(t, tokens[1]) || kept.Sessions != 2 || len(kept.Rotations) != 2 || kept.Outcome != signals.Done || kept.Users[0] != h.bob.ID {
		t.Fatalf("%+v", kept)
	}
	if kept.Door != signals.Console || kept.Connection != h.connection.ID || kept.Actor != "zoe" || kept.ToEffect() <= 0 || kept.Committed.IsZero() {
		t.Fatalf("%+v", kept)
	}
	said := signals.Evidence{Type: "administrator", Facts: map[string]string{"said_by": "user", "actor": zoe.ID.String(), "address": "192.0.2.7"}}
	if diff := cmp.Diff(said, kept.Evidence); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]signals.Command{signals.EndSessions, signals.Rotate}, kept.Commands); diff != "" {
		t.Fatal(diff)
	}

	// Said again, and told by the provider too: nothing is done twice, and the receipt says so.
	again, told := h.logOut(t, zoe, h.bob), h.receive(t, h.about(h.bob))
	for _, one := range []signals.Receipt{again, told} {
		if one.Outcome != signals.Duplicate || one.Duplicate != receipt.ID || one.Note == "" || len(one.Rotations) != 0 {
			t.Fatalf("%+v", one)
		}
	}
	if again.Sessions != 0 || h.planned(t) != 2 {
		t.Fatalf("%d sessions, %d rotations", again.Sessions, h.planned(t))
	}
	// Who signed in again in between may have seen a password since: rotations that wait are joined.
	late := h.signIn(t, h.bob, "")
	anew := h.logOut(t, zoe, h.bob)
	if anew.Outcome != signals.Done || anew.Sessions != 1 || h.alive(t, late) {
		t.Fatalf("%+v", anew)
	}
	if diff := cmp.Diff(kept.Rotations, anew.Rotations); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	_, err = h.LogOut(t.Context(), h.system, h.workspace, other.bob.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = h.LogOut(t.Context(), core.NewCause(h.eve.Actor(), time.Now()), h.workspace, h.bob.ID)
	coretest.Wants(t, err, core.KindDenied, "not_administrator")
}

func TestAGuestIsLoggedOutWithoutAConnection(t *testing.T) {
	h, _ := pair(t)
	var guest directory.User
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		guest, err = h.Directory.InsertUser(t.Context(), tx, directory.User{ID: core.NewID(), Workspace: h.workspace, UserName: "gus", Email: "gus@example.org", Active: true, Role: directory.RoleGuest})
		return err
	}))
	coretest.Must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Accounts.Share(t.Context(), tx, h.system, h.workspace, h.accounts[2].ID, accounts.Sharing{Subject: accounts.Subject{User: guest.ID}, Role: accounts.Collaborator})
		return err
	}))
	receipt := h.logOut(t, h.zoe(t), guest)
	kept, err := h.Read(t.Context(), h.DB, h.workspace, receipt.ID)
	coretest.Must(t, err)
	if !kept.Connection.IsZero() || kept.Outcome != signals.Done || len(kept.Users) != 1 || len(kept.Rotations) != 1 || h.events(t, core.UserLoggedOut) != 1 {
		t.Fatalf("%+v", kept)
	}
}

// A guard is about what a connection says: an administrator who logs a crowd out, or one of a crowd that waits, is obeyed.
func TestNoGuardHoldsAnAdministrator(t *testing.T) {
	h, _ := pair(t)
	zoe, people := h.zoe(t), h.crowd(t, 24)
	for _, person := range people[:12] {
		if receipt := h.logOut(t, zoe, person); receipt.Outcome != signals.Done || len(receipt.Rotations) != 1 {
			t.Fatalf("%+v", receipt)
		}
	}
	for _, person := range people[12:23] {
		h.receive(t, h.about(person))
	}
	waits := h.receive(t, h.about(people[23]))
	if waits.Outcome != signals.Held || len(waits.Rotations) != 0 {
		t.Fatalf("%+v", waits)
	}
	own := h.logOut(t, zoe, people[23])
	if own.Outcome != signals.Done || len(own.Rotations) != 1 || len(own.Waiting) != 0 {
		t.Fatalf("%+v", own)
	}
	open, err := h.Holds(t.Context(), h.DB, h.workspace, true)
	coretest.Must(t, err)
	if len(open) != 1 || open[0].LetGo != 10 {
		t.Fatalf("an administrator's logouts count: %+v", open)
	}
}
