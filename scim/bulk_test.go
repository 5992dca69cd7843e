package scim_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

const bulkRequest = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":`

// bulk sends operations and returns the status of each, in their order.
func (h house) bulk(t testing.TB, operations string) (reply, string) {
	t.Helper()
	answered := h.call(t, "POST", "/Bulk", bulkRequest+operations+"}").want(t, 200)
	var statuses []string
	for _, result := range answered.at(t, "Operations").([]any) {
		statuses = append(statuses, result.(map[string]any)["status"].(string))
	}
	return answered, strings.Join(statuses, " ")
}

func idOf(t testing.TB, r reply, index int) string {
	t.Helper()
	location, _ := r.at(t, "Operations", index, "location").(string)
	if !strings.HasPrefix(location, publicURL+"/scim/v2/") {
		t.Fatalf("operation %d is at %q", index, location)
	}
	return location[strings.LastIndexByte(location, '/')+1:]
}

func TestBulk(t *testing.T) {
	h := open(t, directory.Okta).acme
	old := h.join(t, "old")
	group := h.team(t, "Sales")
	answered, got := h.bulk(t, `[
		{"method":"POST","path":"/Users","bulkId":"ana","data":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana"}},
		{"method":"put","path":"/Users/`+old+`","data":{"userName":"old","title":"Chief"}},
		{"method":"PATCH","path":"/Users/`+old+`","version":"W/\"2\"","data":`+patchOperations+`[{"op":"replace","path":"active","value":false}]}},
		{"method":"PATCH","path":"`+publicURL+`/scim/v2/Groups/`+group+`?attributes=displayName","data":`+patchOperations+`[{"op":"replace","path":"displayName","value":"Sale"}]}},
		{"method":"DELETE","path":"/Groups/`+group+`","version":"W/\"2\""},
		{"method":"POST","path":"/Groups/","bulkId":"g","data":{"displayName":"Support","members":[{"value":"bulkId:ana"},{"$ref":"../Users/bulkId:ana"},{"value":"`+old+`"}]}}]`)
	if got != "201 200 200 200 204 201" {
		t.Fatalf("statuses %s in %s", got, answered.text)
	}
	answered.is(t, "urn:ietf:params:scim:api:messages:2.0:BulkResponse", "schemas", 0)
	answered.is(t, "ana", "Operations", 0, "bulkId")
	answered.is(t, "POST", "Operations", 0, "method")
	answered.is(t, `W/"1"`, "Operations", 0, "version")
	answered.is(t, "PUT", "Operations", 1, "method")
	answered.is(t, publicURL+"/scim/v2/Users/"+old, "Operations", 1, "location")
	answered.is(t, `W/"3"`, "Operations", 2, "version")
	answered.is(t, nil, "Operations", 0, "response")
	answered.is(t, publicURL+"/scim/v2/Groups/"+group, "Operations", 4, "location")
	ana := idOf(t, answered, 0)
	if diff := cmp.Diff(map[string]bool{ana: true, old: true}, h.members(t, idOf(t, answered, 5))); diff != "" {
		t.Error(diff)
	}
	h.call(t, "GET", "/Users/"+old, "").want(t, 200).is(t, false, "active")
	h.call(t, "GET", "/Groups/"+group, "").want(t, 404)

	// Each has an entry of its own, with what it meant, under one correlation.
	entries := h.journal(t)[2:]
	if len(entries) != 6 {
		t.Fatalf("entries %v", h.written(t))
	}
	for _, entry := range entries {
		if entry.Correlation.String() != answered.header.Get("X-Correlation-Id") {
			t.Errorf("entry %+v", entry)
		}
	}
	if want := `{"displayName":"Support","members":[{"value":"` + ana + `"},{"$ref":"../Users/` + ana + `"},{"value":"` + old + `"}]}`; *entries[5].Body != want || entries[5].Address != "/Groups" {
		t.Errorf("entry %+v %s", entries[5], *entries[5].Body)
	}
	if entries[3].Query != "attributes=displayName" || entries[4].Body != nil || entries[2].Resource.String() != old {
		t.Errorf("entries %+v", entries)
	}
}

