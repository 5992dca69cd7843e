package scim

import (
	"net/http"
	"slices"
	"strings"
)

// entraChecks are Microsoft's validation cases that need no tenant, and every shape Entra ID sends, with
// its compatibility flag and without.
func entraChecks() []Check {
	return slices.Concat(
		group("Entra connection", entraConnectionChecks()...),
		group("Microsoft's validation cases", entraValidationChecks()...),
		group("Microsoft's SCIM validator: users", entraUserChecks()...),
		group("Microsoft's SCIM validator: groups", entraGroupChecks()...),
		group("Entra shapes", entraShapeChecks()...),
		group("Entra managers and roles", entraManagerChecks()...),
	)
}

// entraUser is the body Entra ID creates users with: it lists the enterprise extension and sends what is
// empty as empty.
func (p *probe) entraUser(changes object) object {
	name := p.name()
	body := object{
		"schemas": list{userSchema, enterpriseSchema}, "externalId": "0a21f0f2-" + name, "userName": name + "@testuser.com", "active": true,
		"emails": list{object{"primary": true, "type": "work", "value": name + "@testuser.com"}}, "meta": object{"resourceType": "User"},
		"name": object{"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"}, "roles": list{},
	}
	for key, value := range changes {
		body[key] = value
	}
	return body
}

func (p *probe) entra(changes object) *answer { return p.created("/Users", p.entraUser(changes)) }

