package scim

import (
	"net/http"
	"slices"
)

// rfcChecks are RFC 7643, 7644 and 9865, in the order of RFC 7644.
func rfcChecks() []Check {
	return slices.Concat(
		group("Discovery", discoveryChecks()...),
		group("Create", createChecks()...),
		group("Read", readChecks()...),
		group("List and page", listChecks()...),
		group("Cursor pagination", cursorChecks()...),
		group("Filter", filterChecks()...),
		group("Sort", sortChecks()...),
		group("Attributes asked for", projectionChecks()...),
		group("Search by POST", searchChecks()...),
		group("Replace", replaceChecks()...),
		group("Patch", patchChecks()...),
		group("Patch a group", memberChecks()...),
		group("Immutable attributes", immutableChecks()...),
		group("Delete", deleteChecks()...),
		group("Bulk", bulkChecks()...),
		group("Versions", versionChecks()...),
		group("Errors and security", errorChecks()...),
		group("Tenants", tenancyChecks()...),
		group("Access tokens", accessChecks()...),
	)
}

func createChecks() []Check {
	return []Check{
		must("rfc/create/status", "A POST is answered with 201, the resource and its id", "RFC 7644 §3.3", func(p *probe) {
			a := p.user(nil)
			a.schema(userSchema).filled("Return the values the client sent.", "userName")
			a.contentType()
		}),
		must("rfc/create/location", "A 201 has a Location header, equal to meta.location, where the resource is", "RFC 7644 §3.3", func(p *probe) {
			a := p.user(nil)
			const advice = "Send a Location header with the absolute address of the resource, and the same as meta.location."
			location := a.header.Get("Location")
			if location == "" {
				a.fail("a Location header", "none", advice)
			}
			a.equals(advice, location, "meta", "location")
			found := p.getAbsolute(location, advice)
			found.equals(advice, a.id(), "id")
		}),
		must("rfc/create/meta", "meta holds resourceType, created, lastModified and an absolute location", "RFC 7643 §3.1", func(p *probe) {
			a := p.user(nil)
			const advice = "Set meta yourself: resourceType, created and lastModified as xsd:dateTime, location as a URI."
			a.equals(advice, "User", "meta", "resourceType")
			a.time(advice, "meta", "created")
			a.time(advice, "meta", "lastModified")
			a.filled(advice, "meta", "location")
		}),
		must("rfc/create/stored", "What a POST answered is what a GET answers", "RFC 7644 §3.3", func(p *probe) {
			a := p.user(object{"nickName": "Babs", "title": "Tour Guide", "userType": "Employee", "preferredLanguage": "en-US", "locale": "en-US", "timezone": "America/Los_Angeles",
				"phoneNumbers": list{object{"value": "555-555-8377", "type": "work"}},
				"addresses":    list{object{"type": "work", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "country": "US"}}})
			b := p.get(p.userPath(a)).want("Store what was created.", http.StatusOK)
			for _, key := range []string{"userName", "externalId", "displayName", "active", "name", "emails", "nickName", "title", "phoneNumbers", "addresses"} {
				b.equals("Store what was answered.", a.at(key), key)
				b.filled("Store every attribute of the core schema that /Schemas lists.", key)
			}
		}),
		must("rfc/create/unicode", "Text of any language comes back as it was sent", "RFC 7644 §3.8", func(p *probe) {
			name := object{"givenName": "Zoë 李", "familyName": "Ølsen \"Q\" \\ Ångström 🦊"}
			a := p.user(object{"name": name})
			b := p.get(p.userPath(a)).want("Store text as UTF-8.", http.StatusOK)
			b.equals("Store text as UTF-8.", name["givenName"], "name", "givenName").equals("Store text as UTF-8.", name["familyName"], "name", "familyName")
		}),
		must("rfc/create/extension", "Attributes of the enterprise extension are stored under its URN, which schemas lists", "RFC 7643 §3.3, §4.3", func(p *probe) {
			p.enterprise()
			a := p.user(object{"schemas": list{userSchema, enterpriseSchema}, enterpriseSchema: object{"employeeNumber": "701984", "department": "Tour Operations"}})
			b := p.get(p.userPath(a)).want("Store it.", http.StatusOK)
			b.schema(enterpriseSchema)
			b.equals("Store the extension's attributes.", "701984", enterpriseSchema, "employeeNumber").equals("Store the extension's attributes.", "Tour Operations", enterpriseSchema, "department")
		}),
		must("rfc/create/duplicate", "A userName that is taken is refused with 409 and uniqueness", "RFC 7644 §3.3", func(p *probe) {
			a := p.user(nil)
			p.post("/Users", p.userBody(object{"userName": a.string("userName")})).refused("Refuse a second user of the same userName with 409 and scimType uniqueness.", http.StatusConflict, "uniqueness")
		}),
		must("rfc/create/duplicate-case", "userName is unique without regard to case", "RFC 7643 §4.1.1", func(p *probe) {
			a := p.user(nil)
			p.post("/Users", p.userBody(object{"userName": upper(a.string("userName"))})).refused("userName is not case-exact: compare it without regard to case.", http.StatusConflict, "uniqueness")
		}),
		must("rfc/create/read-only-ignored", "id, meta and other readOnly attributes in a POST are ignored", "RFC 7644 §3.3", func(p *probe) {
			a := p.user(object{"id": "chosen-by-client", "meta": object{"resourceType": "Wrong", "created": "1999-01-01T00:00:00Z", "location": "https://wrong.example.com/1"}, "groups": list{object{"value": "nowhere"}}})
			const advice = "Ignore readOnly attributes in what a client sends; the server alone sets them."
			if a.id() == "chosen-by-client" {
				a.fail("an id of the server's", a.id(), advice)
			}
			a.equals(advice, "User", "meta", "resourceType").gone(advice, "groups")
			if a.string("meta", "created") == "1999-01-01T00:00:00Z" {
				a.fail("meta.created of the server's", a.string("meta", "created"), advice)
			}
		}),
		must("rfc/create/required", "A user without userName is refused with 400", "RFC 7643 §4.1.1", func(p *probe) {
			body := p.userBody(nil)
			delete(body, "userName")
			p.post("/Users", body).refused("Refuse what lacks a required attribute with 400 and invalidValue.", http.StatusBadRequest)
		}),
		must("rfc/create/password", "A password is never returned", "RFC 7643 §4.1.1", func(p *probe) {
			secret := "Pw-9" + p.name()
			a := p.withPassword(secret)
			a.secret(secret)
			p.get(p.userPath(a)).secret(secret)
			p.get(p.userPath(a), "attributes", "password").secret(secret)
			p.get("/Users", "filter", `userName eq "`+a.string("userName")+`"`).secret(secret)
		}),
		must("rfc/create/nothing", "null and [] are the same as absent", "RFC 7643 §2.5", func(p *probe) {
			a := p.user(object{"emails": list{}, "phoneNumbers": list{}})
			a.gone("Treat an empty array as no value.", "phoneNumbers").gone("Treat an empty array as no value.", "emails")
			body := p.userBody(nil)
			body["nickName"], body["title"] = nil, nil
			p.created("/Users", body).gone("Treat null as no value.", "nickName").gone("Treat null as no value.", "title")
		}),
		must("rfc/create/attribute-case", "Attribute names are read without regard to case", "RFC 7643 §2.1", func(p *probe) {
			body := p.userBody(nil)
			body["USERNAME"], body["DisplayNAME"] = body["userName"], "In capitals"
			name := body["userName"]
			delete(body, "userName")
			delete(body, "displayName")
			a := p.created("/Users", body)
			a.equals("Compare attribute names without regard to case.", name, "userName").equals("Compare attribute names without regard to case.", "In capitals", "displayName")
		}),
		must("rfc/create/primary", "At most one value of an attribute is primary", "RFC 7643 §2.4", func(p *probe) {
			a := p.post("/Users", p.userBody(object{"emails": list{
				object{"value": "one@example.com", "type": "work", "primary": true}, object{"value": "two@example.com", "type": "home", "primary": true},
			}}))
			if a.status == http.StatusBadRequest {
				return
			}
			a.want("Refuse two primary values with 400, or keep one of them primary.", http.StatusCreated)
			if count := primaries(a); count > 1 {
				a.fail("at most one primary e-mail", show(a.at("emails")), "Refuse two primary values with 400, or keep one of them primary.")
			}
		}),
		should("rfc/create/plain-json", "application/json is taken as well", "RFC 7644 §3.1, §3.8", func(p *probe) {
			p.post("/Users", p.userBody(nil), "Content-Type", "application/json", "Accept", "application/json").want("Take application/json as application/scim+json.", http.StatusCreated)
		}),
		should("rfc/create/media-type", "A body of another media type is refused with 415", "RFC 9110 §15.5.16", func(p *probe) {
			p.post("/Users", p.userBody(nil), "Content-Type", "text/csv").want("Refuse what is not JSON with 415.", http.StatusUnsupportedMediaType)
		}),
		should("rfc/create/schemas", "A POST without schemas is refused with 400", "RFC 7643 §3", func(p *probe) {
			body := p.userBody(nil)
			delete(body, "schemas")
			p.post("/Users", body).want("schemas is required in every request; a server may be lenient towards clients that leave it out.", http.StatusBadRequest)
		}),
		must("rfc/create/group", "A group holds the members it was created with", "RFC 7643 §4.2", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			a := p.group(one.id(), two.id())
			a.schema(groupSchema).equals("Set meta.resourceType.", "Group", "meta", "resourceType")
			b := p.get(p.groupPath(a)).want("Store the group.", http.StatusOK)
			b.values("Store the members of a POST.", []string{one.id(), two.id()}, "members")
		}),
		should("rfc/create/member-ref", "A member has a $ref to the user", "RFC 7643 §4.2", func(p *probe) {
			user := p.user(nil)
			a := p.get(p.groupPath(p.group(user.id())))
			ref := a.string("members", 0, "$ref")
			const advice = "Give each member's address as $ref."
			if ref == "" {
				a.fail("members[0].$ref is present", "nothing", advice)
			}
			p.getAbsolute(ref, advice).equals(advice, user.id(), "id")
		}),
	}
}

