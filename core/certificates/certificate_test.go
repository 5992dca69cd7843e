package certificates_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/rotation"
)

func fates(certificate certificates.Certificate) string {
	text := ""
	for _, one := range certificate.Credentials {
		text += string(one.Fate)
		if one.Seen != nil {
			text += "(seen)"
		}
		text += " "
	}
	return strings.TrimSpace(text)
}

func TestEverythingDies(t *testing.T) {
	w := open(t)
	other := w.house(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	seen, could, stranger := h.account(t, h.app), h.account(t, h.app), h.account(t, h.app)
	h.share(t, seen.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.share(t, could.ID, accounts.Subject{User: bob.ID}, accounts.Owner)
	coretest.Must(t, h.fill(t, bob, seen.ID))
	h.clock.Pass(time.Minute)
	coretest.Must(t, h.fill(t, bob, seen.ID))
	coretest.Must(t, h.fill(t, h.ana, stranger.ID))
	h.clock.Pass(time.Minute)
	departed := h.clock.Now()
	h.leave(t, bob)

	if issued := h.settle(t); issued != 0 {
		t.Fatalf("%d certificates are issued while everything is open", issued)
	}
	view := h.only(t, bob)
	if view.State != certificates.Pending || view.Now.Number != 0 || fates(view.Now) != "open(seen) open" || view.Now.Safe != nil {
		t.Fatalf("got %+v", view)
	}
	if why := view.Now.Credentials[0]; why.Why != "The rotation is under way." || why.Rotation.IsZero() || why.NextStep == "" {
		t.Fatalf("got %+v", why)
	}
	h.work(t)
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d certificates are issued", issued)
	}
	view = h.only(t, bob)
	said := h.verified(t, view)
	if said.State != certificates.Complete || said.Number != 1 || said.Supersedes != "" || fates(said) != "dead(seen) dead" || view.Now.Number != 1 {
		t.Fatalf("got %+v", said)
	}
	first := said.Credentials[0]
	if first.Account != seen.ID || first.Version != 1 || first.Seen.Times != 2 || first.Seen.Last.Sub(first.Seen.First) != time.Minute || first.Seen.How[0] != "filled" ||
		first.Proof == nil || !first.Died.Equal(first.Proof.OldRefused) || !first.Proof.NewAccepted.Before(first.Proof.OldRefused) {
		t.Fatalf("got %+v", first)
	}
	latest := *first.Died
	if other := *said.Credentials[1].Died; other.After(latest) {
		latest = other
	}
	if !said.Departed.Equal(departed) || !said.Safe.Equal(latest) || *said.TimeToSafe != latest.Sub(departed).Milliseconds() {
		t.Fatalf("departed %v, safe %v after %d ms", said.Departed, said.Safe, *said.TimeToSafe)
	}
	if len(said.Taken.Grants) != 2 || said.Person.ID != bob.ID || said.Cause.Actor.Kind != core.ActorSystem {
		t.Fatalf("got %+v", said)
	}
	// Nothing is issued again, and nobody else has it.
	if issued := h.settle(t); issued != 0 {
		t.Fatalf("%d certificates are issued again", issued)
	}
	if _, err := h.View(t.Context(), h.DB, other.workspace, view.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatalf("another workspace sees it: %v", err)
	}
	if _, err := h.Issue(t.Context(), h.DB, other.workspace, view.ID, 0); core.KindOf(err) != core.KindNotFound {
		t.Fatalf("another workspace sees it: %v", err)
	}
	if found, err := h.List(t.Context(), h.DB, other.workspace, certificates.Query{}); err != nil || len(found) != 0 {
		t.Fatalf("another workspace has %d, %v", len(found), err)
	}
}

func TestAppDown(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	up, down := h.account(t, h.app), h.account(t, h.app)
	for _, account := range []accounts.Account{up, down} {
		h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
		coretest.Must(t, h.fill(t, bob, account.ID))
	}
	h.apps.Say(down.ID, rotation.Unreachable)
	h.leave(t, bob)
	h.work(t)
	if issued := h.settle(t); issued != 0 {
		t.Fatal("signed before the deadline though something is open")
	}
	h.clock.Pass(certificates.DefaultDeadline)
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d issued at the deadline", issued)
	}
	said := h.verified(t, h.only(t, bob))
	if said.State != certificates.Incomplete || said.Safe != nil || said.Count(certificates.Open) != 1 || said.Count(certificates.Dead) != 1 {
		t.Fatalf("got %+v", said)
	}
	for _, one := range said.Credentials {
		if one.Fate == certificates.Open && (one.Account != down.ID || !strings.Contains(one.Why, "cannot be reached") || one.NextStep == "" || one.Died != nil) {
			t.Fatalf("got %+v", one)
		}
	}
	// It is tried again and fails again: no news.
	h.work(t)
	if issued := h.settle(t); issued != 0 {
		t.Fatal("issued anew though nothing is new")
	}
	h.apps.Say(down.ID, "")
	h.clock.Pass(time.Hour)
	h.work(t)
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d issued when the app is back", issued)
	}
	view := h.only(t, bob)
	after := h.verified(t, view)
	if after.State != certificates.Complete || after.Number != 2 || after.Supersedes != hex.EncodeToString(view.Issues[0].Digest) || fates(after) != "dead(seen) dead(seen)" {
		t.Fatalf("got %+v", after)
	}
	if *after.TimeToSafe < certificates.DefaultDeadline.Milliseconds() {
		t.Fatalf("safe after %d ms", *after.TimeToSafe)
	}
	// The first still verifies: rows stay.
	first, err := view.Issues[0].Document()
	coretest.Must(t, err)
	if read, _, err := first.Verify(first.Keys.Keys); err != nil || read.Number != 1 || read.State != certificates.Incomplete {
		t.Fatalf("got %+v, %v", read, err)
	}
}

