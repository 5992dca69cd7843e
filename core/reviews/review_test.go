package reviews_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/reviews"
)

func TestRemindersComeOnce(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	login := h.account(t, h.ana)
	h.share(t, h.system(), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	begun := h.campaign(t, reviews.Campaign{Days: 10, Reminders: []int{3, 0, 7}})
	look := func(want int, to directory.User) {
		t.Helper()
		var all sync.WaitGroup
		for range 3 {
			other := w.another(t)
			all.Go(func() {
				if _, err := other.Tick(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := h.mails(t, to); len(got) != want {
			t.Fatalf("%s: %d mails to %s, want %d: %v", h.clock.Now(), len(got), to.UserName, want, got)
		}
	}
	look(1, h.ana)
	h.clock.Pass(time.Hour)
	look(1, h.ana)
	h.clock.Pass(3 * 24 * time.Hour) // 23 November: seven days before the 30th
	look(2, h.ana)
	// Who is asked later gets one mail, not those of days gone by.
	_, err := h.Reassign(t.Context(), h.by(h.ana), h.workspace, begun.ID, reviews.Reassignment{To: bob.ID})
	if core.AsError(err).Code != "nothing_reassigned" {
		t.Fatalf("it is his own: %v", err)
	}
	eve := h.join(t, "eve", directory.RoleUser, directory.User{})
	moved, err := h.Reassign(t.Context(), h.by(h.ana), h.workspace, begun.ID, reviews.Reassignment{To: eve.ID})
	if err != nil || moved != 1 {
		t.Fatal(moved, err)
	}
	look(1, eve)
	look(2, h.ana)
	h.clock.Pass(7 * 24 * time.Hour) // the last day
	look(2, eve)
	look(2, h.ana)
	kept := h.mails(t, eve)
	text, err := h.Mail.Text(t.Context(), h.core.DB, h.workspace, kept[0].ID)
	coretest.Must(t, err)
	for _, says := range []string{"Hello eve", "until the end of today, 30 November 2026", "1 decision", "https://postern.example/reviews/" + begun.ID.String() + "/mine", "revoked"} {
		if !strings.Contains(text.Reveal(), says) {
			t.Errorf("it does not say %q: %s", says, text.Reveal())
		}
	}
}

func TestSmallReviews(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	bob := h.join(t, "bob", directory.RoleUser, directory.User{})
	login := h.account(t, h.ana)
	h.share(t, h.by(h.ana), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.settle(t)
	if got := h.small(t, reviews.TriggerOwnerChange); len(got) != 0 {
		t.Fatalf("of a collaborator: %+v", got)
	}
	h.share(t, h.by(h.ana), login.ID, accounts.Subject{User: bob.ID}, accounts.Owner)
	h.settle(t)
	var all sync.WaitGroup
	for range 4 {
		another := w.another(t)
		all.Go(func() {
			if _, err := another.Follow(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	small := h.small(t, reviews.TriggerOwnerChange)
	if len(small) != 1 || small[0].Items != 1 || small[0].Fallback != reviews.Keep || len(other.small(t, reviews.TriggerOwnerChange)) != 0 {
		t.Fatalf("got %+v", small)
	}
	// Whoever gave it is not asked whether that was right, nor who got it.
	item := h.items(t, small[0].ID)[0]
	if item.Reviewing != "zoe" || item.User != bob.ID {
		t.Fatalf("got %+v", item)
	}
	// An owner whose access is narrowed in time was one before.
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.core.Lifecycle.Share(ctx, tx, h.by(h.ana), h.workspace, login.ID, accounts.Sharing{
			Subject: accounts.Subject{User: bob.ID}, Role: accounts.Owner, Expires: new(h.clock.Now().AddDate(0, 6, 0)),
		})
		return err
	})
	h.settle(t)
	if got := h.small(t, reviews.TriggerOwnerChange); len(got) != 1 {
		t.Fatalf("got %d", len(got))
	}
	// Switched off, nobody is asked.
	coretest.Must(t, h.Set(t.Context(), h.by(h.zoe), h.workspace, reviews.Setting{Trigger: reviews.TriggerOwnerChange, Days: 14, Fallback: reviews.Keep}))
	if err := h.Set(t.Context(), h.by(h.ana), h.workspace, reviews.Setting{Trigger: reviews.TriggerUnused, Days: 14, Fallback: reviews.Keep}); core.KindOf(err) != core.KindDenied {
		t.Fatalf("who administers nothing: %v", err)
	}
	eve := h.join(t, "eve", directory.RoleUser, directory.User{})
	h.share(t, h.by(h.ana), login.ID, accounts.Subject{User: eve.ID}, accounts.Owner)
	h.settle(t)
	if got := h.small(t, reviews.TriggerOwnerChange); len(got) != 1 {
		t.Fatalf("got %d", len(got))
	}
}

// Nothing of a review is another workspace's.
func TestIsolation(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	h.account(t, h.ana)
	begun := h.campaign(t, reviews.Campaign{})
	ctx, db := t.Context(), h.core.DB
	for what, err := range map[string]error{
		"review":   second(h.Review(ctx, db, other.workspace, begun.ID)),
		"campaign": second(h.Campaign(ctx, db, other.workspace, begun.Campaign)),
		"start":    second(h.Start(ctx, other.by(other.zoe), other.workspace, begun.Campaign)),
		"cancel":   h.Cancel(ctx, other.by(other.zoe), other.workspace, begun.ID, "mine"),
		"remove":   h.Remove(ctx, other.by(other.zoe), other.workspace, begun.Campaign),
		"reassign": second(h.Reassign(ctx, other.by(other.zoe), other.workspace, begun.ID, reviews.Reassignment{From: h.zoe.ID, To: other.ana.ID})),
		"evidence": second(h.Evidence(ctx, db, other.workspace, begun.ID)),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, count := range map[string]int{
		"list": len(must2(h.List(ctx, db, other.workspace, reviews.Query{}))(t)), "campaigns": len(must2(h.Campaigns(ctx, db, other.workspace))(t)),
		"items":     len(must2(h.Items(ctx, db, other.workspace, reviews.ItemQuery{Review: begun.ID}))(t)),
		"waiting":   len(must2(h.Waiting(ctx, db, other.workspace, h.zoe.ID, true))(t)),
		"reviewers": len(must2(h.Reviewers(ctx, db, other.workspace, begun.ID))(t)),
		"issues":    len(must2(h.Issues(ctx, db, other.workspace, begun.ID))(t)),
	} {
		if count != 0 {
			t.Errorf("%s: %d", what, count)
		}
	}
}

func second[Value any](_ Value, err error) error { return err }

func must2[Value any](value Value, err error) func(t *testing.T) Value {
	return func(t *testing.T) Value {
		t.Helper()
		coretest.Must(t, err)
		return value
	}
}
