package scim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// crowd creates users whose userNames begin alike, and gives the filter that finds them all.
func (p *probe) crowd(count int) (filter string, made []string) {
	prefix := p.name() + "-"
	for i := range count {
		made = append(made, p.user(object{"userName": fmt.Sprintf("%s%d@example.com", prefix, i)}).id())
	}
	return `userName sw "` + prefix + `"`, made
}

func listChecks() []Check {
	const pagination = "RFC 7644 §3.4.2.4"
	return []Check{
		must("rfc/list/shape", "A list is a ListResponse with an integer totalResults and Resources", "RFC 7644 §3.4.2", func(p *probe) {
			a := p.user(nil)
			list := p.get("/Users", "count", "2")
			resources := list.list()
			if len(resources) == 0 || list.total() < 1 {
				list.fail("at least the user just created", show(list.total()), "List all resources when there is no filter.")
			}
			if a := with(resources, "id", nil); a != nil {
				list.fail("an id in each resource", show(a), "id is always returned.")
			}
			_ = a
		}),
		must("rfc/list/no-match", "A query that matches nothing is 200 with totalResults 0", "RFC 7644 §3.4.2", func(p *probe) {
			p.claimed("filter")
			a := p.get("/Users", "filter", `userName eq "`+p.name()+`"`)
			if found := a.list(); len(found) != 0 || a.total() != 0 {
				a.fail("totalResults 0", show(a.total()), "Answer a query without a match with 200 and an empty list, not 404.")
			}
		}),
		should("rfc/list/unknown-parameter", "Unknown query parameters are ignored", "RFC 7644 §3.4.2", func(p *probe) {
			p.get("/Users", "count", "1", "somethingElse", "1").list()
		}),
		must("rfc/list/groups", "Groups are listed as users are", "RFC 7644 §3.4.2", func(p *probe) {
			p.group()
			if a := p.get("/Groups", "count", "1"); len(a.list()) != 1 {
				a.fail("one group", show(a.at("Resources")), "List groups.")
			}
		}),
		must("rfc/page/count", "A page has no more than count resources; itemsPerPage is how many it has", pagination, func(p *probe) {
			p.claimed("filter")
			filter, _ := p.crowd(4)
			a := p.get("/Users", "filter", filter, "startIndex", "1", "count", "3")
			if found := a.list(); len(found) > 3 || len(found) == 0 {
				a.fail("1 to 3 resources", show(len(found)), "Return no more than count.")
			}
			a.equals("totalResults counts all matches, not those on the page.", 4, "totalResults")
			a.equals("itemsPerPage is the number of resources in this answer.", len(a.list()), "itemsPerPage")
			a.equals("Echo startIndex.", 1, "startIndex")
			last := p.get("/Users", "filter", filter, "startIndex", "4", "count", "3")
			last.equals("itemsPerPage is the number of resources in this answer, not what was asked for.", len(last.list()), "itemsPerPage").equals("Echo startIndex.", 4, "startIndex")
		}),
		must("rfc/page/walk", "Pages hold each match once, in a stable order", pagination, func(p *probe) {
			p.claimed("filter")
			filter, made := p.crowd(5)
			var seen []string
			for start := 1; start <= 5; start += 2 {
				a := p.get("/Users", "filter", filter, "startIndex", strconv.Itoa(start), "count", "2")
				seen = append(seen, ids(a.list())...)
				a.equals("totalResults stays the same from page to page.", 5, "totalResults")
			}
			slices.Sort(seen)
			slices.Sort(made)
			if !slices.Equal(seen, made) {
				p.fail("each of the 5 users once over 3 pages", show(seen), "Sort by something unique, so that pages neither overlap nor leave out.")
			}
		}),
		must("rfc/page/start-below-one", "A startIndex below 1 is taken as 1", pagination, func(p *probe) {
			p.claimed("filter")
			filter, made := p.crowd(1)
			for _, start := range []string{"0", "-5"} {
				a := p.get("/Users", "filter", filter, "startIndex", start, "count", "10")
				if !slices.Equal(ids(a.list()), made) {
					a.fail("the one match", show(ids(a.list())), "Take a startIndex below 1 as 1.")
				}
			}
		}),
		must("rfc/page/negative-count", "A negative count is taken as 0", pagination, func(p *probe) {
			a := p.get("/Users", "count", "-1")
			if found := a.list(); len(found) != 0 {
				a.fail("no resources", show(len(found)), "Take a negative count as 0.")
			}
		}),
		must("rfc/page/count-zero", "count=0 gives totalResults and no resources", pagination, func(p *probe) {
			p.user(nil)
			a := p.get("/Users", "count", "0")
			if found := a.list(); len(found) != 0 || a.total() < 1 {
				a.fail("totalResults and no resources", show(a.body), "Answer count=0 with the number of matches alone.")
			}
		}),
		must("rfc/page/past-the-end", "A startIndex past the end gives an empty page", pagination, func(p *probe) {
			p.claimed("filter")
			filter, _ := p.crowd(1)
			a := p.get("/Users", "filter", filter, "startIndex", "100", "count", "10")
			if len(a.list()) != 0 {
				a.fail("no resources", show(a.at("Resources")), "Answer an empty page with 200.")
			}
			a.equals("totalResults counts all matches.", 1, "totalResults")
		}),
	}
}

