package scim

import "net/http"

func entraShapeChecks() []Check {
	const (
		compatibility = "Microsoft: known issues with SCIM compliance (aadOptscim062020)"
		endpoint      = "Microsoft: develop a SCIM endpoint"
	)
	email := object{"primary": true, "type": "work", "value": "work@testuser.com"}
	return []Check{
		must("entra/patch/disable-text", `Without the flag: {"op":"Replace","path":"active","value":"False"}`, compatibility, func(p *probe) {
			a := p.entra(nil)
			p.patched(p.userPath(a), operation("Replace", "active", "False")).equals("Read \"False\" as false: Entra ID sends text without its compatibility flag.", false, "active")
			p.patched(p.userPath(a), operation("Replace", "active", "True")).equals("Read \"True\" as true.", true, "active")
		}),
		must("entra/patch/disable-flag", `With the flag: {"op":"replace","path":"active","value":false}`, compatibility, func(p *probe) {
			a := p.entra(nil)
			p.patched(p.userPath(a), operation("replace", "active", false)).equals("Disable.", false, "active")
		}),
		must("entra/patch/add-text", "Without the flag: Add in capitals", compatibility, func(p *probe) {
			a := p.entra(nil)
			p.patched(p.userPath(a), operation("Add", "nickName", "Babs")).equals("Read op without regard to case.", "Babs", "nickName")
		}),
		must("entra/patch/replace-each", "Without the flag: one operation for each attribute", compatibility, func(p *probe) {
			a := p.entra(nil)
			external := "ext-" + p.name()
			b := p.patched(p.userPath(a), operation("Replace", "displayName", "Pvlo"), operation("Replace", `emails[type eq "work"].value`, "updated@testuser.com"),
				operation("Replace", "name.givenName", "Given"), operation("Replace", "externalId", external), operation("Replace", enterpriseSchema+":employeeNumber", "12"))
			const advice = "Apply every operation."
			b.equals(advice, "Pvlo", "displayName").equals(advice, "updated@testuser.com", "emails", 0, "value").equals(advice, "Given", "name", "givenName").equals(advice, external, "externalId").equals(advice, "12", enterpriseSchema, "employeeNumber")
		}),
		must("entra/patch/replace-one", "With the flag: one value-path operation, then one without a path", compatibility, func(p *probe) {
			a := p.entra(nil)
			b := p.patched(p.userPath(a), operation("replace", `emails[type eq "work"].value`, "flag@testuser.com"),
				operation("replace", "", object{"displayName": "Bjfe", "name.givenName": "Kkom", "name.familyName": "Unua", enterpriseSchema + ":employeeNumber": "Aklq"}))
			const advice = "Read the keys of a value without a path as paths."
			b.equals(advice, "flag@testuser.com", "emails", 0, "value").equals(advice, "Bjfe", "displayName").equals(advice, "Kkom", "name", "givenName").equals(advice, "Aklq", enterpriseSchema, "employeeNumber")
		}),
		must("entra/patch/add-creates", "Add with a value filter that matches nothing creates the element", compatibility, func(p *probe) {
			a := p.entra(object{"emails": list{}})
			p.patched(p.userPath(a), operation("Add", `emails[type eq "work"].value`, "new@testuser.com")).equals("Create it.", "new@testuser.com", "emails", 0, "value").equals("Create it with the type of the filter.", "work", "emails", 0, "type")
		}),
		must("entra/patch/replace-creates", "Replace with a value filter that matches nothing creates the element", "Microsoft: customise attribute mappings; SCIM-SDK issue 416", func(p *probe) {
			a := p.entra(object{"emails": list{}})
			p.patched(p.userPath(a), operation("Replace", `emails[type eq "work"].value`, "new@testuser.com")).equals("Create it: Entra ID expects that, though RFC 7644 asks for noTarget.", "new@testuser.com", "emails", 0, "value").equals("Create it with the type of the filter.", "work", "emails", 0, "type")
		}),
		must("entra/patch/address", "Operations on one address land in one element", "SimpleIdServer issue 808", func(p *probe) {
			a := p.entra(nil)
			b := p.patched(p.userPath(a), operation("Add", `addresses[type eq "work"].streetAddress`, "1 Main St"), operation("Add", `addresses[type eq "work"].locality`, "Berlin"), operation("Add", `addresses[type eq "work"].country`, "DE"))
			if addresses := entriesOf(b.at("addresses")); len(addresses) != 1 || addresses[0]["streetAddress"] != "1 Main St" || addresses[0]["country"] != "DE" {
				b.fail("one work address with street, city and country", show(b.at("addresses")), "Let later operations find the element earlier ones created.")
			}
		}),
		must("entra/patch/primary-text", `primary and active as text in a POST`, compatibility, func(p *probe) {
			a := p.created("/Users", p.entraUser(object{"active": "True", "emails": list{object{"primary": "True", "type": "work", "value": "work@testuser.com"}}}))
			a.equals("Read \"True\" as true.", true, "active").equals("Read \"True\" as true.", true, "emails", 0, "primary")
		}),
		must("entra/patch/unknown-attribute", "An attribute the server does not know is no reason to refuse the others", "Microsoft: customise attribute mappings", func(p *probe) {
			a := p.entra(nil)
			b := p.patched(p.userPath(a), operation("Replace", "displayName", "Known"), operation("Add", "urn:ietf:params:scim:schemas:extension:custom:2.0:User:tag", "x"))
			b.equals("Apply what you know; one mapping too many must not block a leaver's deactivation.", "Known", "displayName")
		}),
		must("entra/create/nulls", "A POST with null attributes", endpoint, func(p *probe) {
			a := p.entra(object{"addresses": nil, "phoneNumbers": nil, "nickName": nil})
			a.gone("Take null as no value.", "addresses").gone("Take null as no value.", "nickName")
		}),
		must("entra/create/malformed-urn", "A POST whose enterprise URN is malformed, as in Microsoft's example", endpoint, func(p *probe) {
			p.entra(object{"schemas": list{userSchema, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"}}).filled("Create the user.", "userName")
		}),
		must("entra/create/custom-extension", "A POST with a custom extension that schemas does not list", "Microsoft: customise attribute mappings", func(p *probe) {
			p.entra(object{"urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User": object{"tag": "701984"}}).filled("Create the user.", "userName")
		}),
		must("entra/filter/email", "Filter on the work e-mail address", endpoint, func(p *probe) {
			address := p.name() + "@testuser.com"
			a := p.entra(object{"emails": list{object{"primary": true, "type": "work", "value": address}}})
			p.finds("/Users", `emails[type eq "work"].value eq "`+address+`"`, a.id(), true)
			p.finds("/Users", `emails[type eq "home"].value eq "`+address+`"`, a.id(), false)
		}),
		must("entra/filter/external-id", "Filter on externalId", "Microsoft: develop a SCIM endpoint; OctopusDeploy issue 9841", func(p *probe) {
			a := p.entra(nil)
			p.finds("/Users", `externalId eq "`+a.string("externalId")+`"`, a.id(), true)
		}),
		must("entra/filter/unquoted", "Filter with a value without quotes, as in Microsoft's example", endpoint, func(p *probe) {
			a := p.entra(object{"externalId": "jyoung" + p.target.run + p.name()[len(p.name())-3:]})
			p.finds("/Users", `externalId eq `+a.string("externalId"), a.id(), true)
		}),
		must("entra/user/deleted-restored", "A disabled user is restored by active=true, and keeps its id", "Microsoft: how provisioning works", func(p *probe) {
			a := p.entra(object{"emails": list{email}})
			p.patched(p.userPath(a), operation("Replace", "active", "False"))
			p.patched(p.userPath(a), operation("Replace", "active", "True")).equals("Restore.", true, "active").equals("Keep everything else.", "work@testuser.com", "emails", 0, "value")
		}),
	}
}

func entraManagerChecks() []Check {
	const source = "Microsoft: develop a SCIM endpoint; customise attribute mappings"
	manager := func(name, title, op, path string, value func(id string) any) Check {
		return must("entra/manager/"+name, title, source, func(p *probe) {
			boss, a := p.entra(nil), p.entra(nil)
			p.patched(p.userPath(a), operation(op, path, value(boss.id()))).equals("Store the manager's id, and return it as manager.value.", boss.id(), enterpriseSchema, "manager", "value")
		})
	}
	const urn = enterpriseSchema + ":manager"
	text := func(id string) any { return id }
	array := func(id string) any { return list{object{"$ref": "http://localhost/scim/Users/" + id, "value": id}} }
	return []Check{
		manager("text", "Add manager as text", "Add", urn, text),
		manager("array", "Add manager as an array with $ref", "Add", urn, array),
		manager("object", "Replace manager with an object", "Replace", urn, func(id string) any { return object{"value": id} }),
		manager("bare", "Add manager by a path without URN", "Add", "manager", array),
		manager("bare-text", "Replace manager as text by a path without URN", "Replace", "manager", text),
		manager("value", "Replace manager.value", "Replace", urn+".value", text),
		must("entra/manager/remove-value", "Remove manager with a value", source, func(p *probe) {
			boss := p.entra(nil)
			a := p.entra(object{enterpriseSchema: object{"manager": object{"value": boss.id()}}})
			p.patched(p.userPath(a), operation("Remove", urn, list{object{"value": boss.id()}})).gone("Remove it.", enterpriseSchema, "manager")
		}),
		must("entra/manager/create", "A POST with manager as text", source, func(p *probe) {
			boss := p.entra(nil)
			a := p.post("/Users", p.entraUser(object{enterpriseSchema: object{"manager": boss.id()}})).want("Take manager as text.", http.StatusCreated)
			a.equals("Return it as manager.value.", boss.id(), enterpriseSchema, "manager", "value")
		}),
		must("entra/manager/reference", "References are checked by id and manager in one filter", source, func(p *probe) {
			boss := p.entra(nil)
			a := p.entra(object{enterpriseSchema: object{"manager": object{"value": boss.id()}}})
			filter := `id eq "` + a.id() + `" and manager eq "` + boss.id() + `"`
			b := p.get("/Users", "filter", filter, "attributes", "id")
			if found := ids(b.list()); len(found) != 1 || found[0] != a.id() {
				b.fail("the user", show(found), "Find by manager, named without its URN.")
			}
			p.finds("/Users", `id eq "`+a.id()+`" and manager eq "`+p.name()+`"`, a.id(), false)
		}),
		must("entra/roles/create", "A POST with a role as Entra ID assigns it", source, func(p *probe) {
			p.entra(object{"roles": list{object{"primary": true, "type": "WindowsAzureActiveDirectoryRole", "value": "Admin"}}}).equals("Store the role.", "Admin", "roles", 0, "value")
		}),
		must("entra/roles/json", "Add a role whose value is JSON inside text", source, func(p *probe) {
			a := p.entra(nil)
			b := p.patched(p.userPath(a), operation("Add", "roles", list{object{"value": `{"id":"` + p.name() + `","value":"25","displayName":"Role1234"}`}}))
			b.filled("Store the role.", "roles", 0, "value")
		}),
		must("entra/roles/filter", "Replace a role by a filter with a boolean as text", source, func(p *probe) {
			a := p.entra(object{"roles": list{object{"primary": true, "value": "User"}}})
			p.patched(p.userPath(a), operation("Replace", `roles[primary eq "True"].value`, "Admin")).values("Compare a boolean with \"True\" as with true.", []string{"Admin"}, "roles")
		}),
		must("entra/roles/replace", "Replace all roles", source, func(p *probe) {
			a := p.entra(object{"roles": list{object{"value": "User"}, object{"value": "Guest"}}})
			p.patched(p.userPath(a), operation("replace", "roles", list{object{"value": "Admin"}})).values("Replace them all.", []string{"Admin"}, "roles")
		}),
	}
}
