package scim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postern/core/directory"
)

func names(t testing.TB, r reply, attribute string) []string {
	t.Helper()
	found := []string{}
	list, _ := r.want(t, 200).at(t, "Resources").([]any)
	for _, one := range list {
		text, _ := one.(map[string]any)[attribute].(string)
		found = append(found, text)
	}
	return found
}

func (h house) wantNames(t testing.TB, path string, want ...string) {
	t.Helper()
	r := h.call(t, "GET", path, "")
	if got := names(t, r, "userName"); !slices.Equal(got, want) {
		t.Errorf("%s gives %v, want %v", path, got, want)
	}
}

func TestSort(t *testing.T) {
	h := open(t, directory.Okta).acme
	for _, body := range []string{
		`{"userName":"eve","title":"b","name":{"familyName":"Zorn"},"externalId":"B","emails":[{"value":"z@x"},{"value":"a@x","primary":true}],"active":false}`,
		`{"userName":"Bob","title":"A","name":{"familyName":"adler"},"externalId":"a","emails":[{"value":"m@x"}],"urn:x:Custom":{"rank":"2"}}`,
		`{"userName":"ana","name":{"familyName":"Ömer"},"emails":[{"value":"k@x","type":"home"}],"urn:x:Custom":{"rank":"1"}}`,
		`{"userName":"zoe","title":"a"}`,
	} {
		h.call(t, "POST", "/Users", body).want(t, 201)
	}
	for path, want := range map[string][]string{
		"":                                     {"eve", "Bob", "ana", "zoe"},
		"sortBy=userName":                      {"ana", "Bob", "eve", "zoe"},
		"sortBy=USERNAME&sortOrder=Descending": {"zoe", "eve", "Bob", "ana"},
		"sortBy=title":                         {"Bob", "zoe", "eve", "ana"},
		"sortBy=title&sortOrder=descending":    {"ana", "eve", "Bob", "zoe"},
		"sortBy=externalId":                    {"eve", "Bob", "ana", "zoe"}, // case counts
		"sortBy=name.familyName":               {"Bob", "eve", "ana", "zoe"},
		"sortBy=emails":                        {"eve", "ana", "Bob", "zoe"},
		"sortBy=emails.value&sortOrder=ascending":      {"eve", "ana", "Bob", "zoe"},
		"sortBy=urn:x:Custom:rank":                     {"ana", "Bob", "eve", "zoe"},
		"sortBy=active":                                {"eve", "Bob", "ana", "zoe"},
		"sortBy=meta.created&sortOrder=descending":     {"zoe", "ana", "Bob", "eve"},
		"sortBy=meta.lastModified&sortOrder=ascending": {"eve", "Bob", "ana", "zoe"},
		"sortBy=id&sortOrder=descending":               {"zoe", "ana", "Bob", "eve"},
		"sortBy=groups":                                {"eve", "Bob", "ana", "zoe"},
		"sortBy=nothing":                               {"eve", "Bob", "ana", "zoe"},
	} {
		path = strings.ReplaceAll("/Users?"+path, ":", "%3A")
		h.wantNames(t, path, want...)
		// The same, page by page: by index, by cursor, and back again.
		for _, count := range []int{1, 3} {
			var byIndex, byCursor, back []string
			for start := 1; start <= 4; {
				r := h.call(t, "GET", fmt.Sprintf("%s&startIndex=%d&count=%d", path, start, count), "")
				shown := names(t, r, "userName")
				r.is(t, float64(len(shown)), "itemsPerPage")
				byIndex = append(byIndex, shown...)
				start += len(shown)
			}
			cursor, last := "", ""
			for {
				r := h.call(t, "GET", fmt.Sprintf("%s&cursor=%s&count=%d", path, cursor, count), "")
				byCursor = append(byCursor, names(t, r, "userName")...)
				r.is(t, 4.0, "totalResults")
				if _, there := r.body["previousCursor"]; there == (cursor == "") {
					t.Fatalf("previousCursor: %s", r.text)
				}
				last, _ = r.body["previousCursor"].(string)
				next, more := r.body["nextCursor"].(string)
				if !more {
					break
				}
				if strings.Trim(next, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
					t.Fatalf("cursor %s", next)
				}
				cursor = next
			}
			back = slices.Clone(byCursor[len(byCursor)-(4-1)%count-1:])
			for last != "" {
				r := h.call(t, "GET", fmt.Sprintf("%s&cursor=%s&count=%d", path, last, count), "")
				back = append(names(t, r, "userName"), back...)
				if _, there := r.body["nextCursor"].(string); !there {
					t.Fatalf("a page before another has no nextCursor: %s", r.text)
				}
				last, _ = r.body["previousCursor"].(string)
			}
			if !slices.Equal(byIndex, want) || !slices.Equal(byCursor, want) || !slices.Equal(back, want) {
				t.Errorf("%s by %d: %v by index, %v by cursor, %v back, want %v", path, count, byIndex, byCursor, back, want)
			}
		}
	}
}

