package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/core"
)

func TestBodiesThatAreNotTaken(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, kind string
		body       io.Reader
		status     int
		code       string
	}{
		{"JSON", "application/json", strings.NewReader(app("One")), 201, ""},
		{"JSON with a character set", "application/json; charset=utf-8", strings.NewReader(app("Two")), 201, ""},
		{"no type", "", strings.NewReader(app("Three")), 201, ""},
		{"a form", "application/x-www-form-urlencoded", strings.NewReader("name=Wiki"), 415, "unsupported_media_type"},
		{"text", "text/plain", strings.NewReader(app("Four")), 415, "unsupported_media_type"},
		{"XML", "application/xml", strings.NewReader("<app/>"), 415, "unsupported_media_type"},
		{"a member twice", "application/json", strings.NewReader(`{"name":"Other",` + app("Five")[1:]), 400, "invalid"},
		{"something behind it", "application/json", strings.NewReader(app("Six") + "{}"), 400, "invalid"},
		{"null", "application/json", strings.NewReader("null"), 400, "invalid"},
		{"not UTF-8", "application/json", strings.NewReader(app("\xff\xfe")), 400, "invalid"},
		{"a zero character", "application/json", strings.NewReader(app(`a\u0000b`)), 400, "invalid"},
		{"very deep", "application/json", strings.NewReader(strings.Repeat("[", 20_000)), 400, "invalid"},
		{"too large", "application/json", strings.NewReader(strings.Repeat(" ", 300<<10)), 413, "too_large"},
		{"too large, length not told", "application/json", io.MultiReader(strings.NewReader(strings.Repeat(" ", 300<<10))), 413, "too_large"},
		{"far too large", "application/json", strings.NewReader(strings.Repeat(" ", 2<<20)), 413, "too_large"},
		{"broken off", "application/json", io.MultiReader(strings.NewReader(`{"name":`), broken{}), 400, "invalid"},
	} {
		asked := httptest.NewRequest("POST", "/api/v1/apps", test.body)
		asked.Header.Set("Authorization", "Bearer "+w.tokens["acme"])
		if test.kind != "" {
			asked.Header.Set("Content-Type", test.kind)
		}
		if recorder, got := w.send(t, asked); recorder.Code != test.status || test.code != "" && got["code"] != test.code {
			t.Errorf("%s: %d %v, want %d %s", test.name, recorder.Code, got, test.status, test.code)
		}
	}
	if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("a client's fault is told as ours: %s", log)
	}
}

func app(name string) string {
	return `{"name":"` + name + `","domains":["` + "wiki.example.com" + `"],"sign_in_url":"https://wiki.example.com/login"}`
}

