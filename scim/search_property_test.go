package scim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

const customURN = "urn:example:params:Custom:1.0:User"

var words = []string{
	"ana", "Ana", "AN", "a", "ANNE", "ÄNNE", "änne", "Straße", "ΟΔΟΣ", "οδος", "ΟΔΟΣΑ", "İx", "漢字", "😀", "O'Malley", `a%_b\c`, `"q"`, "work", "Work", "home",
	"true", "True", "false", "5", "5.0", "-1", "1e3", "x y", "ana@example.com", "ANA@EXAMPLE.COM", "bob@example.com", "b", "z", "  ", "2026-01-01T00:00:00Z",
}

// drawnUser is the body of a user with anything in it.
func drawnUser(t *rapid.T, number int) string {
	word := rapid.SampledFrom(words)
	maybe := rapid.IntRange(0, 2)
	body := map[string]any{"userName": fmt.Sprintf("%s-%d", word.Draw(t, "userName"), number), "active": rapid.Bool().Draw(t, "active")}
	if maybe.Draw(t, "external") > 0 {
		body["externalId"] = fmt.Sprintf("%s-%d", word.Draw(t, "externalId"), number)
	}
	for _, name := range []string{"displayName", "title", "nickName", "locale", "profileUrl"} {
		if maybe.Draw(t, name+"?") == 0 {
			body[name] = word.Draw(t, name)
		}
	}
	if maybe.Draw(t, "name?") > 0 {
		names := map[string]any{}
		for _, part := range []string{"givenName", "familyName", "formatted"} {
			if maybe.Draw(t, part+"?") == 0 {
				names[part] = word.Draw(t, part)
			}
		}
		body["name"] = names
	}
	for _, list := range []string{"emails", "phoneNumbers", "ims"} {
		var elements []any
		for range maybe.Draw(t, list) {
			element := map[string]any{"value": word.Draw(t, "value")}
			if maybe.Draw(t, "type?") > 0 {
				element["type"] = rapid.SampledFrom([]string{"work", "Work", "home"}).Draw(t, "type")
			}
			if maybe.Draw(t, "primary?") == 0 {
				element["primary"] = rapid.Bool().Draw(t, "primary")
			}
			elements = append(elements, element)
		}
		if elements != nil {
			body[list] = elements
		}
	}
	if maybe.Draw(t, "enterprise?") == 0 {
		body[resource.EnterpriseURN] = map[string]any{"department": word.Draw(t, "department"), "manager": map[string]any{"value": word.Draw(t, "manager")}, "other": word.Draw(t, "other")}
	}
	if maybe.Draw(t, "custom?") == 0 {
		body[customURN] = map[string]any{"Level": rapid.SampledFrom([]any{1, 1.5, 20, -3, "5", true, []any{"a", 5, map[string]any{"value": "ana"}}, map[string]any{"Value": "ana", "n": 5}}).Draw(t, "level")}
	}
	if maybe.Draw(t, "loose?") == 0 {
		body["Shoe"] = rapid.SampledFrom([]any{5, 5.0, 1e3, "Ana", "", false, []any{}, map[string]any{}, []any{"b", "ana"}, []any{[]any{"ana"}}, map[string]any{"value": "Ana"}, map[string]any{"size": []any{5, "z"}}}).Draw(t, "shoe")
	}
	text, _ := json.Marshal(body)
	return string(text)
}

func drawnLiteral(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "literal") == 0 {
		return rapid.SampledFrom([]string{"true", "false", "null", "5", "5.0", "1e3", "-3", "0", "1.5"}).Draw(t, "plain")
	}
	text, _ := json.Marshal(rapid.SampledFrom(append(words, "")).Draw(t, "word"))
	return string(text)
}

func drawnOperator(t *rapid.T) string {
	return rapid.SampledFrom([]string{"eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"}).Draw(t, "operator")
}