func TestPagesGoOnFromWhereTheOneBeforeEnded(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	for i := range 12 {
		h.join(t, fmt.Sprintf("u%02d", i))
	}
	for path, want := range map[string]struct{ total, start, shown float64 }{
		"startIndex=0&count=5": {12, 1, 5}, "startIndex=-3&count=-1": {12, 1, 0}, "count=0": {12, 1, 0}, "startIndex=11": {12, 11, 2},
		"startIndex=99": {12, 99, 0}, "count=10000": {12, 1, 12}, "startIndex=9999999999999": {12, 2147483647, 0},
	} {
		r := h.call(t, "GET", "/Users?"+path, "").want(t, 200)
		r.is(t, want.total, "totalResults")
		r.is(t, want.start, "startIndex")
		r.is(t, want.shown, "itemsPerPage")
	}
	// A list that changes while it is walked through loses nobody who was there all along.
	first := h.call(t, "GET", "/Users?count=5", "")
	h.call(t, "DELETE", "/Users/"+first.at(t, "Resources", 1, "id").(string), "").want(t, 204)
	h.wantNames(t, "/Users?startIndex=6&count=3", "u05", "u06", "u07")
	byCursor := h.call(t, "GET", "/Users?cursor&count=5", "")
	next := byCursor.at(t, "nextCursor").(string)
	h.join(t, "late")
	h.wantNames(t, "/Users?count=2&cursor="+next, "u06", "u07")
	// A cursor goes with its list, filter, order and connection, whatever is shown of the resources.
	h.call(t, "GET", "/Users?attributes=userName&count=2&cursor="+next, "").want(t, 200)
	for _, path := range []string{"/Groups?cursor=" + next, "/Users?sortBy=userName&cursor=" + next, "/Users?filter=title+pr&cursor=" + next, "/Users?cursor=" + next[:20], "/?cursor=" + next} {
		h.call(t, "GET", path, "").wantError(t, 400, "invalidCursor")
	}
	w.other.call(t, "GET", "/Users?cursor="+next, "").wantError(t, 400, "invalidCursor")
	h.connect(t, "second", directory.Okta).call(t, "GET", "/Users?cursor="+next, "").wantError(t, 400, "invalidCursor")
	body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"cursor":"` + next + `","count":2,"attributes":["userName"]}`
	if got := names(t, h.call(t, "POST", "/Users/.search", body), "userName"); !slices.Equal(got, []string{"u06", "u07"}) {
		t.Errorf("by .search: %v", got)
	}
}

func TestTheRootListsUsersAndGroups(t *testing.T) {
	w := open(t, directory.Okta)
	for _, h := range []house{w.other, w.acme} {
		bob := h.join(t, "bob")
		h.team(t, "alpha", bob)
		h.join(t, "Zoe")
		h.team(t, "mu", bob)
	}
	h := w.acme
	name := func(r reply) []string {
		found := []string{}
		for i, one := range names(t, r, "userName") {
			if one == "" {
				one, _ = r.at(t, "Resources", i, "displayName").(string)
			}
			found = append(found, one)
		}
		return found
	}
	for path, want := range map[string][]string{
		"":                                {"bob", "alpha", "Zoe", "mu"},
		"?startIndex=2&count=2":           {"alpha", "Zoe"},
		"?filter=userName+pr":             {"bob", "Zoe"},
		"?filter=not+(userName+pr)":       {"alpha", "mu"},
		"?filter=displayName+eq+%22MU%22": {"mu"},
		"?filter=meta.resourceType+eq+%22User%22":                           {"bob", "Zoe"},
		"?sortBy=displayName":                                               {"alpha", "mu", "bob", "Zoe"},
		"?sortBy=userName&sortOrder=descending":                             {"alpha", "mu", "Zoe", "bob"},
		"?sortBy=active":                                                    {"bob", "Zoe", "alpha", "mu"},
		"?sortBy=id&sortOrder=descending":                                   {"mu", "Zoe", "alpha", "bob"},
		"?filter=emails.value+co+%22zoe%22+or+members.display+eq+%22bob%22": {"alpha", "Zoe", "mu"},
	} {
		if got := name(h.call(t, "GET", "/"+path, "")); !slices.Equal(got, want) {
			t.Errorf("%s lists %v, want %v", path, got, want)
		}
	}
	r := h.call(t, "POST", "/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"count":3,"cursor":"","excludedAttributes":["members"]}`)
	r.is(t, 4.0, "totalResults")
	rest := h.call(t, "GET", "/?count=3&cursor="+r.at(t, "nextCursor").(string), "")
	if got := append(name(r), name(rest)...); !slices.Equal(got, []string{"bob", "alpha", "Zoe", "mu"}) || strings.Contains(r.text, `"members"`) {
		t.Errorf("by cursor %v: %s", got, r.text)
	}
	back := h.call(t, "GET", "/?count=3&cursor="+rest.at(t, "previousCursor").(string), "")
	if got := name(back); !slices.Equal(got, []string{"bob", "alpha", "Zoe"}) {
		t.Errorf("back %v", got)
	}
}

