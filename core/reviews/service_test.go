package reviews_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/reviews"
	"postern/core/services"
)

// service adds a service account that people answer for.
func (h house) service(t coretest.T, name string, scopes []string, owners ...directory.User) services.Account {
	t.Helper()
	var subjects []accounts.Subject
	for _, one := range owners {
		subjects = append(subjects, accounts.Subject{User: one.ID})
	}
	made, err := h.services().Create(context.Background(), h.by(h.zoe), h.workspace, services.Settings{Name: name, Purpose: "deploys", Risk: 3, Sensitivity: 3, Scopes: scopes}, subjects)
	coretest.Must(t, err)
	return made
}

func (h house) scopes(t coretest.T, by directory.User, service core.ID, scopes ...string) {
	t.Helper()
	_, err := h.services().Change(context.Background(), h.by(by), h.workspace, service, 0, func(s *services.Settings) { s.Scopes = scopes })
	coretest.Must(t, err)
}

func (h house) has(t coretest.T, service core.ID) []string {
	t.Helper()
	found, err := h.services().Account(context.Background(), h.core.DB, h.workspace, service)
	coretest.Must(t, err)
	return found.Scopes
}

// A service account that may do more than before is asked about, of an owner who did not say so.
func TestMoreScopesAreAskedAbout(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	ci := h.service(t, "ci", []string{"accounts:read", "apps:read"}, h.zoe, bob)
	robot := other.service(t, "ci", []string{"accounts:read"}, other.zoe, other.ana)
	other.scopes(t, other.zoe, robot.ID, "*:read")
	h.scopes(t, h.zoe, ci.ID, "accounts:read") // fewer
	h.settle(t)
	if found := h.small(t, reviews.TriggerScopeGrowth); len(found) != 0 {
		t.Fatalf("fewer scopes are asked about: %+v", found)
	}
	h.scopes(t, h.zoe, ci.ID, "accounts:read", "grants:write")
	h.settle(t)
	small := h.small(t, reviews.TriggerScopeGrowth)
	if len(small) != 1 || small[0].Name != "More scopes: ci" || small[0].Fallback != reviews.Keep {
		t.Fatalf("got %+v", small)
	}
	item := h.items(t, small[0].ID)[0]
	if item.Kind != reviews.ServiceAccount || item.Service != ci.ID || item.Role != "accounts:read grants:write" || item.Reviewer != bob.ID || item.AskedAs != reviews.AsOwner ||
		item.Giver != "zoe" || !item.Grant.IsZero() || item.Subject != "ci" {
		t.Fatalf("got %+v", item)
	}
	// Neither who has nothing to do with it decides, nor it itself, nor by half.
	review := small[0].ID
	coretest.Wants(t, h.say(h.by(h.ana), review, item.ID, reviews.Keep), core.KindDenied, "not_reviewer")
	coretest.Wants(t, h.say(core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: ci.ID, Name: "ci"}, w.clock.Now()), review, item.ID, reviews.Keep), core.KindDenied, "own_access")
	coretest.Wants(t, h.decide(h.by(bob), review, reviews.Decision{Item: item.ID, Verdict: reviews.Change, Role: accounts.Collaborator, Reason: "less"}), core.KindInvalid, "not_narrowed")
	if _, err := h.Decide(t.Context(), h.by(other.zoe), other.workspace, review, []reviews.Decision{{Item: item.ID, Verdict: reviews.Keep, Reason: "x"}}); core.KindOf(err) != core.KindDenied && core.KindOf(err) != core.KindNotFound {
		t.Fatalf("another workspace decides: %v", err)
	}
	// What was changed meanwhile is looked at again, and then it is gone.
	h.scopes(t, h.zoe, ci.ID, "accounts:read", "grants:read")
	coretest.Wants(t, h.say(h.by(bob), review, item.ID, reviews.Revoke), core.KindStale, "changed")
	if item = h.items(t, review)[0]; item.Role != "accounts:read grants:read" || item.Changed == nil {
		t.Fatalf("got %+v", item)
	}
	coretest.Must(t, h.say(h.by(bob), review, item.ID, reviews.Revoke))
	if left := h.has(t, ci.ID); len(left) != 0 {
		t.Fatalf("it still may %v", left)
	}
	if left := other.has(t, robot.ID); !slices.Equal(left, []string{"*:read"}) {
		t.Fatalf("the other workspace's may %v", left)
	}
	h.settle(t)
	h.settle(t)
	evidence, err := h.Evidence(t.Context(), h.core.DB, h.workspace, review)
	coretest.Must(t, err)
	told := evidence.Items[0]
	if !evidence.Complete || told.Followed != reviews.Done || told.Subject.ID != ci.ID || !told.Account.IsZero() || told.Decision != reviews.Revoke || told.DecidedBy.Name != "bob" {
		t.Fatalf("got %+v", told)
	}
	if events := h.count(t, `select count(*) from audit_log where workspace_id = @workspace and type = 'service_account.updated' and event::json #>> '{actor,name}' like 'Access review%'`); events != 1 {
		t.Errorf("%d times it is told that the review took them", events)
	}
}

