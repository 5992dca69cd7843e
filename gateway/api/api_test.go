package api_test

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/audit"
)

func TestTheWholeWay(t *testing.T) {
	w := newWorld(t)
	app, account, created := w.account(t)
	if created["state"] != "unvalidated" || created["app_name"] != "Wiki" {
		t.Errorf("created %v", created)
	}
	if got := w.must(t, 200, "GET", "/apps/"+app, ""); got["connector"] != "browser" {
		t.Errorf("app %v", got)
	}
	verification := w.must(t, 200, "GET", "/rotations/"+created["verification"].(string), "")
	if verification["reason"] != "verify" || len(verification["steps"].([]any)) == 0 {
		t.Errorf("verification %v", verification)
	}
	rotated := w.must(t, 202, "POST", "/accounts/"+account+"/rotations", "")
	if rotated["id"] != created["verification"] || rotated["reason"] != "manual" {
		t.Errorf("a second wish does not join the first: %v", rotated)
	}
	w.must(t, 202, "POST", "/accounts/"+account+"/verification", "")
	if got := items(w.must(t, 200, "GET", "/accounts/"+account+"/rotations", "")); len(got) != 1 {
		t.Errorf("rotations %v", got)
	}
	grants := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", ""))
	if len(grants) != 1 || grants[0]["role"] != "owner" || grants[0]["user"] != w.ana.ID.String() {
		t.Errorf("grants %v", grants)
	}
	if status, got := w.ask(t, "acme", "DELETE", "/grants/"+grants[0]["id"].(string), ""); status != 409 || got["code"] != "last_owner" {
		t.Errorf("taking the last owner: %d %v", status, got)
	}
	again := w.must(t, 201, "POST", "/accounts/"+account+"/grants", `{"user":"`+w.ana.ID.String()+`","role":"owner","expires":"2099-01-01T00:00:00Z"}`)
	if again["expires"] != "2099-01-01T00:00:00Z" {
		t.Errorf("shared %v", again)
	}
	if got := items(w.must(t, 200, "GET", "/users/"+w.ana.ID.String()+"/accounts", "")); len(got) != 1 {
		t.Errorf("accounts of ana %v", got)
	}
	user := w.must(t, 200, "GET", "/users/"+w.ana.ID.String(), "")
	if user["user_name"] != "ana" || user["active"] != true {
		t.Errorf("user %v", user)
	}
	for _, path := range []string{"/users?active=true&limit=1", "/teams", "/connections", "/apps", "/sinks", "/accounts/" + account + "/exposures"} {
		w.must(t, 200, "GET", path, "")
	}
}

func items(answer map[string]any) []map[string]any {
	var out []map[string]any
	for _, item := range answer["items"].([]any) {
		out = append(out, item.(map[string]any))
	}
	return out
}

func TestBadInput(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		where                    string // pointer or parameter of the fault
	}{
		{"not JSON", "POST", "/apps", "{", 400, ""},
		{"an array", "POST", "/apps", "[]", 400, ""},
		{"nothing", "POST", "/apps", "", 400, ""},
		{"a member missing", "POST", "/accounts", `{"app":"` + app + `","password":"` + canary + `","owner":"` + w.ana.ID.String() + `"}`, 400, "#/username"},
		{"a wrong type", "POST", "/accounts", `{"app":"` + app + `","username":"x","password":{"a":"` + canary + `"},"owner":"` + w.ana.ID.String() + `"}`, 400, "#/password"},
		{"an unknown member", "POST", "/apps", strings.Replace(newApp, "{", `{"colour":"red",`, 1), 400, "#/colour"},
		{"a domain with a path", "POST", "/apps", strings.Replace(newApp, `"wiki.example.com"`, `"wiki.example.com/x"`, 1), 400, "#/domains"},
		{"an unknown role", "POST", "/accounts/" + account + "/grants", `{"user":"` + w.ana.ID.String() + `","role":"king"}`, 400, "#/role"},
		{"a user and a team", "POST", "/accounts/" + account + "/grants", `{"role":"owner"}`, 400, ""},
		{"a taken name", "POST", "/apps", newApp, 409, "#/name"},
		{"an id that is none", "GET", "/accounts/17", "", 400, "id"},
		{"an unknown id", "GET", "/accounts/" + core.NewID().String(), "", 404, ""},
		{"a limit too high", "GET", "/accounts?limit=9999", "", 400, "limit"},
		{"an unknown parameter", "GET", "/accounts?colour=red", "", 400, "colour"},
		{"a zero character", "GET", "/accounts?search=%00", "", 400, ""},
		{"not UTF-8", "GET", "/accounts?search=%ff", "", 400, ""},
		{"a cursor that is none", "GET", "/events?cursor=x", "", 400, "cursor"},
		{"too large", "POST", "/apps", `{"name":"` + strings.Repeat("a", 300<<10) + `"}`, 413, ""},
	} {
		status, got := w.ask(t, "acme", test.method, test.path, test.body)
		if status != test.status || got["status"] != float64(test.status) {
			t.Errorf("%s: %d %v, want %d", test.name, status, got, test.status)
			continue
		}
		if test.where == "" {
			continue
		}
		var places []string
		for _, fault := range got["errors"].([]any) {
			for _, kind := range []string{"pointer", "parameter"} {
				if place, ok := fault.(map[string]any)[kind].(string); ok {
					places = append(places, place)
				}
			}
		}
		if !slices.ContainsFunc(places, func(place string) bool { return strings.HasPrefix(place, test.where) }) {
			t.Errorf("%s: at %v, want %s", test.name, places, test.where)
		}
	}
	if strings.Contains(w.log.String(), canary) || strings.Contains(w.log.String(), w.tokens["acme"]) {
		t.Error("the log holds a secret")
	}
}

func TestEventsAndCheckpoints(t *testing.T) {
	w := newWorld(t)
	_, account, created := w.account(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&audit.Sequencer{DB: w.db, Key: w.key, CheckpointEvery: 2}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	var sequences []float64
	for cursor, began := "0", time.Now(); ; {
		got := w.must(t, 200, "GET", "/events?limit=3&cursor="+cursor, "")
		for _, event := range items(got) {
			sequences = append(sequences, event["sequence"].(float64))
		}
		cursor = got["next"].(string)
		if len(items(got)) == 0 {
			backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if backlog.Unsequenced == 0 && len(sequences) > 0 {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatal("the events were not sequenced")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for i, sequence := range sequences {
		if sequence != float64(i+1) {
			t.Fatalf("sequences %v", sequences)
		}
	}
	rotation := w.must(t, 200, "GET", "/rotations/"+created["verification"].(string), "")
	for path, want := range map[string]int{
		"/events?target=" + account + "&order=desc":               2,
		"/events?type=account.created,app.created":                2,
		"/events?correlation=" + rotation["correlation"].(string): 2,
		"/events?order=desc&limit=2&cursor=3":                     2,
		"/events?target=" + core.NewID().String():                 0,
	} {
		if got := items(w.must(t, 200, "GET", path, "")); len(got) != want {
			t.Errorf("%s: %d events, want %d", path, len(got), want)
		}
	}
	checkpoints := w.must(t, 200, "GET", "/audit/checkpoints", "")
	if checkpoints["key_id"] != audit.KeyID(w.key.Public().(ed25519.PublicKey)) || len(items(checkpoints)) == 0 {
		t.Errorf("checkpoints %v", checkpoints)
	}
}
