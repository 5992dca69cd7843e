package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// upload sends a file.
func (w *world) upload(t *testing.T, as, query, key, file string) (int, map[string]any) {
	t.Helper()
	request := httptest.NewRequest("POST", "/api/v1/imports?"+query, strings.NewReader(file))
	request.Header.Set("Authorization", "Bearer "+w.tokens[as])
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	recorder, got := w.send(t, request)
	return recorder.Code, got
}

// imported plans an import of one account, and gives its id.
func (w *world) imported(t *testing.T, name string) string {
	t.Helper()
	status, got := w.upload(t, "acme", "owner="+w.ana.ID.String(), "", "url,username,password\nhttps://wiki.example.com,"+name+","+canary+"\n")
	if status != 201 {
		t.Fatal(status, got)
	}
	return got["id"].(string)
}

func TestImports(t *testing.T) {
	w := newWorld(t)
	w.account(t)
	owner := "owner=" + w.ana.ID.String()
	// Larger than any other body may be, and the same under the same key.
	file := "url,username,password,notes\nhttps://wiki.example.com,team,x,\n" + strings.Repeat("https://new.example.org,one,"+canary+","+strings.Repeat("n", 1000)+"\n", 2000)
	status, first := w.upload(t, "acme", owner+"&new_apps=true", "file-1", file)
	if status != 201 || first["state"] != "planned" {
		t.Fatal(status, first)
	}
	if counts := first["rows"].(map[string]any); counts["create_with_app"] != 1.0 || counts["duplicate"] != 2000.0 {
		t.Errorf("%v", counts)
	}
	if status, again := w.upload(t, "acme", owner+"&new_apps=true", "file-1", file); status != 201 || again["id"] != first["id"] {
		t.Errorf("again: %d %v", status, again)
	}
	if status, other := w.upload(t, "acme", owner+"&new_apps=true", "file-1", file+"x,y,z,\n"); status != 409 || other["code"] != "idempotency_key_reused" {
		t.Errorf("another file: %d %v", status, other)
	}
	path := "/imports/" + first["id"].(string)
	rows := items(w.must(t, 200, "GET", path+"/rows?limit=3", ""))
	if len(rows) != 3 || rows[0]["outcome"] != "duplicate" || rows[0]["account"] == nil || rows[1]["left_out"].([]any)[0] != "notes" || rows[2]["reason"] != "it is the same account as entry 2" {
		t.Errorf("%v", rows)
	}
	if more := items(w.must(t, 200, "GET", path+"/rows?limit=1000&cursor=1500&outcome=duplicate", "")); len(more) != 501 {
		t.Errorf("%d more", len(more))
	}
	for query, file := range map[string]string{
		owner + "&format=bitwarden":  `{"encrypted":true,"data":"` + canary + `"}`,
		owner + "&format=1password":  canary,
		owner:                        canary,
		"":                           file,
		"owner=" + w.gus.ID.String(): file,
		owner + "&format=keepass":    file,
	} {
		if status, got := w.upload(t, "acme", query, "", file); status != 400 {
			t.Errorf("%s: %d %v", query, status, got)
		}
	}
	if status, _ := w.upload(t, "acme", owner, "", strings.Repeat("x", 33<<20)); status != 413 {
		t.Errorf("too large: %d", status)
	}
	if begun := w.must(t, 202, "POST", path+"/commit", ""); begun["state"] != "running" {
		t.Errorf("%v", begun)
	}
	w.must(t, 202, "POST", path+"/commit", "")
	w.must(t, 409, "DELETE", path, "")
	if strings.Contains(w.log.String(), canary) {
		t.Error("the log holds a password")
	}
}
