package reviews_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/reviews"
)

// Keep, revoke and narrow do what they say, and nothing gives more.
func TestDecisions(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	bob, eve, co := h.join(t, "bob", directory.RoleUser, directory.User{}), h.join(t, "eve", directory.RoleUser, directory.User{}), h.join(t, "co", directory.RoleUser, directory.User{})
	guest := h.join(t, "guest", directory.RoleGuest, directory.User{})
	login := h.account(t, h.ana)
	for user, role := range map[core.ID]accounts.Role{bob.ID: accounts.Collaborator, eve.ID: accounts.Collaborator, co.ID: accounts.Owner} {
		h.share(t, h.system(), login.ID, accounts.Subject{User: user}, role)
	}
	h.fill(t, bob, login.ID)
	h.settle(t)
	begun := h.campaign(t, reviews.Campaign{})
	bobs, eves, cos, anas := h.item(t, begun.ID, login.ID, bob.ID), h.item(t, begun.ID, login.ID, eve.ID), h.item(t, begun.ID, login.ID, co.ID), h.item(t, begun.ID, login.ID, h.ana.ID)
	if bobs.LastUsed == nil || bobs.Reviewing != "ana" || cos.Reviewing != "ana" || anas.Reviewing != "co" {
		t.Fatalf("got %+v", bobs)
	}
	for who, cause := range map[string]core.Cause{"bob": h.by(bob), "eve": h.by(eve), "guest": h.by(guest)} {
		code := "not_reviewer"
		if who == "bob" {
			code = "own_access"
		}
		coretest.Wants(t, h.say(cause, begun.ID, bobs.ID, reviews.Keep), core.KindDenied, code)
	}
	if err := other.say(other.by(other.zoe), begun.ID, bobs.ID, reviews.Keep); core.KindOf(err) != core.KindNotFound {
		t.Fatalf("another workspace: %v", err)
	}
	if err := h.say(other.by(other.zoe), begun.ID, bobs.ID, reviews.Keep); core.AsError(err).Code != "not_a_member" {
		t.Fatalf("somebody of another workspace: %v", err)
	}
	later := h.clock.Now().AddDate(0, 1, 0)
	for what, wanted := range map[string]reviews.Decision{
		"no reason": {Item: bobs.ID, Verdict: reviews.Keep}, "no verdict": {Item: bobs.ID, Reason: "x"}, "ended": {Item: bobs.ID, Verdict: reviews.Ended, Reason: "x"},
		"more":          {Item: bobs.ID, Verdict: reviews.Change, Role: accounts.Owner, Reason: "x"},
		"nothing":       {Item: bobs.ID, Verdict: reviews.Change, Role: accounts.Collaborator, Reason: "x"},
		"the past":      {Item: bobs.ID, Verdict: reviews.Change, Expires: new(h.clock.Now().Add(-time.Hour)), Reason: "x"},
		"keep and more": {Item: bobs.ID, Verdict: reviews.Keep, Expires: &later, Reason: "x"},
	} {
		if err := h.decide(h.by(h.ana), begun.ID, wanted); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	coretest.Must(t, h.decide(h.by(h.ana), begun.ID, reviews.Decision{Item: eves.ID, Verdict: reviews.Change, Expires: &later, Reason: "until the project ends"}))
	coretest.Must(t, h.say(h.by(h.ana), begun.ID, bobs.ID, reviews.Revoke))
	coretest.Wants(t, h.say(h.by(h.zoe), begun.ID, bobs.ID, reviews.Keep), core.KindConflict, "decided")
	coretest.Must(t, h.decide(h.by(h.zoe), begun.ID, reviews.Decision{Item: cos.ID, Verdict: reviews.Change, Role: accounts.Collaborator, Reason: "no owner"}))
	// Now Ana is the last owner, whom no review takes.
	coretest.Wants(t, h.say(h.by(h.zoe), begun.ID, anas.ID, reviews.Revoke), core.KindConflict, "last_owner")
	coretest.Must(t, h.say(h.by(h.zoe), begun.ID, anas.ID, reviews.Keep))
	if h.uses(t, bob, login.ID) || !h.uses(t, eve, login.ID) {
		t.Error("it was not done")
	}
	found := h.item(t, begun.ID, login.ID, bob.ID)
	if found.Rotation.IsZero() || found.Decider.Name != "ana" || found.Reason != "I know" {
		t.Errorf("got %+v", found)
	}
	if open := h.count(t, `select count(*) from rotations where workspace_id = @workspace and finished is null`); open != 1 {
		t.Errorf("%d rotations", open)
	}
	h.settle(t)
	closed := h.read(t, begun.ID)
	want := reviews.Progress{Kept: 1, Revoked: 1, Changed: 2}
	if closed.State != reviews.Closed || closed.Issued != 0 || closed.Progress != want {
		t.Fatalf("got %+v", closed)
	}
	coretest.Wants(t, h.say(h.by(h.zoe), begun.ID, bobs.ID, reviews.Keep), core.KindConflict, "review_over")
	// It is signed when the password is dead.
	h.rotate(t)
	h.clock.Pass(2 * time.Minute)
	h.settle(t)
	issue, err := h.Issue(t.Context(), h.core.DB, h.workspace, begun.ID, 0)
	coretest.Must(t, err)
	document, err := issue.Document()
	coretest.Must(t, err)
	text, err := json.MarshalIndent(document, "", "  ")
	coretest.Must(t, err)
	read, err := reviews.Read(text)
	coretest.Must(t, err)
	keys, err := h.core.Signing.PublicKeys(t.Context(), h.workspace)
	coretest.Must(t, err)
	said, _, err := read.Verify(keys)
	coretest.Must(t, err)
	if !said.Complete || said.Number != 1 || len(said.Items) != 4 || said.Count(reviews.Done) != 3 || said.StartedBy.Name != "zoe" {
		t.Fatalf("got %+v", said)
	}
	for _, one := range said.Items {
		if one.Subject.Name == "bob" && (one.OldRefused == nil || one.DecidedBy.Name != "ana" || one.Decision != reviews.Revoke || one.GivenBy != "Postern") {
			t.Errorf("got %+v", one)
		}
	}
	if _, err := other.Issue(t.Context(), h.core.DB, other.workspace, begun.ID, 0); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace reads it: %v", err)
	}
	read.Review = []byte(strings.Replace(string(read.Review), `"keep"`, `"revoke"`, 1))
	if _, _, err := read.Verify(keys); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("a forgery is believed: %v", err)
	}
}

