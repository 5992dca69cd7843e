package accounts_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
)

func TestShare(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	ben := accounts.Subject{User: acme.user("ben")}
	grant, err := acme.share(t, acme.as("ana"), account.ID, ben, accounts.Collaborator, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "ben", acme.may(t, acme.user("ben"), account.ID), accounts.Collaborator)
	equal(t, "the neighbour's ben", other.may(t, other.user("ben"), twin.ID), "")
	equal(t, "events", acme.events(t, core.AccountShared), 1)

	again, err := acme.share(t, acme.as("ana"), account.ID, ben, accounts.Collaborator, nil)
	if err != nil || again.ID != grant.ID {
		t.Errorf("sharing the same again made %+v, %v", again, err)
	}
	equal(t, "events after sharing the same", acme.events(t, core.AccountShared), 1)

	soon := w.clock.Now().Add(time.Hour)
	replaced, err := acme.share(t, acme.as("ana"), account.ID, ben, accounts.Owner, &soon)
	if err != nil || replaced.ID == grant.ID {
		t.Fatalf("got %+v, %v", replaced, err)
	}
	equal(t, "ben", acme.may(t, acme.user("ben"), account.ID), accounts.Owner)
	equal(t, "events", acme.events(t, core.AccountShared), 2)
	coretest.Wants(t, acme.unshare(t, acme.cause, grant.ID), core.KindNotFound, "")

	// An owner for an hour is an owner for an hour, and may share meanwhile.
	if _, err := acme.share(t, acme.as("ben"), account.ID, accounts.Subject{Team: acme.teams["wiki"].ID}, accounts.Collaborator, nil); err != nil {
		t.Error(err)
	}
	w.clock.Pass(time.Hour)
	equal(t, "ben after the hour", acme.may(t, acme.user("ben"), account.ID), "")
	_, err = acme.share(t, acme.as("ben"), account.ID, ben, accounts.Owner, nil)
	coretest.Wants(t, err, core.KindDenied, "expired")
	if _, err := acme.share(t, acme.as("ana"), account.ID, ben, accounts.Collaborator, nil); err != nil {
		t.Errorf("sharing anew after expiry: %v", err)
	}

	grants, err := w.Grants(t.Context(), w.DB, acme.workspace, account.ID)
	if err != nil || len(grants) != 3 || grants[0].Name != "ana" || grants[1].Name != "ben" || grants[2].Name != "wiki" || grants[2].Team != acme.teams["wiki"].ID {
		t.Errorf("got %+v, %v", grants, err)
	}
	if grants, err := w.Grants(t.Context(), w.DB, other.workspace, account.ID); err != nil || len(grants) != 0 {
		t.Errorf("the neighbour sees %v, %v", grants, err)
	}
}