func drawnComparison(t *rapid.T, attribute string, literals ...string) string {
	operator := drawnOperator(t)
	if (strings.HasSuffix(attribute, "primary") || attribute == "active") && slices.Contains([]string{"gt", "ge", "lt", "le"}, operator) {
		operator = "ne"
	}
	if operator == "pr" {
		return attribute + " pr"
	}
	if len(literals) > 0 && rapid.Bool().Draw(t, "known") {
		return attribute + " " + operator + " " + rapid.SampledFrom(literals).Draw(t, "of those")
	}
	return attribute + " " + operator + " " + drawnLiteral(t)
}

// drawnFilter is any filter; known are literals of ids, times and the like that lead somewhere.
func drawnFilter(t *rapid.T, depth int, attributes, lists []string, known map[string][]string) string {
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case depth > 0 && kind == 0:
		return "not (" + drawnFilter(t, depth-1, attributes, lists, known) + ")"
	case depth > 0 && kind < 3:
		return "(" + drawnFilter(t, depth-1, attributes, lists, known) + rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "joined") +
			drawnFilter(t, depth-1, attributes, lists, known) + ")"
	case kind == 3:
		list := rapid.SampledFrom(lists).Draw(t, "list")
		parts := []string{"value", "type", "primary", "display", "$ref", "odd", "givenName", "resourceType"}
		inner := drawnComparison(t, rapid.SampledFrom(parts).Draw(t, "part"), known[list]...)
		switch rapid.IntRange(0, 3).Draw(t, "inner") {
		case 0:
			inner = "not (" + inner + ")"
		case 1:
			inner += rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "joined") + drawnComparison(t, rapid.SampledFrom(parts).Draw(t, "part"), known[list]...)
		}
		switch rapid.IntRange(0, 3).Draw(t, "behind") {
		case 0:
			return drawnComparison(t, list+"["+inner+"].value", known[list]...)
		case 1:
			return drawnComparison(t, list+"["+inner+"]", known[list]...)
		}
		return list + "[" + inner + "]"
	default:
		attribute := rapid.SampledFrom(attributes).Draw(t, "attribute")
		return drawnComparison(t, attribute, known[attribute]...)
	}
}

// resources reads all of a list, each resource as the filter sees it.
func (h house) resources(t testing.TB, address string, types *resource.Type) map[string]*resource.Object {
	t.Helper()
	found := map[string]*resource.Object{}
	for _, projection := range []string{"", "?attributes=groups,members,members.display"} {
		list, _ := h.call(t, "GET", address+strings.Replace(projection, "?", "&", 1), "").want(t, 200).at(t, "Resources").([]any)
		for _, one := range list {
			text, err := json.Marshal(one)
			must(t, err)
			o, err := resource.Decode(text)
			must(t, err)
			id := o.Text("id")
			if found[id] == nil {
				found[id] = o
				continue
			}
			for _, name := range []string{"groups", "members"} {
				if value, there := o.Get(name); there {
					found[id].Set(name, value)
				}
			}
		}
	}
	return found
}

