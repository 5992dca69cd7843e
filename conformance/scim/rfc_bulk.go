package scim

import (
	"net/http"
	"strconv"
	"strings"
)

// bulk sends operations. What they created is deleted afterwards.
func (p *probe) bulk(failOnErrors int, operations ...object) *answer {
	p.claimed("bulk")
	body := object{"schemas": list{bulkSchema}, "Operations": operations}
	if failOnErrors > 0 {
		body["failOnErrors"] = failOnErrors
	}
	a := p.send(http.MethodPost, "/Bulk", body)
	for _, one := range entriesOf(a.at("Operations")) {
		location, _ := one["location"].(string)
		if _, inside, found := strings.Cut(location, p.target.base); found && one["method"] == http.MethodPost && one["status"] == "201" {
			p.made = append(p.made, inside)
		} else if at := strings.LastIndex(location, "/Users/"); at >= 0 && one["method"] == http.MethodPost {
			p.made = append(p.made, location[at:])
		} else if at := strings.LastIndex(location, "/Groups/"); at >= 0 && one["method"] == http.MethodPost {
			p.made = append(p.made, location[at:])
		}
	}
	return a
}

func bulkOperation(method, path, bulkID string, data any) object {
	one := object{"method": method, "path": path}
	if bulkID != "" {
		one["bulkId"] = bulkID
	}
	if data != nil {
		one["data"] = data
	}
	return one
}

// outcomes wants a BulkResponse with these statuses, in the order of the operations.
func (a *answer) outcomes(advice string, statuses ...string) []object {
	a.want("Answer a bulk request with 200 and a BulkResponse, whatever became of its operations.", http.StatusOK).schema(bulkAnswerSchema)
	results := entriesOf(a.at("Operations"))
	var got []string
	for i, one := range results {
		status, ok := one["status"].(string)
		if !ok {
			a.fail("status of each operation as text", show(one["status"]), "Send status as a string: \"201\".")
		}
		got = append(got, status)
		if status >= "400" && !strings.Contains(show(one["response"]), errorSchema) {
			a.fail("the response of a failed operation is an error", show(one), "Put the error into response (RFC 7644, section 3.7.3).")
		}
		if status < "300" && one["method"] != http.MethodDelete && nothing(one["location"]) {
			a.fail("Operations["+strconv.Itoa(i)+"].location", show(one), "Say where each resource is.")
		}
	}
	if show(got) != show(statuses) {
		a.fail("statuses "+show(statuses), show(got), advice)
	}
	return results
}

