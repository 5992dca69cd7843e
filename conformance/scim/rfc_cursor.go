package scim

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// unreserved are the characters a cursor may have.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// cursors skips the check where the server claims no cursors.
func (p *probe) cursors() {
	if p.target.config.at("pagination", "cursor") != true {
		p.skip("the server does not claim it: pagination.cursor in ServiceProviderConfig is not true")
	}
}

func cursorChecks() []Check {
	return []Check{
		must("rfc/cursor/claim", "pagination in ServiceProviderConfig says cursor and index", "RFC 9865 §4", func(p *probe) {
			p.cursors()
			a := p.get("/ServiceProviderConfig")
			if _, ok := a.at("pagination", "index").(bool); !ok {
				a.fail("pagination.index is a boolean", show(a.at("pagination")), "cursor and index are both required.")
			}
			if method := a.at("pagination", "defaultPaginationMethod"); method != nil && method != "index" && method != "cursor" {
				a.fail("defaultPaginationMethod is index or cursor", show(method), "Correct it.")
			}
		}),
		must("rfc/cursor/walk", "Following nextCursor from an empty cursor gives each match once", "RFC 9865 §2", func(p *probe) {
			p.cursors()
			filter, made := p.crowd(5)
			var seen []string
			for cursor, page := "", 1; ; page++ {
				a := p.get("/Users", "filter", filter, "cursor", cursor, "count", "2")
				found := a.list()
				if len(found) > 2 {
					a.fail("at most 2 resources", show(len(found)), "Return no more than count.")
				}
				seen = append(seen, ids(found)...)
				if page == 1 {
					a.gone("The first page has no page before it.", "previousCursor")
				}
				if cursor = a.string("nextCursor"); cursor == "" {
					break
				}
				if !unreserved.MatchString(cursor) {
					a.fail("a cursor of unreserved characters", show(cursor), "Use characters that need no escaping in a URL.")
				}
				if page > 5 {
					a.fail("a last page without nextCursor", show(cursor), "Leave nextCursor out on the last page.")
				}
			}
			slices.Sort(seen)
			slices.Sort(made)
			if !slices.Equal(seen, made) {
				p.fail("each of the 5 users once", show(seen), "Pages by cursor neither overlap nor leave out.")
			}
		}),
		must("rfc/cursor/last", "The only page has no nextCursor", "RFC 9865 §2", func(p *probe) {
			p.cursors()
			filter, made := p.crowd(1)
			a := p.get("/Users", "filter", filter, "cursor", "", "count", "10")
			if !slices.Equal(ids(a.list()), made) {
				a.fail("the one match", show(ids(a.list())), "Answer the first page.")
			}
			a.gone("Leave nextCursor out on the last page.", "nextCursor")
		}),
		must("rfc/cursor/invalid", "A cursor nobody gave is refused with invalidCursor", "RFC 9865 §2.1", func(p *probe) {
			p.cursors()
			p.get("/Users", "cursor", "not-a-cursor-of-yours").refused("Refuse it with 400 and scimType invalidCursor, or expiredCursor.", http.StatusBadRequest, "invalidCursor", "expiredCursor")
		}),
		should("rfc/cursor/count", "A count that is no number is refused with invalidCount", "RFC 9865 §2.1", func(p *probe) {
			p.cursors()
			p.get("/Users", "cursor", "", "count", "many").refused("Refuse it with 400 and scimType invalidCount.", http.StatusBadRequest, "invalidCount")
		}),
		must("rfc/cursor/count-limit", "A count above maxPageSize gives no larger page, or is refused with invalidCount", "RFC 9865 §2.1, §4", func(p *probe) {
			p.cursors()
			limit := p.target.limit("pagination", "maxPageSize")
			if limit <= 0 {
				p.skip("the server does not claim it: pagination.maxPageSize in ServiceProviderConfig is no number above 0")
			}
			p.user(nil)
			a := p.get("/Users", "cursor", "", "count", strconv.Itoa(limit+1))
			if a.status != http.StatusOK {
				a.refused("Refuse it with 400 and scimType invalidCount, or answer with what maxPageSize allows.", http.StatusBadRequest, "invalidCount")
			} else if found := len(a.list()); found == 0 || found > limit {
				a.fail("1 to "+show(limit)+" resources", show(found), "Return no more than maxPageSize.")
			}
		}),
		must("rfc/cursor/previous", "Following previousCursor from the second page leads back to the first", "RFC 9865 §2", func(p *probe) {
			p.cursors()
			filter, _ := p.crowd(3)
			page := func(cursor string) *answer { return p.get("/Users", "filter", filter, "cursor", cursor, "count", "2") }
			first := page("")
			second := page(first.string("nextCursor"))
			previous := second.string("previousCursor")
			if previous == "" {
				second.list()
				p.skip("the server does not offer it: the second page has no previousCursor")
			}
			back := page(previous)
			if want, got := ids(first.list()), ids(back.list()); !slices.Equal(want, got) {
				back.fail("the first page again: "+show(want), show(got), "Answer previousCursor with the page before, in the same order, or leave it out.")
			}
			back.gone("The first page has no page before it.", "previousCursor")
			if want, got := ids(second.list()), ids(page(back.string("nextCursor")).list()); !slices.Equal(want, got) {
				p.fail("the second page again: "+show(want), show(got), "A page reached backwards names its next page as any other.")
			}
		}),
		must("rfc/cursor/expired", "A cursor past its cursorTimeout still gives its page, or is refused with expiredCursor", "RFC 9865 §2.1, §4", func(p *probe) {
			p.cursors()
			life := time.Duration(p.target.limit("pagination", "cursorTimeout")) * time.Second
			if life <= 0 {
				p.skip("the server does not claim it: pagination.cursorTimeout in ServiceProviderConfig is no number above 0")
			}
			if life > p.target.patience {
				p.skip("a cursor lives for %v, and this run waits for %v (--patience)", life, p.target.patience)
			}
			filter, made := p.crowd(2)
			first := p.get("/Users", "filter", filter, "cursor", "", "count", "1")
			shown := ids(first.list())
			if p.target.sleep(p.ctx, life+time.Second) != nil {
				p.skip("stopped")
			}
			late := p.get("/Users", "filter", filter, "cursor", first.string("nextCursor"), "count", "1")
			if late.status != http.StatusOK {
				late.refused("Refuse it with 400 and scimType expiredCursor.", http.StatusBadRequest, "expiredCursor", "invalidCursor")
				return
			}
			both := append(shown, ids(late.list())...)
			slices.Sort(both)
			slices.Sort(made)
			if !slices.Equal(both, made) {
				late.fail("the second user, or a refusal with expiredCursor", show(late.at("Resources")), "Refuse a cursor you no longer know: another page looks like the right one.")
			}
		}),
		must("rfc/cursor/search", "A cursor works in a search by POST", "RFC 9865 §2.3", func(p *probe) {
			p.cursors()
			filter, _ := p.crowd(2)
			a := p.send(http.MethodPost, "/Users/.search", object{"schemas": list{searchSchema}, "filter": filter, "count": 1, "cursor": ""})
			first := ids(a.list())
			b := p.send(http.MethodPost, "/Users/.search", object{"schemas": list{searchSchema}, "filter": filter, "count": 1, "cursor": a.string("nextCursor")})
			if second := ids(b.list()); len(first) != 1 || len(second) != 1 || first[0] == second[0] {
				b.fail("the second of two users", show(second), "Take cursor in a SearchRequest as in a URL.")
			}
		}),
	}
}
