package certificates_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/policies"
)

// shares are the links of the same world.
func (w *world) shares(t testing.TB) *links.Links {
	t.Helper()
	queue, err := jobs.NewQueue(w.DB, nil)
	coretest.Must(t, err)
	now := w.clock.Now
	return &links.Links{
		DB: w.DB, Directory: w.people, Accounts: w.logins, Now: now, PublicURL: "https://postern.example.com",
		Policies: &policies.Policies{DB: w.DB, Accounts: w.logins, Rotations: w.rotations, Now: now},
		Mail:     &mail.Mail{DB: w.DB, Vault: w.logins.Vault, Jobs: queue, Keep: true, Now: now},
	}
}

// What a leaver shared by links is in their certificate, which is complete only once it has ended.
func TestLinksOfALeaver(t *testing.T) {
	w := open(t)
	h, other := w.house(t), w.house(t)
	shares := w.shares(t)
	link := func(h house, owner directory.User, account core.ID, purpose string) links.Link {
		t.Helper()
		made, _, err := shares.Create(t.Context(), core.NewCause(owner.Actor(), w.clock.Now()), h.workspace, links.NewLink{
			Account: account, Owner: owner.ID, Recipients: []string{"kim@example.net"}, Domains: []string{"example.org"}, Purpose: purpose,
		})
		coretest.Must(t, err)
		return made
	}
	bob, account := h.join(t, "bob"), h.account(t, h.app)
	h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Owner)
	before := link(h, bob, account.ID, "ended before")
	_, err := shares.Revoke(t.Context(), h.system(), h.workspace, before.ID)
	coretest.Must(t, err)
	h.work(t)
	w.clock.Pass(time.Hour)
	audit := link(h, bob, account.ID, "audit")
	link(h, h.ana, account.ID, "Ana's")
	link(other, other.ana, other.account(t, other.app).ID, "theirs")
	h.leave(t, bob)
	h.work(t)
	if issued := h.settle(t); issued != 0 {
		t.Fatal("signed though a link has not ended")
	}
	now := h.only(t, bob).Now
	if now.State != certificates.Pending || now.Count(certificates.Open) != 0 || now.OpenLinks() != 1 || now.Safe != nil {
		t.Fatalf("got %+v", now)
	}
	h.clock.Pass(certificates.DefaultDeadline)
	h.settle(t)
	late := h.verified(t, h.only(t, bob))
	if late.State != certificates.Incomplete || late.Number != 1 || late.OpenLinks() != 1 {
		t.Fatalf("got %+v", late)
	}
	var reason string
	coretest.Must(t, h.DB.QueryRow(t.Context(), `select event::json ->> 'reason' from (select event::text from audit_log where workspace_id = $1 union all select event::text from audit_outbox where workspace_id = $1) e where event::json ->> 'type' = 'certificate.issued'`, h.workspace).Scan(&reason))
	if !strings.Contains(reason, "1 of 1 links have not ended") {
		t.Errorf("it is told that %s", reason)
	}
	coretest.Must(t, shares.Disown(t.Context()))
	if ended, err := shares.EndDue(t.Context()); ended != 1 || err != nil {
		t.Fatalf("%d links end, %v", ended, err)
	}
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d issued once the link has ended", issued)
	}
	view := h.only(t, bob)
	said := h.verified(t, view)
	if said.State != certificates.Complete || said.Number != 2 || len(said.Links) != 1 || said.Safe == nil || *said.TimeToSafe >= certificates.DefaultDeadline.Milliseconds() {
		t.Fatalf("got %+v", said)
	}
	one := said.Links[0]
	if one.ID != audit.ID || one.Account != account.ID || one.Purpose != "audit" || strings.Join(one.For, " ") != "kim@example.net example.org" || one.Died == nil ||
		one.Died.Before(said.Departed) || one.Rotation.IsZero() || !strings.Contains(one.Name, account.Username) {
		t.Fatalf("got %+v", one)
	}
	// Whoever changes what it says of links is found out.
	document, err := view.Issues[1].Document()
	coretest.Must(t, err)
	document.Certificate = json.RawMessage(strings.Replace(string(document.Certificate), "kim@", "lea@", 1))
	if _, _, err := document.Verify(document.Keys.Keys); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("a forged link verifies: %v", err)
	}
}