// What refers to a later operation waits for it, and a circle is closed afterwards.
func TestBulkReferences(t *testing.T) {
	h := open(t, directory.Entra).acme
	answered, got := h.bulk(t, `[
		{"method":"PATCH","path":"/Groups/bulkId:g","data":`+patchOperations+`[{"op":"remove","path":"members[value eq \"bulkId:b\"]"},{"op":"add","path":"members","value":[{"value":"bulkId:c"}]}]}},
		{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"Sales","members":[{"value":"bulkId:a"},{"value":"bulkId:b"}]}},
		{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"a","`+enterprise+`":{"department":"D","manager":{"value":"bulkId:b"}}}},
		{"method":"POST","path":"/Users","bulkId":"b","data":{"userName":"b","`+enterprise+`":{"manager":{"$ref":"/Users/bulkId:a","value":"bulkId:a"}}}},
		{"method":"POST","path":"/Users","bulkId":"c","data":{"userName":"c","displayName":"bulkId:c","`+enterprise+`":{"manager":"bulkId:c"}}}]`)
	if got != "204 201 201 201 201" {
		t.Fatalf("statuses %s in %s", got, answered.text)
	}
	group, a, b, c := idOf(t, answered, 1), idOf(t, answered, 2), idOf(t, answered, 3), idOf(t, answered, 4)
	if diff := cmp.Diff(map[string]bool{a: true, c: true}, h.members(t, group)); diff != "" {
		t.Error(diff)
	}
	for user, manager := range map[string]string{a: b, b: a, c: c} {
		read := h.call(t, "GET", "/Users/"+user, "").want(t, 200)
		read.is(t, manager, enterprise, "manager", "value")
		for i, id := range []string{a, b, c} {
			if id == user {
				answered.is(t, read.header.Get("ETag"), "Operations", i+2, "version")
			}
		}
	}
	h.call(t, "GET", "/Users/"+a, "").is(t, "D", enterprise, "department")
	h.call(t, "GET", "/Users/"+c, "").is(t, "bulkId:c", "displayName")
}

func TestBulkErrorsDisturbNobody(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	foreign := w.other.join(t, "eve")
	h.join(t, "taken")
	user := h.join(t, "ana")
	operations := []struct{ operation, status string }{
		{`{"method":"POST","path":"/Users","bulkId":"1","data":{"userName":"one"}}`, "201"},
		{`{"method":"POST","path":"/Users","bulkId":"2","data":{"userName":"TAKEN"}}`, "409"},
		{`{"method":"POST","path":"/Users","bulkId":"twice","data":{"userName":"three"}}`, "400"},
		{`{"method":"POST","path":"/Groups","bulkId":"twice","data":{"displayName":"three"}}`, "400"},
		{`{"method":"POST","path":"/Users","data":{"userName":"four"}}`, "400"},
		{`{"method":"POST","path":"/Groups","bulkId":"5","data":{"displayName":"five","members":[{"value":"bulkId:nobody"}]}}`, "400"},
		{`{"method":"POST","path":"/Groups","bulkId":"6","data":{"displayName":"six","members":[{"value":"bulkId:2"}]}}`, "409"},
		{`{"method":"POST","path":"/Groups","bulkId":"7","data":{"displayName":"seven","members":[{"value":"bulkId:twice"}]}}`, "409"},
		{`{"method":"PATCH","path":"/Users/bulkId:2","data":` + patchOperations + `[{"op":"replace","path":"title","value":"x"}]}}`, "409"},
		{`{"method":"POST","path":"/Bulk","bulkId":"8","data":` + bulkRequest + `[]}}`, "400"},
		{`{"method":"POST","path":"/Users/.search","bulkId":"9","data":{}}`, "400"},
		{`{"method":"GET","path":"/Users/` + user + `"}`, "400"},
		{`{"method":"PATCH","path":"https://elsewhere.example.com/scim/v2/Users/` + user + `","data":{}}`, "400"},
		{`{"method":"PUT","path":"/Users/` + user + `"}`, "400"},
		{`{"method":"PUT","path":"/Users/` + user + `","version":"W/\"7\"","data":{"userName":"x"}}`, "412"},
		{`{"method":"DELETE","path":"/Users/` + foreign + `"}`, "404"},
		{`{"method":"DELETE","path":"/Users/` + core.NewID().String() + `"}`, "404"},
		{`{"method":"PATCH","path":"/Users","data":` + patchOperations + `[{"op":"replace","path":"title","value":"x"}]}}`, "405"},
		{`{"method":"POST","path":"/Groups","bulkId":"10","data":{"displayName":"ten","members":[{"value":"` + foreign + `"}]}}`, "400"},
		{`{"method":"POST","path":"/Users/bulkId:11","bulkId":"11","data":{"userName":"eleven"}}`, "409"},
		{`null`, "400"}, {`"garbage"`, "400"}, {`[]`, "400"}, {`{}`, "400"}, {`{"method":5,"path":{},"data":"x","bulkId":[]}`, "400"},
		{`{"method":"POST","path":"/Users","bulkId":"last","data":{"userName":"last"}}`, "201"},
	}
	var list, want []string
	for _, one := range operations {
		list, want = append(list, one.operation), append(want, one.status)
	}
	answered, got := h.bulk(t, "["+strings.Join(list, ",")+"]")
	if diff := cmp.Diff(strings.Join(want, " "), got); diff != "" {
		t.Fatalf("%s in %s", diff, answered.text)
	}
	for i, one := range operations {
		if one.status < "400" {
			continue
		}
		answered.is(t, "urn:ietf:params:scim:api:messages:2.0:Error", "Operations", i, "response", "schemas", 0)
		answered.is(t, one.status, "Operations", i, "response", "status")
	}
	answered.is(t, "uniqueness", "Operations", 1, "response", "scimType")
	answered.is(t, nil, "Operations", 1, "location")
	// Somebody else's is like nobody's.
	one, other := answered.at(t, "Operations", 15, "response"), answered.at(t, "Operations", 16, "response")
	if diff := cmp.Diff(one, other); diff != "" {
		t.Error(diff)
	}
	h.call(t, "GET", "/Users", "").want(t, 200).is(t, 4.0, "totalResults")
	h.call(t, "GET", "/Groups", "").want(t, 200).is(t, 0.0, "totalResults")
	w.other.call(t, "GET", "/Users/"+foreign, "").want(t, 200)
}