func readChecks() []Check {
	return []Check{
		must("rfc/read/media-type", "Answers are application/scim+json", "RFC 7644 §3.8", func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a)).want("Answer.", http.StatusOK).contentType()
			p.get("/Users", "count", "1").contentType()
		}),
		must("rfc/read/accept", "Accept: application/json and */* are answered with JSON", "RFC 7644 §3.8", func(p *probe) {
			a := p.user(nil)
			for _, accept := range []string{"application/json", "*/*", "application/scim+json, application/json;q=0.9", ""} {
				p.send(http.MethodGet, p.userPath(a), nil, "Accept", accept).want("Answer Accept: "+accept+" with JSON.", http.StatusOK).equals("Answer with the resource.", a.id(), "id")
			}
		}),
		should("rfc/read/not-acceptable", "An Accept that excludes JSON is refused with 406", "RFC 9110 §12.5.1, §15.5.7", func(p *probe) {
			a := p.user(nil)
			p.send(http.MethodGet, p.userPath(a), nil, "Accept", "text/csv").refused("Refuse with 406 what you cannot answer with.", http.StatusNotAcceptable)
		}),
		must("rfc/read/unknown", "An unknown id is 404 with an error body", "RFC 7644 §3.4.1, §3.12", func(p *probe) {
			p.get("/Users/"+p.name()).refused("Answer 404 for what does not exist.", http.StatusNotFound)
			p.get("/Users/9c5b94b1-35ad-49bb-b118-8e8fc24abf80").refused("Answer 404 for what does not exist.", http.StatusNotFound)
		}),
		must("rfc/read/unknown-group", "An unknown group is 404 with an error body", "RFC 7644 §3.4.1, §3.12", func(p *probe) {
			p.get("/Groups/"+p.name()).refused("Answer 404 for what does not exist.", http.StatusNotFound)
		}),
		should("rfc/read/head", "HEAD is answered as GET, without a body", "RFC 9110 §9.3.2", func(p *probe) {
			a := p.user(nil)
			b := p.send(http.MethodHead, p.userPath(a), nil).want("Answer HEAD wherever you answer GET.", http.StatusOK)
			if b.text != "" {
				b.fail("no body", b.text, "HEAD has no body.")
			}
		}),
		should("rfc/read/groups", "A user's groups are read from the memberships", "RFC 7643 §4.1.2", func(p *probe) {
			user := p.user(nil)
			group := p.group(user.id())
			p.get(p.userPath(user), "attributes", "groups").values("List in groups the groups that have the user as a member.", []string{group.id()}, "groups")
		}),
		should("rfc/read/me", "/Me is the user of the token, or 501", "RFC 7644 §3.11", func(p *probe) {
			p.get("/Me").want("Answer /Me with the user, a redirect to it, 404 when the token is nobody's, or 501.", http.StatusOK, http.StatusTemporaryRedirect, http.StatusPermanentRedirect, http.StatusNotFound, http.StatusNotImplemented)
		}),
	}
}