// TestSearchesFindWhatMatches asks the database and the evaluator in memory the same, over random
// resources, with another workspace and another connection that hold the same.
func TestSearchesFindWhatMatches(t *testing.T) {
	w := open(t, directory.Okta)
	second := w.acme.connect(t, "second", directory.Okta)
	houses := []house{w.acme, w.other, second}
	bodies := rapid.Custom(func(t *rapid.T) []string {
		var list []string
		for number := range 60 {
			list = append(list, drawnUser(t, number))
		}
		return list
	}).Example(7)
	known := map[string][]string{"schemas": {`"` + resource.EnterpriseURN + `"`, `"` + customURN + `"`, `"` + resource.UserURN + `"`}}
	learn := func(name string, texts ...string) {
		for _, text := range texts {
			quoted, _ := json.Marshal(text)
			known[name] = append(known[name], string(quoted))
		}
	}
	for number, h := range houses {
		var ids []string
		for _, body := range bodies {
			ids = append(ids, h.call(t, "POST", "/Users", body).want(t, 201).id(t))
		}
		groups := []string{}
		for i, name := range []string{"Sales", "ÄNNE", "Straße %", "Empty"} {
			groups = append(groups, h.team(t, name, ids[i*5:i*5+i*3]...))
		}
		if number > 0 && number != 2 {
			continue
		}
		base := publicURL + "/scim/v2"
		learn("id", ids[0], strings.ToUpper(ids[1]), groups[1])
		learn("members", ids[5], ids[6], ids[12])
		learn("groups", groups[1], groups[2])
		learn("members.value", ids[6], ids[5][:8])
		learn("groups.value", groups[2], groups[1][:8])
		learn("members.$ref", base+"/Users/"+ids[6], base)
		learn("groups.$ref", base+"/Groups/"+groups[1], "/Groups/")
		learn("groups.display", "sales", "änne", "ST")
		learn("displayName", "sales", "änne", "STRASSE", "Straße")
		learn("meta.location", base+"/Users/"+ids[3], base+"/Groups/"+groups[0], ids[4])
		one := h.call(t, "GET", "/Users/"+ids[20], "").want(t, 200)
		for _, name := range []string{"created", "lastModified"} {
			at := one.at(t, "meta", name).(string)
			learn("meta."+name, at, strings.TrimSuffix(at, "Z")+"5Z", at[:10], "2020-01-01T00:00:00+02:00", "9999-12-31T23:59:59Z", "junk")
		}
	}
	learn("meta.version", `W/"1"`, `W/"2"`, "1")
	learn("meta.resourceType", "User", "user", "Group")
	shared := []string{"id", "externalId", "displayName", "meta.created", "meta.lastModified", "meta.version", "meta.location", "meta.resourceType", "meta", "schemas", "nothing", "nothing.at"}
	for name, kind := range map[string]struct {
		kind       *resource.Type
		address    string
		attributes []string
		lists      []string
	}{
		"users": {resource.User(), "/Users", append([]string{
			"userName", "userName", "title", "name", "name.familyName", "NAME.givenname", "active", "emails", "emails.value", "emails.type", "emails.primary", "phoneNumbers.value",
			"groups", "groups.value", "groups.display", "groups.$ref", "groups.type", "manager", "manager.value", resource.EnterpriseURN + ":department", "department", resource.EnterpriseURN + ":manager.value",
			resource.EnterpriseURN + ":other", customURN + ":Level", strings.ToLower(customURN) + ":level", customURN + ":level.value", customURN + ":level.n", "shoe", "Shoe.size", "shoe.value", "profileUrl", "userName.value",
		}, shared...), []string{"emails", "emails", "ims", "groups", "name", "meta", "shoe", customURN + ":level", "userName"}},
		"groups": {resource.Group(), "/Groups", append([]string{"members", "members.value", "members.display", "members.$ref", "members.type", "displayName"}, shared...), []string{"members", "meta", "displayName"}},
	} {
		for _, h := range []house{w.acme, second} {
			all := h.resources(t, kind.address+"?count=500", kind.kind)
			if name == "users" && len(all) != 60 || name == "groups" && len(all) != 4 {
				t.Fatalf("%d %s", len(all), name)
			}
			rapid.Check(t, func(rt *rapid.T) {
				text := drawnFilter(rt, 3, kind.attributes, kind.lists, known)
				e, err := filter.Parse(text, filter.Options{})
				if err != nil {
					rt.Fatalf("%s: %v", text, err)
				}
				want := map[string]bool{}
				for id, o := range all {
					if kind.kind.Matches(e, o) {
						want[id] = true
					}
				}
				body, _ := json.Marshal(map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:SearchRequest"}, "filter": text, "count": 500, "attributes": []string{"id"}})
				answered := h.call(t, "POST", kind.address+"/.search", string(body))
				if answered.status != 200 {
					rt.Fatalf("%s: %s", text, answered.text)
				}
				got := map[string]bool{}
				list, _ := answered.body["Resources"].([]any)
				for _, one := range list {
					got[one.(map[string]any)["id"].(string)] = true
				}
				if answered.body["totalResults"] != float64(len(got)) || !maps.Equal(got, want) {
					for id, o := range all {
						if got[id] != want[id] {
							rt.Logf("found %v, matches %v: %s", got[id], want[id], o.Append(nil))
						}
					}
					rt.Fatalf("%s finds %d of %v, %d match", text, len(got), answered.body["totalResults"], len(want))
				}
			})
		}
	}
}
