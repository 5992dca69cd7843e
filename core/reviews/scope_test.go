package reviews_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/reviews"
)

// The scope of a campaign, shown before and frozen when it begins.
func TestScopes(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	other.account(t, other.ana)
	bob, guest := h.join(t, "bob", directory.RoleUser, directory.User{}), h.join(t, "guest", directory.RoleGuest, directory.User{})
	one, two := h.account(t, h.ana), h.account(t, h.ana)
	h.share(t, h.system(), one.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.core.Accounts.SetTags(ctx, tx, h.system(), h.workspace, two.ID, []string{"prod"})
		return err
	})
	h.clock.Pass(100 * 24 * time.Hour)
	h.fill(t, bob, one.ID)
	h.share(t, h.system(), two.ID, accounts.Subject{User: guest.ID}, accounts.Collaborator)
	for name, test := range map[string]struct {
		scope reviews.Scope
		want  int
	}{
		"all": {reviews.Scope{}, 4}, "app": {reviews.Scope{Apps: []core.ID{h.app}}, 4}, "tag": {reviews.Scope{Tags: []string{"Prod"}}, 2},
		"account": {reviews.Scope{Accounts: []core.ID{one.ID}}, 2}, "but": {reviews.Scope{Excluded: []core.ID{one.ID}}, 2},
		"owners": {reviews.Scope{Role: accounts.Owner}, 2}, "guests": {reviews.Scope{Kinds: []reviews.Kind{reviews.Guest}}, 1}, "teams": {reviews.Scope{Kinds: []reviews.Kind{reviews.Team}}, 0},
		"older": {reviews.Scope{OlderDays: 90}, 3}, "unused": {reviews.Scope{UnusedDays: 90}, 2}, "both": {reviews.Scope{Tags: []string{"prod"}, Role: accounts.Owner, UnusedDays: 90}, 1},
	} {
		total, found, err := h.Preview(t.Context(), h.core.DB, h.workspace, test.scope, core.ID{}, 1)
		coretest.Must(t, err)
		if total != test.want || len(found) != min(1, test.want) {
			t.Errorf("%s: %d, %d on the page, want %d", name, total, len(found), test.want)
		}
	}
	if _, _, err := h.Preview(t.Context(), h.core.DB, other.workspace, reviews.Scope{Apps: []core.ID{h.app}}, core.ID{}, 10); core.KindOf(err) != core.KindInvalid {
		t.Errorf("another workspace's app: %v", err)
	}
	made, err := h.Create(t.Context(), h.by(h.zoe), h.workspace, reviews.Campaign{Name: "Teams", Days: 3, Scope: reviews.Scope{Kinds: []reviews.Kind{reviews.Team}}})
	coretest.Must(t, err)
	if _, err := h.Start(t.Context(), h.by(h.zoe), h.workspace, made.ID); core.AsError(err).Code != "nothing_to_review" {
		t.Errorf("nothing to ask: %v", err)
	}
}

func TestUnusedAccessIsAskedAbout(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	login := h.account(t, h.ana)
	h.share(t, h.by(h.ana), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.clock.Pass(80 * 24 * time.Hour)
	h.fill(t, h.ana, login.ID)
	h.clock.Pass(11 * 24 * time.Hour)
	h.settle(t)
	if got := h.small(t, reviews.TriggerUnused); len(got) != 0 {
		t.Fatalf("nobody asked for it: %+v", got)
	}
	coretest.Must(t, h.Set(t.Context(), h.by(h.zoe), h.workspace, reviews.Setting{Trigger: reviews.TriggerUnused, Enabled: true, Days: 14, Fallback: reviews.Revoke}))
	h.settle(t)
	found := h.small(t, reviews.TriggerUnused)
	if len(found) != 1 || found[0].Items != 1 {
		t.Fatalf("got %+v", found)
	}
	item := h.item(t, found[0].ID, login.ID, bob.ID)
	if item.Reviewing != "ana" {
		t.Errorf("got %+v", item)
	}
	for range 5 { // it waits, and then somebody said so
		h.clock.Pass(25 * time.Hour)
		h.settle(t)
	}
	coretest.Must(t, h.say(h.by(h.ana), found[0].ID, item.ID, reviews.Keep))
	for range 20 {
		h.clock.Pass(25 * time.Hour)
		h.settle(t)
	}
	asked := 0
	for _, one := range h.small(t, reviews.TriggerUnused) {
		for _, item := range h.items(t, one.ID) {
			if item.User == bob.ID {
				asked++
			}
		}
	}
	if asked != 1 {
		t.Errorf("Bob's was asked about %d times", asked)
	}
}