func TestBulkStopsWhereItIsTold(t *testing.T) {
	h := open(t, directory.Generic).acme
	h.join(t, "taken")
	const operations = `[{"method":"POST","path":"/Users","bulkId":"1","data":{"userName":"one"}},
		{"method":"POST","path":"/Users","bulkId":"2","data":{"userName":"taken"}},
		{"method":"POST","path":"/Users","bulkId":"3","data":{"userName":"three"}},
		{"method":"POST","path":"/Users","bulkId":"4","data":{"userName":"taken"}},
		{"method":"POST","path":"/Users","bulkId":"5","data":{"userName":"five"}}]`
	answered, got := h.bulk(t, operations+`,"failOnErrors":1`)
	if got != "201 409" {
		t.Errorf("statuses %s in %s", got, answered.text)
	}
	if _, got := h.bulk(t, operations+`,"failOnErrors":3`); got != "409 409 201 409" {
		t.Errorf("statuses %s", got)
	}
	// A circle that is not closed when the Bulk ends is told of.
	circle := `[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"a","` + enterprise + `":{"manager":{"value":"bulkId:b"}}}},
		{"method":"POST","path":"/Users","bulkId":"b","data":{"userName":"taken","` + enterprise + `":{"manager":{"value":"bulkId:a"}}}}]`
	answered, got = h.bulk(t, circle+`,"failOnErrors":1`)
	if got != "409 409" || idOf(t, answered, 0) == "" {
		t.Errorf("statuses %s in %s", got, answered.text)
	}
	for _, limit := range []string{`0`, `-1`, `1.5`, `"1"`, `true`} {
		h.call(t, "POST", "/Bulk", bulkRequest+operations+`,"failOnErrors":`+limit+`}`).wantError(t, 400, "invalidValue")
	}
}