func sortChecks() []Check {
	const source = "RFC 7644 §3.4.2.3"
	// sorted creates three users and wants them in an order; each is found by its displayName.
	sorted := func(p *probe, want []int, query ...string) {
		p.claimed("sort")
		prefix := p.name() + "-"
		names := []string{"beta", "Alpha", "gamma"}
		var made []string
		for i, name := range names {
			family := []string{"Mason", "Zimmer", "Abbot"}[i]
			made = append(made, p.user(object{"userName": prefix + name, "name": object{"givenName": "X", "familyName": family}}).id())
		}
		a := p.get("/Users", append([]string{"filter", `userName sw "` + prefix + `"`, "count", "10"}, query...)...)
		var expected []string
		for _, i := range want {
			expected = append(expected, made[i])
		}
		if got := ids(a.list()); !slices.Equal(got, expected) {
			a.fail("the order "+show(expected), show(got), "Sort as sortBy and sortOrder say, or do not claim sort.")
		}
	}
	return []Check{
		must("rfc/sort/ascending", "sortBy sorts ascending when no sortOrder is given", source, func(p *probe) { sorted(p, []int{2, 0, 1}, "sortBy", "name.familyName") }),
		must("rfc/sort/descending", "sortOrder=descending turns the order round", source, func(p *probe) {
			sorted(p, []int{1, 0, 2}, "sortBy", "name.familyName", "sortOrder", "descending")
		}),
		must("rfc/sort/case", "An attribute that is not case-exact is sorted without regard to case", source, func(p *probe) { sorted(p, []int{1, 0, 2}, "sortBy", "userName") }),
		must("rfc/sort/urn", "sortBy takes a name with its URN", source, func(p *probe) {
			sorted(p, []int{1, 0, 2}, "sortBy", userSchema+":userName", "sortOrder", "ascending")
		}),
	}
}

func searchChecks() []Check {
	const source = "RFC 7644 §3.4.3"
	search := func(p *probe, path string, body object) *answer {
		body["schemas"] = list{searchSchema}
		a := p.send(http.MethodPost, path, body)
		if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented {
			p.skip("the server has no %s (rfc/search/offered says so)", path)
		}
		return a
	}
	return []Check{
		should("rfc/search/offered", "/.search takes queries by POST, at the root and at each endpoint", source, func(p *probe) {
			for _, path := range []string{"/Users/.search", "/Groups/.search", "/.search"} {
				p.send(http.MethodPost, path, object{"schemas": list{searchSchema}, "count": 1}).want("Offer "+path+": filters on personal data do not belong into URLs (section 7.5.2).", http.StatusOK).list()
			}
		}),
		must("rfc/search/filter", "A search by POST finds what the filter in a URL finds", source, func(p *probe) {
			p.claimed("filter")
			a := p.user(nil)
			b := search(p, "/Users/.search", object{"filter": `userName eq "` + a.string("userName") + `"`, "startIndex": 1, "count": 10})
			if got := ids(b.list()); !slices.Equal(got, []string{a.id()}) {
				b.fail("the user "+a.id(), show(got), "Take filter from the SearchRequest.")
			}
		}),
		must("rfc/search/attributes", "A search by POST returns the attributes asked for", source, func(p *probe) {
			p.claimed("filter")
			a := p.user(nil)
			b := search(p, "/Users/.search", object{"filter": `userName eq "` + a.string("userName") + `"`, "attributes": list{"displayName"}})
			b.list()
			b.equals("Return id and what was asked for.", a.id(), "Resources", 0, "id").filled("Return what was asked for.", "Resources", 0, "displayName").gone("Return nothing else.", "Resources", 0, "name")
		}),
		must("rfc/search/page", "A search by POST pages", source, func(p *probe) {
			p.claimed("filter")
			filter, _ := p.crowd(3)
			a := search(p, "/Users/.search", object{"filter": filter, "startIndex": 2, "count": 1})
			if len(a.list()) != 1 {
				a.fail("one resource", show(a.at("Resources")), "Take startIndex and count from the SearchRequest.")
			}
			a.equals("Count all matches.", 3, "totalResults")
		}),
		must("rfc/search/root", "A search at the root finds resources of every type", source, func(p *probe) {
			p.claimed("filter")
			user := p.user(nil)
			group := p.group(user.id())
			a := search(p, "/.search", object{"filter": `id eq "` + user.id() + `" or id eq "` + group.id() + `"`})
			if got := ids(a.list()); len(got) != 2 || !slices.Contains(got, user.id()) || !slices.Contains(got, group.id()) {
				a.fail("the user and the group", show(got), "Search all resource types at the root.")
			}
		}),
	}
}

