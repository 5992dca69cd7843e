package scim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// immutable is an attribute of users that can be given once only, and two values it may have.
type immutable struct {
	path []any  // where it stands in a user: an extension's URN, the name, the name inside a complex one
	name string // as a PATCH names it
	one  string
	two  string
}

// immutables are the immutable attributes of users, as /Schemas describes them, that have one value, of text. It skips
// the check where there is none. The attributes of elements of a list are not among them: another value is another
// element. Nor is userName, whose values have to be unique besides.
func (p *probe) immutables() []immutable {
	urns := []string{userSchema}
	for _, kind := range entriesOf(p.target.types.at("Resources")) {
		if kind["schema"] == userSchema {
			for _, extension := range entriesOf(kind["schemaExtensions"]) {
				urn, _ := extension["schema"].(string)
				urns = append(urns, urn)
			}
		}
	}
	var found []immutable
	for _, described := range p.get("/Schemas").list() {
		urn, _ := described["id"].(string)
		if !slices.Contains(urns, urn) {
			continue
		}
		var path []any
		before := ""
		if urn != userSchema {
			path, before = []any{urn}, urn+":"
		}
		for _, attribute := range entriesOf(described["attributes"]) {
			found = append(found, immutablesOf(attribute, path, before)...)
		}
	}
	if len(found) == 0 {
		p.skip("the server has none: no attribute of users with a single value is immutable in /Schemas")
	}
	return found
}

func immutablesOf(attribute object, path []any, before string) []immutable {
	name, _ := attribute["name"].(string)
	path = append(slices.Clone(path), name)
	switch {
	case attribute["multiValued"] == true:
		return nil
	case attribute["type"] == "complex":
		var found []immutable
		for _, inner := range entriesOf(attribute["subAttributes"]) {
			found = append(found, immutablesOf(inner, path, before+name+".")...)
		}
		return found
	case attribute["mutability"] != "immutable" || attribute["type"] != "string" || name == "userName":
		return nil
	}
	one := immutable{path, before + name, "first", "second"}
	if values, _ := attribute["canonicalValues"].(list); len(values) > 1 {
		one.one, _ = values[0].(string)
		one.two, _ = values[1].(string)
	}
	return []immutable{one}
}

// in is a user's attributes with a value at the attribute's place.
func (i immutable) in(body object, value string) object {
	body = maps.Clone(body)
	at := body
	for _, step := range i.path[:len(i.path)-1] {
		key := step.(string)
		inner, _ := at[key].(object)
		inner = maps.Clone(inner)
		if inner == nil {
			inner = object{}
		}
		at[key] = inner
		at = inner
	}
	at[i.path[len(i.path)-1].(string)] = value
	return body
}

// given creates a user who has the attribute.
func (p *probe) given(i immutable) (*answer, object) {
	body := i.in(p.userBody(nil), i.one)
	if urn, _ := i.path[0].(string); strings.HasPrefix(urn, "urn:") {
		body["schemas"] = list{userSchema, urn}
	}
	a := p.created("/Users", body)
	return a.equals("Take an immutable attribute when a user is created.", i.one, i.path...), body
}

func immutableChecks() []Check {
	const advice = "Refuse another value of an immutable attribute with 400 and mutability."
	return []Check{
		should("rfc/immutable/replace", "PUT of another value of an immutable attribute is refused with mutability, of the same is not", "RFC 7644 §3.5.1", func(p *probe) {
			for _, one := range p.immutables() {
				a, body := p.given(one)
				p.applied(p.put(p.userPath(a), body), "Take the value that is there already.")
				p.put(p.userPath(a), one.in(body, one.two)).refused(advice, http.StatusBadRequest, "mutability")
				p.get(p.userPath(a)).equals("Change nothing when you refuse.", one.one, one.path...)
			}
		}),
		must("rfc/immutable/patch", "PATCH of an immutable attribute is refused with mutability", "RFC 7644 §3.5.2", func(p *probe) {
			p.claimed("patch")
			for _, one := range p.immutables() {
				a, _ := p.given(one)
				p.patch(p.userPath(a), operation("replace", one.name, one.two)).refused(advice, http.StatusBadRequest, "mutability")
				p.get(p.userPath(a)).equals("Change nothing when you refuse.", one.one, one.path...)
			}
		}),
		must("rfc/immutable/member", "A member's value cannot be patched into another's", "RFC 7644 §3.5.2, RFC 7643 §8.7.1", func(p *probe) {
			p.claimed("patch")
			described := p.get("/Schemas/"+groupSchema).want("Serve the core Group schema.", http.StatusOK)
			members := with(entriesOf(described.at("attributes")), "name", "members")
			if value := with(entriesOf(members["subAttributes"]), "name", "value"); value["mutability"] != "immutable" {
				p.skip("the server does not claim it: members.value is not immutable in /Schemas")
			}
			one, two := p.user(nil).id(), p.user(nil).id()
			group := p.group(one)
			p.patch(p.groupPath(group), operation("replace", `members[value eq "`+one+`"].value`, two)).refused("Refuse to change a member's value with 400 and mutability: a member is removed and another added.", http.StatusBadRequest, "mutability")
			p.get(p.groupPath(group)).values("Change nothing when you refuse.", []string{one}, "members")
		}),
	}
}