// What is given anew during a review is asked about as it is: nobody keeps an owner's access by what was said about a
// collaborator's.
func TestAccessGivenAnewIsAskedAboutAnew(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	login := h.account(t, h.ana)
	h.share(t, h.system(), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	begun := h.campaign(t, reviews.Campaign{})
	item := h.item(t, begun.ID, login.ID, bob.ID)
	h.share(t, h.by(h.ana), login.ID, accounts.Subject{User: bob.ID}, accounts.Owner)
	coretest.Wants(t, h.say(h.by(h.ana), begun.ID, item.ID, reviews.Keep), core.KindStale, "changed")
	if item = h.item(t, begun.ID, login.ID, bob.ID); item.Role != "owner" || item.Changed == nil || item.Giver != "ana" {
		t.Fatalf("got %+v", item)
	}
	coretest.Must(t, h.say(h.by(h.ana), begun.ID, item.ID, reviews.Revoke))
	if h.uses(t, bob, login.ID) {
		t.Error("he still may")
	}
}

func TestTheDefaultAtTheEnd(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	login := h.account(t, h.ana)
	h.share(t, h.system(), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.settle(t)
	begun := h.campaign(t, reviews.Campaign{Days: 7})
	if begun.Fallback != reviews.Revoke || !begun.Due.Equal(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)) {
		t.Fatalf("got %+v", begun)
	}
	kept := h.campaign(t, reviews.Campaign{Days: 9, Fallback: reviews.Keep})
	cancelled := h.campaign(t, reviews.Campaign{Days: 7})
	coretest.Must(t, h.Cancel(t.Context(), h.by(h.zoe), h.workspace, cancelled.ID, "a mistake"))
	if err := h.Cancel(t.Context(), h.by(h.ana), h.workspace, begun.ID, "no"); core.KindOf(err) != core.KindDenied {
		t.Fatalf("who administers nothing: %v", err)
	}
	h.clock.Pass(7*24*time.Hour + 14*time.Hour + 59*time.Minute)
	h.settle(t)
	if got := h.read(t, begun.ID); got.State != reviews.Open {
		t.Fatalf("a minute before: %s", got.State)
	}
	h.clock.Pass(2 * time.Minute)
	var all sync.WaitGroup
	for range 4 {
		other := w.another(t)
		all.Go(func() {
			if _, err := other.Tick(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.settle(t)
	closed := h.read(t, begun.ID)
	want := reviews.Progress{Revoked: 2, Defaulted: 2, Failed: 1}
	if closed.State != reviews.Closed || closed.Progress != want {
		t.Fatalf("got %+v", closed)
	}
	if h.uses(t, bob, login.ID) || !h.uses(t, h.ana, login.ID) {
		t.Error("the default was not carried out, or took the last owner")
	}
	if item := h.item(t, begun.ID, login.ID, h.ana.ID); item.Failure == "" || !item.Defaulted || item.Decider.Name != core.System.Name {
		t.Errorf("got %+v", item)
	}
	said, err := h.Evidence(t.Context(), h.core.DB, h.workspace, begun.ID)
	coretest.Must(t, err)
	if said.Complete || said.Count(reviews.Failed) != 1 {
		t.Errorf("got %+v", said)
	}
	if told := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'review.item_decided'`); told != 2 {
		t.Errorf("%d decisions are told", told)
	}
	if got := h.read(t, begun.ID); got.Issued != 1 || got.Complete {
		t.Errorf("got %d issues, complete %v", got.Issued, got.Complete)
	}
	if got := h.read(t, cancelled.ID); got.State != reviews.Closed || got.Decided() != 0 || got.Issued != 1 {
		t.Errorf("got %+v", got)
	}
	// Bob's access ended meanwhile, Ana's is kept.
	h.clock.Pass(48 * time.Hour)
	h.settle(t)
	if got := h.read(t, kept.ID); got.Progress != (reviews.Progress{Kept: 1, Ended: 1, Defaulted: 1}) {
		t.Errorf("got %+v", got)
	}
}
