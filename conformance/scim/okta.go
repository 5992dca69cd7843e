package scim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// oktaChecks are Okta's SCIM 2.0 SPEC test, step by step, and what its provisioning sends.
func oktaChecks() []Check {
	return slices.Concat(
		group("Okta SPEC test", oktaSpecChecks()...),
		group("Okta users", oktaUserChecks()...),
		group("Okta groups", oktaGroupChecks()...),
		group("Okta import", oktaImportChecks()...),
		group("Okta entitlements", oktaEntitlementChecks()...),
	)
}

// oktaUser is the body Okta creates users with.
func (p *probe) oktaUser() object {
	name := p.name()
	return object{
		"schemas": list{userSchema}, "userName": name + "@okta.local", "name": object{"givenName": "Test", "familyName": "User"},
		"emails": list{object{"primary": true, "value": name + "@okta.local", "type": "work"}}, "displayName": "Test User", "locale": "en-US",
		"externalId": "00u" + name, "groups": list{}, "password": "1mz050nq", "active": true,
	}
}

// oktaFields are what the SPEC test wants in every user, at a place in an answer.
func oktaFields(a *answer, path ...any) *answer {
	const advice = "Okta's SPEC test wants id, userName, name.givenName, name.familyName, active and an e-mail address in every user."
	for _, field := range [][]any{{"id"}, {"userName"}, {"name", "givenName"}, {"name", "familyName"}, {"active"}, {"emails", 0, "value"}} {
		a.filled(advice, append(slices.Clone(path), field...)...)
	}
	return a
}

// oktaSent wants a user as it was sent, at a place in an answer.
func oktaSent(a *answer, sent object, path ...any) *answer {
	const advice = "Answer with the user as Okta sent it."
	within := func(field ...any) []any { return append(slices.Clone(path), field...) }
	if schemas, _ := a.at(within("schemas")...).(list); !slices.Contains(schemas, any(userSchema)) {
		a.fail(pathText(within("schemas"))+" holds "+userSchema, show(schemas), "List in schemas what the user is (RFC 7643, section 3).")
	}
	oktaFields(a, path...)
	for _, field := range [][]any{
		{"userName"}, {"name", "givenName"}, {"name", "familyName"}, {"active"}, {"emails", 0, "value"}, {"emails", 0, "primary"}, {"emails", 0, "type"},
	} {
		a.equals(advice, at(sent, field...), within(field...)...)
	}
	return a
}

