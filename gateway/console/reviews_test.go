package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/core"
	"postern/core/reviews"
)

// PopulateReviews has one campaign under way and one that was called off, with its evidence.
func (w *world) PopulateReviews(t testing.TB) {
	for _, name := range []string{"Called off", "Quarterly"} {
		answer, text := w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", url.Values{"name": {name}, "days": {"14"}, "months": {"3"}, "fallback": {"revoke"}, "reminders": {"7 3 0"}, "role": {"collaborator"}})
		if answer.StatusCode != http.StatusSeeOther {
			t.Fatal(answer.StatusCode, text)
		}
		if answer, text = w.ask(t, "zoe", http.MethodPost, answer.Header.Get("Location")+"/start", url.Values{}); answer.StatusCode != http.StatusSeeOther {
			t.Fatal(answer.StatusCode, text)
		}
		if name == "Called off" {
			w.post(t, "zoe", answer.Header.Get("Location")+"/cancel", url.Values{"reason": {"too early"}}, http.StatusSeeOther)
			if _, err := w.reviews.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReviewsInTheConsole(t *testing.T) {
	w := newWorld(t)
	ben := w.people["ben"]
	w.expect(t, "ana", "/reviews", 200, []string{"Nothing waits for you"}, []string{"Campaigns"})
	w.expect(t, "zoe", "/reviews/campaigns", 200, []string{"No campaign yet", "every quarter"}, nil)
	w.expect(t, "zoe", "/reviews/all", 200, []string{"No review"}, nil)
	for _, path := range []string{"/reviews/all", "/reviews/campaigns", "/reviews/campaigns/new", "/settings/reviews"} {
		w.expect(t, "ana", path, 403, nil, []string{"<form class=\"card"})
	}
	form := url.Values{
		"name": {"Quarterly"}, "days": {"14"}, "months": {"3"}, "fallback": {"revoke"}, "reminders": {"7 3 0"}, "role": {"collaborator"}, "preview": {"1"},
	}
	answer, text := w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", form)
	if answer.StatusCode != 200 || !strings.Contains(text, "1 access.") || !strings.Contains(text, "Ana Ito") || !strings.Contains(text, `value="Quarterly"`) {
		t.Fatal(answer.StatusCode, text)
	}
	form.Del("preview")
	if answer, text := w.ask(t, "ana", http.MethodPost, "/reviews/campaigns", form); answer.StatusCode != 403 {
		t.Fatal(answer.StatusCode, text)
	}
	if answer, text = w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", form); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	campaign := answer.Header.Get("Location")
	for what, change := range map[string][2]string{"no days": {"days", "0"}, "words": {"days", "many"}, "a reminder too early": {"reminders", "20"}, "too often": {"months", "-1"}, "an unknown kind": {"kind", "robot"}} {
		wrong := url.Values{"name": {"Other"}, "days": {"14"}, "fallback": {"keep"}}
		wrong.Set(change[0], change[1])
		if answer, text := w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", wrong); answer.StatusCode != 400 || !strings.Contains(text, `role="alert"`) {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
	}
	w.expect(t, "zoe", campaign+"?start=1", 200, []string{"Begin now?", "1 access is", "revoked"}, nil)
	w.expect(t, "gus", campaign, 404, nil, []string{"Quarterly"})
	if answer, text = w.ask(t, "zoe", http.MethodPost, campaign+"/start", url.Values{}); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	review := answer.Header.Get("Location")
	w.expect(t, "zoe", review, 200, []string{"Quarterly", "0 % decided", "Ana Ito", "Ben &lt;b&gt;Okoye"}, []string{"<b>Okoye", "style="})
	w.expect(t, "ana", review, 403, nil, []string{"Okoye"})
	w.expect(t, "gus", review, 404, nil, nil)
	w.expect(t, "gus", review+"/mine", 404, nil, nil)
	w.expect(t, "ben", review+"/mine", 404, nil, []string{"data-row"})
	w.expect(t, "ana", "/reviews", 200, []string{"Quarterly", "1 decision"}, nil)
	w.expect(t, "ana", review+"/mine", 200, []string{"Ben &lt;b&gt;Okoye", `data-key="k"`, "Leave open"}, []string{"<b>Okoye", "style="})
	id, err := core.ParseID(strings.TrimPrefix(review, "/reviews/"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.reviews.Items(t.Context(), w.db, w.acme.ID, reviews.ItemQuery{Review: id})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	item := found[0].ID.String()
	decide := url.Values{"item": {item}, "decision-" + item: {"revoke"}}
	if answer, text := w.ask(t, "ana", http.MethodPost, review+"/decide", decide); answer.StatusCode != 400 || !strings.Contains(text, "Say why") {
		t.Fatal(answer.StatusCode, text)
	}
	decide.Set("reason", "left the project")
	if answer, text := w.ask(t, "ana", http.MethodPost, review+"/decide", decide); answer.StatusCode != 200 || !strings.Contains(text, "Take 1 access?") || !strings.Contains(text, "is revoked") {
		t.Fatal(answer.StatusCode, text)
	}
	if role, err := w.accounts.MayUse(t.Context(), w.db, w.acme.ID, ben.ID, w.wiki.ID); err != nil {
		t.Fatal(role, err)
	}
	decide.Set("confirmed", "1")
	if answer, _ := w.ask(t, "ana", http.MethodPost, review+"/decide", decide, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("another site decides: %d", answer.StatusCode)
	}
	if answer, text := w.ask(t, "ben", http.MethodPost, review+"/decide", decide); answer.StatusCode != 404 && answer.StatusCode != 409 {
		t.Errorf("the person themselves decides: %d %s", answer.StatusCode, text)
	}
	if answer, text := w.ask(t, "ana", http.MethodPost, review+"/decide", decide); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	if _, err := w.accounts.MayUse(t.Context(), w.db, w.acme.ID, ben.ID, w.wiki.ID); err == nil {
		t.Error("ben still may")
	}
	for range 3 {
		if _, err := w.reviews.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, "ana", "/reviews", 200, []string{"Nothing waits for you"}, nil)
	w.expect(t, "zoe", review, 200, []string{"100 % decided", ">Closed<", "Revoked", "left the project", "postern review verify"}, nil)
	w.expect(t, "zoe", review+"/evidence", 200, []string{"left the project", "Ana Ito", "Everything that was decided is done"}, []string{"<b>Okoye"})
	answer, text = w.ask(t, "zoe", http.MethodGet, review+"/download?number=1", nil)
	if answer.StatusCode != 200 || !strings.Contains(answer.Header.Get("Content-Disposition"), "attachment") {
		t.Fatal(answer.StatusCode, text)
	}
	document, err := reviews.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if said, _, err := document.Verify(document.Keys.Keys); err != nil || said.Decided(reviews.Revoke) != 1 {
		t.Fatal(said, err)
	}
	for _, path := range []string{review + "/evidence", review + "/download"} {
		w.expect(t, "ana", path, 403, nil, []string{"left the project"})
		w.expect(t, "gus", path, 404, nil, []string{"left the project"})
	}
	w.robotsReviewed(t)
	w.expect(t, "zoe", "/settings/reviews", 200, []string{"A service account may do more than before"}, nil)
	set := url.Values{"scope_growth": {"1"}, "scope_growth-days": {"7"}, "scope_growth-fallback": {"keep"}, "owner_change": {"1"}, "owner_change-days": {"7"}, "owner_change-fallback": {"keep"}, "unused": {"1"}, "unused-days": {"14"}, "unused-fallback": {"revoke"}}
	if answer, text := w.ask(t, "zoe", http.MethodPost, "/settings/reviews", set); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	set.Set("unused-days", "")
	if answer, _ := w.ask(t, "zoe", http.MethodPost, "/settings/reviews", set); answer.StatusCode != 400 {
		t.Error(answer.StatusCode)
	}
}

// robotsReviewed has a campaign ask about service accounts: of whoever answers for one, whether it keeps its scopes.
func (w *world) robotsReviewed(t *testing.T) {
	t.Helper()
	robot := url.Values{"name": {"ci"}, "risk": {"4"}, "sensitivity": {"5"}, "scopes": {"accounts:read"}, "owners": {w.people["ana"].UserName + "\r\n" + w.people["ben"].UserName}}
	answer, text := w.ask(t, "zoe", http.MethodPost, "/services", robot)
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	at := answer.Header.Get("Location")
	form := url.Values{"name": {"Robots"}, "days": {"14"}, "fallback": {"revoke"}, "kind": {"service_account"}, "preview": {"1"}}
	answer, text = w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", form)
	for _, want := range []string{"1 access.", "<strong>ci</strong>", "service account, accounts:read", `href="` + at + `"`} {
		if answer.StatusCode != 200 || !strings.Contains(text, want) {
			t.Fatal(answer.StatusCode, want, text)
		}
	}
	form.Del("preview")
	answer, _ = w.ask(t, "zoe", http.MethodPost, "/reviews/campaigns", form)
	answer, text = w.ask(t, "zoe", http.MethodPost, answer.Header.Get("Location")+"/start", url.Values{})
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	review := answer.Header.Get("Location")
	w.expect(t, "zoe", review, 200, []string{`href="` + at + `"`, "service account, accounts:read"}, []string{`href="/accounts/"`})
	page := w.expect(t, "ana", review+"/mine", 200, []string{"scopes <code>accounts:read</code>"}, []string{`value="change"`, "Narrow: ends"})
	item := page[strings.Index(page, `name="item" value="`)+len(`name="item" value="`):]
	item = item[:strings.Index(item, `"`)]
	decision := url.Values{"item": {item}, "decision-" + item: {"revoke"}, "reason-" + item: {"nobody needs it"}}
	for _, status := range []int{http.StatusOK, http.StatusSeeOther} { // it is confirmed
		if answer, text = w.ask(t, "ana", http.MethodPost, review+"/decide", decision); answer.StatusCode != status {
			t.Fatal(answer.StatusCode, text)
		}
		decision.Set("confirmed", "1")
	}
	w.expect(t, "zoe", at, 200, nil, []string{"<code>accounts:read</code>"})
}
