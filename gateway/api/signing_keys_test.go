package api_test

import "testing"

func TestSigningKeysAreReplaced(t *testing.T) {
	w := newWorld(t)
	stages := func(items []map[string]any) (all string) {
		for _, item := range items {
			all += item["stage"].(string) + " "
		}
		return all
	}
	if found := items(w.must(t, 200, "GET", "/signing-keys", "")); len(found) != 0 {
		t.Fatalf("before the first use: %v", found)
	}
	made := items(w.must(t, 200, "POST", "/signing-keys", ""))
	if got := stages(made); got != "current next " || made[0]["retires"] == nil || made[1]["thumbprint"] == "" {
		t.Errorf("%s: %v", got, made)
	}
	if got := w.must(t, 409, "POST", "/signing-keys", ""); got["code"] != "rotation_under_way" {
		t.Errorf("a second one: %v", got)
	}
	now := items(w.must(t, 200, "POST", "/signing-keys?now=true", ""))
	if got := stages(now); got != "previous current " || now[1]["id"] != made[1]["id"] {
		t.Errorf("%s: %v", got, now)
	}
	for _, item := range now {
		for name := range item {
			if name == "private_key" || name == "public_key" {
				t.Errorf("it tells %s", name)
			}
		}
	}
	if status, got := w.ask(t, "globex", "GET", "/signing-keys", ""); status != 200 || len(items(got)) != 0 {
		t.Errorf("another workspace: %d %v", status, got)
	}
}