func TestShareRefuses(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("cleo")}, accounts.Collaborator, nil); err != nil {
		t.Fatal(err)
	}
	past := w.clock.Now()
	ben := accounts.Subject{User: acme.user("ben")}
	for _, c := range []struct {
		what    string
		cause   core.Cause
		subject accounts.Subject
		role    accounts.Role
		expires *time.Time
		kind    core.Kind
		field   string
	}{
		{"no such role", acme.cause, ben, "viewer", nil, core.KindInvalid, "role"},
		{"nobody", acme.cause, accounts.Subject{}, accounts.Owner, nil, core.KindInvalid, "subject"},
		{"user and team", acme.cause, accounts.Subject{User: ben.User, Team: acme.teams["wiki"].ID}, accounts.Owner, nil, core.KindInvalid, "subject"},
		{"the past", acme.cause, ben, accounts.Owner, &past, core.KindInvalid, "expires"},
		{"a guest as owner", acme.cause, accounts.Subject{User: acme.user("gus")}, accounts.Owner, nil, core.KindInvalid, "role"},
		{"an unknown user", acme.cause, accounts.Subject{User: core.NewID()}, accounts.Owner, nil, core.KindInvalid, "user"},
		{"the neighbour's user", acme.cause, accounts.Subject{User: other.user("ben")}, accounts.Owner, nil, core.KindInvalid, "user"},
		{"the neighbour's team", acme.cause, accounts.Subject{Team: other.teams["wiki"].ID}, accounts.Owner, nil, core.KindInvalid, "team"},
		{"a collaborator asks", acme.as("cleo"), ben, accounts.Collaborator, nil, core.KindDenied, "not_owner"},
		{"a stranger asks", acme.as("ben"), ben, accounts.Collaborator, nil, core.KindDenied, "not_shared"},
		{"the neighbour's owner asks", other.as("ana"), ben, accounts.Collaborator, nil, core.KindDenied, "not_a_member"},
		{"the neighbour's administrator asks", other.as("ada"), ben, accounts.Collaborator, nil, core.KindDenied, "not_a_member"},
		{"a connection asks", core.NewCause(core.Actor{Kind: core.ActorConnection, ID: core.NewID()}, past), ben, accounts.Collaborator, nil, core.KindDenied, "not_a_user"},
		{"nobody asks", core.Cause{}, ben, accounts.Collaborator, nil, core.KindDenied, "not_a_user"},
		{"the last owner steps down", acme.as("ana"), accounts.Subject{User: acme.user("ana")}, accounts.Collaborator, nil, core.KindConflict, "last_owner"},
	} {
		if _, err := acme.share(t, c.cause, account.ID, c.subject, c.role, c.expires); err == nil {
			t.Errorf("%s: it was shared", c.what)
		} else {
			coretest.Wants(t, err, c.kind, c.field)
		}
	}
	if _, err := acme.share(t, acme.cause, core.NewID(), ben, accounts.Owner, nil); core.KindOf(err) != core.KindNotFound {
		t.Errorf("an unknown account: %v", err)
	}
	if _, err := other.share(t, other.cause, account.ID, accounts.Subject{User: other.user("ben")}, accounts.Owner, nil); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the neighbour shares it: %v", err)
	}
	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	_, err := acme.share(t, acme.cause, account.ID, ben, accounts.Collaborator, nil)
	coretest.Wants(t, err, core.KindInvalid, "user")
	equal(t, "events", acme.events(t, core.AccountShared), 1)
	for _, cause := range []core.Cause{acme.as("ada"), core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, past)} {
		if _, err := acme.share(t, cause, account.ID, accounts.Subject{User: acme.user("gus")}, accounts.Collaborator, new(past.Add(time.Duration(1+acme.events(t, core.AccountShared))*time.Hour))); err != nil {
			t.Errorf("%s: %v", cause.Actor.Kind, err)
		}
	}
}

func TestUnshare(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	other.account(t, "shared", "ana")
	grants, err := w.Grants(t.Context(), w.DB, acme.workspace, account.ID)
	if err != nil {
		t.Fatal(err)
	}
	anas := grants[0].ID
	bens, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("ben")}, accounts.Collaborator, nil)
	if err != nil {
		t.Fatal(err)
	}
	coretest.Wants(t, acme.unshare(t, acme.as("cleo"), bens.ID), core.KindDenied, "")
	coretest.Wants(t, acme.unshare(t, acme.as("ben"), anas), core.KindDenied, "not_owner")
	coretest.Wants(t, other.unshare(t, other.cause, bens.ID), core.KindNotFound, "")
	coretest.Wants(t, acme.unshare(t, acme.as("ana"), anas), core.KindConflict, "last_owner")
	equal(t, "ana", acme.may(t, acme.user("ana"), account.ID), accounts.Owner)

	if err := acme.unshare(t, acme.as("ben"), bens.ID); err != nil {
		t.Errorf("giving up one's own: %v", err)
	}
	equal(t, "ben", acme.may(t, acme.user("ben"), account.ID), "")
	coretest.Wants(t, acme.unshare(t, acme.cause, bens.ID), core.KindNotFound, "")
	equal(t, "events", acme.events(t, core.AccountUnshared), 1)

	// A team without an owner in it is no owner; with one it is.
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{Team: acme.teams["ops"].ID}, accounts.Owner, nil); err != nil {
		t.Fatal(err)
	}
	acme.add(t, "ops", "gus")
	coretest.Wants(t, acme.unshare(t, acme.as("ana"), anas), core.KindConflict, "last_owner")
	acme.add(t, "ops", "cleo")
	if err := acme.unshare(t, acme.as("ana"), anas); err != nil {
		t.Errorf("with another owner in a team: %v", err)
	}
	equal(t, "ana", acme.may(t, acme.user("ana"), account.ID), "")
	equal(t, "cleo", acme.may(t, acme.user("cleo"), account.ID), accounts.Owner)
	equal(t, "the guest in the team", acme.may(t, acme.user("gus"), account.ID), accounts.Collaborator)
}