func TestWhatStaysOpen(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	broken, locked := h.account(t, h.broken), h.account(t, h.app)
	for _, account := range []accounts.Account{broken, locked} {
		h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
		coretest.Must(t, h.fill(t, bob, account.ID))
	}
	h.apps.Say(locked.ID, rotation.Locked)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return h.SetDeadline(ctx, tx, h.system(), h.workspace, time.Hour)
	})
	h.leave(t, bob)
	h.work(t)
	h.clock.Pass(time.Hour)
	h.settle(t)
	said := h.verified(t, h.only(t, bob))
	words := map[core.ID]string{}
	for _, one := range said.Credentials {
		words[one.Account] = one.Why + "|" + one.NextStep
	}
	if said.State != certificates.Incomplete || !strings.Contains(words[broken.ID], "no connector named missing") ||
		!strings.Contains(words[locked.ID], "is locked") || !strings.Contains(words[locked.ID], "check the account") {
		t.Fatalf("got %q of %+v", words, said)
	}
}

// Somebody who left once, is back, sees the next password and leaves again: two certificates, each with
// what was known then, and the first says that they were back.
func TestBackAgain(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	account := h.account(t, h.app)
	use := func() {
		h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
		coretest.Must(t, h.fill(t, bob, account.ID))
		h.leave(t, bob)
		h.work(t)
		h.settle(t)
	}
	use()
	h.clock.Pass(time.Hour)
	coretest.Must(t, h.lifecycle.Reactivate(t.Context(), h.system(), h.workspace, bob.ID))
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d issued at the reactivation", issued)
	}
	use()
	found, err := h.List(t.Context(), h.DB, h.workspace, certificates.Query{User: bob.ID})
	coretest.Must(t, err)
	if len(found) != 2 || found[0].Reactivated != nil || found[1].Reactivated == nil || found[1].Issued != 2 {
		t.Fatalf("got %+v", found)
	}
	second, err := h.View(t.Context(), h.DB, h.workspace, found[0].ID)
	coretest.Must(t, err)
	if fates(second.Now) != "dead(seen) dead(seen)" || second.Now.State != certificates.Complete {
		t.Fatalf("got %q", fates(second.Now))
	}
	if page, err := h.List(t.Context(), h.DB, h.workspace, certificates.Query{After: found[0].ID, Limit: 1}); err != nil || len(page) != 1 || page[0].ID != found[1].ID {
		t.Fatalf("got %+v, %v", page, err)
	}
}

func TestLogoutHasOneToo(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	account := h.account(t, h.app)
	h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	coretest.Must(t, h.fill(t, bob, account.ID))
	_, err := h.signals.LogOut(t.Context(), h.system(), h.workspace, bob.ID)
	coretest.Must(t, err)
	h.work(t)
	h.settle(t)
	said := h.verified(t, h.only(t, bob))
	if said.Reason != certificates.Logout || said.State != certificates.Complete || len(said.Taken.Grants) != 0 {
		t.Fatalf("got %+v", said)
	}
}

func TestNothingKnown(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	h.leave(t, bob)
	if issued := h.settle(t); issued != 1 {
		t.Fatalf("%d issued", issued)
	}
	if said := h.verified(t, h.only(t, bob)); said.State != certificates.Complete || *said.TimeToSafe != 0 || len(said.Credentials) != 0 {
		t.Fatalf("got %+v", said)
	}
}