func replaceChecks() []Check {
	const source = "RFC 7644 §3.5.1"
	return []Check{
		must("rfc/replace/values", "PUT replaces the values of a resource", source, func(p *probe) {
			a := p.user(object{"nickName": "Old"})
			body := p.userBody(object{"userName": a.string("userName"), "nickName": "New", "name": object{"givenName": "Jane", "familyName": "Doe"}})
			p.applied(p.put(p.userPath(a), body), "Support PUT: it is mandatory.")
			b := p.get(p.userPath(a)).want("Keep what was replaced.", http.StatusOK)
			b.equals("Store the values of the PUT.", "New", "nickName").equals("Store the values of the PUT.", "Jane", "name", "givenName").equals("Keep the id.", a.id(), "id")
		}),
		must("rfc/replace/answer", "A PUT is answered with 200 and the resource", source, func(p *probe) {
			a := p.user(nil)
			p.put(p.userPath(a), p.userBody(object{"userName": a.string("userName")})).want("Answer 200 with the whole resource.", http.StatusOK).equals("Answer with the resource.", a.id(), "id")
		}),
		should("rfc/replace/left-out", "Attributes a PUT leaves out are cleared", source, func(p *probe) {
			a := p.user(object{"nickName": "Babs", "phoneNumbers": list{object{"value": "555", "type": "work"}}})
			p.applied(p.put(p.userPath(a), p.userBody(object{"userName": a.string("userName")})), "Support PUT.")
			p.get(p.userPath(a)).gone("Clear readWrite attributes a PUT does not name.", "nickName").gone("Clear readWrite attributes a PUT does not name.", "phoneNumbers")
		}),
		must("rfc/replace/never-creates", "PUT to an unknown id is 404 and creates nothing", source, func(p *probe) {
			body := p.userBody(nil)
			id := p.name()
			p.put("/Users/"+id, body).refused("PUT MUST NOT create: answer 404.", http.StatusNotFound)
			p.get("/Users/"+id).want("PUT MUST NOT create.", http.StatusNotFound)
		}),
		must("rfc/replace/read-only", "readOnly attributes in a PUT are ignored", source, func(p *probe) {
			a := p.user(nil)
			body := p.userBody(object{"userName": a.string("userName"), "id": "something-else", "meta": object{"created": "1999-01-01T00:00:00Z"}})
			p.applied(p.put(p.userPath(a), body), "Ignore readOnly attributes in a PUT.")
			p.get(p.userPath(a)).equals("Keep the id.", a.id(), "id").equals("Keep meta.created.", a.at("meta", "created"), "meta", "created")
		}),
		must("rfc/replace/taken", "PUT with the userName of somebody else is refused with 409", "RFC 7644 §3.5.1, §3.12", func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			p.put(p.userPath(two), p.userBody(object{"userName": one.string("userName")})).refused("Keep userName unique.", http.StatusConflict, "uniqueness")
			p.get(p.userPath(two)).equals("Change nothing when you refuse.", two.at("userName"), "userName")
		}),
		must("rfc/replace/required", "PUT without userName is refused with 400", source, func(p *probe) {
			a := p.user(nil)
			body := p.userBody(nil)
			delete(body, "userName")
			p.put(p.userPath(a), body).refused("Refuse what lacks a required attribute.", http.StatusBadRequest)
		}),
		must("rfc/replace/members", "PUT of a group replaces its members", source, func(p *probe) {
			one, two, three := p.user(nil), p.user(nil), p.user(nil)
			group := p.group(one.id(), two.id())
			body := p.groupBody(two.id(), three.id())
			body["displayName"] = group.at("displayName")
			p.applied(p.put(p.groupPath(group), body), "Support PUT of groups.")
			p.get(p.groupPath(group)).values("Store exactly the members of the PUT.", []string{two.id(), three.id()}, "members")
		}),
	}
}