func oktaSpecChecks() []Check {
	const source = "Okta SCIM 2.0 SPEC test, step "
	return []Check{
		must("okta/spec/users", "GET /Users?count=1&startIndex=1 lists a user in full", source+"1", func(p *probe) {
			body := p.oktaUser()
			p.created("/Users", body)
			page := func(query ...string) *answer {
				a := p.get("/Users", append([]string{"count", "1", "startIndex", "1"}, query...)...)
				if len(a.list()) != 1 {
					a.fail("one user for count=1", show(a.at("Resources")), "List users.")
				}
				for _, number := range []string{"itemsPerPage", "startIndex", "totalResults"} {
					a.number("Send it as a JSON number.", number)
				}
				return a
			}
			first := page()
			if strings.HasPrefix(strings.ToLower(first.string("Resources", 0, "userName")), ours) { // another check's, of whatever it needs
				first.filled("List whole users.", "Resources", 0, "id")
			} else {
				oktaFields(first, "Resources", 0)
			}
			oktaSent(page("filter", `userName eq "`+body["userName"].(string)+`"`), body, "Resources", 0)
		}),
		must("okta/spec/user", "GET /Users/{id} gives the same fields", source+"2", func(p *probe) {
			body := p.oktaUser()
			a := p.created("/Users", body)
			oktaSent(p.get(p.userPath(a)).want("Answer 200.", http.StatusOK), body).equals("Answer with that user.", a.id(), "id")
		}),
		must("okta/spec/unknown-name", "A filter on a userName nobody has gives an empty list", source+"3", func(p *probe) {
			a := p.get("/Users", "filter", `userName eq "abcdefgh@`+p.name()+`.com"`)
			a.list()
			a.equals("Answer 200 with totalResults 0.", 0, "totalResults")
		}),
		must("okta/spec/unknown-id", "GET of an unknown id is 404 with detail", source+"4", func(p *probe) {
			p.get("/Users/"+p.name()).refused("Answer 404.", http.StatusNotFound).filled("Say in detail what is wrong.", "detail")
		}),
		must("okta/spec/random-email", "Before creating, the lookup by userName finds nobody", source+"5", func(p *probe) {
			a := p.get("/Users", "filter", `userName eq "`+p.name()+`@okta.local"`, "startIndex", "1", "count", "100")
			a.list()
			a.equals("Answer 200 with totalResults 0.", 0, "totalResults").number("Send it as a JSON number.", "itemsPerPage")
		}),
		must("okta/spec/create", "POST creates the user and answers with it", source+"6", func(p *probe) {
			name := p.name() + "@okta.local"
			body := object{"schemas": list{userSchema}, "userName": name, "name": object{"givenName": "Ran", "familyName": "Dom"},
				"emails": list{object{"primary": true, "value": name, "type": "work"}}, "displayName": "Ran Dom", "active": true}
			oktaSent(p.created("/Users", body), body)
		}),
		must("okta/spec/created", "The created user can be read", source+"7", func(p *probe) {
			body := p.oktaUser()
			a := p.created("/Users", body)
			oktaSent(p.get(p.userPath(a)).want("Answer 200.", http.StatusOK), body).equals("Answer what was created.", a.at("name"), "name")
		}),
		must("okta/spec/duplicate", "The same POST again is 409", source+"8", func(p *probe) {
			body := p.oktaUser()
			p.created("/Users", body)
			p.post("/Users", body).refused("Answer 409 for a userName that is taken.", http.StatusConflict)
		}),
		must("okta/spec/name-case", "The lookup by userName finds it in another case", source+"9", func(p *probe) {
			a := p.created("/Users", p.oktaUser())
			p.finds("/Users", `userName eq "`+upper(a.string("userName"))+`"`, a.id(), true)
		}),
		should("okta/spec/groups", "GET /Groups answers within 600 ms", source+"10", func(p *probe) {
			var fastest float64
			for i := range 5 { // other checks are under way: the best of some counts
				a := p.get("/Groups")
				a.list()
				if took := a.exchange.Milliseconds; i == 0 || took < fastest {
					fastest = took
				}
			}
			if fastest > 600 {
				p.fail("an answer within 600 ms", strconv.Itoa(int(fastest))+" ms", "Okta's SPEC test wants the groups within 600 ms: page them.")
			}
		}),
		must("okta/spec/unauthorized", "A wrong token is 401 with an error body", source+"11", func(p *probe) {
			if p.target.token == "" {
				p.skip("no token was given")
			}
			p.send(http.MethodGet, "/Users?count=1&startIndex=1", nil, "Authorization", "Bearer wrong").refused("Answer 401 in SCIM's error schema.", http.StatusUnauthorized).filled("Say in detail what is wrong.", "detail")
		}),
		must("okta/spec/numeric-id", "GET /Users/00919288221112222 is 404 with an error body", source+"12", func(p *probe) {
			p.get("/Users/00919288221112222").refused("Answer 404.", http.StatusNotFound).filled("Say in detail what is wrong.", "detail")
		}),
	}
}

