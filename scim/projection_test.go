package scim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"postern/core/directory"
)

// Attributes and excludedAttributes (RFC 7644, section 3.9) narrow every answer that has a resource.
func TestProjections(t *testing.T) {
	h := open(t, directory.Generic).acme
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	body := func(name string) string {
		return `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + enterprise + `"],"userName":"` + name + `","externalId":"` + name + `","title":"Chief","password":"secret1",
			"name":{"givenName":"Ana","familyName":"Diaz"},"emails":[{"value":"` + name + `@x.com","type":"work"},{"value":"` + name + `@y.com","type":"home"}],
			"` + enterprise + `":{"department":"Sales","manager":{"value":"m1"}}}`
	}
	user := h.call(t, "POST", "/Users", body("ana")).want(t, 201).id(t)
	h.team(t, "Sales", user)
	patch := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"Chief"}]}`
	number := 0
	answers := map[string]func(parameters string) map[string]any{
		"GET": func(p string) map[string]any { return h.call(t, "GET", "/Users/"+user+"?"+p, "").want(t, 200).body },
		"POST": func(p string) map[string]any {
			number++
			return h.call(t, "POST", "/Users?"+p, body(fmt.Sprint("made", number))).want(t, 201).body
		},
		"PUT": func(p string) map[string]any {
			return h.call(t, "PUT", "/Users/"+user+"?"+p, body("ana")).want(t, 200).body
		},
		"PATCH": func(p string) map[string]any {
			return h.call(t, "PATCH", "/Users/"+user+"?"+p, patch).want(t, 200).body
		},
		"list": func(p string) map[string]any {
			return h.call(t, "GET", "/Users?count=1&"+p, "").want(t, 200).at(t, "Resources", 0).(map[string]any)
		},
		"lookup": func(p string) map[string]any {
			return h.call(t, "GET", "/Users"+query(`userName eq "ana"`)+"&"+p, "").want(t, 200).at(t, "Resources", 0).(map[string]any)
		},
		".search": func(p string) map[string]any {
			name, list, _ := strings.Cut(p, "=")
			body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"count":1`
			if list != "" {
				body += `,"` + name + `":["` + strings.ReplaceAll(list, ",", `","`) + `"]`
			}
			return h.call(t, "POST", "/Users/.search", body+"}").want(t, 200).at(t, "Resources", 0).(map[string]any)
		},
	}
	always := []string{"id", "schemas"}
	plain := append([]string{"userName", "externalId", "title", "name", "emails", "active", "meta", enterprise}, always...)
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(plain), func(name string) bool { return slices.Contains(names, name) })
	}
	for how, answer := range answers {
		for parameters, want := range map[string][]string{
			"":                                              plain,
			"attributes=userName":                           append([]string{"userName"}, always...),
			"attributes=USERNAME,nothing":                   append([]string{"userName"}, always...),
			"attributes=nothing":                            always,
			"attributes=password":                           always,
			"attributes=name.givenName,meta":                append([]string{"name", "meta"}, always...),
			"attributes=" + enterprise:                      append([]string{enterprise}, always...),
			"attributes=" + enterprise + ":department":      append([]string{enterprise}, always...),
			"excludedAttributes=emails,title":               without("emails", "title"),
			"excludedAttributes=id,schemas,name.familyName": plain,
			"excludedAttributes=" + enterprise:              without(enterprise),
		} {
			got := answer(parameters)
			delete(got, "groups") // which those who have just been made are in none of
			names, wanted := slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(want))
			if !slices.Equal(names, wanted) {
				t.Errorf("%s %s: %v, want %v", how, parameters, names, wanted)
			}
			name, _ := got["name"].(map[string]any)
			switch {
			case strings.Contains(parameters, "name.givenName") && (name["givenName"] != "Ana" || len(name) != 1):
				t.Errorf("%s %s: %v", how, parameters, name)
			case strings.Contains(parameters, "name.familyName") && (name["givenName"] != "Ana" || name["familyName"] != nil):
				t.Errorf("%s %s: %v", how, parameters, name)
			case strings.HasSuffix(parameters, "department"):
				if extension, _ := got[enterprise].(map[string]any); extension["department"] != "Sales" || len(extension) != 1 {
					t.Errorf("%s %s: %v", how, parameters, extension)
				}
			}
		}
		if _, there := answer("attributes=groups")["groups"]; !there && how != "POST" {
			t.Errorf("%s: the groups were asked for", how)
		}
	}
	// What is returned on request alone.
	group := h.team(t, "Large", user)
	h.call(t, "GET", "/Groups/"+group, "").want(t, 200).is(t, nil, "members", 0, "display")
	if named := h.call(t, "GET", "/Groups/"+group+"?attributes=members.display", "").want(t, 200); named.at(t, "members", 0, "display") == nil {
		t.Errorf("the name of a member was asked for: %s", named.text)
	}
}
