package links_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/links"
	"postern/core/seal"
)

// invites makes somebody Olga's guest.
func (h house) invites(email string) links.Guest {
	h.t.Helper()
	guest, err := h.Invite(h.t.Context(), h.by(h.olga), h.workspace.ID, links.Invitation{Email: email, Name: "Gus"})
	coretest.Must(h.t, err)
	return guest
}

// knocks has somebody ask to sign in as a guest.
func (h house) knocks(email string) (challenge, code seal.Secret) {
	h.t.Helper()
	var err error
	mailed := h.code(email, func() { challenge, err = h.AskGuest(h.t.Context(), phone, h.workspace.ID, email) })
	coretest.Must(h.t, err)
	return challenge, seal.NewSecret(mailed)
}

// enters is the whole way of a guest.
func (h house) enters(email string) (directory.Session, seal.Secret, error) {
	h.t.Helper()
	challenge, code := h.knocks(email)
	return h.Enter(h.t.Context(), phone, h.workspace.ID, challenge, code)
}

func TestAGuestComesAndGoes(t *testing.T) {
	h, other := pair(t)
	before := other.Snapshot(t, other.workspace.ID, "guests", "users", "codes", "mails", "sessions", "audit_outbox")
	guest := h.invites(" Gus@Example.com")
	if guest.Email != "gus@example.com" || guest.State(h.clock.Now()) != links.Invited || guest.Inviter != "Olga" {
		t.Fatalf("%+v", guest)
	}
	h.share(guest.User, accounts.Collaborator)
	session, token, err := h.enters("gus@example.com")
	coretest.Must(t, err)
	if session.User != guest.User || !session.Connection.IsZero() || session.Address != phone.Address || !h.SignedIn(t, token) {
		t.Errorf("%+v", session)
	}
	if guest, err = h.Guest(t.Context(), h.Links.DB, h.workspace.ID, guest.User); err != nil || guest.State(h.clock.Now()) != links.Present {
		t.Errorf("%+v, %v", guest, err)
	}
	h.clock.Pass(60 * 24 * time.Hour) // the invitation is over, the guest is not
	if _, token, err = h.enters("gus@example.com"); err != nil || h.events(core.GuestAccepted) != 1 {
		t.Fatalf("signing in again: %v", err)
	}
	person, err := h.Core.Directory.User(t.Context(), h.Links.DB, h.workspace.ID, guest.User)
	if err != nil || person.Role != directory.RoleGuest {
		t.Fatalf("%+v, %v", person, err)
	}
	if _, _, err := h.Core.Accounts.Fill(t.Context(), h.by(person), h.workspace.ID, person.ID, h.account.ID); err != nil {
		t.Errorf("a guest uses what is shared: %v", err)
	}
	_, _, err = h.Core.Accounts.Reveal(t.Context(), h.by(person), h.workspace.ID, person.ID, h.account.ID)
	coded(t, "a guest is a collaborator at most", err, "not_owner")
	_, _, err = h.Core.Accounts.Fill(t.Context(), h.by(person), h.workspace.ID, person.ID, h.other.ID)
	coded(t, "a guest uses nothing else", err, "not_shared")
	_, err = h.Lifecycle.GiveRole(t.Context(), h.by(h.olga), h.workspace.ID, person.ID, directory.RoleAdmin)
	coded(t, "a guest stays one", err, "guest")
	_, _, err = h.Create(t.Context(), h.by(person), h.workspace.ID, links.NewLink{Account: h.account.ID, Owner: person.ID, Recipients: []string{"x@example.com"}})
	coded(t, "a guest makes no links", err, "not_owner")
	_, err = h.Invite(t.Context(), h.by(person), h.workspace.ID, links.Invitation{Email: "friend@example.com"})
	coded(t, "a guest invites nobody", err, "guests_restricted")

	coded(t, "a member cannot remove them", h.Remove(t.Context(), h.by(h.ana), h.workspace.ID, guest.User), "not_administrator")
	coded(t, "nor another workspace's owner", h.Remove(t.Context(), other.by(other.olga), h.workspace.ID, guest.User), "not_a_member")
	coretest.Must(t, h.Remove(t.Context(), h.by(h.olga), h.workspace.ID, guest.User))
	if h.SignedIn(t, token) || h.rotations() != 1 {
		t.Errorf("a guest leaves like anybody: %d rotations", h.rotations())
	}
	certificates := h.Count(t, h.workspace.ID, `select count(*) from certificates where workspace_id = @workspace and user_id = @user`, pgx.StrictNamedArgs{"user": guest.User})
	if certificates != 1 {
		t.Errorf("%d certificates", certificates)
	}
	if challenge, code := h.knocks("gus@example.com"); challenge.IsZero() || !code.IsZero() {
		t.Error("who is none any more is written to")
	}
	coretest.Must(t, h.Remove(t.Context(), h.by(h.olga), h.workspace.ID, guest.User))

	// Invited again they have nothing.
	h.clock.Pass(time.Hour)
	if again := h.invites("gus@example.com"); again.User != guest.User || again.Invitations != 2 || again.State(h.clock.Now()) != links.Invited {
		t.Errorf("%+v", again)
	}
	if _, _, err = h.enters("gus@example.com"); err != nil {
		t.Error(err)
	}
	_, _, err = h.Core.Accounts.Fill(t.Context(), h.by(person), h.workspace.ID, person.ID, h.account.ID)
	coded(t, "what they had", err, "not_shared")
	after := other.Snapshot(t, other.workspace.ID, "guests", "users", "codes", "mails", "sessions", "audit_outbox")
	for name := range before {
		if before[name] != after[name] {
			t.Errorf("the other workspace's %s changed", name)
		}
	}
}

