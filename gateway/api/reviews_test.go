package api_test

import (
	"encoding/json"
	"testing"

	"postern/core"
	"postern/core/reviews"
)

// reviewing begins a review of all there is: its campaign, itself, and its first item.
func (w *world) reviewing(t *testing.T, name string) (campaign, review, item string) {
	t.Helper()
	campaign = w.must(t, 201, "POST", "/review-campaigns", `{"name":"`+name+`","days":14}`)["id"].(string)
	review = w.must(t, 201, "POST", "/review-campaigns/"+campaign+"/start", "")["id"].(string)
	return campaign, review, items(w.must(t, 200, "GET", "/reviews/"+review+"/items", ""))[0]["id"].(string)
}

// signedReview is one that was cancelled, with its evidence.
func (w *world) signedReview(t *testing.T, name string) (campaign, review, item string) {
	t.Helper()
	campaign, review, item = w.reviewing(t, name)
	w.must(t, 200, "POST", "/reviews/"+review+"/cancel", `{"reason":"a mistake"}`)
	if _, err := w.reviews.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	return campaign, review, item
}

func TestReviews(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	w.must(t, 201, "POST", "/accounts/"+account+"/grants", `{"user":"`+w.ben.ID.String()+`","role":"collaborator","purpose":"on call"}`)

	draft := w.must(t, 200, "POST", "/review-previews?limit=1", `{"kinds":["user"]}`)
	if draft["total"] != 2.0 || len(draft["items"].([]any)) != 1 || draft["next"] == nil || draft["sentence"] != "Every access of users." {
		t.Fatalf("got %v", draft)
	}
	next := items(w.must(t, 200, "POST", "/review-previews?limit=1&cursor="+draft["next"].(string), `{}`))
	if len(next) != 1 || next[0]["subject"] != "Ben" || next[0]["asked_as"] != "owner" {
		t.Fatalf("got %v", next)
	}
	made := w.must(t, 201, "POST", "/review-campaigns", `{"name":"Quarterly","days":14,"months":3,"scope":{"role":"collaborator"}}`)
	if made["fallback"] != "revoke" || made["next"] == nil || len(made["reminders"].([]any)) != 3 {
		t.Fatalf("got %v", made)
	}
	campaign := made["id"].(string)
	for body, pointer := range map[string]string{
		`{"name":"","days":14}`: "#/name", `{"name":"x","days":0}`: "#/days", `{"name":"x","days":40,"months":1}`: "#/days", `{"name":"x","days":3,"reminders":[5]}`: "#/reminders",
	} {
		if status, got := w.ask(t, "acme", "POST", "/review-campaigns", body); status != 400 || pointers(got) != pointer {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	changed := w.must(t, 200, "PUT", "/review-campaigns/"+campaign, `{"name":"Quarterly","days":10,"fallback":"keep"}`)
	if changed["days"] != 10.0 || changed["fallback"] != "keep" || changed["next"] != nil || changed["version"] != 2.0 {
		t.Fatalf("got %v", changed)
	}
	review := w.must(t, 201, "POST", "/review-campaigns/"+campaign+"/start", "")["id"].(string)
	all := items(w.must(t, 200, "GET", "/reviews/"+review+"/items?undecided=true", ""))
	if len(all) != 2 || all[0]["subject"] != "Ben" && all[1]["subject"] != "Ben" {
		t.Fatalf("got %v", all)
	}
	bens, anas := all[0], all[1]
	if bens["subject"] != "Ben" {
		bens, anas = anas, bens
	}
	if bens["given_by"] != "all" || bens["purpose"] != "on call" || bens["reviewer_name"] != "ana" {
		t.Errorf("got %v", bens)
	}
	results := items(w.must(t, 200, "POST", "/reviews/"+review+"/decisions", `{"decisions":[
		{"item":"`+bens["id"].(string)+`","decision":"revoke","reason":"left the team"},
		{"item":"`+anas["id"].(string)+`","decision":"revoke","reason":"too"},
		{"item":"`+core.NewID().String()+`","decision":"keep","reason":"nobody"}]}`))
	if results[0]["decision"] != "revoke" || results[0]["refused"] != nil || results[1]["refused"].(map[string]any)["code"] != "last_owner" || results[2]["refused"].(map[string]any)["code"] != "not_found" {
		t.Fatalf("got %v", results)
	}
	if granted := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", "")); len(granted) != 1 {
		t.Errorf("got %v", granted)
	}
	w.must(t, 200, "POST", "/reviews/"+review+"/decisions", `{"decisions":[{"item":"`+anas["id"].(string)+`","decision":"keep","reason":"hers"}]}`)
	for range 3 {
		if _, err := w.reviews.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := w.must(t, 200, "GET", "/reviews/"+review, "")
	if got["state"] != "closed" || got["kept"] != 1.0 || got["revoked"] != 1.0 || got["number"] != 1.0 || got["complete"] != true {
		t.Fatalf("got %v", got)
	}
	text, err := json.Marshal(w.must(t, 200, "GET", "/reviews/"+review+"/document", ""))
	if err != nil {
		t.Fatal(err)
	}
	document, err := reviews.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	said, _, err := document.Verify(document.Keys.Keys)
	if err != nil || said.ID.String() != review || said.Decided(reviews.Revoke) != 1 {
		t.Fatalf("got %+v, %v", said, err)
	}
	if listed := items(w.must(t, 200, "GET", "/reviews?state=closed&campaign="+campaign, "")); len(listed) != 1 {
		t.Errorf("got %v", listed)
	}
	set := w.must(t, 200, "PUT", "/review-settings", `{"triggers":[{"trigger":"unused","enabled":true,"days":7,"fallback":"revoke"}]}`)["triggers"].([]any)
	if len(set) != 3 || set[2].(map[string]any)["enabled"] != true || set[0].(map[string]any)["enabled"] != true {
		t.Errorf("got %v", set)
	}
	if status, got := w.ask(t, "acme", "PUT", "/review-settings", `{"triggers":[{"trigger":"unused","enabled":true,"days":0,"fallback":"keep"}]}`); status != 400 {
		t.Errorf("%d %v", status, got)
	}
}