func TestBulkLimits(t *testing.T) {
	h := open(t, directory.Generic).acme
	provider := h.call(t, "GET", "/ServiceProviderConfig", "").want(t, 200)
	most, bytes := int(provider.at(t, "bulk", "maxOperations").(float64)), int(provider.at(t, "bulk", "maxPayloadSize").(float64))
	gone := `{"method":"DELETE","path":"/Users/` + core.NewID().String() + `"}`
	if _, got := h.bulk(t, "["+strings.TrimSuffix(strings.Repeat(gone+",", most), ",")+"]"); got != strings.TrimSuffix(strings.Repeat("404 ", most), " ") {
		t.Errorf("statuses %.100s", got)
	}
	over := h.call(t, "POST", "/Bulk", bulkRequest+"["+strings.Repeat(gone+",", most)+gone+"]}").wantError(t, 413, "")
	if !strings.Contains(over.text, fmt.Sprint(most)) {
		t.Errorf("the limit is not named: %s", over.text)
	}
	large := h.call(t, "POST", "/Bulk", bulkRequest+`[`+gone+`],"x":"`+strings.Repeat("a", bytes)+`"}`).wantError(t, 413, "")
	if !strings.Contains(large.text, fmt.Sprint(bytes)) {
		t.Errorf("the limit is not named: %s", large.text)
	}
	for name, body := range map[string]string{
		"half": bulkRequest + `[` + gone + `,`, "no list": bulkRequest + `{}}`, "empty": bulkRequest + `[]}`,
		"another message": `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + gone + `]}`,
	} {
		t.Run(name, func(t *testing.T) { h.call(t, "POST", "/Bulk", body).wantError(t, 400, "invalidSyntax") })
	}
}

// A client that hangs up in the middle has what was done done, and nothing else; sent again, it gets
// the rest.
func TestBulkThatDies(t *testing.T) {
	h := open(t, directory.Okta).acme
	var list []string
	for i := range 20 {
		list = append(list, fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"%d","data":{"userName":"u%d"}}`, i, i))
	}
	body := bulkRequest + "[" + strings.Join(list, ",") + "]}"
	ctx, hangUp := context.WithCancel(t.Context())
	h.Lifecycle.Wake = func() {
		if len(h.journal(t)) == 7 {
			hangUp()
		}
	}
	h.engine.ServeHTTP(httptest.NewRecorder(), h.request(t, "POST", "/Bulk", body).WithContext(ctx))
	h.Lifecycle.Wake = nil
	h.call(t, "GET", "/Users", "").want(t, 200).is(t, 7.0, "totalResults")
	answered := h.call(t, "POST", "/Bulk", body).want(t, 200)
	for i := range 20 {
		answered.is(t, map[bool]string{true: "409", false: "201"}[i < 7], "Operations", i, "status")
	}
	h.call(t, "GET", "/Users", "").want(t, 200).is(t, 20.0, "totalResults")
	if got := len(h.journal(t)); got != 27 {
		t.Errorf("%d entries", got)
	}
}

// A token that is revoked in the middle opens nothing more a second later: what was done stays done, and
// the rest is refused.
func TestBulkWhoseTokenIsRevoked(t *testing.T) {
	w := open(t, directory.Generic)
	h := w.acme
	now := time.Now()
	h.Now = func() time.Time { return now }
	tokens, err := h.Directory.ConnectionTokens(t.Context(), h.DB, h.workspace, h.connection.ID)
	must(t, err)
	woken := 0
	h.Lifecycle.Wake = func() {
		switch woken++; woken {
		case 2: // within the second nobody looks
			must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				return h.Directory.RevokeConnectionToken(t.Context(), tx, core.NewCause(core.System, time.Now()), h.workspace, h.connection.ID, tokens[0].ID)
			}))
		case 3:
			now = now.Add(time.Second)
		}
	}
	_, got := h.bulk(t, `[{"method":"POST","path":"/Users","bulkId":"1","data":{"userName":"one"}},
		{"method":"POST","path":"/Users","bulkId":"2","data":{"userName":"two"}},
		{"method":"POST","path":"/Users","bulkId":"3","data":{"userName":"three"}},
		{"method":"POST","path":"/Users","bulkId":"4","data":{"userName":"four"}},
		{"method":"DELETE","path":"/Users/`+core.NewID().String()+`"}]`)
	if got != "201 201 201 401 401" {
		t.Errorf("statuses %s", got)
	}
	h.Lifecycle.Wake = nil
	if written := len(h.journal(t)); written != 3 {
		t.Errorf("%d entries", written)
	}
	h.call(t, "GET", "/Users", "").wantError(t, 401, "")

	// The other workspace's token goes on, however long its Bulk takes.
	w.other.Lifecycle.Wake = func() { now = now.Add(time.Minute) }
	if _, got := w.other.bulk(t, `[{"method":"POST","path":"/Users","bulkId":"1","data":{"userName":"one"}},
		{"method":"POST","path":"/Users","bulkId":"2","data":{"userName":"two"}}]`); got != "201 201" {
		t.Errorf("statuses %s", got)
	}
}
