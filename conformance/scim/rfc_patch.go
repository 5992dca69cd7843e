package scim

import (
	"fmt"
	"net/http"
	"sync"
)

func patchChecks() []Check {
	const (
		add, remove, replace = "RFC 7644 §3.5.2.1", "RFC 7644 §3.5.2.2", "RFC 7644 §3.5.2.3"
		all                  = "RFC 7644 §3.5.2"
	)
	work := object{"value": "work@example.org", "type": "work", "primary": true}
	home := object{"value": "home@example.org", "type": "home"}
	two := object{"emails": list{work, home}}
	// check skips where the server claims no PATCH.
	check := func(one Check) Check {
		inner := one.run
		one.run = func(p *probe) {
			p.claimed("patch")
			inner(p)
		}
		return one
	}
	refusal := func(name, title, source string, status int, scimType string, body any) Check {
		return must(name, title, source, func(p *probe) {
			a := p.user(two)
			types := []string{}
			if scimType != "" {
				types = append(types, scimType)
			}
			p.send(http.MethodPatch, p.userPath(a), body).refused("Refuse the PATCH with the scimType of RFC 7644, table 9.", status, types...)
			after := p.get(p.userPath(a))
			after.equals("Change nothing when you refuse.", a.at("emails"), "emails").equals("Change nothing when you refuse.", a.at("userName"), "userName").equals("Change nothing when you refuse.", a.at("displayName"), "displayName")
		})
	}
	checks := []Check{
		must("rfc/patch/answer", "A PATCH is answered with 200 and the whole resource, or 204", all, func(p *probe) {
			a := p.user(nil)
			b := p.applied(p.patch(p.userPath(a), operation("replace", "displayName", "Patched")), "Support PATCH or do not claim it.")
			if b.status == http.StatusOK {
				b.equals("Answer with the whole resource as it is now.", "Patched", "displayName").filled("Answer with the whole resource.", "userName")
			}
			p.get(p.userPath(a)).equals("Store the change.", "Patched", "displayName")
		}),
		must("rfc/patch/add-single", "add sets an attribute", add, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("add", "nickName", "Babs")).equals("Set it.", "Babs", "nickName")
		}),
		must("rfc/patch/add-no-path", "add without a path takes the attributes from the value", add, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("add", "", object{"nickName": "Babs", "title": "Guide"})).equals("Set them.", "Babs", "nickName").equals("Set them.", "Guide", "title")
		}),
		must("rfc/patch/add-complex", "add to a complex attribute keeps its other sub-attributes", add, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("add", "name", object{"middleName": "Jane"})).equals("Set it.", "Jane", "name", "middleName").equals("Keep the others.", "Barbara", "name", "givenName")
		}),
		must("rfc/patch/add-multi", "add to a multi-valued attribute appends", add, func(p *probe) {
			a := p.user(object{"emails": list{work}})
			p.patched(p.userPath(a), operation("add", "emails", list{home})).values("Append; lose nothing.", []string{"work@example.org", "home@example.org"}, "emails")
		}),
		must("rfc/patch/add-existing", "add of a value that is there adds nothing", add, func(p *probe) {
			a := p.user(object{"emails": list{work}})
			p.patched(p.userPath(a), operation("add", "emails", list{work})).values("Add no duplicate.", []string{"work@example.org"}, "emails")
		}),
		must("rfc/patch/add-unchanged", "A PATCH that changes nothing leaves lastModified alone", add, func(p *probe) {
			a := p.user(nil)
			before := p.get(p.userPath(a)).at("meta", "lastModified")
			p.patched(p.userPath(a), operation("add", "displayName", a.at("displayName"))).equals("Leave meta.lastModified when nothing changed.", before, "meta", "lastModified")
		}),
		must("rfc/patch/primary", "Setting primary clears it elsewhere", all, func(p *probe) {
			a := p.user(two)
			b := p.patched(p.userPath(a), operation("add", "emails", list{object{"value": "third@example.org", "type": "other", "primary": true}}))
			if primaries(b) != 1 || with(entriesOf(b.at("emails")), "primary", true)["value"] != "third@example.org" {
				b.fail("third@example.org alone is primary", show(b.at("emails")), "Clear primary on the other values.")
			}
		}),
		must("rfc/patch/primary-path", "Setting primary through a path clears it elsewhere", all, func(p *probe) {
			a := p.user(two)
			b := p.patched(p.userPath(a), operation("replace", `emails[type eq "home"].primary`, true))
			if primaries(b) != 1 || with(entriesOf(b.at("emails")), "primary", true)["value"] != "home@example.org" {
				b.fail("home@example.org alone is primary", show(b.at("emails")), "Clear primary on the other values.")
			}
		}),
		must("rfc/patch/remove-single", "remove takes an attribute away", remove, func(p *probe) {
			a := p.user(object{"nickName": "Babs"})
			p.patched(p.userPath(a), removal("remove", "nickName")).gone("Remove it.", "nickName")
		}),
		must("rfc/patch/remove-sub", "remove takes a sub-attribute away", remove, func(p *probe) {
			a := p.user(object{"name": object{"givenName": "B", "familyName": "J", "middleName": "M"}})
			p.patched(p.userPath(a), removal("remove", "name.middleName")).gone("Remove it.", "name", "middleName").equals("Keep the others.", "J", "name", "familyName")
		}),
		must("rfc/patch/remove-multi", "remove takes all values away", remove, func(p *probe) {
			a := p.user(two)
			p.patched(p.userPath(a), removal("remove", "emails")).gone("Remove them.", "emails")
		}),
		must("rfc/patch/remove-filter", "remove with a filter takes the matching values away", remove, func(p *probe) {
			a := p.user(two)
			p.patched(p.userPath(a), removal("remove", `emails[type eq "home"]`)).values("Remove what matches and nothing else.", []string{"work@example.org"}, "emails")
		}),
		must("rfc/patch/replace-single", "replace changes an attribute", replace, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("replace", "active", false), operation("replace", "name.givenName", "Jane")).equals("Change it.", false, "active").equals("Change it.", "Jane", "name", "givenName").equals("Keep the others.", "Jensen", "name", "familyName")
		}),
		must("rfc/patch/replace-no-path", "replace without a path takes the attributes from the value", replace, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("replace", "", object{"displayName": "New", "active": false})).equals("Change them.", "New", "displayName").equals("Change them.", false, "active").equals("Keep the others.", a.at("userName"), "userName")
		}),
		must("rfc/patch/replace-absent", "replace of what is absent adds it", replace, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("replace", "nickName", "Babs")).equals("Treat it as add.", "Babs", "nickName")
		}),
		must("rfc/patch/replace-multi", "replace of a multi-valued attribute replaces all values", replace, func(p *probe) {
			a := p.user(two)
			p.patched(p.userPath(a), operation("replace", "emails", list{object{"value": "new@example.org", "type": "work"}})).values("Replace them all.", []string{"new@example.org"}, "emails")
		}),
		must("rfc/patch/replace-filter", "replace with a filter changes the sub-attribute of what matches", replace, func(p *probe) {
			a := p.user(two)
			p.patched(p.userPath(a), operation("replace", `emails[type eq "home"].value`, "new@example.org")).values("Change what matches and nothing else.", []string{"work@example.org", "new@example.org"}, "emails")
		}),
		must("rfc/patch/replace-filter-whole", "replace with a filter changes what matches", replace, func(p *probe) {
			a := p.user(two)
			p.patched(p.userPath(a), operation("replace", `emails[type eq "home"]`, object{"value": "new@example.org", "type": "home"})).values("Change what matches and nothing else.", []string{"work@example.org", "new@example.org"}, "emails")
		}),
		must("rfc/patch/replace-no-target", "replace with a filter that matches nothing is refused with noTarget", replace, func(p *probe) {
			a := p.user(object{"emails": list{work}})
			p.patch(p.userPath(a), operation("replace", `emails[type eq "home"].value`, "new@example.org")).refused("Refuse with 400 and noTarget. (Clients as Entra ID want it created: entra/patch/replace-creates.)", http.StatusBadRequest, "noTarget")
		}).unlessAll("Entra ID needs the opposite (entra/patch/replace-creates): ask for it with --profile rfc"),
		must("rfc/patch/sequence", "Operations take effect one after the other", all, func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("add", "nickName", "One"), operation("replace", "nickName", "Two"), operation("add", "title", "T"), removal("remove", "title")).equals("Apply operations in their order.", "Two", "nickName").gone("Apply operations in their order.", "title")
		}),
		must("rfc/patch/atomic", "When one operation fails, none is applied", all, func(p *probe) {
			a := p.user(nil)
			p.patch(p.userPath(a), operation("replace", "displayName", "Half"), operation("replace", `emails[`, "x")).refused("Refuse the whole PATCH.", http.StatusBadRequest)
			p.get(p.userPath(a)).equals("Apply all operations of a PATCH or none.", a.at("displayName"), "displayName")
		}),
		must("rfc/patch/extension", "Attributes of an extension are patched by URN, one and all", all, func(p *probe) {
			p.enterprise()
			a := p.user(nil)
			p.patched(p.userPath(a), operation("add", enterpriseSchema+":department", "Tours")).equals("Set it.", "Tours", enterpriseSchema, "department").schema(enterpriseSchema)
			p.patched(p.userPath(a), operation("replace", "", object{enterpriseSchema: object{"employeeNumber": "7"}})).equals("Set it.", "7", enterpriseSchema, "employeeNumber").equals("Keep the others.", "Tours", enterpriseSchema, "department")
			p.patched(p.userPath(a), removal("remove", enterpriseSchema+":department")).gone("Remove it.", enterpriseSchema, "department")
		}),
		must("rfc/patch/urn", "Paths take the core schema's URN", "RFC 7644 §3.10", func(p *probe) {
			a := p.user(nil)
			p.patched(p.userPath(a), operation("replace", userSchema+":displayName", "By URN"), operation("replace", userSchema+":name.givenName", "Jane")).equals("Read it.", "By URN", "displayName").equals("Read it.", "Jane", "name", "givenName")
		}),
		must("rfc/patch/unknown", "A PATCH of an unknown id is 404", all, func(p *probe) {
			p.patch("/Users/"+p.name(), operation("replace", "active", false)).refused("Answer 404.", http.StatusNotFound)
		}),
		must("rfc/patch/taken", "A PATCH to the userName of somebody else is refused with 409", "RFC 7644 §3.5.2, §3.12", func(p *probe) {
			one, other := p.user(nil), p.user(nil)
			p.patch(p.userPath(other), operation("replace", "userName", one.at("userName"))).refused("Keep userName unique.", http.StatusConflict, "uniqueness")
			p.get(p.userPath(other)).equals("Change nothing when you refuse.", other.at("userName"), "userName")
		}),
		refusal("rfc/patch/remove-no-path", "remove without a path is refused with noTarget", remove, 400, "noTarget", patchOf(object{"op": "remove"})),
		refusal("rfc/patch/remove-required", "remove of a required attribute is refused", remove, 400, "", patchOf(removal("remove", "userName"))),
		refusal("rfc/patch/read-only", "A readOnly attribute cannot be patched", remove, 400, "mutability", patchOf(operation("replace", "meta.resourceType", "Group"))),
		refusal("rfc/patch/invalid-path", "A path that cannot be read is refused with invalidPath", "RFC 7644 §3.5.2, §3.12", 400, "invalidPath", patchOf(operation("replace", "name..givenName[", "x"))),
		refusal("rfc/patch/unknown-operation", "An unknown operation is refused", all, 400, "", patchOf(operation("increment", "displayName", "x"))),
		refusal("rfc/patch/empty", "A PATCH without operations is refused", all, 400, "", object{"schemas": list{patchSchema}, "Operations": list{}}),
		refusal("rfc/patch/wrong-type", "A value of the wrong type is refused with invalidValue", all, 400, "invalidValue", patchOf(operation("replace", "active", object{"is": 1}))),
	}
	lenient := should("rfc/patch/schemas", "A PATCH without schemas is refused", all, func(p *probe) {
		a := p.user(nil)
		p.send(http.MethodPatch, p.userPath(a), object{"Operations": list{operation("replace", "displayName", "x")}}).want("schemas is required; a server may be lenient towards clients that leave it out.", http.StatusBadRequest)
	})
	for i := range checks {
		checks[i] = check(checks[i])
	}
	return append(checks, check(lenient))
}