func TestMembersAreAList(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	var ids []string
	for i := range 7 {
		ids = append(ids, h.join(t, "u"+strconv.Itoa(i)))
	}
	group := h.team(t, "Sales", ids...)
	var got []string
	for start := 1; start <= 7; start += 3 {
		r := h.call(t, "GET", fmt.Sprintf("/Groups/%s/members?startIndex=%d&count=3", group, start), "")
		r.want(t, 200).is(t, 7.0, "totalResults")
		got = append(got, names(t, r, "value")...)
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("by index %v, want %v", got, ids)
	}
	got = nil
	cursor := ""
	for {
		r := h.call(t, "GET", "/Groups/"+group+"/members?count=2&cursor="+cursor, "")
		got = append(got, names(t, r, "value")...)
		next, more := r.body["nextCursor"].(string)
		if !more {
			break
		}
		cursor = next
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("by cursor %v, want %v", got, ids)
	}
	w.other.call(t, "GET", "/Groups/"+group+"/members", "").want(t, 404)
	h.call(t, "POST", "/Groups/"+group+"/members", "{}").want(t, 405)
	list := h.call(t, "GET", "/Users?attributes=userName,groups.display&filter="+url.QueryEscape(`groups.value eq "`+group+`"`), "").want(t, 200)
	list.is(t, 7.0, "totalResults")
	list.is(t, "Sales", "Resources", 3, "groups", 0, "display")
	if strings.Contains(list.text, `"$ref"`) {
		t.Errorf("sub-attributes nobody asked for: %s", list.text)
	}
}