func bulkChecks() []Check {
	const source = "RFC 7644 §3.7"
	return []Check{
		must("rfc/bulk/methods", "POST, PUT, PATCH and DELETE work in bulk", source, func(p *probe) {
			one, two, three := p.user(nil), p.user(nil), p.user(nil)
			body := p.userBody(object{"userName": one.string("userName"), "displayName": "By bulk"})
			created := p.userBody(nil)
			a := p.bulk(0,
				bulkOperation("POST", "/Users", "new", created),
				bulkOperation("PUT", "/Users/"+one.id(), "", body),
				bulkOperation("PATCH", "/Users/"+two.id(), "", patchOf(operation("replace", "displayName", "By bulk"))),
				bulkOperation("DELETE", "/Users/"+three.id(), "", nil))
			a.want("Answer a bulk request with 200.", http.StatusOK)
			results := entriesOf(a.at("Operations"))
			if len(results) != 4 {
				a.fail("a result for each of 4 operations", show(len(results)), "Answer for every operation.")
			}
			if results[0]["bulkId"] != "new" || results[0]["status"] != "201" || results[3]["status"] != "204" {
				a.fail("201 with bulkId \"new\" first, 204 last", show(results), "Echo bulkId, and send each operation's own status as text.")
			}
			p.get(p.userPath(one)).equals("Carry out PUT in bulk.", "By bulk", "displayName")
			p.get(p.userPath(two)).equals("Carry out PATCH in bulk.", "By bulk", "displayName")
			p.get(p.userPath(three)).want("Carry out DELETE in bulk.", http.StatusNotFound)
			if found := p.find("/Users", `userName eq "`+created["userName"].(string)+`"`); len(found) != 1 {
				p.fail("the user created in bulk", show(found), "Carry out POST in bulk.")
			}
		}),
		must("rfc/bulk/reference", "bulkId: stands for what another operation created", source+".2", func(p *probe) {
			a := p.bulk(0,
				bulkOperation("POST", "/Users", "u", p.userBody(nil)),
				bulkOperation("POST", "/Groups", "g", p.groupBody("bulkId:u")))
			a.outcomes("Resolve bulkId references.", "201", "201")
			p.bulkMember(a, 0, 1)
		}),
		must("rfc/bulk/reference-forward", "bulkId: may stand before what it stands for", source+".2", func(p *probe) {
			a := p.bulk(0,
				bulkOperation("POST", "/Groups", "g", p.groupBody("bulkId:u")),
				bulkOperation("POST", "/Users", "u", p.userBody(nil)))
			a.outcomes("Resolve references whatever the order of the operations.", "201", "201")
			p.bulkMember(a, 1, 0)
		}),
		must("rfc/bulk/reference-unknown", "A bulkId nobody has fails that operation", source+".2", func(p *probe) {
			a := p.bulk(0, bulkOperation("POST", "/Groups", "g", p.groupBody("bulkId:nobody")), bulkOperation("POST", "/Users", "u", p.userBody(nil)))
			results := entriesOf(a.want("Answer 200.", http.StatusOK).at("Operations"))
			if len(results) != 2 || show(results[0]["status"]) < `"400"` || results[1]["status"] != "201" {
				a.fail("the first operation refused, the second 201", show(results), "Refuse what refers to nothing, and go on.")
			}
		}),
		must("rfc/bulk/continue", "Without failOnErrors the rest is carried out", source+".3", func(p *probe) {
			taken := p.user(nil)
			a := p.bulk(0,
				bulkOperation("POST", "/Users", "a", p.userBody(object{"userName": taken.string("userName")})),
				bulkOperation("DELETE", "/Users/"+p.name(), "", nil),
				bulkOperation("POST", "/Users", "b", p.userBody(nil)))
			a.outcomes("Go on after an error, as far as possible.", "409", "404", "201")
		}),
		must("rfc/bulk/fail-on-errors", "failOnErrors stops after that many", source+".3", func(p *probe) {
			last := p.userBody(nil)
			a := p.bulk(1,
				bulkOperation("POST", "/Users", "a", p.userBody(nil)),
				bulkOperation("DELETE", "/Users/"+p.name(), "", nil),
				bulkOperation("POST", "/Users", "c", last))
			results := entriesOf(a.want("Answer 200.", http.StatusOK).at("Operations"))
			if len(results) < 2 || results[0]["status"] != "201" || results[1]["status"] != "404" {
				a.fail("201, then 404", show(results), "Carry operations out in their order.")
			}
			if found := p.find("/Users", `userName eq "`+last["userName"].(string)+`"`); len(found) > 0 {
				p.fail("nothing carried out after failOnErrors was reached", show(found), "Stop, and leave out the rest.")
			}
		}),
		must("rfc/bulk/circular", "Circular references are resolved or refused with 409", source+".1", func(p *probe) {
			p.claimed("bulk")
			a := p.bulk(0,
				bulkOperation("POST", "/Groups", "one", p.groupBody("bulkId:two")),
				bulkOperation("POST", "/Groups", "two", p.groupBody("bulkId:one")))
			if a.status == http.StatusConflict {
				return
			}
			for _, one := range entriesOf(a.want("Answer 200 or 409.", http.StatusOK, http.StatusConflict).at("Operations")) {
				if status := one["status"]; status != "201" && status != "409" && status != "400" {
					a.fail("201, or 409 for what cannot be resolved", show(status), "Resolve circular references, or refuse them with 409.")
				}
			}
		}),
		must("rfc/bulk/missing-id", "A POST in bulk without bulkId is refused", source+".2", func(p *probe) {
			a := p.bulk(0, bulkOperation("POST", "/Users", "", p.userBody(nil)))
			if a.status != http.StatusBadRequest {
				a.outcomes("bulkId is required when method is POST.", "400")
			}
		}),
		must("rfc/bulk/operations-limit", "More operations than maxOperations are refused with 413", source+".4", func(p *probe) {
			p.claimed("bulk")
			limit := p.target.limit("bulk", "maxOperations")
			if limit <= 0 || limit > 20000 {
				p.skip("bulk.maxOperations is %d: too many to try", limit)
			}
			operations := make([]object, limit+1)
			for i := range operations {
				operations[i] = object{"method": "DELETE", "path": "/Users/0"}
			}
			a := p.bulk(1, operations...)
			a.refused("Refuse with 413 and name the limit.", http.StatusRequestEntityTooLarge)
			if !strings.Contains(a.string("detail"), strconv.Itoa(limit)) {
				a.fail("the limit in detail", a.string("detail"), "Name the limit that was exceeded.")
			}
		}),
		must("rfc/bulk/payload-limit", "A body above maxPayloadSize is refused with 413", source+".4", func(p *probe) {
			p.claimed("bulk")
			limit := p.target.limit("bulk", "maxPayloadSize")
			if limit <= 0 || limit > 16<<20 {
				p.skip("bulk.maxPayloadSize is %d: too much to try", limit)
			}
			a := p.bulk(1, bulkOperation("POST", "/Users", "a", p.userBody(object{"displayName": strings.Repeat("x", limit+1)})))
			a.refused("Refuse with 413 and name the limit.", http.StatusRequestEntityTooLarge)
		}),
	}
}

