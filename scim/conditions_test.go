package scim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"postern/core/directory"
)

// record sends a request whatever type the answer has.
func record(h house, request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.engine.ServeHTTP(recorder, request)
	return recorder
}

func TestAccept(t *testing.T) {
	h := open(t, directory.Okta).acme
	for accept, want := range map[string]string{
		"": "application/scim+json", "application/scim+json": "application/scim+json", "application/json": "application/json", "application/*": "application/scim+json",
		"*/*": "application/scim+json", "text/html, application/json;q=0.5": "application/json", "application/scim+json;q=0, application/json": "application/json",
		"application/json, application/scim+json;q=0.1": "application/scim+json", "nonsense;;;": "application/scim+json", "*/*;q=0": "", "text/*": "",
		"application/scim+json;q=0, */*": "application/json", "application/*;q=0, application/json;q=0.001": "application/json",
	} {
		request := h.request(t, "GET", "/Users/none", "")
		if accept != "" {
			request.Header.Set("Accept", accept)
		}
		recorder := record(h, request)
		status, media := 404, want
		if want == "" {
			status, media = 406, "application/scim+json"
		}
		if got := recorder.Header().Get("Content-Type"); recorder.Code != status || got != media || !strings.Contains(recorder.Body.String(), "urn:ietf:params:scim:api:messages:2.0:Error") {
			t.Errorf("Accept %q: %d %q", accept, recorder.Code, got)
		}
	}
}

// A create that is sent again finds its way to what the first one made, and never to what somebody
// else made.
func TestACreateSentAgain(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	user := h.call(t, "POST", "/Users", `{"userName":"ana","externalId":"1","title":"Chief"}`, "If-None-Match", "*").want(t, 201)
	group := h.call(t, "POST", "/Groups", `{"displayName":"Sales"}`).want(t, 201)
	for body, made := range map[string]reply{
		`POST /Users {"userName":"ANA"}`: user, `POST /Users {"userName":"eve","externalId":"1"}`: user, `POST /Groups {"displayName":"sales"}`: group,
	} {
		part := strings.SplitN(body, " ", 3)
		again := h.call(t, part[0], part[1], part[2]).wantError(t, 409, "uniqueness")
		if got := again.header.Get("Location"); got != made.header.Get("Location") {
			t.Errorf("%s names %q", body, got)
		}
	}
	h.call(t, "GET", "/Users/"+user.id(t), "").want(t, 200).is(t, "Chief", "title")
	other := h.join(t, "bob")
	if got := h.call(t, "PUT", "/Users/"+other, `{"userName":"ana"}`).wantError(t, 409, "uniqueness").header.Get("Location"); got != "" {
		t.Errorf("a PUT names %q", got)
	}
}

func TestConditionsOfGroupsAndLists(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	group := h.team(t, "Sales")
	const rename = `{"Operations":[{"op":"replace","path":"displayName","value":"Sale"}]}`
	h.call(t, "PATCH", "/Groups/"+group, rename, "If-Match", `"7", W/"1"`).want(t, 204)
	h.call(t, "PATCH", "/Groups/"+group, rename, "If-Match", `W/"1"`).wantError(t, 412, "")
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"Sale"}`, "If-None-Match", `W/"1"`).want(t, 200)
	h.call(t, "DELETE", "/Groups/"+group, "", "If-Match", `"2"`).want(t, 204)
	h.call(t, "DELETE", "/Groups/"+group, "", "If-Match", "*").wantError(t, 404, "")
	// The groups of a person change without their version.
	h.team(t, "New", user)
	h.call(t, "GET", "/Users/"+user+"?attributes=groups", "", "If-None-Match", "*").want(t, 200).is(t, "New", "groups", 0, "display")
	h.call(t, "HEAD", "/Users/"+user, "", "If-None-Match", "*").want(t, 304)
}

// Many that write on the same version at once: one gets through, the others are told.
func TestOneOfManyWithTheSameVersion(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.join(t, "ana")
	var group sync.WaitGroup
	statuses := make(chan int, 8)
	for i := range 8 {
		request := h.request(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"title","value":"`+strings.Repeat("x", i+1)+`"}]}`, "If-Match", `W/"1"`)
		group.Go(func() { statuses <- record(h, request).Code })
	}
	group.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	if counts[200] != 1 || counts[412] != 7 {
		t.Errorf("answers %v", counts)
	}
	changed := 0
	for _, line := range h.written(t) {
		if line == "PATCH /Users/"+user+" 200" {
			changed++
		}
	}
	if changed != 1 || len(h.journal(t)) != 9 {
		t.Errorf("journal %v", h.written(t))
	}
}
