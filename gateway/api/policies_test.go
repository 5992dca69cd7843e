package api_test

import (
	"strings"
	"testing"
)

func TestPoliciesByAPI(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	if got := w.must(t, 200, "PUT", "/accounts/"+account+"/tags", `{"tags":["Prod","finance"]}`); strings.Join(texts(got["tags"]), ",") != "finance,prod" {
		t.Fatal(got)
	}
	if status, got := w.ask(t, "acme", "PUT", "/accounts/"+account+"/tags", `{"tags":["a b"]}`); status != 400 {
		t.Fatal(status, got)
	}
	defaults := items(w.must(t, 200, "GET", "/policies", ""))
	if len(defaults) != 4 || defaults[0]["id"] != nil || defaults[0]["trigger"] != "deprovision" || defaults[0]["enabled"] != true {
		t.Fatal(defaults)
	}
	body := `{"name":"Quarterly","trigger":"schedule","scope":{"covers":"apps","apps":["` + app + `"]},"schedule":{"days":90,"zone":"Europe/Berlin","from":"02:00","to":"04:00"}}`
	draft := w.must(t, 200, "POST", "/policy-previews", body)
	if found := items(draft); len(found) != 1 || found[0]["account"] != account || found[0]["when"] == nil || draft["accounts"] != 1.0 ||
		!strings.HasPrefix(draft["sentence"].(string), "Rotates 1 account of ") {
		t.Fatal(draft)
	}
	if len(items(w.must(t, 200, "GET", "/policies", ""))) != 4 {
		t.Fatal("a draft is kept")
	}
	made := w.must(t, 201, "POST", "/policies", body)
	id := made["id"].(string)
	if made["spacing_seconds"] != 86400.0 || made["version"] != 1.0 || made["next"] == nil || made["enabled"] != true {
		t.Fatal(made)
	}
	if got := w.must(t, 200, "GET", "/policies/"+id, ""); got["schedule"].(map[string]any)["from"] != "02:00" {
		t.Fatal(got)
	}
	preview := items(w.must(t, 200, "GET", "/policies/"+id+"/preview?limit=1", ""))
	if len(preview) != 1 || preview[0]["why_not"] != nil {
		t.Fatal(preview)
	}
	changed := w.must(t, 200, "PUT", "/policies/"+id, `{"name":"Never","trigger":"schedule","enabled":false,"spacing_seconds":0,"schedule":{"weekdays":["mon"]}}`)
	if changed["enabled"] != false || changed["version"] != 2.0 || changed["schedule"].(map[string]any)["zone"] != "UTC" {
		t.Fatal(changed)
	}
	for what, body := range map[string]string{
		"two ways at once":   `{"name":"x","trigger":"schedule","schedule":{"days":1,"weekdays":["mon"]}}`,
		"no such day":        `{"name":"x","trigger":"schedule","schedule":{"weekdays":["someday"]}}`,
		"no such hour":       `{"name":"x","trigger":"schedule","schedule":{"days":1,"from":"25:99"}}`,
		"no such zone":       `{"name":"x","trigger":"schedule","schedule":{"days":1,"zone":"../etc"}}`,
		"nobody's app":       `{"name":"x","trigger":"logout","scope":{"covers":"apps","apps":["` + account + `"]}}`,
		"a schedule without": `{"name":"x","trigger":"schedule"}`,
		"manual":             `{"name":"x","trigger":"manual"}`,
	} {
		for _, path := range []string{"/policies", "/policy-previews"} {
			if status, got := w.ask(t, "acme", "POST", path, body); status != 400 {
				t.Errorf("%s at %s: %d %v", what, path, status, got)
			}
		}
	}
	if status, _ := w.ask(t, "acme", "POST", "/policies", strings.Replace(body, "Quarterly", "Never", 1)); status != 409 {
		t.Errorf("a name twice: %d", status)
	}
	for _, request := range [][2]string{{"GET", "/policies/" + id}, {"GET", "/policies/" + id + "/preview"}, {"DELETE", "/policies/" + id}} {
		if status, _ := w.ask(t, "globex", request[0], request[1], ""); status != 404 {
			t.Errorf("another workspace's %s %s: %d", request[0], request[1], status)
		}
	}
	w.must(t, 204, "DELETE", "/policies/"+id, "")
	w.must(t, 404, "GET", "/policies/"+id, "")
}

func texts(list any) []string {
	var all []string
	for _, one := range list.([]any) {
		all = append(all, one.(string))
	}
	return all
}
