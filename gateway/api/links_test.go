package api_test

import (
	"net/http"
	"strings"
	"testing"

	"postern/core"
	"postern/core/seal"
)

func TestLinks(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	body := `{"owner":"` + w.ana.ID.String() + `","recipients":["ada@example.com"],"level":"revealed","once":true,"device_lock":true,"linger_seconds":0,"send":true}`
	made := w.must(t, 201, "POST", "/accounts/"+account+"/links", body)
	token, ok := strings.CutPrefix(made["url"].(string), "https://postern.example.com/l/")
	if !ok || made["state"] != "active" || made["owner_name"] != "ana" || made["linger_seconds"] != float64(0) {
		t.Fatalf("made %v", made)
	}
	w.hidden = append(w.hidden, token)
	id := made["id"].(string)
	for _, path := range []string{"/links", "/links?live=true", "/links?account=" + account} {
		if found := items(w.must(t, 200, "GET", path, "")); len(found) != 1 || found[0]["id"] != id || found[0]["url"] != nil {
			t.Errorf("%s: %v", path, found)
		}
	}
	if none := items(w.must(t, 200, "GET", "/links?account="+core.NewID().String(), "")); len(none) != 0 {
		t.Errorf("of no account: %v", none)
	}
	for body, code := range map[string]string{
		`{"owner":"` + w.ben.ID.String() + `","recipients":["a@b.com"]}`: "not_shared",
		`{"owner":"` + w.gus.ID.String() + `","recipients":["a@b.com"]}`: "not_shared",
		`{"owner":"` + w.ana.ID.String() + `"}`:                          "invalid",
		`{"owner":"` + w.ana.ID.String() + `","domains":["gmail.com"]}`:  "public_domain",
	} {
		if status, got := w.ask(t, "acme", "POST", "/accounts/"+account+"/links", body); status < 400 || status >= 500 || got["code"] != code {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	challenge, err := w.links.Ask(t.Context(), core.Origin{Address: "203.0.113.7"}, seal.NewSecret(token), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.links.Mail.Kept(t.Context(), w.db, w.acme.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := w.links.Mail.Text(t.Context(), w.db, w.acme.ID, kept[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text.Reveal(), "    ")
	if _, err := w.links.Open(t.Context(), core.Origin{Address: "203.0.113.7", UserAgent: "Phone"}, seal.NewSecret(token), challenge, seal.NewSecret(rest[:9]), seal.Secret{}); err != nil {
		t.Fatal(err)
	}
	views := items(w.must(t, 200, "GET", "/links/"+id+"/views", ""))
	if len(views) != 1 || views[0]["recipient"] != "ada@example.com" || views[0]["address"] != "203.0.113.7" {
		t.Errorf("receipts %v", views)
	}
	if exposed := items(w.must(t, 200, "GET", "/accounts/"+account+"/exposures", "")); len(exposed) != 1 || exposed[0]["link"] != id || exposed[0]["user"] != w.ana.ID.String() || exposed[0]["name"] != "ada@example.com" {
		t.Errorf("exposures %v", exposed)
	}
	if shown := w.must(t, 200, "GET", "/links/"+id, ""); shown["views"] != float64(1) || shown["state"] != "ended" || shown["why"] != "viewed" {
		t.Errorf("after its view %v", shown)
	}
	for _, request := range [][2]string{{"GET", "/links/" + id}, {"GET", "/links/" + id + "/views"}, {"DELETE", "/links/" + id}, {"POST", "/accounts/" + account + "/links"}} {
		if status, _ := w.ask(t, "globex", request[0], request[1], map[bool]string{true: body}[request[0] == "POST"]); status != http.StatusNotFound {
			t.Errorf("another workspace's %v: %d", request, status)
		}
	}
	w.must(t, 204, "DELETE", "/links/"+id, "")
	w.must(t, 204, "DELETE", "/links/"+id, "")
	if ended := w.must(t, 200, "GET", "/links/"+id, ""); ended["rotation"] == nil || ended["why"] != "viewed" {
		t.Errorf("ended %v", ended)
	}
	w.links.Mail.Keep = false
	if status, got := w.ask(t, "acme", "POST", "/accounts/"+account+"/links", body); status != http.StatusConflict || got["code"] != "mail_off" {
		t.Errorf("where no mail is sent: %d %v", status, got)
	}
}

func TestGuests(t *testing.T) {
	w := newWorld(t)
	made := w.must(t, 201, "POST", "/guests", `{"email":"Gus@Example.com","name":"Gus","life_seconds":86400}`)
	id := made["id"].(string)
	if made["email"] != "gus@example.com" || made["state"] != "invited" {
		t.Fatalf("made %v", made)
	}
	for body, code := range map[string]string{
		`{"email":"gus@example.com"}`: "guest", `{"email":"ANA@acme"}`: "invalid", `{"email":"nobody"}`: "invalid",
	} {
		if status, got := w.ask(t, "acme", "POST", "/guests", body); status < 400 || status >= 500 || got["code"] != code {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	if again := w.must(t, 200, "POST", "/guests/"+id+"/resend", ""); again["invitations"] != float64(2) {
		t.Errorf("sent again %v", again)
	}
	if found := items(w.must(t, 200, "GET", "/guests", "")); len(found) != 1 || found[0]["id"] != id {
		t.Errorf("guests %v", found)
	}
	w.must(t, 200, "PUT", "/guest-settings", `{"inviters":"account_owners"}`)
	if got := w.must(t, 200, "GET", "/guest-settings", ""); got["inviters"] != "account_owners" {
		t.Errorf("settings %v", got)
	}
	for _, request := range [][2]string{{"GET", "/guests/" + id}, {"POST", "/guests/" + id + "/resend"}, {"DELETE", "/guests/" + id}} {
		if status, _ := w.ask(t, "globex", request[0], request[1], ""); status != http.StatusNotFound {
			t.Errorf("another workspace's %v: %d", request, status)
		}
	}
	if status, got := w.ask(t, "globex", "GET", "/guest-settings", ""); status != 200 || got["inviters"] != "administrators" {
		t.Errorf("another workspace's settings: %v", got)
	}
	w.must(t, 204, "DELETE", "/guests/"+id, "")
	if gone := w.must(t, 200, "GET", "/guests/"+id, ""); gone["state"] != "removed" {
		t.Errorf("removed %v", gone)
	}
}
