package scim_test

import (
	"net/url"
	"testing"

	"postern/core"
	"postern/core/directory"
)

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

func query(filter string) string { return "?filter=" + url.QueryEscape(filter) }

// The requests of Entra ID, with and without the aadOptscim062020 flag, end in the same place.
func TestEntra(t *testing.T) {
	for _, shape := range []string{"entra-default", "entra-optscim"} {
		t.Run(shape, func(t *testing.T) {
			h := open(t, directory.Entra).acme
			// Test Connection looks for somebody who cannot exist.
			h.call(t, "GET", "/Users"+query(`userName eq "0bd1bd7c-53a0-4b57-a6a1-1cb1d9a3b6e6"`), "").want(t, 200).is(t, 0.0, "totalResults")
			h.call(t, "GET", "/Users?aadOptscim062020&filter="+url.QueryEscape(`externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`), "").want(t, 200).is(t, 0.0, "totalResults")

			made := h.call(t, "POST", "/Users", file(t, "entra-default/create-user.json")).want(t, 201)
			user := made.id(t)
			made.is(t, "givenName familyName", "name", "formatted")
			made.is(t, "Sales", enterprise, "department")
			made.is(t, "blue", "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User", "tag")
			made.is(t, "Admin", "roles", 0, "value")
			made.is(t, nil, "addresses")
			for _, filter := range []string{
				`externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`, `externalId eq 0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef`,
				`userName eq "test_user_AB6490ee-1e48-479e-a20b-2d77186b5dd1"`,
				`emails[type eq "work"].value eq "test_user_fd0ea19b-0777-472c-9f96-4f70d2226f2e@testuser.com"`,
				`emails[type eq "work" and value eq "Test_User_fd0ea19b-0777-472c-9f96-4f70d2226f2e@testuser.com"]`,
				`id eq "` + user + `"`, `id eq "` + user + `" and userName sw "test_"`,
			} {
				h.call(t, "GET", "/Users"+query(filter), "").want(t, 200).is(t, user, "Resources", 0, "id")
			}

			h.call(t, "PATCH", "/Users/"+user, file(t, shape+"/patch-disable.json")).want(t, 200).is(t, false, "active")
			h.call(t, "GET", "/Users/"+user, "").want(t, 200).is(t, false, "active") // disabled people are still found
			h.call(t, "PATCH", "/Users/"+user, file(t, shape+"/patch-enable.json", "{x}", "")).want(t, 200).is(t, true, "active")

			changed := h.call(t, "PATCH", "/Users/"+user, file(t, shape+"/patch-attributes.json")).want(t, 200)
			changed.is(t, "Pvlo", "displayName")
			changed.is(t, "TestBcwqnm@test.microsoft.com", "emails", 0, "value")
			changed.is(t, "Gtfd", "name", "givenName")
			changed.is(t, "givenName familyName", "name", "formatted")
			changed.is(t, "Eqpj", "externalId")
			changed.is(t, "Eqpj", enterprise, "employeeNumber")
			changed.is(t, "Sales", enterprise, "department")
			changed.is(t, "+1 555 0100", "phoneNumbers", 0, "value")
			changed.is(t, "25", "roles", 0, "value")
			changed.is(t, "Role1234", "roles", 0, "display")
			changed.is(t, "06b07648", "roles", 0, "id")
			changed.is(t, "red", "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User", "tag")
			h.call(t, "GET", "/Users"+query(`emails[type eq "work"].value eq "testbcwqnm@test.microsoft.com"`), "").want(t, 200).is(t, user, "Resources", 0, "id")

			boss := h.join(t, "boss")
			h.call(t, "PATCH", "/Users/"+user, file(t, shape+"/patch-manager.json", "{other}", boss)).want(t, 200).is(t, boss, enterprise, "manager", "value")
			h.call(t, "GET", "/Users"+query(`id eq "`+user+`" and manager eq "`+boss+`"`)+"&attributes=id", "").want(t, 200).is(t, 1.0, "totalResults")
			h.call(t, "GET", "/Users"+query(`id eq "`+user+`" and manager eq "`+user+`"`)+"&attributes=id", "").want(t, 200).is(t, 0.0, "totalResults")
			h.call(t, "PATCH", "/Users/"+user, file(t, "entra-default/patch-manager-replace.json", "{user}", user)).want(t, 200).is(t, user, enterprise, "manager", "value")
			h.call(t, "PATCH", "/Users/"+user, file(t, "entra-default/patch-manager-clear.json")).want(t, 200).is(t, nil, enterprise, "manager")

			group := h.call(t, "POST", "/Groups", file(t, "entra-default/create-group.json")).want(t, 201).id(t)
			h.call(t, "POST", "/Groups", file(t, "entra-default/create-group.json")).wantError(t, 409, "uniqueness")
			h.call(t, "PATCH", "/Groups/"+group, file(t, shape+"/patch-group-add.json", "{user}", user, "{other}", boss)).want(t, 204)
			h.call(t, "PATCH", "/Groups/"+group, file(t, shape+"/patch-group-add.json", "{user}", user, "{other}", boss)).want(t, 204)
			if got := h.members(t, group); len(got) != 2 {
				t.Fatalf("members are %v", got)
			}
			without := h.call(t, "GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`displayName eq "displayname"`), "").want(t, 200)
			without.is(t, group, "Resources", 0, "id")
			without.is(t, nil, "Resources", 0, "members")
			h.call(t, "GET", "/Groups/"+group+"?excludedAttributes=members", "").want(t, 200).is(t, nil, "members")
			isMember := func(id string) float64 {
				return h.call(t, "GET", "/Groups"+query(`id eq "`+group+`" and members eq "`+id+`"`)+"&attributes=id", "").want(t, 200).at(t, "totalResults").(float64)
			}
			if isMember(user) != 1 || isMember(core.NewID().String()) != 0 {
				t.Fatal("the reference check is wrong")
			}
			h.call(t, "PATCH", "/Groups/"+group, file(t, shape+"/patch-group-remove.json", "{user}", user)).want(t, 204)
			h.call(t, "PATCH", "/Groups/"+group, file(t, shape+"/patch-group-remove.json", "{user}", user)).want(t, 204)
			if got := h.members(t, group); len(got) != 1 || !got[boss] || isMember(user) != 0 {
				t.Fatalf("members are %v", got)
			}
			h.call(t, "PATCH", "/Groups/"+group, file(t, "entra-default/patch-group-rename.json")).want(t, 204)
			h.call(t, "PATCH", "/Groups/"+group+"?attributes=displayName", file(t, "entra-default/patch-group-rename.json")).want(t, 200).is(t, "1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName", "displayName")
			h.call(t, "DELETE", "/Groups/"+group, "").want(t, 204)

			h.call(t, "DELETE", "/Users/"+user, "").want(t, 204)
			h.call(t, "DELETE", "/Users/"+user, "").wantError(t, 404, "")
			h.call(t, "GET", "/Users/"+user, "").wantError(t, 404, "")
			h.call(t, "PATCH", "/Users/"+user, file(t, shape+"/patch-disable.json")).wantError(t, 404, "")
			h.call(t, "GET", "/Users"+query(`userName eq "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1"`), "").want(t, 200).is(t, 0.0, "totalResults")
			h.call(t, "POST", "/Users", file(t, "entra-default/create-user.json")).want(t, 201) // the name is free again
		})
	}
}

// Microsoft's null update test: "" and then null must leave nothing behind.
func TestEntraNullUpdate(t *testing.T) {
	h := open(t, directory.Entra).acme
	user := h.call(t, "POST", "/Users", file(t, "entra-default/create-user.json")).want(t, 201).id(t)
	for _, path := range []string{"displayName", "title", "nickName", "name.givenName", "externalId", enterprise + ":department", `emails[type eq \"work\"].value`} {
		h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"Replace","path":"`+path+`","value":""}]}`).want(t, 200)
		h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"Replace","path":"`+path+`","value":null}]}`).want(t, 200)
	}
	left := h.call(t, "GET", "/Users/"+user, "").want(t, 200)
	for _, name := range []string{"displayName", "title", "nickName", "externalId", "emails", enterprise} {
		left.is(t, nil, name)
	}
	left.is(t, nil, "name", "givenName")
}

// A connection of no known make follows the RFC where Entra ID does not.
func TestGenericFollowsTheRFC(t *testing.T) {
	h := open(t, directory.Generic).acme
	user := h.call(t, "POST", "/Users", `{"userName":"ana"}`).want(t, 201).id(t)
	h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"emails[type eq \"work\"].value","value":"a@x"}]}`, "User-Agent", "").wantError(t, 400, "noTarget")
	h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"add","path":"emails[type eq \"work\"].value","value":"a@x"}]}`).want(t, 200).is(t, "a@x", "emails", 0, "value")
}