func oktaUserChecks() []Check {
	const source = "Okta SCIM 2.0 reference: "
	pushed := func(p *probe, changes object) (*answer, *answer) {
		a := p.created("/Users", p.oktaUser())
		body, _ := p.get(p.userPath(a)).want("Answer 200.", http.StatusOK).body.(object)
		body["groups"] = list{}
		for key, value := range changes {
			body[key] = value
		}
		return a, p.put(p.userPath(a), body)
	}
	return []Check{
		must("okta/connector/users", "The connector test lists users", source+"connector test", func(p *probe) {
			p.get("/Users", "startIndex", "1", "count", "2").list()
		}),
		must("okta/connector/groups", "The connector test lists groups", source+"connector test", func(p *probe) {
			p.get("/Groups", "startIndex", "1", "count", "100").list()
		}),
		must("okta/user/create", "A user is created as Okta sends it: with a placeholder password, groups and locale", source+"create user", func(p *probe) {
			body := p.oktaUser()
			a := p.created("/Users", body)
			a.secret("1mz050nq").equals("Store what Okta sent.", body["externalId"], "externalId").equals("Store what Okta sent.", true, "active")
			p.get(p.userPath(a)).secret("1mz050nq").equals("Store the e-mail address.", body["userName"], "emails", 0, "value")
		}),
		must("okta/user/create-again", "A POST repeated after a timeout is 409, and what was there stays", source+"retries", func(p *probe) {
			body := p.oktaUser()
			a := p.created("/Users", body)
			body["name"] = object{"givenName": "", "familyName": ""}
			p.post("/Users", body).refused("Answer 409.", http.StatusConflict)
			p.get(p.userPath(a)).equals("A refused POST changes nothing.", "Test", "name", "givenName").equals("A refused POST changes nothing.", true, "active")
		}),
		must("okta/user/push", "A profile push reads the user and PUTs it back with changes", source+"update user (PUT)", func(p *probe) {
			a, b := pushed(p, object{"name": object{"givenName": "Another", "familyName": "Name"}, "displayName": "Another Name"})
			b.want("Take your own representation back in a PUT, with id, meta and groups in it.", http.StatusOK)
			p.get(p.userPath(a)).equals("Store it.", "Another", "name", "givenName").equals("Keep what did not change.", a.at("externalId"), "externalId").equals("Keep the id.", a.id(), "id")
		}),
		must("okta/user/deactivate-put", "An app integration deactivates by PUT", source+"deactivate (AIW)", func(p *probe) {
			a, b := pushed(p, object{"active": false})
			b.want("Answer 200 with the user.", http.StatusOK).equals("Deactivate.", false, "active")
			p.get(p.userPath(a)).want("A deactivated user is still there.", http.StatusOK).equals("Deactivate.", false, "active")
		}),
		must("okta/user/deactivate-patch", "A catalogue app deactivates by PATCH without a path, and reactivates", source+"deactivate (OIN)", func(p *probe) {
			a := p.created("/Users", p.oktaUser())
			p.applied(p.patch(p.userPath(a), operation("replace", "", object{"active": false})), "Answer 200 with the user, or 204.")
			p.get(p.userPath(a)).want("A deactivated user is still there.", http.StatusOK).equals("Deactivate.", false, "active")
			p.finds("/Users", `userName eq "`+a.string("userName")+`"`, a.id(), true)
			p.applied(p.patch(p.userPath(a), operation("replace", "", object{"active": true})), "Answer 200 with the user, or 204.")
			p.get(p.userPath(a)).equals("Reactivate.", true, "active")
		}),
		must("okta/user/password", "A password sync is taken and not shown", source+"password sync (OIN)", func(p *probe) {
			a := p.created("/Users", p.oktaUser())
			p.applied(p.patch(p.userPath(a), operation("replace", "", object{"password": "Sync-9-" + p.target.run})), "Take a password, and drop it when you have no use for it.").secret("Sync-9-" + p.target.run)
			p.get(p.userPath(a)).secret("Sync-9-" + p.target.run)
		}),
		must("okta/user/empty-values", "Values pushed empty are cleared", "Okta OIN test plan, C9337", func(p *probe) {
			a, b := pushed(p, object{"nickName": "", "title": "", "displayName": ""})
			b.want("Take empty text.", http.StatusOK)
			p.get(p.userPath(a)).gone("Empty text is no value.", "nickName").gone("Empty text is no value.", "title")
		}),
		should("okta/user/numbers", "Numbers for text, as Okta's own sample sends, are taken", "Okta SCIM with entitlements guide", func(p *probe) {
			p.enterprise()
			a := p.post("/Users", p.userBody(object{"schemas": list{userSchema, enterpriseSchema}, enterpriseSchema: object{"employeeNumber": 701984}, "addresses": list{object{"type": "work", "postalCode": 91608}}}))
			a.want("Take a number where text belongs.", http.StatusCreated)
			p.get(p.userPath(a)).equals("Keep it as text.", "701984", enterpriseSchema, "employeeNumber")
		}),
	}
}

func oktaGroupChecks() []Check {
	const source = "Okta SCIM 2.0 reference: "
	return []Check{
		must("okta/group/create", "Group push creates a group without members", source+"create group", func(p *probe) {
			a := p.group()
			a.filled("Answer 201 with the group.", "displayName")
			p.finds("/Groups", `displayName eq "`+a.string("displayName")+`"`, a.id(), true)
		}),
		must("okta/group/rename", "A rename carries the id beside the displayName", source+"rename group", func(p *probe) {
			user := p.user(nil)
			a := p.group(user.id())
			renamed := "Renamed " + p.name()
			p.patched(p.groupPath(a), operation("replace", "", object{"id": a.id(), "displayName": renamed})).
				equals("Rename the group; ignore the id.", renamed, "displayName").values("Keep the members.", []string{user.id()}, "members")
		}),
		must("okta/group/members", "One PATCH removes a member by filter and adds another with display", source+"update group members", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			a := p.group(one.id())
			p.patched(p.groupPath(a), removal("remove", `members[value eq "`+one.id()+`"]`), operation("add", "members", list{object{"value": two.id(), "display": two.string("userName")}})).
				values("Carry out both.", []string{two.id()}, "members")
		}),
		must("okta/group/push", "A full push replaces the members", source+"replace group members", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			a := p.group(one.id())
			p.patched(p.groupPath(a), operation("replace", "members", list{object{"value": two.id(), "display": two.string("userName")}})).values("Keep exactly those.", []string{two.id()}, "members")
		}),
		must("okta/group/put", "An app integration PUTs the group with all its members", source+"update group (AIW)", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			a := p.group(one.id())
			p.applied(p.put(p.groupPath(a), object{"schemas": list{groupSchema}, "id": a.id(), "displayName": a.at("displayName"), "members": list{
				object{"value": one.id(), "display": one.string("userName")}, object{"value": two.id(), "display": two.string("userName")}}}), "Take PUT for groups.")
			p.get(p.groupPath(a)).values("Keep exactly those; a PUT that stores no members takes access away.", []string{one.id(), two.id()}, "members")
		}),
		must("okta/group/delete", "Unlinking with deletion deletes the group", source+"delete group", func(p *probe) {
			a := p.group(p.user(nil).id())
			p.delete(p.groupPath(a)).want("Answer 204.", http.StatusNoContent)
			p.get(p.groupPath(a)).want("Delete it.", http.StatusNotFound)
		}),
		must("okta/group/deactivated-member", "Deactivating a user does not remove the group for the IdP's eyes", source+"update group members", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			a := p.group(one.id(), two.id())
			p.applied(p.patch(p.userPath(one), operation("replace", "", object{"active": false})), "Deactivate.")
			p.patched(p.groupPath(a), removal("remove", `members[value eq "`+one.id()+`"]`)).values("Take the removal of a deactivated member.", []string{two.id()}, "members")
		}),
	}
}