func deleteChecks() []Check {
	const source = "RFC 7644 §3.6"
	return []Check{
		must("rfc/delete/status", "DELETE is answered with 204 and no body", source, func(p *probe) {
			a := p.delete(p.userPath(p.user(nil))).want("Answer 204.", http.StatusNoContent)
			if a.text != "" {
				a.fail("no body", a.text, "204 has no body.")
			}
		}),
		must("rfc/delete/gone", "What was deleted is 404 for every method", source, func(p *probe) {
			a := p.user(nil)
			p.delete(p.userPath(a)).want("Answer 204.", http.StatusNoContent)
			const advice = "Answer 404 for what was deleted, whatever the method."
			p.get(p.userPath(a)).refused(advice, http.StatusNotFound)
			p.put(p.userPath(a), p.userBody(nil)).refused(advice, http.StatusNotFound)
			p.patch(p.userPath(a), operation("replace", "displayName", "x")).refused(advice, http.StatusNotFound)
			p.delete(p.userPath(a)).refused(advice, http.StatusNotFound)
		}),
		must("rfc/delete/omitted", "What was deleted is in no query's answer", source, func(p *probe) {
			a := p.user(nil)
			p.delete(p.userPath(a)).want("Answer 204.", http.StatusNoContent)
			if found := p.find("/Users", `userName eq "`+a.string("userName")+`"`); len(found) > 0 {
				p.fail("no match", show(found), "Leave out of queries what was deleted.")
			}
		}),
		should("rfc/delete/name-reused", "The userName of a deleted user can be used again", source, func(p *probe) {
			a := p.user(nil)
			p.delete(p.userPath(a)).want("Answer 204.", http.StatusNoContent)
			b := p.post("/Users", p.userBody(object{"userName": a.string("userName"), "externalId": a.string("externalId")})).want("A deleted resource takes no part in conflicts.", http.StatusCreated)
			if b.id() == a.id() {
				b.fail("a new id", b.id(), "An id is never used again (RFC 7643, section 3.1).")
			}
		}),
		must("rfc/delete/unknown", "DELETE of an unknown id is 404", source, func(p *probe) {
			p.delete("/Users/"+p.name()).refused("Answer 404 for what does not exist.", http.StatusNotFound)
		}),
		must("rfc/delete/group", "A deleted group is gone, its members stay", source, func(p *probe) {
			user := p.user(nil)
			group := p.group(user.id())
			p.delete(p.groupPath(group)).want("Answer 204.", http.StatusNoContent)
			p.get(p.groupPath(group)).refused("Answer 404 for what was deleted.", http.StatusNotFound)
			p.get(p.userPath(user)).want("Deleting a group deletes no user.", http.StatusOK).gone("Take the deleted group out of groups.", "groups")
		}),
		should("rfc/delete/member", "A deleted user is no member any more", source, func(p *probe) {
			one, two := p.user(nil), p.user(nil)
			group := p.group(one.id(), two.id())
			p.delete(p.userPath(one)).want("Answer 204.", http.StatusNoContent)
			p.get(p.groupPath(group)).values("Take deleted users out of groups.", []string{two.id()}, "members")
		}),
	}
}