func TestOwnersThatExpire(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	other.account(t, "shared", "ana")
	hour := w.clock.Now().Add(time.Hour)
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("ana")}, accounts.Owner, &hour); err != nil {
		t.Fatal(err)
	}
	check := func(want int) {
		t.Helper()
		w.tx(t, func(tx pgx.Tx) error {
			orphaned, err := w.CheckOwners(t.Context(), tx, acme.cause, acme.workspace)
			equal(t, "newly orphaned", len(orphaned), want)
			return err
		})
	}
	check(0)
	w.clock.Pass(time.Hour)
	check(1)
	check(0)
	equal(t, "events", acme.events(t, core.AccountOrphaned), 1)
	if got, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID); err != nil || !got.Orphaned {
		t.Errorf("got %+v, %v", got, err)
	}
	// Sharing it with others is still possible, and a new owner ends it.
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("cleo")}, accounts.Collaborator, nil); err != nil {
		t.Error(err)
	}
	if _, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("ben")}, accounts.Owner, nil); err != nil {
		t.Error(err)
	}
	if got, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID); err != nil || got.Orphaned {
		t.Errorf("got %+v, %v", got, err)
	}
	equal(t, "the neighbour's events", other.events(t, core.AccountOrphaned), 0)
}

// The end of access by the clock is told once, by however many processes look, whatever became of the
// grant after its end, and not at all of what was taken back before.
func TestEndsAreToldOnce(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	hour, ben := w.clock.Now().Add(time.Hour), accounts.Subject{User: acme.user("ben")}
	var taken, shared accounts.Account
	for i := range 20 {
		account := acme.account(t, fmt.Sprint("shared", i), "ana")
		for _, subject := range []accounts.Subject{ben, {Team: acme.teams["wiki"].ID}} {
			if _, err := acme.share(t, acme.cause, account.ID, subject, accounts.Collaborator, &hour); err != nil {
				t.Fatal(err)
			}
		}
		taken, shared = shared, account
	}
	acme.take(t, taken.ID, "ben")
	orphan := other.account(t, "shared", "ana")
	if _, err := other.share(t, other.cause, orphan.ID, accounts.Subject{User: other.user("ana")}, accounts.Owner, &hour); err != nil {
		t.Fatal(err)
	}
	w.sweep(t)
	equal(t, "ends told before the hour", acme.events(t, core.AccountGrantExpired), 0)
	w.clock.Pass(time.Hour)
	if _, err := acme.share(t, acme.cause, shared.ID, ben, accounts.Collaborator, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { w.sweep(t) })
	}
	group.Wait()
	w.sweep(t) // what was passed by while another one was at it
	equal(t, "ends told", acme.events(t, core.AccountGrantExpired), 39)
	equal(t, "ends told next door", other.events(t, core.AccountGrantExpired), 1)
	equal(t, "orphans next door", other.events(t, core.AccountOrphaned), 1)
	equal(t, "unshared", acme.events(t, core.AccountUnshared), 2) // one taken before the hour, one shared anew and left
	w.sweep(t)
	equal(t, "ends told again", acme.events(t, core.AccountGrantExpired), 39)
}

func TestPurpose(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	give := func(purpose string) (grant accounts.Grant, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			grant, err = w.Share(t.Context(), tx, acme.as("ana"), acme.workspace, account.ID, accounts.Sharing{
				Subject: accounts.Subject{User: acme.user("gus")}, Role: accounts.Collaborator, Purpose: purpose,
			})
			return err
		})
		return grant, err
	}
	for _, purpose := range []string{"", "  ", "audit of 2026", strings.Repeat("ä", 200)} {
		grant, err := give(purpose)
		if err != nil || grant.Purpose != strings.TrimSpace(purpose) {
			t.Errorf("%q: %+v, %v", purpose, grant, err)
		}
		again, err := give(purpose)
		if err != nil || again.ID != grant.ID {
			t.Errorf("%q again: %+v, %v", purpose, again, err)
		}
	}
	equal(t, "events", acme.events(t, core.AccountShared), 3)
	var told int
	if err := w.DB.QueryRow(t.Context(), `select count(*) from audit_outbox
		where workspace_id = $1 and event ->> 'type' = 'account.shared' and event -> 'data' ->> 'purpose' = 'audit of 2026'`, acme.workspace).Scan(&told); err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
	for _, purpose := range []string{strings.Repeat("ä", 201), "two\nlines", "\xff", "a\x00"} {
		_, err := give(purpose)
		coretest.Wants(t, err, core.KindInvalid, "purpose")
	}
}
