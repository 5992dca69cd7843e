package scim_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/directory"
)

// The requests of an Okta app from the catalogue: PATCH for being active and for groups.
func TestOktaCatalogueApp(t *testing.T) {
	h := open(t, directory.Okta).acme
	h.call(t, "GET", "/Users?startIndex=1&count=2", "").want(t, 200).is(t, 0.0, "totalResults")
	h.call(t, "GET", "/Groups?startIndex=1&count=100", "").want(t, 200)
	lookup := "/Users?filter=" + url.QueryEscape(`userName eq "test.user@okta.local"`) + "&startIndex=1&count=100"
	none := h.call(t, "GET", lookup, "").want(t, 200)
	if want := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}`; none.text != want {
		t.Fatalf("nobody is %s", none.text)
	}

	made := h.call(t, "POST", "/Users", file(t, "okta/create-user.json")).want(t, 201)
	user := made.id(t)
	made.is(t, "test.user@okta.local", "userName")
	made.is(t, true, "active")
	made.is(t, "Test", "name", "givenName")
	made.is(t, "en-US", "locale")
	made.is(t, "00ujl29u0le5T6Aj10h7", "externalId")
	made.is(t, publicURL+"/scim/v2/Users/"+user, "meta", "location")
	if got := made.header.Get("Location"); got != publicURL+"/scim/v2/Users/"+user {
		t.Fatalf("Location is %q", got)
	}
	if strings.Contains(made.text, "1mz050nq") || strings.Contains(h.stored(t), "1mz050nq") {
		t.Fatal("the password was kept")
	}
	h.call(t, "GET", lookup, "").want(t, 200).is(t, user, "Resources", 0, "id")

	off := h.call(t, "PATCH", "/Users/"+user, file(t, "okta/patch-deactivate.json")).want(t, 200)
	off.is(t, false, "active")
	off.is(t, "Test User", "displayName")
	h.call(t, "GET", lookup, "").want(t, 200).is(t, false, "Resources", 0, "active")
	h.call(t, "PATCH", "/Users/"+user, file(t, "okta/patch-activate.json")).want(t, 200).is(t, true, "active")
	for kind, want := range map[core.EventType]int{core.UserProvisioned: 1, core.UserDeprovisioned: 1, core.UserReactivated: 1, core.UserUpdated: 0} {
		if got := len(h.events(t, kind)); got != want {
			t.Errorf("%d events %s, want %d", got, kind, want)
		}
	}
	version := h.call(t, "GET", "/Users/"+user, "").want(t, 200).header.Get("ETag")
	h.call(t, "PATCH", "/Users/"+user, file(t, "okta/patch-password.json")).want(t, 200)
	if again := h.call(t, "GET", "/Users/"+user, ""); again.header.Get("ETag") != version || strings.Contains(h.stored(t), "canary-b7Qx") {
		t.Fatal("a password changed something")
	}

	other := h.join(t, "other")
	group := h.call(t, "POST", "/Groups", file(t, "okta/create-group.json")).want(t, 201).id(t)
	h.call(t, "PATCH", "/Groups/"+group, file(t, "okta/patch-group-replace.json", "{user}", user, "{other}", other)).want(t, 204)
	if got := h.members(t, group); len(got) != 2 {
		t.Fatalf("members are %v", got)
	}
	h.call(t, "PATCH", "/Groups/"+group, file(t, "okta/patch-group-members.json", "{user}", user, "{other}", other)).want(t, 204)
	if got := h.members(t, group); len(got) != 1 || !got[other] {
		t.Fatalf("members are %v", got)
	}
	h.call(t, "PATCH", "/Groups/"+group, file(t, "okta/patch-group-rename.json", "{group}", group)).want(t, 204)
	found := h.call(t, "GET", "/Groups?filter="+url.QueryEscape(`displayName eq "test scimv2 RENAMED"`), "").want(t, 200)
	found.is(t, group, "Resources", 0, "id")
	found.is(t, other, "Resources", 0, "members", 0, "value")
	found.is(t, publicURL+"/scim/v2/Users/"+other, "Resources", 0, "members", 0, "$ref")
	h.call(t, "DELETE", "/Groups/"+group, "").want(t, 204)
	h.call(t, "GET", "/Groups/"+group, "").wantError(t, 404, "")
}

// The requests of an Okta app from the wizard: everything is a PUT of the whole resource.
func TestOktaWizardApp(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.call(t, "POST", "/Users", file(t, "okta/create-user.json")).want(t, 201).id(t)
	pushed := h.call(t, "PUT", "/Users/"+user, file(t, "okta/put-user.json", "{user}", user)).want(t, 200)
	pushed.is(t, "Another", "name", "givenName")
	pushed.is(t, "Excited", "name", "middleName")
	pushed.is(t, "00ujl29u0le5T6Aj10h7", "externalId") // not mentioned, and kept
	pushed.is(t, nil, "locale")                        // not mentioned, and gone
	again := h.call(t, "PUT", "/Users/"+user, file(t, "okta/put-user.json", "{user}", user)).want(t, 200)
	if diff := cmp.Diff(pushed.body, again.body); diff != "" {
		t.Fatalf("the same again changed something: %s", diff)
	}
	h.call(t, "PUT", "/Users/"+user, file(t, "okta/put-user-deactivate.json", "{user}", user)).want(t, 200).is(t, false, "active")
	if got := h.events(t, core.UserDeprovisioned); len(got) != 1 || got[0].Actor.ID != h.connection.ID {
		t.Fatalf("events are %v", got)
	}
	withoutActive := strings.Replace(file(t, "okta/put-user.json", "{user}", user), `"active":true,`, "", 1)
	h.call(t, "PUT", "/Users/"+user, withoutActive).want(t, 200).is(t, false, "active") // access comes back only when asked for
	h.call(t, "PUT", "/Users/"+user, file(t, "okta/put-user.json", "{user}", user)).want(t, 200).is(t, true, "active")

	group := h.call(t, "POST", "/Groups", file(t, "okta/create-group.json")).want(t, 201).id(t)
	h.call(t, "PUT", "/Groups/"+group, file(t, "okta/put-group.json", "{group}", group, "{user}", user)).want(t, 200).is(t, user, "members", 0, "value")
	h.call(t, "GET", "/Users/"+user+"?attributes=groups", "").want(t, 200).is(t, group, "groups", 0, "value")
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"Test SCIMv2","members":[]}`).want(t, 200)
	if got := h.members(t, group); len(got) != 0 {
		t.Fatalf("members are %v", got)
	}
	h.call(t, "PUT", "/Users/"+core.NewID().String(), file(t, "okta/put-user.json")).wantError(t, 404, "")
	h.call(t, "PUT", "/Groups/"+core.NewID().String(), file(t, "okta/put-group.json", "{user}", user)).wantError(t, 404, "")
}