// broken is a client that goes away.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// Every field that can be wrong is named where it is, and all that are wrong at once.
func TestFaultsAreNamed(t *testing.T) {
	w := newWorld(t)
	id, account, _ := w.account(t)
	user := w.ana.ID.String()
	for _, test := range []struct{ method, path, body, where string }{
		{"POST", "/apps", `{}`, "#/name #/domains #/sign_in_url"},
		{"POST", "/apps", `{"name":1,"domains":"x","sign_in_url":null}`, "#/name #/domains #/sign_in_url"},
		{"POST", "/apps", `{"name":"","domains":["a.example.com"],"sign_in_url":"https://a.example.com"}`, "#/name"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com",7],"sign_in_url":"https://a.example.com"}`, "#/domains/1"},
		{"POST", "/apps", `{"name":"A","domains":[],"sign_in_url":"https://a.example.com"}`, "#/domains"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://elsewhere.example.com"}`, "#/sign_in_url"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://a.example.com","change_url":"javascript:1"}`, "#/change_url"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://a.example.com","settings":[]}`, "#/settings"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://a.example.com","connector":"Bad Name"}`, "#/connector"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://a.example.com","password_rules":"minlength: 20; maxlength: 8"}`, "#/password_rules"},
		{"POST", "/apps", `{"name":"A","domains":["a.example.com"],"sign_in_url":"https://a.example.com","password_rules":"maxlength: 4"}`, "#/password_rules"},
		{"POST", "/accounts", `{"app":"x","username":"u","password":"p","owner":""}`, "#/app #/owner"},
		{"POST", "/accounts", `{"app":"` + core.NewID().String() + `","username":"u","password":"p","owner":"` + user + `"}`, "#/app"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"u","password":"p","owner":"` + core.NewID().String() + `"}`, "#/owner"},
		{"POST", "/accounts", `{"app":"` + id + `","username":" u","password":"p","owner":"` + user + `"}`, "#/username"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"u","password":"","owner":"` + user + `"}`, "#/password"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"u","password":"` + canary + `\n","owner":"` + user + `"}`, "#/password"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"u","PASSWORD":"p","password":"p","owner":"` + user + `"}`, "#"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"u","PASSWORD":"p","owner":"` + user + `"}`, "#"},
		{"POST", "/accounts", `{"app":"` + id + `","username":"team","password":"p","owner":"` + user + `"}`, "#/username"}, // taken
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner"}`, "#/user"},
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner","user":"` + user + `","team":"` + user + `"}`, "#/user"},
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner","team":"` + user + `"}`, "#/team"},
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner","user":"` + user + `","expires":"tomorrow"}`, "#/expires"},
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner","user":"` + user + `","expires":"2001-01-01T00:00:00Z"}`, "#/expires"},
		{"GET", "/users?limit=0&cursor=-1&active=maybe", "", "limit cursor active"},
		{"GET", "/events?order=up", "", "order"},
		{"GET", "/events?target=x&correlation=y", "", "target correlation"},
		{"GET", "/accounts?cursor=x", "", "cursor"},
		{"GET", "/accounts/x", "", "id"},
		{"GET", "/accounts/" + account + "/rotations?limit=501", "", "limit"},
		{"DELETE", "/grants/x", "", "id"},
	} {
		status, got := w.ask(t, "acme", test.method, test.path, test.body)
		if status != 400 && status != 409 {
			t.Errorf("%s %s %s: %d %v", test.method, test.path, test.body, status, got)
			continue
		}
		if !sameWords(pointers(got), test.where) {
			t.Errorf("%s %s %s: %v, want %s", test.method, test.path, test.body, got, test.where)
		}
	}
	if strings.Contains(w.log.String(), canary) {
		t.Error("the log holds the password")
	}
}

// sameWords reports whether two texts have the same words, in whatever order.
func sameWords(one, other string) bool {
	count := map[string]int{}
	for word := range strings.FieldsSeq(one) {
		count[word]++
	}
	for word := range strings.FieldsSeq(other) {
		count[word]--
	}
	for _, left := range count {
		if left != 0 {
			return false
		}
	}
	return true
}

func TestAddressesThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/accounts/", 404, ""},
		{"PUT", "/accounts", 405, "POST, GET"},
		{"DELETE", "/apps/" + core.NewID().String(), 405, "GET, PATCH"},
		{"POST", "/openapi.json", 405, "GET"},
	} {
		asked := httptest.NewRequest(test.method, "/api/v1"+test.path, nil)
		recorder, got := w.send(t, asked)
		if recorder.Code != test.status || recorder.Header().Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, Allow %q, %v", test.method, test.path, recorder.Code, recorder.Header().Get("Allow"), got)
		}
	}
}

// What a parser quotes of a body that is none may be a piece of a password.
func TestFaultsQuoteNothing(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{`{"name":"\ud800Zq7Zq7"}`, `{"name":"\Zq7Zq7"}`, `{"name":Zq7Zq7}`, `{"name":"a" Zq7Zq7}`, "{\"name\":\"\x01Zq7\"}", `{"name":"\uZq7Zq7"}`, `{"name":trZq7}`, `{"name":1Z}`} {
		asked := httptest.NewRequest("POST", "/api/v1/apps", strings.NewReader(body))
		asked.Header.Set("Authorization", "Bearer "+w.tokens["acme"])
		asked.Header.Set("Content-Type", "application/json")
		recorder, got := w.send(t, asked)
		answer := fmt.Sprint(got["detail"], got["errors"])
		if recorder.Code != 400 || strings.Contains(answer, "Z") || strings.Contains(answer, "q7") {
			t.Errorf("%s: %d %s", body, recorder.Code, answer)
		}
	}
	if log := w.log.String(); strings.Contains(log, "Zq7") {
		t.Errorf("the log quotes a body: %s", log)
	}
}
