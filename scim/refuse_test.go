package scim_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/core"
	"postern/core/directory"
)

// The table goes through every way a request can be unusable. None may change anything.
func TestRefusesWhatIsUnusable(t *testing.T) {
	h := open(t, directory.Entra).acme
	user := h.join(t, "ana")
	group := h.team(t, "Sales", user)
	before := h.stored(t)
	h.call(t, "GET", "/Users/"+user, "").want(t, 200)

	const operations = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`
	patchUser, patchGroup := "PATCH /Users/"+user, "PATCH /Groups/"+group
	for name, test := range map[string]struct {
		request, body string
		status        int
		scimType      string
		header        []string
	}{
		"no body":                       {"POST /Users", ``, 400, "invalidSyntax", nil},
		"malformed JSON":                {"POST /Users", `{"userName":`, 400, "invalidSyntax", nil},
		"a list":                        {"POST /Users", `[]`, 400, "invalidSyntax", nil},
		"trailing garbage":              {"POST /Users", `{"userName":"x"} x`, 400, "invalidSyntax", nil},
		"duplicate keys":                {"POST /Users", `{"userName":"x","UserName":"y"}`, 400, "invalidSyntax", nil},
		"invalid UTF-8":                 {"POST /Users", "{\"userName\":\"\xff\"}", 400, "invalidSyntax", nil},
		"zero character":                {"POST /Users", `{"userName":"a\u0000"}`, 400, "invalidSyntax", nil},
		"deep nesting":                  {"POST /Users", strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), 400, "invalidSyntax", nil},
		"far too deep":                  {"POST /Users", `{"a":` + strings.Repeat(`[`, 1<<19), 400, "invalidSyntax", nil},
		"number beyond the database":    {"POST /Users", `{"userName":"x","n":1e200000}`, 400, "invalidValue", nil},
		"too large":                     {"POST /Users", `{"userName":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "", nil},
		"wrong type":                    {"POST /Users", `{"userName":"x"}`, 415, "", []string{"Content-Type", "text/plain"}},
		"form":                          {"POST /Users", `userName=x`, 415, "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"unreadable type":               {"POST /Users", `{"userName":"x"}`, 415, "", []string{"Content-Type", ";;"}},
		"other charset":                 {"POST /Users", `{"userName":"x"}`, 415, "", []string{"Content-Type", "application/json; charset=latin1"}},
		"compressed":                    {"POST /Users", `{"userName":"x"}`, 415, "", []string{"Content-Encoding", "gzip"}},
		"no userName":                   {"POST /Users", `{"displayName":"x"}`, 400, "invalidValue", nil},
		"empty userName":                {"POST /Users", `{"userName":" "}`, 400, "invalidValue", nil},
		"userName null":                 {"POST /Users", `{"userName":null}`, 400, "invalidValue", nil},
		"userName is an object":         {"POST /Users", `{"userName":{"a":1}}`, 400, "invalidValue", nil},
		"userName too long":             {"POST /Users", `{"userName":"` + strings.Repeat("a", 1001) + `"}`, 400, "invalidValue", nil},
		"e-mail too long":               {"POST /Users", `{"userName":"x","emails":[{"value":"` + strings.Repeat("a", 1001) + `"}]}`, 400, "invalidValue", nil},
		"active is a word":              {"POST /Users", `{"userName":"x","active":"yes"}`, 400, "invalidValue", nil},
		"attributes too large":          {"POST /Users", `{"userName":"x","notes":"` + strings.Repeat("a", 300<<10) + `"}`, 400, "invalidValue", nil},
		"taken":                         {"POST /Users", `{"userName":"ANA"}`, 409, "uniqueness", nil},
		"externalId taken":              {"POST /Users", `{"userName":"x","externalId":"ext-ana"}`, 409, "uniqueness", nil},
		"PUT without userName":          {"PUT /Users/" + user, `{"displayName":"x"}`, 400, "invalidValue", nil},
		"PUT of an old version":         {"PUT /Users/" + user, `{"userName":"x"}`, 412, "", []string{"If-Match", `W/"7"`}},
		"PUT of nobody":                 {"PUT /Users/" + core.NewID().String(), `{"userName":"x"}`, 404, "", nil},
		"no operations":                 {patchUser, operations + `[]}`, 400, "invalidSyntax", nil},
		"no Operations":                 {patchUser, `{"active":false}`, 400, "invalidSyntax", nil},
		"unknown op":                    {patchUser, operations + `[{"op":"test","path":"active","value":true}]}`, 400, "invalidSyntax", nil},
		"malformed path":                {patchUser, operations + `[{"op":"replace","path":"emails[","value":"x"}]}`, 400, "invalidPath", nil},
		"hostile path":                  {patchUser, operations + `[{"op":"replace","path":"emails[` + strings.Repeat("(", 9000) + `","value":"x"}]}`, 400, "invalidPath", nil},
		"remove without path":           {patchUser, operations + `[{"op":"remove"}]}`, 400, "noTarget", nil},
		"remove userName":               {patchUser, operations + `[{"op":"remove","path":"userName"}]}`, 400, "mutability", nil},
		"remove active":                 {patchUser, operations + `[{"op":"remove","path":"active"}]}`, 400, "mutability", nil},
		"change the id":                 {patchUser, operations + `[{"op":"replace","path":"id","value":"x"}]}`, 400, "mutability", nil},
		"the second operation is wrong": {patchUser, operations + `[{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"active","value":"no"}]}`, 400, "invalidValue", nil},
		"PATCH of nobody":               {"PATCH /Users/" + core.NewID().String(), operations + `[{"op":"replace","path":"active","value":false}]}`, 404, "", nil},
		"PATCH of no id":                {"PATCH /Users/ana", operations + `[{"op":"replace","path":"active","value":false}]}`, 404, "", nil},
		"PATCH of an old version":       {patchUser, operations + `[{"op":"replace","path":"title","value":"T"}]}`, 412, "", []string{"If-Match", `"0"`}},
		"too many operations":           {patchUser, operations + `[` + strings.Repeat(`{"op":"add","path":"a","value":1},`, 10_000) + `{"op":"add","path":"a","value":1}]}`, 413, "", nil},
		"group without a name":          {"POST /Groups", `{"members":[]}`, 400, "invalidValue", nil},
		"group name taken":              {"POST /Groups", `{"displayName":"SALES"}`, 409, "uniqueness", nil},
		"member that is nobody":         {"POST /Groups", `{"displayName":"x","members":[{"value":"` + core.NewID().String() + `"}]}`, 400, "invalidValue", nil},
		"member that is no id":          {"POST /Groups", `{"displayName":"x","members":[{"value":"ana"}]}`, 400, "invalidValue", nil},
		"member that is a number":       {"POST /Groups", `{"displayName":"x","members":[5]}`, 400, "invalidValue", nil},
		"member that is a group":        {patchGroup, operations + `[{"op":"add","path":"members","value":[{"value":"` + group + `","type":"Group"}]}]}`, 400, "invalidValue", nil},
		"one member of two is nobody":   {patchGroup, operations + `[{"op":"replace","path":"displayName","value":"x"},{"op":"add","path":"members","value":[{"value":"` + core.NewID().String() + `"}]}]}`, 400, "invalidValue", nil},
		"members by name":               {patchGroup, operations + `[{"op":"remove","path":"members[display eq \"ana\"]"}]}`, 400, "invalidFilter", nil},
		"change a member":               {patchGroup, operations + `[{"op":"replace","path":"members[value eq \"` + user + `\"].display","value":"x"}]}`, 400, "mutability", nil},
		"remove the group's name":       {patchGroup, operations + `[{"op":"remove","path":"displayName"}]}`, 400, "mutability", nil},
		"filter":                        {"GET /Users?filter=userName", ``, 400, "invalidFilter", nil},
		"filter that is too deep":       {"GET /Users?filter=" + strings.Repeat("(", 5000), ``, 400, "invalidFilter", nil},
		"sorted by nothing":             {"GET /Users?sortBy=%5B", ``, 400, "invalidPath", nil},
		"sorted sideways":               {"GET /Users?sortBy=title&sortOrder=sideways", ``, 400, "invalidValue", nil},
		"no cursor":                     {"GET /Users?cursor=x", ``, 400, "invalidCursor", nil},
		"too large a page by cursor":    {"GET /Users?cursor&count=501", ``, 400, "invalidCount", nil},
		"no number of a page by cursor": {"GET /Users?cursor&count=many", ``, 400, "invalidCount", nil},
		"a search that is something":    {"POST /Users/.search", `{"schemas":["urn:x"]}`, 400, "invalidSyntax", nil},
		"a search for a list":           {"POST /.search", `{"filter":["x"]}`, 400, "invalidValue", nil},
		"booleans in order":             {"GET /Users" + query(`active gt true`), ``, 400, "invalidFilter", nil},
		"too many comparisons":          {"GET /Users" + query(`title pr`+strings.Repeat(` or title pr`, 500)), ``, 400, "invalidFilter", nil},
		"binary values in order":        {"GET /Users" + query(`x509Certificates.value lt "x"`), ``, 400, "invalidFilter", nil},
		"startIndex is a word":          {"GET /Users?startIndex=one", ``, 400, "invalidValue", nil},
		"count is beyond everything":    {"GET /Users?count=99999999999999999999", ``, 400, "invalidValue", nil},
		"unknown address":               {"GET /Printers", ``, 404, "", nil},
		"unknown deeper address":        {"GET /Users/" + user + "/emails", ``, 404, "", nil},
		"DELETE of all":                 {"DELETE /Users", ``, 405, "", nil},
		"POST to one":                   {"POST /Users/" + user, `{}`, 405, "", nil},
		"PUT of the configuration":      {"PUT /ServiceProviderConfig", `{}`, 405, "", nil},
		"Me":                            {"GET /Me", ``, 501, "", nil},
		"PATCH of Me":                   {"PATCH /Me", operations + `[{"op":"replace","path":"active","value":false}]}`, 501, "", nil},
		"Bulk of nothing":               {"POST /Bulk", `{}`, 400, "invalidSyntax", nil},
		"GET of Bulk":                   {"GET /Bulk", ``, 405, "", nil},
		"GET of a search":               {"GET /Users/.search", ``, 405, "", nil},
		"PUT of what is there":          {"PUT /Users/" + user, `{"userName":"x"}`, 412, "", []string{"If-None-Match", "*"}},
		"PATCH of what is there":        {patchGroup, operations + `[{"op":"replace","path":"displayName","value":"x"}]}`, 412, "", []string{"If-None-Match", `"0", W/"1"`}},
		"DELETE of an old version":      {"DELETE /Groups/" + group, ``, 412, "", []string{"If-Match", `W/"2", "3"`}},
		"GET of an old version":         {"GET /Users/" + user, ``, 412, "", []string{"If-Match", `W/"2"`}},
		"HTML is accepted":              {"GET /Users/" + user, ``, 406, "", []string{"Accept", "text/html, application/xml"}},
		"JSON is excluded":              {"POST /Users", `{"userName":"x"}`, 406, "", []string{"Accept", "*/*, application/json;q=0, application/scim+json;q=0.0"}},
		"filter by a password":          {"GET /Users" + query(`userName eq "ana" and password eq "x"`), ``, 403, "sensitive", nil},
		"schemas filtered":              {"GET /Schemas" + query(`id eq "x"`), ``, 403, "", nil},
		"unknown schema":                {"GET /Schemas/urn:x", ``, 404, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			answered := h.call(t, method, path, test.body, test.header...).wantError(t, test.status, test.scimType)
			if test.status == http.StatusMethodNotAllowed && answered.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	h.call(t, "GET", "/Users/"+user, "").want(t, 200).is(t, `W/"1"`, "meta", "version")
	if got := h.members(t, group); len(got) != 1 {
		t.Errorf("members are %v", got)
	}
	after := h.stored(t)
	if users := strings.Count(after, "ext-ana"); users != strings.Count(before, "ext-ana") {
		t.Errorf("something was half done: %s", after)
	}
	for _, event := range h.events(t, core.RequestRefused) {
		if event.Outcome != core.Failure || event.Actor.ID != h.connection.ID || event.Reason == "" || event.Data["status"] == "" || event.Correlation.IsZero() {
			t.Errorf("event %+v", event)
		}
	}
}

func TestRefusedRequestsLeaveAnEventWithoutTheirBody(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	user := h.join(t, "ana")
	refused := h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"active","value":"canary-Zk3"},{"op":"replace","value":{"password":"canary-Zk3"}}]}`).wantError(t, 400, "invalidValue")
	events := h.events(t, core.RequestRefused)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	event := events[0]
	if event.Correlation.String() != refused.header.Get("X-Correlation-Id") || event.Data["method"] != "PATCH" || event.Data["address"] != "/Users/{id}" ||
		event.Data["scim_type"] != "invalidValue" || event.Origin.UserAgent != "Okta SCIM Client 1.0.0" || event.Targets[1].ID.String() != user {
		t.Errorf("event %+v", event)
	}
	h.call(t, "GET", "/Users/"+core.NewID().String(), "").want(t, 404)
	h.call(t, "GET", "/Users", "", "Authorization", "Bearer pst_scim_wrong").want(t, 401)
	if got := len(h.events(t, core.RequestRefused)); got != 1 {
		t.Errorf("%d events after everyday traffic", got)
	}
	h.call(t, "POST", "/Users", `{"userName":"canary-Zk3","active":"canary-Zk3","password":"canary-Zk3"}`).want(t, 400)
	h.call(t, "POST", "/Users", `{"password":"canary-Zk3","canary-Zk3`).want(t, 400)
	h.call(t, "GET", "/Users"+query(`password eq "canary-Zk3"`), "").want(t, 403)
	if strings.Contains(h.stored(t), "canary-Zk3") || strings.Contains(refused.text, "canary-Zk3") {
		t.Error("a value that was sent has been kept")
	}
	if got := len(w.other.events(t, core.RequestRefused)); got != 0 {
		t.Errorf("%d events in the other workspace", got)
	}
}

func TestUnauthenticated(t *testing.T) {
	w := open(t, directory.Okta)
	for name, header := range map[string]string{
		"none": "", "Basic": "Basic dXNlcjpwYXNz", "empty": "Bearer ", "unknown": "Bearer pst_scim_" + strings.Repeat("a", 43), "garbage": "Bearer \xff\x00", "half": "Bearer",
		"cut": "Bearer " + w.acme.token[:len(w.acme.token)-1],
	} {
		for _, path := range []string{"GET /Users", "POST /Users", "DELETE /Users/x", "GET /ServiceProviderConfig", "GET /nonsense", "PATCH /Groups"} {
			method, path, _ := strings.Cut(path, " ")
			request := w.acme.request(t, method, path, `{"userName":"x"}`)
			request.Header.Del("Authorization")
			if header != "" {
				request.Header["Authorization"] = []string{header}
			}
			if got := w.acme.send(t, request).wantError(t, 401, ""); !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer realm=") {
				t.Errorf("%s: WWW-Authenticate %q", name, got.header.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestAllow(t *testing.T) {
	h := open(t, directory.Okta).acme
	for path, want := range map[string]string{
		"/Users": "GET, HEAD, POST", "/Groups/" + core.NewID().String(): "DELETE, GET, HEAD, PATCH, PUT", "/Schemas": "GET, HEAD", "/Bulk": "POST",
		"/Users/.search": "POST", "/ServiceProviderConfig/": "GET, HEAD",
	} {
		for method, status := range map[string]int{"OPTIONS": 204, "TRACE": 405} {
			answered := h.call(t, method, path, "").want(t, status)
			if got := answered.header.Get("Allow"); got != want {
				t.Errorf("%s %s: Allow %q, want %q", method, path, got, want)
			}
		}
	}
}

func TestDatabaseThatIsAway(t *testing.T) {
	h := open(t, directory.Okta).acme
	request := h.request(t, "GET", "/Users", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answered := h.send(t, request.WithContext(ctx)).wantError(t, 503, "")
	var seconds int
	if _, err := fmt.Sscanf(answered.header.Get("Retry-After"), "%d", &seconds); err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", answered.header.Get("Retry-After"))
	}
}