func oktaImportChecks() []Check {
	const source = "Okta SCIM 2.0 reference: import"
	walk := func(endpoint string, create func(p *probe) string) func(p *probe) {
		return func(p *probe) {
			made := []string{create(p), create(p), create(p)}
			seen := map[string]int{}
			const size = 100
			for start, total := 1, 1; start <= total && start < 5000; start += size {
				a := p.get(endpoint, "startIndex", strconv.Itoa(start), "count", strconv.Itoa(size))
				found := a.list()
				total = a.total()
				for _, id := range ids(found) {
					seen[id]++
				}
				if len(found) == 0 && start <= total {
					a.fail("resources on a page before totalResults", "none", "totalResults counts what the pages hold.")
				}
				p.exchanges = p.last()
			}
			for _, id := range made {
				if seen[id] == 0 {
					p.fail("every resource in an import", id+" is missing", "Page in an order that does not change, such as by creation.")
				}
			}
		}
	}
	return []Check{
		must("okta/import/users", "Walking /Users by 100 finds every user", source, walk("/Users", func(p *probe) string { return p.user(nil).id() })),
		must("okta/import/groups", "Walking /Groups by 100 finds every group", source, walk("/Groups", func(p *probe) string { return p.group().id() })),
	}
}

func oktaEntitlementChecks() []Check {
	const source = "Okta Entitlements test; SCIM with entitlements guide"
	kinds := func(p *probe) []object {
		var found []object
		for _, one := range entriesOf(p.target.types.at("Resources")) {
			if schema, _ := one["schema"].(string); schema == "urn:okta:scim:schemas:core:1.0:Role" || schema == "urn:okta:scim:schemas:core:1.0:Entitlement" {
				found = append(found, one)
			}
		}
		if len(found) == 0 {
			p.skip("the server does not claim it: /ResourceTypes has no Role or Entitlement of Okta's")
		}
		return found
	}
	return []Check{
		must("okta/entitlements/list", "Each endpoint of roles and entitlements pages as a ListResponse", source, func(p *probe) {
			for _, kind := range kinds(p) {
				endpoint, _ := kind["endpoint"].(string)
				a := p.get(endpoint, "count", "1", "startIndex", "1")
				found := a.list()
				a.number("Send it as a JSON number.", "startIndex")
				a.equals("itemsPerPage is how many resources the answer has.", len(found), "itemsPerPage")
				if a.total() > 0 && len(found) != 1 {
					a.fail("one resource for count=1", show(len(found)), "Return count resources.")
				}
				for i := range found {
					for _, key := range []string{"id", "displayName"} {
						a.filled("Okta needs it of every entitlement.", "Resources", i, key)
					}
					a.equals("Set schemas to the resource type's schema.", list{kind["schema"]}, "Resources", i, "schemas")
				}
			}
		}),
		must("okta/entitlements/type", "An entitlement has the name of its resource type as type", source, func(p *probe) {
			for _, kind := range kinds(p) {
				if kind["schema"] != "urn:okta:scim:schemas:core:1.0:Entitlement" {
					continue
				}
				endpoint, _ := kind["endpoint"].(string)
				a := p.get(endpoint, "count", "100", "startIndex", "1")
				for i := range a.list() {
					a.equals("type is the name of the resource type.", kind["name"], "Resources", i, "type")
				}
			}
		}),
		should("okta/entitlements/present", "There is at least one to import", source, func(p *probe) {
			for _, kind := range kinds(p) {
				endpoint, _ := kind["endpoint"].(string)
				if a := p.get(endpoint, "count", "1", "startIndex", "1"); len(a.list()) == 0 {
					a.fail("Resources is not empty at "+endpoint, "empty", "Okta's Entitlements test wants one: create one before it runs.")
				}
			}
		}),
	}
}