func (h house) share(user core.ID, role accounts.Role) {
	h.t.Helper()
	h.Tx(h.t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.Core.Accounts.Share(ctx, tx, coretest.System(), h.workspace.ID, h.account.ID, accounts.Sharing{Subject: accounts.Subject{User: user}, Role: role})
		return err
	})
}

func TestNobodyLearnsWhoIsAGuest(t *testing.T) {
	h, other := pair(t)
	h.invites("gus@example.com")
	for _, email := range []string{"nobody@example.com", "ana@acme.example", "gus@example.org"} {
		challenge, code := h.knocks(email)
		if challenge.IsZero() || !code.IsZero() {
			t.Errorf("%s: %v %v", email, challenge.IsZero(), code.IsZero())
		}
	}
	challenge, code := h.knocks("gus@example.com")
	_, _, err := other.Enter(t.Context(), phone, other.workspace.ID, challenge, code)
	coded(t, "in another workspace", err, "wrong_code")
	at := h.link(links.NewLink{Recipients: []string{"gus@example.com"}})
	_, err = h.Open(t.Context(), phone, at.token, challenge, code, seal.Secret{})
	coded(t, "for a link", err, "wrong_code")
	linked, mailed := h.asks(at, "gus@example.com")
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, linked, mailed)
	coded(t, "a link's code, to sign in", err, "wrong_code")
	if _, _, err := h.Enter(t.Context(), phone, h.workspace.ID, challenge, code); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, code)
	coded(t, "again", err, "wrong_code")
	challenge, code = h.knocks("gus@example.com")
	for range 5 {
		_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, seal.NewSecret("1"))
		coded(t, "a wrong one", err, "wrong_code")
	}
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, code)
	coded(t, "the right one after five wrong ones", err, "wrong_code")
	if h.events(core.SignInFailed) != 1 {
		t.Error("that is told once")
	}
	// Who is logged out everywhere while a code is on its way has to ask again.
	challenge, code = h.knocks("gus@example.com")
	guests, err := h.Guests(t.Context(), h.Links.DB, h.workspace.ID, core.ID{}, core.ID{}, core.ID{}, 10)
	coretest.Must(t, err)
	h.clock.Pass(time.Second)
	_, err = h.Signals.LogOut(t.Context(), coretest.System(), h.workspace.ID, guests[0].User)
	coretest.Must(t, err)
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, code)
	coded(t, "with a code from before", err, "signed_out_meanwhile")
}

