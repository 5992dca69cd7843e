package reviews_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/reviews"
)

// A campaign that reminds nobody is one, too.
func TestACampaignWithoutReminders(t *testing.T) {
	h := open(t).house(t)
	made, err := h.Create(t.Context(), h.by(h.zoe), h.workspace, reviews.Campaign{Name: "quiet", Days: 1, Reminders: []int{}})
	coretest.Must(t, err)
	if len(made.Reminders) != 0 {
		t.Errorf("reminds at %v", made.Reminders)
	}
}

func TestCampaignsComeAgain(t *testing.T) {
	w := open(t)
	h := w.house(t)
	h.account(t, h.ana)
	anchor := time.Date(2026, 12, 31, 8, 0, 0, 0, time.UTC)
	made, err := h.Create(t.Context(), h.by(h.zoe), h.workspace, reviews.Campaign{Name: "Monthly", Days: 5, Months: 1, Anchor: &anchor, Fallback: reviews.Keep})
	coretest.Must(t, err)
	if _, err := h.Create(t.Context(), h.by(h.zoe), h.workspace, reviews.Campaign{Name: "Monthly", Days: 5}); core.AsError(err).Code != "review_campaign_name" {
		t.Fatalf("the same name: %v", err)
	}
	if _, err := h.Create(t.Context(), h.by(h.ana), h.workspace, reviews.Campaign{Name: "Mine", Days: 5}); core.KindOf(err) != core.KindDenied {
		t.Fatalf("who administers nothing: %v", err)
	}
	var begun []string
	for range 130 {
		h.clock.Pass(24 * time.Hour)
		_, err := h.Tick(t.Context())
		coretest.Must(t, err)
	}
	found, err := h.List(t.Context(), h.core.DB, h.workspace, reviews.Query{Campaign: made.ID})
	coretest.Must(t, err)
	for _, one := range found {
		begun = append(begun, one.Started.Format(time.DateOnly))
	}
	if diff := cmp.Diff([]string{"2027-02-28", "2027-01-31", "2026-12-31"}, begun); diff != "" {
		t.Fatal(diff)
	}
	after, err := h.Campaign(t.Context(), h.core.DB, h.workspace, made.ID)
	coretest.Must(t, err)
	if want := time.Date(2027, 3, 31, 8, 0, 0, 0, time.UTC); after.Next == nil || !after.Next.Equal(want) {
		t.Errorf("next %v", after.Next)
	}
	coretest.Must(t, h.Remove(t.Context(), h.by(h.zoe), h.workspace, made.ID))
	if got := h.read(t, found[0].ID); !got.Campaign.IsZero() || got.Name != "Monthly" {
		t.Errorf("got %+v", got)
	}
}