// Okta's published "SCIM 2.0 SPEC Test", step by step.
func TestOktaSpecification(t *testing.T) {
	h := open(t, directory.Okta).acme
	h.call(t, "POST", "/Users", file(t, "okta/create-user.json")).want(t, 201)

	first := h.call(t, "GET", "/Users?count=1&startIndex=1", "").want(t, 200)
	first.is(t, "urn:ietf:params:scim:api:messages:2.0:ListResponse", "schemas", 0)
	for _, number := range []string{"itemsPerPage", "startIndex", "totalResults"} {
		if _, ok := first.at(t, number).(float64); !ok {
			t.Errorf("%s is no number", number)
		}
	}
	for _, path := range [][]any{{"id"}, {"name", "familyName"}, {"name", "givenName"}, {"userName"}, {"active"}, {"emails", 0, "value"}} {
		if got := first.at(t, append([]any{"Resources", 0}, path...)...); got == nil || got == "" {
			t.Errorf("%v is empty", path)
		}
	}
	id := first.at(t, "Resources", 0, "id").(string)
	h.call(t, "GET", "/Users/"+id, "").want(t, 200).is(t, id, "id")
	filter := func(value string) string { return "/Users?filter=" + url.QueryEscape(`userName eq "`+value+`"`) }
	h.call(t, "GET", filter("abcdefgh@atko.com"), "").want(t, 200).is(t, 0.0, "totalResults")
	h.call(t, "GET", "/Users/010101001010101011001010101011", "").wantError(t, 404, "")

	body := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"runscope300@atko.com","name":{"givenName":"Run","familyName":"Scope"},"emails":[{"primary":true,"value":"runscope300@atko.com","type":"work"}],"displayName":"Run Scope","active":true}`
	h.call(t, "GET", filter("runscope300@atko.com"), "").want(t, 200).is(t, 0.0, "totalResults")
	made := h.call(t, "POST", "/Users", body).want(t, 201)
	made.is(t, true, "active")
	made.is(t, "Scope", "name", "familyName")
	made.is(t, "urn:ietf:params:scim:schemas:core:2.0:User", "schemas", 0)
	h.call(t, "GET", "/Users/"+made.id(t), "").want(t, 200).is(t, "runscope300@atko.com", "userName")
	h.call(t, "POST", "/Users", body).wantError(t, 409, "uniqueness")
	h.call(t, "GET", filter("RUNSCOPE300@ATKO.COM"), "").want(t, 200).is(t, 1.0, "totalResults")
	h.call(t, "GET", "/Groups", "").want(t, 200).is(t, 0.0, "totalResults")
	refused := h.call(t, "GET", "/Users", "", "Authorization", "Bearer wrong").wantError(t, 401, "")
	if !strings.HasPrefix(refused.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("WWW-Authenticate is %q", refused.header.Get("WWW-Authenticate"))
	}
	h.call(t, "GET", "/Users/00919288221112222", "").wantError(t, 404, "")
}