// A campaign that names service accounts asks about each that may do something; the default is carried out, and one that is removed is off
// the list.
func TestServiceAccountsInACampaign(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	other.service(t, "theirs", []string{"*:*"}, other.zoe, other.ana)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	h.account(t, h.ana)
	stays, goes := h.service(t, "stays", []string{"accounts:read"}, h.ana, bob), h.service(t, "goes", []string{"apps:read"}, h.ana, bob)
	h.service(t, "idle", nil, h.ana, bob)
	scope := reviews.Scope{Kinds: []reviews.Kind{reviews.ServiceAccount}}
	total, shown, err := h.Preview(t.Context(), h.core.DB, h.workspace, scope, core.ID{}, 1)
	coretest.Must(t, err)
	if total != 2 || len(shown) != 1 || shown[0].ID != stays.ID || shown[0].Service != stays.ID {
		t.Fatalf("%d: %+v", total, shown)
	}
	if _, next, err := h.Preview(t.Context(), h.core.DB, h.workspace, scope, shown[0].ID, 5); err != nil || len(next) != 1 || next[0].Service != goes.ID {
		t.Fatalf("%+v, %v", next, err)
	}
	if all, _, err := h.Preview(t.Context(), h.core.DB, h.workspace, reviews.Scope{}, core.ID{}, 5); err != nil || all != 1 {
		t.Fatalf("without naming them there are %d, %v", all, err)
	}
	if both, _, err := h.Preview(t.Context(), h.core.DB, h.workspace, reviews.Scope{Kinds: []reviews.Kind{reviews.User, reviews.ServiceAccount}}, core.ID{}, 5); err != nil || both != 3 {
		t.Fatalf("with users there are %d, %v", both, err)
	}
	begun := h.campaign(t, reviews.Campaign{Scope: scope, Days: 3, Fallback: reviews.Revoke})
	items := h.items(t, begun.ID)
	if len(items) != 2 || items[0].Reviewer != h.ana.ID {
		t.Fatalf("got %+v", items)
	}
	// A reviewer who leaves, or answers for it no more, is followed by the next.
	owners, err := h.services().Owners(t.Context(), h.core.DB, h.workspace, stays.ID)
	coretest.Must(t, err)
	w.clock.Pass(time.Minute)
	_, err = h.services().AddOwner(t.Context(), h.by(h.zoe), h.workspace, stays.ID, accounts.Subject{User: h.zoe.ID})
	coretest.Must(t, err)
	for _, one := range owners {
		if one.User == h.ana.ID {
			coretest.Must(t, h.services().RemoveOwner(t.Context(), h.by(h.zoe), h.workspace, one.ID))
		}
	}
	h.settle(t)
	for _, one := range h.items(t, begun.ID) {
		if want := map[core.ID]core.ID{stays.ID: bob.ID, goes.ID: h.ana.ID}[one.Service]; one.Reviewer != want {
			t.Errorf("of %s %s is asked", one.Subject, one.Reviewing)
		}
	}
	coretest.Must(t, h.services().Remove(t.Context(), h.by(h.zoe), h.workspace, goes.ID))
	h.settle(t)
	w.clock.Pass(5 * 24 * time.Hour)
	for range 4 {
		h.settle(t)
	}
	after := h.read(t, begun.ID)
	if after.State != reviews.Closed || after.Ended != 1 || after.Revoked != 1 || after.Defaulted != 1 || after.Failed != 0 {
		t.Fatalf("got %+v", after)
	}
	if left := h.has(t, stays.ID); len(left) != 0 {
		t.Errorf("it still may %v", left)
	}
}