func TestInvitationsEnd(t *testing.T) {
	h, _ := pair(t)
	guest := h.invites("gus@example.com")
	h.clock.Pass(6 * 24 * time.Hour)
	_, err := h.Resend(t.Context(), h.by(h.ana), h.workspace.ID, guest.User)
	coded(t, "by somebody else", err, "not_administrator")
	again, err := h.Resend(t.Context(), h.by(h.olga), h.workspace.ID, guest.User)
	if err != nil || again.Invitations != 2 || again.Expires.Sub(h.clock.Now()) != 7*24*time.Hour {
		t.Fatalf("%+v, %v", again, err)
	}
	for range 8 {
		_, err = h.Resend(t.Context(), h.by(h.olga), h.workspace.ID, guest.User)
		coretest.Must(t, err)
	}
	_, err = h.Resend(t.Context(), h.by(h.olga), h.workspace.ID, guest.User)
	coded(t, "again and again", err, "too_soon")
	h.clock.Pass(7*24*time.Hour - time.Minute)
	challenge, code := h.knocks("gus@example.com")
	h.clock.Pass(time.Minute)
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, code)
	coded(t, "at the instant", err, "wrong_code")
	if _, code := h.knocks("gus@example.com"); !code.IsZero() {
		t.Error("who did not accept in time is written to")
	}
	var together sync.WaitGroup
	for _, process := range []*links.Links{h.Links, h.another(t), h.another(t)} {
		together.Go(func() {
			if _, err := process.EndInvitations(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	person, err := h.Core.Directory.User(t.Context(), h.Links.DB, h.workspace.ID, guest.User)
	if err != nil || person.Active || h.events(core.GuestInvitationEnded) != 1 || h.events(core.UserDeprovisioned) != 1 {
		t.Errorf("%+v, %d ends told", person, h.events(core.GuestInvitationEnded))
	}
	_, err = h.Resend(t.Context(), h.by(h.olga), h.workspace.ID, guest.User)
	coded(t, "it cannot be sent any more", err, "ended")
	found, err := h.Guest(t.Context(), h.Links.DB, h.workspace.ID, guest.User)
	if err != nil || found.State(h.clock.Now()) != links.Expired {
		t.Errorf("%+v, %v", found, err)
	}
	// Who is sent away as a user is no guest any more, and nobody lets them in by the side.
	next := h.invites("hal@example.com")
	if _, _, err := h.enters("hal@example.com"); err != nil {
		t.Fatal(err)
	}
	_, err = h.Lifecycle.Dismiss(t.Context(), h.by(h.olga), h.workspace.ID, next.User)
	coretest.Must(t, err)
	_, err = h.Invite(t.Context(), h.by(h.olga), h.workspace.ID, links.Invitation{Email: "hal@example.com"})
	coded(t, "while they are sent away", err, "leaving")
	h.clock.Pass(2 * time.Minute)
	coretest.Must(t, h.Disown(t.Context()))
	coretest.Must(t, h.Lifecycle.Reactivate(t.Context(), h.by(h.olga), h.workspace.ID, next.User))
	if _, code := h.knocks("hal@example.com"); !code.IsZero() {
		t.Error("a guest comes back only by an invitation")
	}
	if again := h.invites("hal@example.com"); again.State(h.clock.Now()) != links.Invited {
		t.Errorf("%+v", again)
	}
}

func TestWhoMayInvite(t *testing.T) {
	h, other := pair(t)
	_, err := h.Lifecycle.Change(t.Context(), coretest.System(), h.workspace.ID, h.cleo.ID, func(user *directory.User) error { user.Role = directory.RoleAdmin; return nil })
	coretest.Must(t, err)
	try := func(by core.Cause, code string) {
		t.Helper()
		guest, err := h.Invite(t.Context(), by, h.workspace.ID, links.Invitation{Email: "gus@example.com"})
		if code != "" {
			coded(t, by.Actor.Name, err, code)
			return
		}
		coretest.Must(t, err)
		coretest.Must(t, h.Remove(t.Context(), by, h.workspace.ID, guest.User))
		h.clock.Pass(time.Hour)
	}
	ana, ben, cleo, olga := h.by(h.ana), h.by(h.ben), h.by(h.cleo), h.by(h.olga)
	try(ana, "guests_restricted")
	try(cleo, "")
	try(olga, "")
	coretest.Must(t, h.ChangeSettings(t.Context(), cleo, h.workspace.ID, links.Settings{Inviters: links.ByAccountOwners}))
	try(ana, "") // Ana owns an account, and takes back her own invitation
	try(ben, "guests_restricted")
	coretest.Must(t, h.ChangeSettings(t.Context(), olga, h.workspace.ID, links.Settings{Inviters: links.ByOwners}))
	try(cleo, "guests_restricted")
	coded(t, "an admin whom the owners shut out", h.ChangeSettings(t.Context(), cleo, h.workspace.ID, links.Settings{Inviters: links.ByAdministrators}), "guests_restricted")
	try(olga, "")
	try(other.by(other.olga), "not_a_member")
	try(core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, h.clock.Now()), "")
	if h.events(core.GuestSettingsChanged) != 2 {
		t.Errorf("%d changes told", h.events(core.GuestSettingsChanged))
	}
	for email, code := range map[string]string{"ana@acme.example": "member", "ANA@acme.example": "member", "x": "invalid", "a@b.example\r\nBcc: c@d.example": "invalid"} {
		_, err := h.Invite(t.Context(), olga, h.workspace.ID, links.Invitation{Email: email})
		coded(t, email, err, code)
	}
	_, err = h.Lifecycle.Deprovision(t.Context(), coretest.System(), h.workspace.ID, h.ben.ID)
	coretest.Must(t, err)
	_, err = h.Invite(t.Context(), olga, h.workspace.ID, links.Invitation{Email: "ben@acme.example"})
	coded(t, "somebody who left by the identity provider", err, "member")
	try(ben, "inactive")
	// Of two who invite the same person at once, one does.
	var made atomic.Int32
	var together sync.WaitGroup
	for range 6 {
		together.Go(func() {
			if _, err := h.Invite(t.Context(), olga, h.workspace.ID, links.Invitation{Email: "zoe@example.com"}); err == nil {
				made.Add(1)
			} else if core.KindOf(err) != core.KindConflict {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if made.Load() != 1 {
		t.Errorf("%d invitations", made.Load())
	}
}