func projectionChecks() []Check {
	const source = "RFC 7644 §3.4.2.5, §3.9"
	const advice = "Support attributes and excludedAttributes on every operation that answers with a resource."
	return []Check{
		must("rfc/attributes/asked", "attributes returns those, and what is always returned", source, func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a), "attributes", "userName").want(advice, http.StatusOK).
				equals(advice, a.at("userName"), "userName").equals("id is always returned.", a.id(), "id").gone(advice, "name").gone(advice, "emails").gone(advice, "displayName")
		}),
		must("rfc/attributes/inner", "attributes takes sub-attributes", source, func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a), "attributes", "name.givenName,emails.value").want(advice, http.StatusOK).
				equals(advice, "Barbara", "name", "givenName").gone(advice, "name", "familyName").filled(advice, "emails", 0, "value").gone(advice, "emails", 0, "type").gone(advice, "userName")
		}),
		must("rfc/attributes/urn", "attributes takes names with their URN, in any case", source, func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a), "attributes", userSchema+":DISPLAYNAME").want(advice, http.StatusOK).filled(advice, "displayName").gone(advice, "userName")
		}),
		must("rfc/attributes/extension", "attributes takes attributes of an extension", source, func(p *probe) {
			p.enterprise()
			a := p.user(object{"schemas": list{userSchema, enterpriseSchema}, enterpriseSchema: object{"employeeNumber": "7", "department": "Tours"}})
			p.get(p.userPath(a), "attributes", enterpriseSchema+":department").want(advice, http.StatusOK).
				equals(advice, "Tours", enterpriseSchema, "department").gone(advice, enterpriseSchema, "employeeNumber").gone(advice, "userName")
		}),
		must("rfc/attributes/excluded", "excludedAttributes leaves those out", source, func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a), "excludedAttributes", "name,emails").want(advice, http.StatusOK).gone(advice, "name").gone(advice, "emails").filled(advice, "userName")
		}),
		must("rfc/attributes/always", "What is always returned cannot be excluded", source, func(p *probe) {
			a := p.user(nil)
			p.get(p.userPath(a), "excludedAttributes", "id,displayName").want(advice, http.StatusOK).equals("id is returned always.", a.id(), "id").gone(advice, "displayName")
		}),
		must("rfc/attributes/list", "Lists are cut down alike", source, func(p *probe) {
			p.claimed("filter")
			a := p.user(nil)
			filter := `userName eq "` + a.string("userName") + `"`
			p.get("/Users", "filter", filter, "attributes", "displayName").want(advice, http.StatusOK).filled(advice, "Resources", 0, "displayName").gone(advice, "Resources", 0, "emails")
			p.get("/Users", "filter", filter, "excludedAttributes", "emails").want(advice, http.StatusOK).filled(advice, "Resources", 0, "displayName").gone(advice, "Resources", 0, "emails")
		}),
		must("rfc/attributes/members", "A group's members can be left out", source, func(p *probe) {
			group := p.group(p.user(nil).id())
			p.get(p.groupPath(group), "excludedAttributes", "members").want(advice, http.StatusOK).gone(advice, "members").filled(advice, "displayName")
			p.get(p.groupPath(group), "attributes", "members").want(advice, http.StatusOK).filled(advice, "members").gone(advice, "displayName")
		}),
		must("rfc/attributes/create", "A POST and a PUT answer with the attributes asked for", source, func(p *probe) {
			a := p.post("/Users?attributes=userName", p.userBody(nil)).want(advice, http.StatusCreated).filled("id is always returned.", "id").filled(advice, "userName").gone(advice, "name")
			p.put(p.userPath(a)+"?excludedAttributes="+url.QueryEscape("name"), p.userBody(object{"userName": a.string("userName")})).want(advice, http.StatusOK).gone(advice, "name").filled(advice, "userName")
		}),
		must("rfc/attributes/patch", "A PATCH with attributes is answered with 200 and them", "RFC 7644 §3.5.2", func(p *probe) {
			p.claimed("patch")
			a := p.user(nil)
			p.patch(p.userPath(a)+"?attributes=displayName", operation("replace", "displayName", "Asked for")).want("Answer 200 when attributes are asked for.", http.StatusOK).
				equals(advice, "Asked for", "displayName").gone(advice, "emails")
		}),
	}
}
