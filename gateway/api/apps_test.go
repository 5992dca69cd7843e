package api_test

import (
	"net/http"
	"testing"
)

func TestAnAppIsChanged(t *testing.T) {
	w := newWorld(t)
	path := "/apps/" + w.must(t, 201, "POST", "/apps", newApp)["id"].(string)
	tag := w.tagged(t, "", "GET", path, "").Header().Get("ETag")
	if first := w.tagged(t, tag, "PATCH", path, `{"change_url":"https://wiki.example.com/me","password_rules":"minlength: 12"}`); first.Code != http.StatusOK {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	if late := w.tagged(t, tag, "PATCH", path, `{"change_url":""}`); late.Code != http.StatusPreconditionFailed {
		t.Errorf("a change of what was read before: %d %s", late.Code, late.Body)
	}
	after := w.must(t, 200, "PATCH", path, `{"domains":["in.example.com","wiki.example.com"],"sign_in_url":"https://in.example.com/","settings":{"forgotten":"https://wiki.example.com/lost"}}`)
	for field, wanted := range map[string]string{
		"name": "Wiki", "sign_in_url": "https://in.example.com/", "change_url": "https://wiki.example.com/me", "connector": "browser", "password_rules": "minlength: 12",
	} {
		if after[field] != wanted {
			t.Errorf("%s is %v, want %s", field, after[field], wanted)
		}
	}
	if w.must(t, 200, "PATCH", path, `{"change_url":"","name":"Notes"}`)["change_url"] != nil {
		t.Error("the change address is not taken away")
	}
	w.must(t, 400, "PATCH", path, `{"sign_in_url":"https://elsewhere.example.com/"}`)
}