// entraGroup is the body Entra ID creates groups with.
func (p *probe) entraGroup() *answer {
	name := p.name()
	return p.created("/Groups", object{
		"schemas":    list{groupSchema, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"},
		"externalId": "8aa1a0c0-" + name, "displayName": "displayName " + name, "meta": object{"resourceType": "Group"},
	})
}

func entraConnectionChecks() []Check {
	const source = "Microsoft: develop a SCIM endpoint; quarantine status"
	lookup := func(name, filter string) Check {
		return must("entra/connection/"+name, "Test Connection looks for somebody who is not there, and wants 200 with an empty list: "+filter, source, func(p *probe) {
			a := p.get("/Users", "filter", strings.ReplaceAll(filter, "{guid}", "5e61fe0b-"+p.name()))
			a.list()
			a.equals("Answer 200 with an empty list. 404 and 400 put the whole job into quarantine.", 0, "totalResults")
		})
	}
	return []Check{
		must("entra/connection/token-life", "The token endpoint's tokens live for one to six hours", "Microsoft: SCIM gallery validation", accessLife),
		lookup("user-name", `userName eq "{guid}"`),
		lookup("external-id", `externalId eq "{guid}"`),
		lookup("email", `emails[type eq "work"].value eq "{guid}"`),
		lookup("unquoted", `externalId eq {guid}`),
		must("entra/connection/group", "A group nobody has is an empty list, members left out", source, func(p *probe) {
			a := p.get("/Groups", "excludedAttributes", "members", "filter", `displayName eq "5e61fe0b-`+p.name()+`"`)
			a.list()
			a.equals("Answer 200 with an empty list.", 0, "totalResults")
		}),
		must("entra/connection/credentials", "A wrong token is 401", "Microsoft gallery validation: Validate_Credentials", func(p *probe) {
			if p.target.token == "" {
				p.skip("no token was given")
			}
			p.send(http.MethodGet, `/Users?filter=userName%20eq%20%22x%22`, nil, "Authorization", "Bearer "+p.name()).want("Answer 401.", http.StatusUnauthorized)
		}),
	}
}

// singleValued are the optional attributes of the core schema that Entra ID maps, and what to set them to.
var singleValued = []struct{ path, value string }{
	{"displayName", "Display Name"}, {"nickName", "Nick"}, {"title", "Engineer"}, {"preferredLanguage", "en-US"}, {"userType", "Employee"},
	{"locale", "en-US"}, {"timezone", "Europe/Berlin"}, {"name.givenName", "Given"}, {"name.familyName", "Family"}, {"name.formatted", "Given Family"},
	{enterpriseSchema + ":employeeNumber", "1001"}, {enterpriseSchema + ":department", "Sales"}, {enterpriseSchema + ":costCenter", "77"},
	{enterpriseSchema + ":division", "North"}, {enterpriseSchema + ":organization", "Example"},
}

// steps splits a path as it stands in a PATCH into the keys of the resource.
func steps(path string) []any {
	if inner, found := strings.CutPrefix(path, enterpriseSchema+":"); found {
		return []any{enterpriseSchema, inner}
	}
	var keys []any
	for key := range strings.SplitSeq(path, ".") {
		keys = append(keys, key)
	}
	return keys
}

func entraValidationChecks() []Check {
	const source = "Microsoft gallery validation: "
	return []Check{
		must("entra/validation/schema-discoverability", "/Schemas has user, group and enterprise extension with the attributes Entra ID maps", source+"Schema_Discoverability", func(p *probe) {
			a := p.get("/Schemas")
			resources := a.list()
			for urn, names := range map[string][]string{
				userSchema:       {"userName", "active", "displayName", "emails", "name", "title", "preferredLanguage", "phoneNumbers", "addresses"},
				groupSchema:      {"displayName", "members"},
				enterpriseSchema: {"employeeNumber", "department", "manager"},
			} {
				schema := with(resources, "id", urn)
				if schema == nil {
					a.fail("a schema "+urn, show(ids(resources)), "List it: Microsoft's validation fails without it, and groups are mandatory.")
				}
				for _, name := range names {
					if with(entriesOf(schema["attributes"]), "name", name) == nil {
						a.fail(urn+" has "+name, "not listed", "List every attribute that can be mapped.")
					}
				}
			}
		}),
		must("entra/validation/null-update", `"" and then null for an optional attribute leave it empty`, source+"SCIM_Null_Update", func(p *probe) {
			a := p.entra(object{"displayName": "Display", "nickName": "Nick", "title": "Title"})
			for _, attribute := range []string{"displayName", "nickName", "title"} {
				p.patched(p.userPath(a), operation("replace", attribute, "")).gone(`Take "" as no value.`, attribute)
				p.patched(p.userPath(a), operation("replace", attribute, "again")).equals("Set it.", "again", attribute)
				p.patched(p.userPath(a), operation("replace", attribute, nil)).gone("Take null as no value.", attribute)
			}
		}),
		must("entra/validation/user-create", "A created user has an id, and its userName comes back", source+"User_Create", func(p *probe) {
			body := p.entraUser(nil)
			a := p.created("/Users", body)
			p.get(p.userPath(a)).want("Answer 200.", http.StatusOK).equals("Store it.", body["userName"], "userName").equals("Store it.", body["externalId"], "externalId")
		}),
		must("entra/validation/user-update", "Every single-valued attribute can be patched and comes back", source+"User_Update", func(p *probe) {
			a := p.entra(nil)
			var operations []object
			for _, one := range singleValued {
				operations = append(operations, operation("Replace", one.path, one.value))
			}
			b := p.patched(p.userPath(a), operations...)
			for _, one := range singleValued {
				b.equals("Store every attribute that /Schemas lists.", one.value, steps(one.path)...)
			}
		}),
		must("entra/validation/group-create", "A created group has an id, and its displayName comes back", source+"Group_Create", func(p *probe) {
			a := p.entraGroup()
			p.get(p.groupPath(a)).want("Answer 200.", http.StatusOK).equals("Store it.", a.at("displayName"), "displayName").equals("Store externalId of groups as well.", a.at("externalId"), "externalId").filled("Store externalId of groups as well.", "externalId")
		}),
		must("entra/validation/group-update", "A group's displayName and externalId can be patched", source+"Group_Update", func(p *probe) {
			a := p.entraGroup()
			name := "Updated " + p.name()
			p.patched(p.groupPath(a), operation("Replace", "displayName", name), operation("Replace", "externalId", "ext-"+name)).equals("Store it.", name, "displayName").equals("Store it.", "ext-"+name, "externalId")
		}),
		must("entra/validation/user-pagination", "Eleven users come in pages of five, startIndex echoed", source+"User_Pagination", func(p *probe) {
			for range 11 {
				p.entra(nil)
			}
			entraPages(p, "/Users")
		}),
		must("entra/validation/group-pagination", "Eleven groups come in pages of five, startIndex echoed", source+"Group_Pagination", func(p *probe) {
			for range 11 {
				p.entraGroup()
			}
			entraPages(p, "/Groups")
		}),
		must("entra/validation/update-manager", "A manager is added, replaced, and replaced with nothing", source+"Update_Manager", func(p *probe) {
			one, two, a := p.entra(nil), p.entra(nil), p.entra(nil)
			const path = enterpriseSchema + ":manager"
			p.patched(p.userPath(a), operation("Add", path, one.id())).equals("Store the manager.", one.id(), enterpriseSchema, "manager", "value")
			p.patched(p.userPath(a), operation("Replace", path, two.id())).equals("Store the manager.", two.id(), enterpriseSchema, "manager", "value")
			p.patched(p.userPath(a), operation("Replace", path, "")).gone("Take an empty manager as none.", enterpriseSchema, "manager")
		}),
	}
}

func entraPages(p *probe, endpoint string) {
	first := p.get(endpoint, "startIndex", "1", "count", "5")
	second := p.get(endpoint, "startIndex", "6", "count", "5")
	const advice = "Echo startIndex, and say in itemsPerPage how many resources the page has."
	first.equals(advice, len(first.list()), "itemsPerPage").equals(advice, 1, "startIndex")
	second.equals(advice, len(second.list()), "itemsPerPage").equals(advice, 6, "startIndex")
	if len(first.list()) != 5 || len(second.list()) != 5 || first.total() < 11 {
		second.fail("5 and 5 of at least 11", show([]int{len(first.list()), len(second.list()), first.total()}), "Page by startIndex and count.")
	}
}

func entraUserChecks() []Check {
	const source = "Microsoft SCIM validator: "
	return []Check{
		must("entra/user/create", "Create a new user", source+"Create a new User", func(p *probe) {
			p.entra(nil).schema(userSchema).filled("Answer with the whole user.", "meta", "resourceType")
		}),
		must("entra/user/duplicate", "Create a duplicate user: 409", source+"Create a duplicate User", func(p *probe) {
			body := p.entraUser(nil)
			p.created("/Users", body)
			p.post("/Users", body).refused("Answer 409: anything else makes Entra ID create twins.", http.StatusConflict)
		}),
		must("entra/user/filter", "Filter for an existing user", source+"Filter for an existing User", func(p *probe) {
			a := p.entra(nil)
			p.finds("/Users", `userName eq "`+a.string("userName")+`"`, a.id(), true)
		}),
		must("entra/user/filter-none", "Filter for a non-existing user", source+"Filter for a non-existing User", func(p *probe) {
			a := p.get("/Users", "filter", `userName eq "`+p.name()+`"`)
			a.list()
			a.equals("Answer an empty list.", 0, "totalResults")
		}),
		must("entra/user/filter-case", "Filter for an existing user in different case", source+"Filter for an existing User with different case", func(p *probe) {
			a := p.entra(nil)
			p.finds("/Users", `userName eq "`+upper(a.string("userName"))+`"`, a.id(), true)
		}),
		must("entra/user/replace-verbose", "Patch user: replace attributes, one no-path operation with dotted and URN keys", source+"Patch User - Replace Attributes Verbose Request", func(p *probe) {
			a := p.entra(nil)
			b := p.patched(p.userPath(a), operation("replace", "", object{
				"displayName": "Verbose", "title": "Boss", "name.givenName": "Dotted", "name.familyName": "Name", "preferredLanguage": "de-DE",
				`emails[type eq "work"].value`: "verbose@example.com", enterpriseSchema + ":employeeNumber": "4711", enterpriseSchema + ":department": "D",
			}))
			const advice = "Read the keys of a value without a path as paths."
			b.equals(advice, "Verbose", "displayName").equals(advice, "Boss", "title").equals(advice, "Dotted", "name", "givenName").equals(advice, "Name", "name", "familyName").
				equals(advice, "verbose@example.com", "emails", 0, "value").equals(advice, "4711", enterpriseSchema, "employeeNumber").equals(advice, "D", enterpriseSchema, "department")
		}),
		must("entra/user/add-verbose", "Patch user: add attributes, one no-path operation with dotted and URN keys", source+"Patch User - Add Attributes Verbose Request", func(p *probe) {
			a := p.entra(object{"emails": list{}})
			b := p.patched(p.userPath(a), operation("add", "", object{
				"displayName": "Added", "nickName": "Nick", `emails[type eq "work"].value`: "added@example.com", `addresses[type eq "work"].locality`: "Berlin",
				`phoneNumbers[type eq "mobile"].value`: "555-0100", enterpriseSchema + ":costCenter": "9",
			}))
			const advice = "Read the keys of a value without a path as paths; create the element a filter describes."
			b.equals(advice, "Added", "displayName").equals(advice, "Nick", "nickName").equals(advice, "9", enterpriseSchema, "costCenter").equals(advice, "added@example.com", "emails", 0, "value").equals(advice, "work", "emails", 0, "type").
				equals(advice, "Berlin", "addresses", 0, "locality").equals(advice, "mobile", "phoneNumbers", 0, "type")
		}),
		must("entra/user/update-user-name", "Patch user: update userName, and the filter finds the new one", source+"Patch User - Update userName", func(p *probe) {
			a := p.entra(nil)
			name := p.name() + "@testuser.com"
			p.patched(p.userPath(a), operation("replace", "userName", name)).equals("Store it.", name, "userName")
			p.finds("/Users", `userName eq "`+name+`"`, a.id(), true)
			p.finds("/Users", `userName eq "`+a.string("userName")+`"`, a.id(), false)
		}),
		must("entra/user/disable", "Patch user: disable; the user is still found", source+"Patch User - Disable User", func(p *probe) {
			a := p.entra(nil)
			p.patched(p.userPath(a), operation("replace", "active", false)).equals("Disable.", false, "active")
			p.finds("/Users", `userName eq "`+a.string("userName")+`"`, a.id(), true)
			p.patched(p.userPath(a), operation("replace", "active", true)).equals("Restore.", true, "active")
		}),
		must("entra/user/add-manager", "Patch user: add manager", source+"Patch User - Add Manager", func(p *probe) {
			manager, a := p.entra(nil), p.entra(nil)
			p.patched(p.userPath(a), operation("Add", enterpriseSchema+":manager", list{object{"$ref": "http://localhost/Users/" + manager.id(), "value": manager.id()}})).equals("Store the manager.", manager.id(), enterpriseSchema, "manager", "value")
		}),
		must("entra/user/replace-manager", "Patch user: replace manager", source+"Patch User - Replace Manager", func(p *probe) {
			one, two := p.entra(nil), p.entra(nil)
			a := p.entra(object{enterpriseSchema: object{"manager": object{"value": one.id()}}})
			p.patched(p.userPath(a), operation("Replace", enterpriseSchema+":manager", list{object{"$ref": "http://localhost/Users/" + two.id(), "value": two.id()}})).equals("Store the manager.", two.id(), enterpriseSchema, "manager", "value")
		}),
		must("entra/user/remove-manager", "Patch user: remove manager", source+"Patch User - Remove Manager", func(p *probe) {
			manager := p.entra(nil)
			a := p.entra(object{enterpriseSchema: object{"manager": object{"value": manager.id()}, "department": "D"}})
			p.patched(p.userPath(a), removal("Remove", enterpriseSchema+":manager")).gone("Remove it.", enterpriseSchema, "manager").equals("Keep the rest.", "D", enterpriseSchema, "department")
		}),
		must("entra/user/delete", "Delete a user", source+"Delete a User", func(p *probe) {
			a := p.entra(nil)
			p.delete(p.userPath(a)).want("Answer 204.", http.StatusNoContent)
			p.get(p.userPath(a)).want("Hard-deleted users are not returned.", http.StatusNotFound)
			p.finds("/Users", `userName eq "`+a.string("userName")+`"`, a.id(), false)
		}),
		must("entra/user/delete-unknown", "Delete a user who is not there: 404", source+"Delete a non-existent User (preview)", func(p *probe) {
			p.delete("/Users/"+p.name()).refused("Answer 404.", http.StatusNotFound)
		}),
		must("entra/user/delete-twice", "Delete a user twice: 404 the second time", source+"Delete the same User twice (preview)", func(p *probe) {
			a := p.entra(nil)
			p.delete(p.userPath(a)).want("Answer 204.", http.StatusNoContent)
			p.delete(p.userPath(a)).refused("Answer 404.", http.StatusNotFound)
		}),
		must("entra/user/different-attributes", "Several operations on different attributes", source+"Multiple Operations on different attributes (preview)", func(p *probe) {
			a := p.entra(object{"nickName": "Nick"})
			p.patched(p.userPath(a), operation("Add", "title", "T"), operation("Replace", "displayName", "D"), removal("Remove", "nickName")).equals("Apply all.", "T", "title").equals("Apply all.", "D", "displayName").gone("Apply all.", "nickName")
		}),
		must("entra/user/same-attribute", "Several operations on the same attribute", source+"Multiple Operations on same attribute (preview)", func(p *probe) {
			a := p.entra(nil)
			p.patched(p.userPath(a), removal("Remove", "displayName"), operation("Add", "displayName", "One"), operation("Replace", "displayName", "Two")).equals("Apply them in their order.", "Two", "displayName")
		}),
	}
}

func entraGroupChecks() []Check {
	const source = "Microsoft SCIM validator: "
	return []Check{
		must("entra/group/create", "Create a new group, without members and with Microsoft's schema", source+"Create a new Group", func(p *probe) { p.entraGroup().schema(groupSchema) }),
		must("entra/group/duplicate", "Create a duplicate group: 409", source+"Create a duplicate Group", func(p *probe) {
			a := p.entraGroup()
			p.post("/Groups", object{"schemas": list{groupSchema}, "displayName": a.at("displayName"), "externalId": a.at("externalId")}).refused("Answer 409: displayName is unique for groups.", http.StatusConflict)
		}),
		must("entra/group/get", "Get a group by id, members left out", source+"Get group by id excluding members", func(p *probe) {
			a := p.entraGroup()
			p.applied(p.patch(p.groupPath(a), operation("Add", "members", list{object{"$ref": nil, "value": p.entra(nil).id()}})), "Add the member.")
			p.get(p.groupPath(a), "excludedAttributes", "members").want("Answer 200.", http.StatusOK).gone("Leave the members out.", "members").equals("Answer with the group.", a.at("displayName"), "displayName")
		}),
		must("entra/group/filter", "Filter for an existing group, with members and without", source+"Filter for existing group", func(p *probe) {
			a := p.entraGroup()
			p.applied(p.patch(p.groupPath(a), operation("Add", "members", list{object{"$ref": nil, "value": p.entra(nil).id()}})), "Add the member.")
			filter := `displayName eq "` + a.string("displayName") + `"`
			p.finds("/Groups", filter, a.id(), true)
			b := p.get("/Groups", "excludedAttributes", "members", "filter", filter)
			if len(b.list()) != 1 {
				b.fail("the group", show(b.body), "Find groups by displayName.")
			}
			b.gone("Leave the members out.", "Resources", 0, "members")
		}),
		must("entra/group/filter-none", "Filter for a non-existing group", source+"Filter for a non-existing Group", func(p *probe) {
			a := p.get("/Groups", "filter", `displayName eq "`+p.name()+`"`)
			a.list()
			a.equals("Answer an empty list.", 0, "totalResults")
		}),
		must("entra/group/filter-case", "Filter for an existing group in different case", source+"Filter for an existing Group with different case", func(p *probe) {
			a := p.entraGroup()
			p.finds("/Groups", `displayName eq "`+upper(a.string("displayName"))+`"`, a.id(), true)
		}),
		must("entra/group/replace-attributes", "Patch group: replace attributes without a path", source+"Patch Group - Replace Attributes", func(p *probe) {
			a := p.entraGroup()
			name := "Replaced " + p.name()
			p.patched(p.groupPath(a), operation("replace", "", object{"displayName": name, "externalId": "ext-" + name})).equals("Store it.", name, "displayName").equals("Store it.", "ext-"+name, "externalId")
		}),
		must("entra/group/display-name", "Patch group: update displayName", source+"Patch Group - Update displayName", func(p *probe) {
			a := p.entraGroup()
			name := "Renamed " + p.name()
			p.patched(p.groupPath(a), operation("Replace", "displayName", name)).equals("Store it.", name, "displayName")
		}),
		must("entra/group/add-member", "Patch group: add members, one and several", source+"Patch Group - Add Member", func(p *probe) {
			one, two, three, a := p.entra(nil).id(), p.entra(nil).id(), p.entra(nil).id(), p.entraGroup()
			p.patched(p.groupPath(a), operation("Add", "members", list{object{"$ref": nil, "value": one}})).values("Add the member.", []string{one}, "members")
			p.patched(p.groupPath(a), operation("Add", "members", list{object{"$ref": nil, "value": two}, object{"$ref": nil, "value": three}})).values("Add all members of a PATCH beside those that are there.", []string{one, two, three}, "members")
		}),
		must("entra/group/remove-member", "Patch group: remove a member, without the flag: by value", source+"Patch Group - Remove Member", func(p *probe) {
			one, two, a := p.entra(nil).id(), p.entra(nil).id(), p.entraGroup()
			p.applied(p.patch(p.groupPath(a), operation("Add", "members", membersOf(one, two))), "Add the members.")
			p.patched(p.groupPath(a), operation("Remove", "members", list{object{"$ref": nil, "value": one}})).values("Remove the members the value names, and nobody else: a server that ignores the value empties the group.", []string{two}, "members")
		}),
		must("entra/group/remove-member-flag", "Patch group: remove a member, with the flag: by filter", source+"Patch Group - Remove Member", func(p *probe) {
			one, two, a := p.entra(nil).id(), p.entra(nil).id(), p.entraGroup()
			p.applied(p.patch(p.groupPath(a), operation("add", "members", membersOf(one, two))), "Add the members.")
			p.patched(p.groupPath(a), removal("remove", `members[value eq "`+one+`"]`)).values("Remove that member alone.", []string{two}, "members")
		}),
		must("entra/group/delete", "Delete a group", source+"Delete a Group", func(p *probe) {
			a := p.entraGroup()
			p.delete(p.groupPath(a)).want("Answer 204.", http.StatusNoContent)
			p.get(p.groupPath(a)).want("It is gone.", http.StatusNotFound)
			p.delete(p.groupPath(a)).refused("Answer 404 the second time.", http.StatusNotFound)
		}),
		must("entra/group/multiple", "Several operations on members and name", source+"Multiple Operations on different attributes (preview)", func(p *probe) {
			one, two, a := p.entra(nil).id(), p.entra(nil).id(), p.entraGroup()
			name := "Both " + p.name()
			p.patched(p.groupPath(a), operation("Add", "members", membersOf(one)), operation("Replace", "displayName", name), operation("Add", "members", membersOf(two)), operation("Remove", "members", membersOf(one))).
				equals("Apply all.", name, "displayName").values("Apply all in their order.", []string{two}, "members")
		}),
		should("entra/group/no-content", "A PATCH of a group is answered with 204", "Microsoft: develop a SCIM endpoint", func(p *probe) {
			a := p.entraGroup()
			p.patch(p.groupPath(a), operation("Add", "members", membersOf(p.entra(nil).id()))).want("Answer 204: a body with all members is not advisable.", http.StatusNoContent)
		}),
		must("entra/group/reference", "References are checked by id and member in one filter", "Microsoft: develop a SCIM endpoint, example 4", func(p *probe) {
			one, two, a := p.entra(nil).id(), p.entra(nil).id(), p.entraGroup()
			p.applied(p.patch(p.groupPath(a), operation("Add", "members", membersOf(one))), "Add the member.")
			p.finds("/Groups", `id eq "`+a.id()+`" and members eq "`+one+`"`, a.id(), true)
			p.finds("/Groups", `id eq "`+a.id()+`" and members eq "`+two+`"`, a.id(), false)
		}),
	}
}
