package console_test

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// seen is a page that somebody came to.
type seen struct {
	who, route    string
	name, address string // as a reader calls it, and where a browser finds it
}

var (
	link   = regexp.MustCompile(`(?:href|data-load)="(/[^"#]*)`)
	anyID  = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+`)
	strays = []string{"/nowhere", "/accounts/nonsense", "/activity?target=nonsense"} // addresses that were typed wrong
)

// walk follows the links of the console as each of its readers and gives the pages they come to: a few of each kind,
// for a list of accounts leads to more of the same. A link that leads nowhere fails the test, as does a route to which
// no link leads.
func (w *world) walk(t testing.TB) []seen {
	t.Helper()
	var pages []seen
	reached := map[string]bool{}
	for who, start := range map[string]string{"zoe": "/", "ana": "/", "eve": "/", "gus": "/", "": "/sign-in"} {
		queue, known, kinds := append([]string{start}, strays...), map[string]bool{}, map[string]int{}
		if who == "" {
			queue = append(queue, w.mailed...)
		}
		if who == "ana" {
			queue = append(queue, "/users") // not for her
		}
		for len(queue) > 0 {
			address := queue[0]
			queue = queue[1:]
			if known[address] || slices.ContainsFunc(w.streams, func(stream string) bool { return strings.HasPrefix(address, stream) }) {
				continue
			}
			known[address] = true
			kind, most := kindOf(t, address)
			if kinds[kind]++; kinds[kind] > most || who != "zoe" && kinds[kind] > 1 {
				continue
			}
			answer, body := w.ask(t, who, http.MethodGet, address, nil)
			route := answer.Header.Get(routeHeader)
			reached[route] = true
			if answer.StatusCode >= 400 && !slices.Contains(strays, address) && address != "/users" {
				t.Errorf("%s follows a link to %s: %d", who, address, answer.StatusCode)
			}
			if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") || answer.StatusCode/100 == 3 {
				continue
			}
			pages = append(pages, seen{who, route, address, address})
			for _, found := range link.FindAllStringSubmatch(body, -1) {
				queue = append(queue, html.UnescapeString(found[1]))
			}
		}
	}
	for _, route := range w.routes {
		if !reached[route] && !slices.Contains(w.streams, route) && route != "/favicon.ico" {
			t.Errorf("GET %s: no link leads to a page of it. Link to it, and give the test something it shows: a method Populate… of world", route)
		}
	}
	slices.SortStableFunc(pages, func(a, b seen) int { return strings.Compare(a.who, b.who) })
	return append(pages, w.answers(t)...)
}

// kindOf is what addresses of much the same page have in common, and how many of them are enough to see.
func kindOf(t testing.TB, address string) (kind string, most int) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	most = 2
	for _, name := range slices.Sorted(maps.Keys(parsed.Query())) {
		kind += "&" + name
		if !anyID.MatchString(parsed.Query().Get(name)) {
			most = 4 // a choice, such as what is to be confirmed
		}
	}
	return anyID.ReplaceAllString(parsed.Path, "…") + kind, most
}

// answers are pages that answer forms: what is told once, and what was refused.
func (w *world) answers(t testing.TB) []seen {
	t.Helper()
	var pages []seen
	for _, one := range []struct {
		path   string
		form   url.Values
		status int
	}{
		{"/destinations/webhooks", url.Values{"name": {"Ticket system"}, "url": {"https://tickets.example.com/in"}, "scheme": {"v1"}}, 200},
		{"/destinations/webhooks", url.Values{"name": {"Ticket system"}, "url": {"ftp://x"}, "scheme": {"v1"}}, 400},
		{"/destinations/receivers", url.Values{"name": {"Mail"}, "subject_format": {"email"}}, 200},
		{"/accounts/" + w.wiki.ID.String() + "/share", url.Values{"subject": {"nobody"}, "role": {"collaborator"}}, 400},
		{"/accounts/" + w.mail.ID.String() + "/links", url.Values{"to": {"ada@example.com"}, "hours": {"1"}, "level": {"revealed"}}, 200},
		{"/accounts/" + w.wiki.ID.String() + "/links", url.Values{"to": {"ada@example.com"}, "hours": {"1"}, "level": {"revealed"}}, 403},
		{"/guests", url.Values{"email": {"hal@example.com"}, "days": {"7"}}, 409},
		{w.mailed[0] + "/code", url.Values{"email": {"ada@example.com"}}, 200},
		{w.mailed[0] + "/open", url.Values{"challenge": {"x"}, "code": {"x"}}, 403},
		{w.mailed[1] + "/code", url.Values{"email": {"hal@example.com"}}, 200},
		{"/policies", url.Values{"name": {"x"}, "trigger": {"schedule"}, "covers": {"all"}, "every": {"days"}, "days": {"never"}}, 400},
		{"/policies", url.Values{"name": {"Preview"}, "trigger": {"logout"}, "covers": {"all"}, "preview": {"1"}}, 200},
	} {
		body := w.post(t, "zoe", one.path, one.form, one.status)
		pages = append(pages, seen{"zoe", "POST " + one.path, fmt.Sprintf("POST %s: %d", one.path, one.status), w.capture(t, body)})
	}
	return pages
}

// capture is where a browser finds a page that was fetched before.
func (w *world) capture(t testing.TB, body string) string {
	t.Helper()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.captured = append(w.captured, body)
	return fmt.Sprintf("/captured/%d", len(w.captured)-1)
}

func (w *world) showCaptured(c *gin.Context) {
	var at int
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if _, err := fmt.Sscan(c.Param("at"), &at); err != nil || at < 0 || at >= len(w.captured) {
		c.Status(http.StatusNotFound)
		return
	}
	c.Writer.Header().Del("Content-Security-Policy") // what is planted brings its own colours
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(w.captured[at]))
}