// bulkMember wants the user of one operation as the member of the group of another.
func (p *probe) bulkMember(a *answer, user, group int) {
	last := func(i int) string {
		location := a.string("Operations", i, "location")
		return location[strings.LastIndexByte(location, '/')+1:]
	}
	p.get("/Groups/"+last(group)).values("Put the id of what was created where bulkId: stood.", []string{last(user)}, "members")
}

func versionChecks() []Check {
	const source = "RFC 7644 §3.14"
	claimed := func(p *probe) (*answer, string) {
		p.claimed("etag")
		a := p.user(nil)
		b := p.get(p.userPath(a)).want("Answer.", http.StatusOK)
		tag := b.header.Get("ETag")
		if tag == "" {
			b.fail("an ETag header", "none", "Send an ETag with each resource, or do not claim etag.")
		}
		return b, tag
	}
	return []Check{
		must("rfc/version/header", "ETag equals meta.version and is a quoted tag", source, func(p *probe) {
			a, tag := claimed(p)
			a.equals("Send the same version in the header and in meta.version.", tag, "meta", "version")
			if !strings.HasSuffix(tag, `"`) || !strings.HasPrefix(strings.TrimPrefix(tag, "W/"), `"`) {
				a.fail(`a tag such as W/"3"`, tag, "Write entity tags as RFC 9110, section 8.8.3 says.")
			}
		}),
		must("rfc/version/changes", "The version changes with the resource, and only then", source, func(p *probe) {
			a, tag := claimed(p)
			if again := p.get(p.userPath(a)).header.Get("ETag"); again != tag {
				p.fail("ETag "+tag, again, "Keep the version while nothing changes.")
			}
			b := p.put(p.userPath(a), p.userBody(object{"userName": a.string("userName"), "displayName": "Changed"}))
			p.applied(b, "Support PUT.")
			if after := p.get(p.userPath(a)).header.Get("ETag"); after == tag {
				p.fail("another ETag than "+tag, after, "Change the version with each change.")
			}
		}),
		must("rfc/version/not-modified", "If-None-Match with the current version is answered with 304", source, func(p *probe) {
			a, tag := claimed(p)
			b := p.send(http.MethodGet, p.userPath(a), nil, "If-None-Match", tag).want("Answer 304 when the client has it already.", http.StatusNotModified)
			if b.text != "" {
				b.fail("no body", b.text, "304 has no body.")
			}
			p.send(http.MethodGet, p.userPath(a), nil, "If-None-Match", `W/"another"`).want("Answer 200 when the client has another version.", http.StatusOK)
		}),
		must("rfc/version/stale", "If-Match with another version is refused with 412, for PUT, PATCH and DELETE", source, func(p *probe) {
			a, _ := claimed(p)
			const stale, advice = `W/"stale"`, "Compare If-Match with the version, and refuse with 412."
			p.send(http.MethodPut, p.userPath(a), p.userBody(object{"userName": a.string("userName"), "displayName": "Late"}), "If-Match", stale).refused(advice, http.StatusPreconditionFailed)
			if p.target.claims("patch") {
				p.send(http.MethodPatch, p.userPath(a), patchOf(operation("replace", "displayName", "Late")), "If-Match", stale).refused(advice, http.StatusPreconditionFailed)
			}
			p.send(http.MethodDelete, p.userPath(a), nil, "If-Match", stale).refused(advice, http.StatusPreconditionFailed)
			p.get(p.userPath(a)).equals("Change nothing when you refuse.", a.at("displayName"), "displayName")
		}),
		must("rfc/version/current", "If-Match with the current version, or *, goes on", source, func(p *probe) {
			a, tag := claimed(p)
			p.applied(p.send(http.MethodPut, p.userPath(a), p.userBody(object{"userName": a.string("userName"), "displayName": "In time"}), "If-Match", tag), "Compare If-Match with the current version.")
			p.applied(p.send(http.MethodPut, p.userPath(a), p.userBody(object{"userName": a.string("userName"), "displayName": "Any"}), "If-Match", "*"), "Take * as any version.")
			p.get(p.userPath(a)).equals("Store it.", "Any", "displayName")
		}),
	}
}