func memberChecks() []Check {
	const source = "RFC 7644 §3.5.2"
	checks := []Check{
		must("rfc/members/add", "Members are added, one or several, beside those that are there", source+".1", func(p *probe) {
			one, two, three := p.user(nil).id(), p.user(nil).id(), p.user(nil).id()
			group := p.group(one)
			p.patched(p.groupPath(group), operation("add", "members", membersOf(two, three))).values("Append; lose nobody.", []string{one, two, three}, "members")
		}),
		must("rfc/members/add-again", "Adding a member again changes nothing", source+".1", func(p *probe) {
			one := p.user(nil).id()
			group := p.group(one)
			p.patched(p.groupPath(group), operation("add", "members", membersOf(one))).values("Keep each member once.", []string{one}, "members")
		}),
		must("rfc/members/remove", "A member is removed by a filter, the others stay", source+".2", func(p *probe) {
			one, two := p.user(nil).id(), p.user(nil).id()
			group := p.group(one, two)
			p.patched(p.groupPath(group), removal("remove", `members[value eq "`+one+`"]`)).values("Remove that member alone.", []string{two}, "members")
		}),
		must("rfc/members/remove-all", "remove with path members removes all", source+".2", func(p *probe) {
			group := p.group(p.user(nil).id(), p.user(nil).id())
			p.patched(p.groupPath(group), removal("remove", "members")).gone("Remove them all.", "members")
		}),
		must("rfc/members/replace", "replace with path members replaces all", source+".3", func(p *probe) {
			one, two, three := p.user(nil).id(), p.user(nil).id(), p.user(nil).id()
			group := p.group(one, two)
			p.patched(p.groupPath(group), operation("replace", "members", membersOf(two, three))).values("Keep exactly those.", []string{two, three}, "members")
		}),
		must("rfc/members/rename", "A group is renamed, its members stay", source+".3", func(p *probe) {
			one := p.user(nil).id()
			group := p.group(one)
			p.patched(p.groupPath(group), operation("replace", "displayName", "Renamed "+p.name())).values("Keep the members.", []string{one}, "members")
		}),
		must("rfc/members/parallel", "PATCHes at the same moment lose nothing", source, func(p *probe) {
			var people []string
			for range 6 {
				people = append(people, p.user(nil).id())
			}
			group := p.group()
			answers := make([]*answer, len(people))
			var all sync.WaitGroup
			for i, id := range people {
				all.Go(func() {
					own := &probe{ctx: p.ctx, target: p.target, agent: p.agent}
					answers[i] = own.try(http.MethodPatch, p.groupPath(group), patchOf(operation("add", "members", membersOf(id))))
				})
			}
			all.Wait()
			for _, a := range answers {
				p.exchanges = append(p.exchanges, a.exchange)
				a.want("Carry out PATCHes of one group one after the other.", http.StatusOK, http.StatusNoContent)
			}
			p.get(p.groupPath(group)).values("Change single members, not a copy of the list: a client's parallel changes lose members otherwise.", people, "members")
		}),
		must("rfc/members/many", "A PATCH with a hundred operations is carried out", source, func(p *probe) {
			one := p.user(nil).id()
			group := p.group()
			var operations []object
			for i := range 100 {
				operations = append(operations, operation("replace", "displayName", fmt.Sprintf("Group %s %d", group.id(), i)))
			}
			p.patched(p.groupPath(group), append(operations, operation("add", "members", membersOf(one)))...).values("Carry out every operation.", []string{one}, "members")
		}),
	}
	for i := range checks {
		inner := checks[i].run
		checks[i].run = func(p *probe) {
			p.claimed("patch")
			inner(p)
		}
	}
	return checks
}
