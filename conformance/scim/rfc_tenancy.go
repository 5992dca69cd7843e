package scim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func tenancyChecks() []Check {
	const source = "RFC 7644 §6"
	const advice = "Look in the caller's tenant alone: what another has is answered as what nobody has."
	// invisible wants no resource of another tenant in an answer.
	invisible := func(a *answer, hidden ...string) {
		if a.status == http.StatusBadRequest {
			return
		}
		for _, id := range ids(a.list()) {
			if slices.Contains(hidden, id) {
				a.fail("nothing of another tenant", id+" is in the answer", advice)
			}
		}
	}
	return []Check{
		must("rfc/tenancy/read", "A resource of another tenant is 404 for every method", source, func(p *probe) {
			user := p.other().user(nil)
			group := p.other().group(user.id())
			for path, body := range map[string]object{p.userPath(user): p.userBody(nil), p.groupPath(group): p.groupBody()} {
				p.get(path).refused(advice, http.StatusNotFound)
				p.put(path, body).refused(advice, http.StatusNotFound)
				if p.target.claims("patch") {
					p.patch(path, operation("replace", "displayName", "Taken over")).refused(advice, http.StatusNotFound)
				}
				p.delete(path).refused(advice, http.StatusNotFound)
			}
			p.other().get(p.userPath(user)).want(advice, http.StatusOK).equals(advice, user.at("displayName"), "displayName")
			p.other().get(p.groupPath(group)).want(advice, http.StatusOK).equals(advice, group.at("displayName"), "displayName")
		}),
		must("rfc/tenancy/filter", "No filter finds a resource of another tenant", source, func(p *probe) {
			user := p.other().user(nil)
			group := p.other().group(user.id())
			p.claimed("filter")
			name := user.string("userName")
			for _, filter := range []string{
				`userName eq "` + name + `"`, `userName sw "` + name[:len(name)-1] + `"`, `externalId eq "` + user.string("externalId") + `"`,
				`id eq "` + user.id() + `"`, `emails.value eq "` + name + `"`, `displayName eq "` + user.string("displayName") + `"`,
			} {
				invisible(p.get("/Users", "filter", filter), user.id())
			}
			for _, filter := range []string{
				`displayName eq "` + group.string("displayName") + `"`, `id eq "` + group.id() + `"`, `members.value eq "` + user.id() + `"`,
			} {
				invisible(p.get("/Groups", "filter", filter), group.id())
			}
		}),
		must("rfc/tenancy/search", "No search by POST finds a resource of another tenant", source, func(p *probe) {
			user := p.other().user(nil)
			p.claimed("filter")
			asked := 0
			for _, path := range []string{"/Users/.search", "/.search"} {
				a := p.send(http.MethodPost, path, object{"schemas": list{searchSchema}, "filter": `id eq "` + user.id() + `"`})
				if a.status == http.StatusOK {
					invisible(a, user.id())
					asked++
				}
			}
			if asked == 0 {
				p.skip("the server has no search by POST (rfc/search/offered says so)")
			}
		}),
		must("rfc/tenancy/cursor", "A cursor of another tenant gives nothing of it", source, func(p *probe) {
			filter, made := p.other().crowd(2)
			p.cursors()
			first := p.other().get("/Users", "filter", filter, "cursor", "", "count", "1")
			first.list()
			invisible(p.get("/Users", "filter", filter, "cursor", first.string("nextCursor"), "count", "1"), made...)
		}),
		must("rfc/tenancy/members", "A user of another tenant is a member as little as one that nobody has", source, func(p *probe) {
			user, ghost := p.other().strangers()
			p.alike(func(id string) *answer { return p.post("/Groups", p.groupBody(id)) }, user, ghost)
			if p.target.claims("patch") {
				group := p.group()
				p.alike(func(id string) *answer {
					return p.patch(p.groupPath(group), operation("add", "members", membersOf(id)))
				}, user, ghost)
			}
			p.other().get(p.userPath(user), "attributes", "groups").want(advice, http.StatusOK).gone("A group has members of its own tenant alone.", "groups")
		}),
		must("rfc/tenancy/bulk", "Bulk reaches nothing of another tenant, by path or as a member", source, func(p *probe) {
			user, ghost := p.other().strangers()
			a := p.bulk(0,
				bulkOperation("PUT", "/Users/"+user.id(), "", p.userBody(nil)),
				bulkOperation("PATCH", "/Users/"+user.id(), "", patchOf(operation("replace", "displayName", "Taken over"))),
				bulkOperation("DELETE", "/Users/"+user.id(), "", nil))
			a.outcomes(advice, "404", "404", "404")
			p.alike(func(id string) *answer {
				a := p.bulk(0, bulkOperation("POST", "/Groups", "g", p.groupBody(id))).want("Answer a bulk request with 200.", http.StatusOK)
				a.status, _ = strconv.Atoi(a.string("Operations", 0, "status"))
				return a
			}, user, ghost)
			p.other().get(p.userPath(user)).want(advice, http.StatusOK).equals(advice, user.at("displayName"), "displayName")
		}),
		should("rfc/tenancy/names", "A userName another tenant has is free here", "RFC 7643 §7", func(p *probe) {
			user := p.other().user(nil)
			p.post("/Users", p.userBody(object{"userName": user.string("userName")})).
				want("Let names be unique within a tenant: a conflict tells of people elsewhere.", http.StatusCreated)
		}),
	}
}

// strangers are a user of this tenant, and one who was deleted: an id of the same form that nobody has.
func (p *probe) strangers() (user, ghost *answer) {
	ghost = p.user(nil)
	p.delete(p.userPath(ghost)).want("Answer 204.", http.StatusNoContent)
	return p.user(nil), ghost
}

// alike wants an id of another tenant answered as one that nobody has, without a word of whose it is.
func (p *probe) alike(ask func(id string) *answer, user, ghost *answer) {
	nobody, somebody := ask(ghost.id()), ask(user.id())
	if nobody.status != somebody.status {
		somebody.fail("the answer to an id nobody has: "+show(nobody.status), show(somebody.status), "Answer ids of other tenants as ids that nobody has.")
	}
	for _, value := range []string{user.string("userName"), user.string("displayName")} {
		if strings.Contains(somebody.text, value) {
			somebody.fail("nothing of another tenant's user", value, "Say nothing of what other tenants have.")
		}
	}
}
